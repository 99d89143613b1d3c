//! Opens connections to the one database of the grant: host, port, TLS and name come from the grant, from nowhere else. Of several
//! servers the one that serves is tried first, then the others in the grant's order. Each connection is on the list of connections before it logs in, and is asked which server it is on before anything else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use access::{Engine, ServerAddress, Standby, Target};
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
use crate::database::{BadTlsSettings, Connections, Place, ServerTls, SessionId};
use crate::engines::mysql::packets::{PacketError, read_packet, write_packet};

/// From the first SYN to the server's OK. Several servers share it: whoever waits for all of them waits no longer.
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
    #[error("the database at {address} did not answer within {patience:.1?}")]
    Silent {
        /// Where it should be.
        address: ServerAddress,
        /// How long it had.
        patience: Duration,
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
    first: Server,
    others: Vec<Server>,
    /// The place of the one that serves.
    serves: AtomicUsize,
    /// How long each may take.
    patience: Duration,
    engine: Engine,
    /// All that were opened.
    pub connections: Arc<Connections>,
}

/// One of the database's servers.
struct Server {
    address: ServerAddress,
    tls: Option<ServerTls>,
}

impl Dialer {
    /// Reads addresses and TLS settings of the grant's target.
    pub fn new(target: &Target) -> Result<Self, ConnectError> {
        let tls = ServerTls::read(&target.tls).map_err(ConnectError::TlsSettings)?;
        let standby = |Standby { address, server_name }: &Standby| {
            let tls = tls.as_ref().map(|tls| tls.named(server_name)).transpose();
            Ok(Server { address: address.clone(), tls: tls.map_err(ConnectError::TlsSettings)? })
        };
        let others = target.standbys.iter().map(standby).collect::<Result<Vec<_>, _>>()?;
        let servers = u32::try_from(others.len()).unwrap_or(u32::MAX).saturating_add(1);
        Ok(Self {
            first: Server { address: target.address.clone(), tls },
            others,
            serves: AtomicUsize::new(Place::FIRST.0),
            patience: CONNECT_TIMEOUT.checked_div(servers).unwrap_or(CONNECT_TIMEOUT),
            engine: target.engine,
            connections: Arc::default(),
        })
    }

    /// The servers in the order in which they are to be tried: the one that serves, then the others.
    pub fn places(&self) -> Vec<Place> {
        let serves = self.serves.load(Ordering::Relaxed);
        let others = (0..=self.others.len()).filter(|place| *place != serves);
        std::iter::once(serves).chain(others).map(Place).collect()
    }

    /// The server at this place passed all checks: from here on it is tried first.
    pub fn serves(&self, place: Place) {
        let before = self.serves.swap(place.0, Ordering::Relaxed);
        if before != place.0 {
            tracing::info!(server = %self.address(place), "another of the database's servers serves now");
        }
    }

    /// Where the server at this place is.
    pub fn address(&self, place: Place) -> &ServerAddress {
        &self.server(place).address
    }

    fn server(&self, Place(place): Place) -> &Server {
        place.checked_sub(1).and_then(|other| self.others.get(other)).unwrap_or(&self.first)
    }

    /// Connects to the first server that lets it, logs in and learns which server it is. `agreed`: what holds with the client,
    /// so that answers can be relayed as they are; `Capabilities::NONE` for our own use.
    ///
    /// # Errors
    /// None of them did; what the first of them did instead.
    pub async fn connect(
        &self,
        credential: &Credential,
        agreed: Capabilities,
    ) -> Result<Connection, ConnectError> {
        let mut failed = None;
        for place in self.places() {
            match self.connect_to(place, credential, agreed).await {
                Ok(database) => return Ok(database),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        // There is always one.
        Err(failed.unwrap_or_else(|| self.silent(Place::FIRST)))
    }

    /// The same, with the server at this place and no other.
    pub async fn connect_to(
        &self,
        place: Place,
        credential: &Credential,
        agreed: Capabilities,
    ) -> Result<Connection, ConnectError> {
        let connect = async {
            let mut database = self.log_in(place, credential, agreed).await?;
            who_answers(&mut database, self.engine).await.map_err(ConnectError::Nameless)?;
            Ok(database)
        };
        timeout(self.patience, connect).await.map_err(|_| self.silent(place))?
    }

    /// Connects to the server at this place and logs in, and asks nothing.
    pub(super) async fn only_log_in(
        &self,
        place: Place,
        credential: &Credential,
    ) -> Result<Connection, ConnectError> {
        let log_in = self.log_in(place, credential, Capabilities::NONE);
        timeout(self.patience, log_in).await.map_err(|_| self.silent(place))?
    }

    fn silent(&self, place: Place) -> ConnectError {
        ConnectError::Silent { address: self.address(place).clone(), patience: self.patience }
    }

    async fn log_in(
        &self,
        place: Place,
        credential: &Credential,
        agreed: Capabilities,
    ) -> Result<Connection, ConnectError> {
        let Server { address, tls } = self.server(place);
        let unreachable = |source| ConnectError::Unreachable { address: address.clone(), source };
        let mut tcp = TcpStream::connect((address.host(), address.port())).await.map_err(unreachable)?;
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

        let (stream, transport): (Stream, _) = match tls {
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
        let listed = self.connections.add(place, SessionId(greeting.connection_id.into()));
        let hello = login::Hello { greeting: &greeting, head, transport, place, listed };
        login::log_in(stream, sequence, hello, credential).await
    }
}
