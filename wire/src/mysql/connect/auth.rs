//! The client's side of authentication towards a database. The cryptography is `mysql_common`'s; here is only the
//! policy around it. It sends nothing: what `answer` gives goes to the database alone, and is wiped when dropped.
//!
//! Spoken: `mysql_native_password`, `caching_sha2_password`, `sha256_password`, `mysql_clear_password`,
//! `client_ed25519` and `parsec`. Never: `mysql_old_password` (broken), and, without TLS, any answer that holds
//! the password or encrypts it for a key that nobody vouches for.
//!
//! Sources: "Authentication Methods",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods.html>;
//! MariaDB's "Authentication plugins", <https://mariadb.com/kb/en/connection/#plugin-list>.

use mysql_common::auth::plugins::client_ed25519::NONCE_BYTES;
use mysql_common::auth::plugins::mysql_native_password::SCRAMBLE_LENGTH;
use mysql_common::auth::plugins::parsec::CHALLENGE_SCRAMBLE_LENGTH;
use mysql_common::auth::plugins::{self, AuthProc, ChallengeResponsePlugin, Context};
use mysql_common::packets::AuthPlugin;
use zeroize::Zeroizing;

/// `caching_sha2_password`: the server has no cached hash and wants the password itself.
const PERFORM_FULL_AUTHENTICATION: &[u8] = &[4];

/// What lies under the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS: who reads the answers has been verified, as far as the `Database` asks for it.
    Tls,
    /// Nothing: anybody on the way may read the answers.
    Plain,
}

/// Why we can't or won't answer a server's challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The plugin is none of those spoken here.
    #[error("the database asks for an authentication plugin that is not supported")]
    UnsupportedPlugin,
    /// The plugin would show the password to anybody on the way.
    #[error("the database asks for the password, which is not sent without TLS")]
    NeedsTls,
    /// The challenge is not one of this plugin.
    #[error("the database's authentication challenge is malformed")]
    Challenge,
    /// The database goes on after the plugin's last step.
    #[error("the database's authentication challenge comes out of turn")]
    OutOfTurn,
    /// The plugin failed on our side, for example for want of random numbers.
    #[error("the authentication plugin failed")]
    Plugin,
}

/// One run of an authentication plugin. A switch to another plugin is a new one.
pub struct Authenticator<'a> {
    plugin: AuthProc,
    /// The length of the first challenge; it may come with a NUL behind it. `None`: the plugin reads none.
    challenge_len: Option<usize>,
    password: &'a [u8],
    transport: Transport,
}

impl<'a> Authenticator<'a> {
    /// Starts the plugin of a greeting or a switch request.
    pub fn start(plugin: &[u8], password: &'a [u8], transport: Transport) -> Result<Self, AuthError> {
        let plugin = AuthPlugin::from_bytes(plugin);
        let challenge_len = match plugin {
            AuthPlugin::MysqlNativePassword | AuthPlugin::CachingSha2Password => Some(SCRAMBLE_LENGTH),
            AuthPlugin::Sha256Password if transport == Transport::Tls => Some(SCRAMBLE_LENGTH),
            AuthPlugin::MysqlClearPassword if transport == Transport::Tls => None,
            AuthPlugin::Sha256Password | AuthPlugin::MysqlClearPassword => return Err(AuthError::NeedsTls),
            AuthPlugin::Ed25519 => Some(NONCE_BYTES),
            AuthPlugin::Parsec => Some(CHALLENGE_SCRAMBLE_LENGTH),
            AuthPlugin::MysqlOldPassword | AuthPlugin::Other(_) => return Err(AuthError::UnsupportedPlugin),
        };
        let plugin = AuthProc::init(&plugin).map_err(|_| AuthError::UnsupportedPlugin)?;
        Ok(Self { plugin, challenge_len, password, transport })
    }

    /// Answers one challenge: first the greeting's or switch request's, then each `AuthMoreData`'s. `None`: send
    /// nothing and wait for the server's next packet.
    pub fn answer(&mut self, challenge: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, AuthError> {
        let challenge = match self.challenge_len.take() {
            Some(len) => without_nul(challenge, len),
            None => challenge,
        };
        let sha2 = matches!(self.plugin, AuthProc::CachingSha2Password(_));
        if sha2 && self.transport == Transport::Plain && challenge == PERFORM_FULL_AUTHENTICATION {
            return Err(AuthError::NeedsTls);
        }
        let credential = Credential { password: self.password, transport: self.transport };
        match self.plugin.run(credential, challenge) {
            Ok(plugins::Response::Next { packet } | plugins::Response::Last { packet }) => {
                Ok(packet.map(Zeroizing::new))
            }
            Err(plugins::Error::Challenge) => Err(AuthError::Challenge),
            Err(plugins::Error::Logic) => Err(AuthError::OutOfTurn),
            Err(_) => Err(AuthError::Plugin),
        }
    }
}

/// The challenge without the NUL that servers put behind it. By length, for a challenge may end in a zero itself.
fn without_nul(challenge: &[u8], len: usize) -> &[u8] {
    match challenge.split_at_checked(len) {
        Some((challenge, [0])) => challenge,
        _ => challenge,
    }
}

/// What a plugin may know.
struct Credential<'a> {
    password: &'a [u8],
    transport: Transport,
}

