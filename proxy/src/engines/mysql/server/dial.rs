//! Opens connections to the one database of the grant: host, port, TLS and name come from the grant, from nowhere else.
//! Each is on the list of connections before it logs in, and is asked which server it is on before anything else.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use access::{Engine, ServerAddress, Target};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::mysql::connect::auth::{AuthError, Transport};
use wire::mysql::connect::capabilities::{Capabilities, MissingCapabilities};
use wire::mysql::connect::greeting::Greeting;
use wire::mysql::connect::ssl_request::SslRequest;
use wire::mysql::frame::Sequence;
use wire::mysql::reader::Malformed;
use wire::mysql::response::err::{self, ErrPacket};
use wire::mysql::writer::Unencodable;

use super::connection::{CommandError, Connection};
use super::login;
use super::proof::who_answers;
use crate::bytes::Stream;
use crate::credential::Credential;
use crate::database::{BadTlsSettings, Connections, ServerTls, SessionId};
use crate::engines::mysql::packets::{PacketError, read_packet, write_packet};

/// From the first SYN to the server's OK.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// No packet of a handshake is longer.
pub(super) const HANDSHAKE_PACKET: usize = 64 * 1024;

/// utf8mb4_general_ci: known to every server that the gate knows.
const COLLATION: u8 = 45;

/// What we say of the longest packet that we accept: the protocol's most. Answers are not held.
const MAX_PACKET: u32 = 1 << 30;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No connection, or it broke.
    #[error("cannot reach the database at {address}")]
    Unreachable {
        /// Where it should be.
        address: ServerAddress,
        /// What the system says.
        source: io::Error,
    },
    /// No answer in time.
    #[error("the database at {address} did not answer within 5 seconds")]
    Silent {
        /// Where it should be.
        address: ServerAddress,
    },
    /// A certificate authority or server name of the grant can't be used.
    #[error("the grant's TLS settings cannot be used")]
    TlsSettings(#[source] BadTlsSettings),
    /// The server offers no TLS, and the grant asks for it.
    #[error("the database offers no TLS")]
    NoTls,
    /// The server's certificate was not accepted, or the TLS handshake failed.
    #[error("the TLS handshake with the database failed")]
    Tls(#[source] io::Error),
    /// The server turned us away before any login, for example because it has too many connections.
    #[error("the database turns connections away with error {code}")]
    TurnedAway {
        /// The server's error code.
        code: u16,
    },
    /// The server refused the credential.
    #[error("the database refused the login with error {code}")]
    Refused {
        /// The server's error code; 1045 is "access denied".
        code: u16,
    },
    /// We can't or won't log in the way the server asks.
    #[error("cannot log in to the database")]
    Auth(#[source] AuthError),
    /// The server lacks what a session needs.
    #[error("the database speaks another protocol")]
    Capabilities(#[source] MissingCapabilities),
    /// A packet could not be read or written.
    #[error("the handshake with the database broke off")]
    Packet(#[source] PacketError),
    /// A packet is not what the protocol says.
    #[error("the database's handshake is malformed")]
    Malformed(#[source] Malformed),
    /// The credential can't be put into a packet.
    #[error("the credential cannot be sent")]
    Unencodable(#[source] Unencodable),
    /// The server was asked which one it is, and gave no answer.
    #[error("the database does not say which server it is")]
    Nameless(#[source] CommandError),
}

/// Knows how to reach the grant's database, and which connections were opened. Holds no credential. A grant has one, so
/// that no connection is missing on the list.
pub struct Dialer {
    address: ServerAddress,
    engine: Engine,
    tls: Option<ServerTls>,
    /// All that were opened.
    pub connections: Arc<Connections>,
}

impl Dialer {
    /// Reads address and TLS settings of the grant's target.
    pub fn new(target: &Target) -> Result<Self, ConnectError> {
        let tls = ServerTls::read(&target.tls).map_err(ConnectError::TlsSettings)?;
        Ok(Self { address: target.address.clone(), engine: target.engine, tls, connections: Arc::default() })
    }

    /// Connects, logs in and learns which server it is. `agreed`: what holds with the client, so that answers can be
    /// relayed as they are; `Capabilities::NONE` for our own use.
    pub async fn connect(
        &self,
        credential: &Credential,
        agreed: Capabilities,
    ) -> Result<Connection, ConnectError> {
        let connect = async {
            let mut database = self.log_in(credential, agreed).await?;
            who_answers(&mut database, self.engine).await.map_err(ConnectError::Nameless)?;
            Ok(database)
        };
        timeout(CONNECT_TIMEOUT, connect).await.map_err(|_| self.silent())?
    }

    /// Connects and logs in, and asks nothing.
    pub(super) async fn only_log_in(&self, credential: &Credential) -> Result<Connection, ConnectError> {
        let log_in = self.log_in(credential, Capabilities::NONE);
        timeout(CONNECT_TIMEOUT, log_in).await.map_err(|_| self.silent())?
    }

    fn silent(&self) -> ConnectError {
        ConnectError::Silent { address: self.address.clone() }
    }

    async fn log_in(
        &self,
        credential: &Credential,
        agreed: Capabilities,
    ) -> Result<Connection, ConnectError> {
        let unreachable = |source| ConnectError::Unreachable { address: self.address.clone(), source };
        let mut tcp =
            TcpStream::connect((self.address.host(), self.address.port())).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;

        let mut sequence = Sequence::default();
        let first =
            read_packet(&mut tcp, &mut sequence, HANDSHAKE_PACKET).await.map_err(ConnectError::Packet)?;
        if first.first() == Some(&err::HEADER) {
            let refusal = ErrPacket::decode(&first).map_err(ConnectError::Malformed)?;
            return Err(ConnectError::TurnedAway { code: refusal.summary.code });
        }
        let greeting = Greeting::decode(&first).map_err(ConnectError::Malformed)?;
        let capabilities = wire::mysql::connect::capabilities::request(agreed, greeting.capabilities)
            .map_err(ConnectError::Capabilities)?;
        // Our login names no schema. MariaDB goes by the SSLRequest's flags even after TLS, so both must say so.
        let capabilities = capabilities.without(Capabilities::CONNECT_WITH_DB);
        let mut head = SslRequest { capabilities, max_packet: MAX_PACKET, collation: COLLATION };

        let (stream, transport): (Stream, _) = match &self.tls {
            None => (Box::new(tcp), Transport::Plain),
            Some(ServerTls { connector, name }) => {
                if !greeting.capabilities.contains(Capabilities::SSL) {
                    return Err(ConnectError::NoTls);
                }
                head.capabilities = capabilities.union(Capabilities::SSL);
                write_packet(&mut tcp, &mut sequence, &head.encode()).await.map_err(ConnectError::Packet)?;
                let tls = connector.connect(name.clone(), tcp).await.map_err(ConnectError::Tls)?;
                (Box::new(tls), Transport::Tls)
            }
        };
        let listed = self.connections.add(SessionId(greeting.connection_id.into()));
        let hello = login::Hello { greeting: &greeting, head, transport, listed };
        login::log_in(stream, sequence, hello, credential).await
    }
}
