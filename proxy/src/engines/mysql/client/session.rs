//! The life of one client connection, as types: each step consumes the one before, and only the last one has a
//! database behind it. No text of the client reaches the database in this file.
//!
//! `Plain --secure--> Secured --identify--> Identity --permit--> Permitted --relay--> Over`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use wire::mysql::connect::capabilities::{self, Capabilities};
use wire::mysql::connect::collation::Utf8Collation;
use wire::mysql::connect::handshake_response::HandshakeResponse;
use wire::mysql::connect::ssl_request::SslRequest;
use wire::mysql::frame::Sequence;
use wire::mysql::response::ok::{OkPacket, OkSummary};

use super::greeting::{self, Claim, TlsIs};
use super::start::{Named, Started, start};
use super::turned_away::TurnedAway;
use crate::audit::{TlsVersion, Who};
use crate::bytes::Stream;
use crate::database::SessionId;
use crate::engine::Engine;
use crate::engines::mysql::packets::{PacketError, read_packet, write_packet};
use crate::engines::mysql::relay::{Over, Relay, RelayParts};
use crate::engines::mysql::{MySql, Shared};
use crate::sessions::{Arrival, Place, Port, Seated};
use crate::usage::OpenSession;

/// A handshake response holds a token at most.
const MAX_RESPONSE: usize = 64 * 1024;

/// The head of a handshake response, which is all that may come before TLS, and some room to tell what it was.
const MAX_BEFORE_TLS: usize = 4 * 1024;

/// How long a client may take to hear how its login went.
const TELLING: Duration = Duration::from_secs(2);

/// One client connection. `S` is how far it has come.
pub struct Session<S> {
    shared: Arc<Shared>,
    peer: SocketAddr,
    number: u32,
    state: S,
}

/// Nothing is known.
pub(crate) struct Plain {
    stream: TcpStream,
    port: Port,
    place: Place,
}

/// Nobody else can read along.
pub(crate) struct Secured {
    place: Place,
    stream: Stream,
    sequence: Sequence,
    certificate: Option<CertificateDer<'static>>,
    tls: TlsVersion,
    offered: Capabilities,
}

/// We know who it is.
pub struct Identity {
    stream: Stream,
    sequence: Sequence,
    certificate: Option<CertificateDer<'static>>,
    who: Who,
    agreed: Capabilities,
    collation: Option<Utf8Collation>,
    schema: Option<String>,
}

/// It may ask the database.
pub struct Permitted {
    relay: Relay,
    _place: OpenSession,
    seated: Seated<MySql>,
}

impl Session<Plain> {
    /// `number`: by which its person and the log know it.
    pub(crate) fn new(shared: Arc<Shared>, number: u32, arrival: Arrival) -> Self {
        let Arrival { stream, peer, port, place } = arrival;
        Self { shared, peer, number, state: Plain { stream, port, place } }
    }

    /// TLS, before anything else.
    pub(crate) async fn secure(self) -> Result<Session<Secured>, TurnedAway> {
        let Self { shared, peer, number, state: Plain { stream, port, place } } = self;
        let state = match port {
            Port::Native => secure_native(&shared, number, stream, place).await?,
            Port::TlsFirst => secure_first(&shared, number, stream, place).await?,
        };
        Ok(Session { shared, peer, number, state })
    }
}

async fn secure_native(
    shared: &Shared,
    number: u32,
    mut tcp: TcpStream,
    place: Place,
) -> Result<Secured, TurnedAway> {
    let mut sequence = Sequence::default();
    let offered = greeting::offer(shared, TlsIs::StillToCome);
    let hello = greeting::greeting(shared, number, offered)?;
    write_packet(&mut tcp, &mut sequence, &hello).await.map_err(TurnedAway::Packet)?;
    // Not one byte beyond this packet is read before TLS: nothing can be slipped in ahead of it.
    let asked = async {
        let first = read_packet(&mut tcp, &mut sequence, MAX_BEFORE_TLS).await.map_err(TurnedAway::Packet)?;
        SslRequest::decode(&first).map_err(|_| TurnedAway::Insecure)
    };
    if let Err(error) = unless_crowded(&place, asked).await {
        return Err(turn_away(&mut tcp, sequence, error).await);
    }
    let (stream, certificate) = unless_crowded(&place, accept(&shared.acceptors.native, tcp)).await?;
    let tls = version(&stream);
    Ok(Secured { place, stream: Box::new(stream), sequence, certificate, tls, offered })
}

async fn secure_first(
    shared: &Shared,
    number: u32,
    tcp: TcpStream,
    place: Place,
) -> Result<Secured, TurnedAway> {
    let accepted = unless_crowded(&place, accept(&shared.acceptors.tls_first, tcp)).await;
    let (mut stream, certificate) = accepted?;
    if stream.get_ref().1.alpn_protocol() != Some(MySql::ALPN) {
        return Err(TurnedAway::Alpn);
    }
    let mut sequence = Sequence::default();
    let offered = greeting::offer(shared, TlsIs::Here);
    let hello = greeting::greeting(shared, number, offered)?;
    write_packet(&mut stream, &mut sequence, &hello).await.map_err(TurnedAway::Packet)?;
    let tls = version(&stream);
    Ok(Secured { place, stream: Box::new(stream), sequence, certificate, tls, offered })
}

fn version(stream: &TlsStream<TcpStream>) -> TlsVersion {
    match stream.get_ref().1.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
        _ => TlsVersion::V1_2,
    }
}

