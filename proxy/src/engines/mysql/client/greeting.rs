//! The packets of the handshake towards a client: greeting, response, and the question for a token. Nothing a client
//! sends here is believed; it is handed to `identity`.

use rustls::pki_types::CertificateDer;
use wire::mysql::connect::auth_switch::AuthSwitch;
use wire::mysql::connect::capabilities::{self, Capabilities};
use wire::mysql::connect::greeting::{CHALLENGE_LEN, Greeting};
use wire::mysql::frame::Sequence;
use wire::mysql::response::status_flags::StatusFlags;

use super::turned_away::TurnedAway;
use crate::audit::Proof;
use crate::bytes::Stream;
use crate::engines::mysql::Shared;
use crate::engines::mysql::packets::{read_packet, write_packet};
use crate::sessions::IdentityError;

/// Every client has it or replaces it by its own; whatever it answers is not looked at.
const PLUGIN: &[u8] = b"mysql_native_password";

/// The plugin that sends what is asked for here: a token, inside TLS.
const CLEAR: &[u8] = b"mysql_clear_password";

/// A token with its NUL, and room to say that it is too long.
const MAX_SECRET: usize = 16 * 1024;

/// utf8mb4_general_ci.
const COLLATION: u8 = 45;

/// What we offer on a connection. `SSL` only where TLS is still to come.
pub(super) fn offer(shared: &Shared, tls: TlsIs) -> Capabilities {
    let offered = capabilities::offer(shared.checked.server.capabilities);
    match tls {
        TlsIs::StillToCome => offered,
        TlsIs::Here => offered.without(Capabilities::SSL),
    }
}

/// Whether TLS is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsIs {
    /// It is asked for in the protocol.
    StillToCome,
    /// It was there first.
    Here,
}

/// The server's first packet, in the database's name: clients look at the version to know the dialect.
pub(super) fn greeting(shared: &Shared, number: u32, offered: Capabilities) -> Result<Vec<u8>, TurnedAway> {
    let ours = |what| TurnedAway::Ours { what };
    // Nothing is checked against the challenge, but clients want one of nonzero bytes.
    let mut challenge = vec![0; CHALLENGE_LEN];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut challenge).map_err(|_| ours("no random numbers"))?;
    challenge.iter_mut().for_each(|byte| *byte = (*byte & 0x7f) | 0x01);
    let greeting = Greeting {
        server_version: shared.checked.server.version_text.as_bytes(),
        connection_id: number,
        challenge,
        capabilities: offered,
        collation: COLLATION,
        status: StatusFlags::AUTOCOMMIT,
        auth_plugin: PLUGIN,
    };
    greeting.encode().map_err(|_| ours("the greeting cannot be written"))
}

/// What a client says of itself while it authenticates, at the start or by COM_CHANGE_USER.
pub struct Claim<'a> {
    /// The certificate of the TLS handshake.
    pub certificate: Option<&'a CertificateDer<'static>>,
    /// What was agreed on.
    pub agreed: Capabilities,
    /// The user name.
    pub user: &'a [u8],
    /// The plugin's first answer.
    pub auth_response: &'a [u8],
    /// The plugin that made it.
    pub auth_plugin: &'a [u8],
}

/// Finds out who it is: by the certificate if there is one, else by a token, which is asked for if it was not sent.
pub(super) async fn authenticate(
    shared: &Shared,
    stream: &mut Stream,
    sequence: &mut Sequence,
    claim: Claim<'_>,
) -> Result<Proof, TurnedAway> {
    if let Some(certificate) = claim.certificate {
        return shared.authority.by_certificate(certificate).map_err(TurnedAway::Identity);
    }
    if claim.auth_plugin == CLEAR && !claim.auth_response.is_empty() {
        return by_token(shared, claim.user, claim.auth_response);
    }
    if !claim.agreed.contains(Capabilities::PLUGIN_AUTH) {
        // It knows no plugin, so it can't be asked for a token.
        return Err(TurnedAway::Identity(IdentityError::Missing));
    }
    let switch = AuthSwitch { plugin: CLEAR, challenge: &[] };
    let switch = switch.encode().map_err(|_| TurnedAway::Ours { what: "a switch request" })?;
    write_packet(stream, sequence, &switch).await.map_err(TurnedAway::Packet)?;
    let secret = read_packet(stream, sequence, MAX_SECRET).await.map_err(TurnedAway::Packet)?;
    by_token(shared, claim.user, &secret)
}

/// COM_CHANGE_USER on a running session: the same proof again. There is nobody else to become. What the command
/// carries is not looked at, for it has no room for a token: it is asked for.
pub async fn reauthenticate(
    shared: &Shared,
    stream: &mut Stream,
    sequence: &mut Sequence,
    claim: Claim<'_>,
) -> Result<Proof, TurnedAway> {
    let claim = Claim { auth_response: &[], auth_plugin: &[], ..claim };
    authenticate(shared, stream, sequence, claim).await
}

fn by_token(shared: &Shared, user: &[u8], secret: &[u8]) -> Result<Proof, TurnedAway> {
    let token = secret.strip_suffix(&[0]).unwrap_or(secret);
    if token.is_empty() {
        return Err(TurnedAway::Identity(IdentityError::Missing));
    }
    shared.authority.by_token(user, token).map_err(TurnedAway::Identity)
}
