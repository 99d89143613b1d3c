//! Logs in with the grant's credential: runs the plugin that the server asks for. The password goes to the server's
//! challenge and nowhere else.

use wire::mysql::connect::auth::{AuthError, Authenticator, Transport};
use wire::mysql::connect::auth_reply::AuthReply;
use wire::mysql::connect::greeting::Greeting;
use wire::mysql::connect::handshake_response::HandshakeResponse;
use wire::mysql::connect::ssl_request::SslRequest;
use wire::mysql::frame::Sequence;

use super::connection::Connection;
use super::dial::{ConnectError, HANDSHAKE_PACKET};
use crate::bytes::Stream;
use crate::credential::Credential;
use crate::database::{Listed, Place};
use crate::engines::mysql::packets::{PacketError, read_packet, write_packet};

/// A login takes two or three steps; a server that wants more is not one.
const MOST_STEPS: u8 = 8;

/// What was said before the login.
pub(super) struct Hello<'a> {
    pub greeting: &'a Greeting<'a>,
    pub head: SslRequest,
    pub transport: Transport,
    /// Which of the database's servers it is said to.
    pub place: Place,
    /// The connection's place on the list.
    pub listed: Listed,
}

/// Answers the greeting and every challenge after it, until the server says OK.
pub(super) async fn log_in(
    mut stream: Stream,
    mut sequence: Sequence,
    hello: Hello<'_>,
    credential: &Credential,
) -> Result<Connection, ConnectError> {
    let Hello { greeting, head, transport, place, listed } = hello;
    let start = |plugin: &[u8]| Authenticator::start(plugin, &credential.password, transport);
    // The server's default plugin says nothing about our user: where we don't speak it, we name one that we do, and
    // the server asks us to switch to the user's own.
    let (plugin, mut authenticator) = match start(greeting.auth_plugin) {
        Ok(authenticator) => (greeting.auth_plugin, authenticator),
        Err(AuthError::UnsupportedPlugin | AuthError::NeedsTls) => {
            let native: &[u8] = b"mysql_native_password";
            (native, start(native).map_err(ConnectError::Auth)?)
        }
        Err(error) => return Err(ConnectError::Auth(error)),
    };
    let first = authenticator.answer(&greeting.challenge).map_err(ConnectError::Auth)?;
    let response = HandshakeResponse {
        head,
        user: credential.user.as_bytes(),
        auth_response: first.as_deref().map_or(&[], Vec::as_slice),
        database: None,
        auth_plugin: plugin,
        attributes: Default::default(),
    };
    let response = response.encode().map_err(ConnectError::Unencodable)?;
    write_packet(&mut stream, &mut sequence, &response).await.map_err(ConnectError::Packet)?;

    for _ in 0..MOST_STEPS {
        let reply = read_packet(&mut stream, &mut sequence, HANDSHAKE_PACKET).await.map_err(|error| {
            if matches!(error, PacketError::Closed) {
                listed.is_gone();
            }
            ConnectError::Packet(error)
        })?;
        let answer = match AuthReply::decode(&reply, head.capabilities).map_err(ConnectError::Malformed)? {
            AuthReply::Ok(ok) => {
                return Ok(Connection::new(
                    stream,
                    greeting,
                    (head.capabilities, ok.summary),
                    (place, listed),
                ));
            }
            AuthReply::Err(refusal) => {
                listed.is_gone();
                return Err(ConnectError::Refused { code: refusal.summary.code });
            }
            AuthReply::Switch(switch) => {
                authenticator = start(switch.plugin).map_err(ConnectError::Auth)?;
                // A switch is always answered, with nothing if the plugin has nothing to say.
                Some(authenticator.answer(switch.challenge).map_err(ConnectError::Auth)?.unwrap_or_default())
            }
            AuthReply::MoreData(more) => authenticator.answer(more.data).map_err(ConnectError::Auth)?,
        };
        if let Some(answer) = answer {
            write_packet(&mut stream, &mut sequence, &answer).await.map_err(ConnectError::Packet)?;
        }
    }
    Err(ConnectError::Auth(AuthError::OutOfTurn))
}