type Accepted = (TlsStream<TcpStream>, Option<CertificateDer<'static>>);

async fn accept(acceptor: &TlsAcceptor, tcp: TcpStream) -> Result<Accepted, TurnedAway> {
    let stream = acceptor.accept(tcp).await.map_err(TurnedAway::Tls)?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificate = chain.first().map(|leaf| leaf.clone().into_owned());
    Ok((stream, certificate))
}

impl Session<Secured> {
    /// Who it is.
    pub(crate) async fn identify(self) -> Result<Session<Identity>, TurnedAway> {
        let Self { shared, peer, number, state } = self;
        let Secured { place, mut stream, mut sequence, certificate, tls, offered } = state;
        let read = async {
            let response = read_packet(&mut stream, &mut sequence, MAX_RESPONSE).await;
            let response = response.map_err(TurnedAway::Packet)?;
            let response = HandshakeResponse::decode(&response).map_err(TurnedAway::Malformed)?;
            if response.head.capabilities.has_any(Capabilities::COMPRESSION) {
                return Err(TurnedAway::Compression);
            }
            let agreed = capabilities::agree(offered, response.head.capabilities);
            let agreed = agreed.map_err(TurnedAway::Capabilities)?;
            let claim = Claim {
                certificate: certificate.as_ref(),
                agreed,
                user: response.user,
                auth_response: response.auth_response,
                auth_plugin: response.auth_plugin,
            };
            let proof = greeting::authenticate(&shared, &mut stream, &mut sequence, claim).await?;
            let schema = response.database.filter(|name| !name.is_empty());
            let schema = schema.map(|name| String::from_utf8_lossy(name).into_owned());
            let program = response.attributes.get(b"program_name");
            let program = program.map(|name| String::from_utf8_lossy(name).into_owned());
            let collation = Utf8Collation::numbered(response.head.collation.into());
            Ok((agreed, collation, proof, schema, program))
        };
        let (agreed, collation, proof, schema, program) = match unless_crowded(&place, read).await {
            Ok(known) => known,
            Err(error) => return Err(turn_away(&mut stream, sequence, error).await),
        };
        let grant = &shared.grant.identity;
        let (grant_uid, user) = (grant.uid.clone(), grant.user.clone());
        let who = Who { grant_uid, user, proof, session: number, peer, program, tls };
        let schema = schema.or_else(|| shared.grant.target.schema.clone());
        let state = Identity { stream, sequence, certificate, who, agreed, collation, schema };
        Ok(Session { shared, peer, number, state })
    }
}

impl Session<Identity> {
    /// Whose it is.
    pub(crate) fn who(&self) -> &Who {
        &self.state.who
    }

    /// The only way to a `Permitted`: no permit, no upstream socket.
    pub(crate) async fn permit(self) -> Result<Session<Permitted>, TurnedAway> {
        let Self { shared, peer, number, state } = self;
        let Identity { mut stream, mut sequence, certificate, who, agreed, collation, schema } = state;
        let opened = match shared.usage.open_session(shared.grant.limits.sessions) {
            Some(place) => start(&shared, &who, Named { agreed, collation, schema })
                .await
                .map(|started| (place, started)),
            None => Err(TurnedAway::TooMany { limit: shared.grant.limits.sessions }),
        };
        let (place, Started { database }) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // Whatever else went wrong at that moment went wrong because of it.
                let error = shared.ending.cause().map_or(error, TurnedAway::Ended);
                return Err(turn_away(&mut stream, sequence, error).await);
            }
        };
        let seated = Seated::new(&shared, number, database.id, database.opened());
        let summary = OkSummary { status: database.belief.status(), ..OkSummary::default() };
        let ok = OkPacket { summary, ..OkPacket::default() }.encode(agreed);
        let told = timeout(TELLING, write_packet(&mut stream, &mut sequence, &ok)).await;
        told.unwrap_or(Err(PacketError::Silent)).map_err(TurnedAway::Packet)?;
        let seat = Arc::clone(&seated.seat);
        let parts = RelayParts {
            shared: Arc::clone(&shared),
            who,
            stream,
            certificate,
            agreed,
            collation,
            database,
            seat,
        };
        let state = Permitted { relay: Relay::new(parts), _place: place, seated };
        Ok(Session { shared, peer, number, state })
    }
}

impl Session<Permitted> {
    /// The number of its connection at the database.
    pub(crate) fn database_session(&self) -> SessionId {
        self.state.seated.seat.database
    }

    /// Runs until either side closes, or the grant ends.
    pub(crate) async fn relay(self) -> Over {
        self.state.relay.run().await
    }
}

/// Takes a step of the handshake, unless the place is lost before it is done.
async fn unless_crowded<T>(
    place: &Place,
    step: impl Future<Output = Result<T, TurnedAway>>,
) -> Result<T, TurnedAway> {
    place.unless_lost(step).await.unwrap_or(Err(TurnedAway::Crowded))
}

/// Tells the client why, if it can be told, and hands the reason back.
async fn turn_away(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    mut sequence: Sequence,
    error: TurnedAway,
) -> TurnedAway {
    if let Some(packet) = error.packet() {
        let tell = async {
            if write_packet(stream, &mut sequence, &packet).await.is_ok() {
                let _ = tokio::io::AsyncWriteExt::shutdown(stream).await;
            }
        };
        // It may have hung up, or not listen; then nobody needs to be told.
        let _ = timeout(TELLING, tell).await;
    }
    error
}