impl Context for Credential<'_> {
    fn pass(&self) -> &[u8] {
        self.password
    }

    fn is_ipc_transport(&self) -> bool {
        false
    }

    fn is_tls_transport(&self) -> bool {
        self.transport == Transport::Tls
    }

    /// Used for the RSA exchange only, which `Authenticator` never comes to.
    fn scramble(&self) -> &[u8] {
        &[]
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transport::{Plain, Tls};

    const CHALLENGE: [u8; 20] = *b"NR3HP:qIYa_9=db?Sd{`";
    const PASSWORD: &[u8] = b"G!ider27";

    fn answers(plugin: &[u8], transport: Transport, challenge: &[u8]) -> Result<Vec<u8>, AuthError> {
        let mut plugin = Authenticator::start(plugin, PASSWORD, transport)?;
        plugin.answer(challenge).map(|answer| answer.unwrap().to_vec())
    }

    #[test]
    fn the_password_is_not_sent_without_tls() {
        for plugin in [b"mysql_clear_password".as_slice(), b"sha256_password"] {
            assert_eq!(answers(plugin, Plain, &CHALLENGE), Err(AuthError::NeedsTls));
        }
        let mut sha2 = Authenticator::start(b"caching_sha2_password", PASSWORD, Plain).unwrap();
        sha2.answer(&CHALLENGE).unwrap();
        assert_eq!(sha2.answer(&[4]), Err(AuthError::NeedsTls));
    }

    #[test]
    fn old_and_unknown_plugins_are_refused() {
        for plugin in [b"mysql_old_password".as_slice(), b"auth_gssapi_client", b""] {
            assert_eq!(answers(plugin, Tls, &CHALLENGE), Err(AuthError::UnsupportedPlugin));
        }
    }

    #[test]
    fn a_challenge_of_another_length_is_refused() {
        for plugin in
            [b"mysql_native_password".as_slice(), b"caching_sha2_password", b"client_ed25519", b"parsec"]
        {
            assert_eq!(answers(plugin, Tls, b"short"), Err(AuthError::Challenge));
            assert_eq!(answers(plugin, Tls, &[7; 64]), Err(AuthError::Challenge));
            assert_eq!(answers(plugin, Tls, b""), Err(AuthError::Challenge));
        }
    }

    #[test]
    fn a_database_that_asks_for_a_public_key_exchange_or_goes_on_is_refused() {
        let mut sha2 = Authenticator::start(b"caching_sha2_password", PASSWORD, Tls).unwrap();
        sha2.answer(&CHALLENGE).unwrap();
        assert_eq!(sha2.answer(&[3]), Ok(None));
        assert_eq!(sha2.answer(&[4]), Err(AuthError::OutOfTurn));
    }

    #[test]
    fn native_password_answers_as_known_clients_do() {
        let known = [
            0x09, 0xcf, 0xf8, 0x85, 0x5e, 0x9e, 0x70, 0x53, 0x40, 0xff, 0x22, 0x70, 0xd8, 0xfb, 0x9f, 0xad,
            0xba, 0x90, 0x6b, 0x70,
        ];
        assert_eq!(answers(b"mysql_native_password", Plain, &CHALLENGE), Ok(known.to_vec()));
    }

    #[test]
    fn caching_sha2_takes_the_fast_way_then_gives_the_password_inside_tls() {
        let known = [
            0x4f, 0x97, 0xbb, 0xfd, 0x20, 0x24, 0x01, 0xc4, 0x2a, 0x69, 0xde, 0xaa, 0xe5, 0x3b, 0xda, 0x07,
            0x7e, 0xd7, 0x57, 0x85, 0x63, 0xc1, 0xa8, 0x0e, 0xb8, 0x16, 0xc8, 0x21, 0x19, 0xb6, 0x8d, 0x2e,
        ];
        let mut sha2 = Authenticator::start(b"caching_sha2_password", PASSWORD, Tls).unwrap();
        assert_eq!(sha2.answer(&CHALLENGE).unwrap().unwrap().as_slice(), known);
        assert_eq!(sha2.answer(&[4]).unwrap().unwrap().as_slice(), b"G!ider27\0");
    }

    #[test]
    fn the_nul_behind_a_challenge_is_not_part_of_it() {
        let with_nul = [CHALLENGE.as_slice(), &[0]].concat();
        let plugin = b"mysql_native_password";
        assert_eq!(answers(plugin, Tls, &with_nul), answers(plugin, Tls, &CHALLENGE));
    }

    #[test]
    fn an_ed25519_challenge_may_end_in_a_zero() {
        assert_eq!(answers(b"client_ed25519", Plain, &[0; 32]).unwrap().len(), 64);
        assert_eq!(answers(b"client_ed25519", Plain, &[0; 33]), answers(b"client_ed25519", Plain, &[0; 32]));
    }

    #[test]
    fn clear_password_inside_tls_ends_with_a_nul() {
        assert_eq!(answers(b"mysql_clear_password", Tls, b""), Ok(b"G!ider27\0".to_vec()));
    }
}
