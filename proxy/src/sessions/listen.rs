//! Accepts connections on both ports until the grant ends, bounded in number and in time, and returns when the last
//! session was cut and told.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use access::chain;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::door::{Door, Place, RECEIVED};
use super::shared::Shared;
use crate::audit::{Journal, Record, Who};
use crate::engine::{Engine, Over, TurnedAway};

/// The longest time from the first byte to a proven identity.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The longest that a session's goodbye may take; each bounds its own more tightly.
const GOODBYE: Duration = Duration::from_millis(450);

/// How long a client may be silent before it is asked whether it is still there (`TCP_KEEPIDLE`, tcp(7)): one that went away
/// without a word gives its place back within two minutes.
const SILENT: Duration = Duration::from_secs(60);
/// How long after that question it is asked again (`TCP_KEEPINTVL`).
const PROBE: Duration = Duration::from_secs(15);
/// How many such questions may stay without an answer (`TCP_KEEPCNT`).
const PROBES: u32 = 4;

/// How long we wait after a listener failed, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// The most connections that the kernel holds for a port while nobody accepts them.
const QUEUE: u32 = 128;

/// What the kernel may hold of a session that its client sends, in bytes; it reckons with twice that.
const SESSION_RECEIVED: usize = 64 * 1024;

/// The two ports, bound.
pub struct Listeners {
    /// The protocol first, TLS in it.
    pub native: TcpListener,
    /// TLS first.
    pub tls_first: TcpListener,
}

/// A port for clients: whoever has not proved who they are fills no memory of ours by what they send.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Connections have it from their listener; afterwards it would come too late.
    socket.set_recv_buffer_size(RECEIVED)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

/// How the last sessions of a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// How many were closed without having been told why: their clients did not read, or were gone.
    pub untold: usize,
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attended {
    /// A session whose client did not hear why it ended.
    Untold,
    /// A session whose client did, or no session.
    Settled,
}

/// Serves until the grant ends. Returns when every session is closed.
pub async fn serve<E: Engine>(listeners: Listeners, shared: Arc<Shared<E>>) -> Served {
    let Listeners { native, tls_first } = listeners;
    let door = Arc::new(Door::default());
    let ports = [(native, Port::Native), (tls_first, Port::TlsFirst)];
    let [native, tls_first] = ports.map(|(listener, port)| serve_port(listener, port, &shared, &door));
    let (native, tls_first) = tokio::select! {
        never = door.keep() => match never {},
        served = async { tokio::join!(native, tls_first) } => served,
    };
    Served { untold: native.saturating_add(tls_first) }
}

/// Serves one port; how many sessions were not told.
async fn serve_port<E: Engine>(
    listener: TcpListener,
    port: Port,
    shared: &Arc<Shared<E>>,
    door: &Arc<Door>,
) -> usize {
    let mut sessions = JoinSet::new();
    loop {
        let arrived = tokio::select! {
            biased;
            _ = shared.ending.began() => break,
            arrived = listener.accept() => arrived,
        };
        // Not one more thing to wait for: those that are over are never more than were open at once, however many come.
        while sessions.try_join_next().is_some() {}
        match arrived {
            Ok((stream, peer)) => {
                let number = shared.seats.next_number();
                // Whatever is said of it, in whichever module, says which session it was; a panic, too.
                let grant = &shared.grant.identity.uid;
                let span = tracing::info_span!("session", session = number, %peer, ?port, grant);
                let (door, shared) = (Arc::clone(door), Arc::clone(shared));
                let attended = async move {
                    let came = Came { stream, peer, port };
                    attend(came, number, &door, shared).await
                };
                sessions.spawn(attended.instrument(span));
            }
            Err(error) => {
                tracing::warn!(%error, ?port, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // Nobody is accepted any more.
    drop(listener);
    let mut untold = 0_usize;
    let all_told = async {
        while let Some(attended) = sessions.join_next().await {
            untold = untold.saturating_add(usize::from(!matches!(attended, Ok(Attended::Settled))));
        }
    };
    if timeout(GOODBYE, all_told).await.is_err() {
        untold = untold.saturating_add(sessions.len());
        tracing::warn!(sessions = sessions.len(), "some sessions did not end in time and are dropped");
        sessions.shutdown().await;
    }
    untold
}

/// Which of the two ports it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// The protocol first, TLS in it.
    Native,
    /// TLS first.
    TlsFirst,
}

/// A connection that is not let in yet.
struct Came {
    stream: TcpStream,
    peer: SocketAddr,
    port: Port,
}

/// A connection that was let in, and of which nothing is known yet.
pub struct Arrival {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) port: Port,
    /// Until it is known who it is.
    pub(crate) place: Place,
}

/// A session on record, whose end goes there too, whatever becomes of its code.
struct OpenOnRecord {
    journal: Journal,
    session: u32,
    why: Option<String>,
    counted: u64,
}

impl OpenOnRecord {
    fn new(journal: Journal, who: &Who) -> Self {
        journal.note(&Record::SessionOpened(who));
        Self { journal, session: who.session, why: None, counted: 0 }
    }
}

impl Drop for OpenOnRecord {
    fn drop(&mut self) {
        let why = self.why.as_deref().unwrap_or("its code broke, or it did not end in time");
        let (session, counted) = (self.session, self.counted);
        self.journal.note(&Record::SessionClosed { session, why, counted });
    }
}

/// Why a connection did not come as far as an engine's own word on it.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("the grant has ended")]
    Over,
    #[error("the client's handshake took longer than 10 seconds")]
    Slow,
    #[error("too many connections wait for their handshake, most of them from its address")]
    Crowded,
}

/// One connection, from its first byte to its last.
async fn attend<E: Engine>(came: Came, number: u32, door: &Arc<Door>, shared: Arc<Shared<E>>) -> Attended {
    let Came { stream, peer, port } = came;
    if let Err(error) = tune(&stream) {
        tracing::info!(%error, "connection lost at once");
        return Attended::Settled;
    }
    let journal = shared.journal.clone();
    let place = tokio::select! {
        biased;
        _ = shared.ending.began() => Err(Stopped::Over),
        place = door.enter(peer.ip()) => place.ok_or(Stopped::Crowded),
    };
    let opened = match place {
        // However fast somebody opens connections, the log and the record grow no faster than the door lets in: they are counted.
        Err(Stopped::Crowded) => {
            journal.sent_away(number, peer, Stopped::Crowded.to_string());
            if let Some(connections) = door.sent_away(Instant::now()) {
                tracing::warn!(connections, reason = %Stopped::Crowded, "sent away unheard");
            }
            return Attended::Settled;
        }
        // In a box: who waits at the door takes no room for what comes behind it.
        Ok(place) => Box::pin(open(Arrival { stream, peer, port, place }, number, shared)).await,
        Err(stopped) => Err(Unopened { why: stopped.into(), on_record: None }),
    };
    match opened {
        Ok((session, on_record)) => Box::pin(relay::<E>(session, on_record)).await,
        Err(Unopened { why: turned_away, on_record }) => {
            let cause = turned_away.source().map(chain).unwrap_or_default();
            let why = turned_away.to_string();
            tracing::info!(reason = why, cause, "turned away");
            match on_record {
                Some(mut open) => {
                    journal.metrics().turned_away();
                    open.why = Some(why);
                }
                None => journal.turned_away(number, peer, why),
            }
            Attended::Settled
        }
    }
}

/// A connection that did not become a session.
struct Unopened {
    why: TurnedAway,
    /// Where it was known whose it is, its beginning is on record, and so will be its end.
    on_record: Option<OpenOnRecord>,
}

/// From the first byte to a session.
async fn open<E: Engine>(
    arrival: Arrival,
    number: u32,
    shared: Arc<Shared<E>>,
) -> Result<(E::Session, OpenOnRecord), Unopened> {
    let journal = shared.journal.clone();
    let client = identify(arrival, number, shared).await;
    let client = client.map_err(|why| Unopened { why, on_record: None })?;
    // What a client names for its session is a statement of it already.
    let on_record = OpenOnRecord::new(journal, E::who(&client));
    match E::open(client).await {
        Ok(session) => Ok((session, on_record)),
        Err(why) => Err(Unopened { why, on_record: Some(on_record) }),
    }
}

/// From the first byte to who it is.
async fn identify<E: Engine>(
    arrival: Arrival,
    number: u32,
    shared: Arc<Shared<E>>,
) -> Result<E::Client, TurnedAway> {
    let (ending, socket) = (shared.ending.clone(), arrival.stream.as_fd().try_clone_to_owned()?);
    let client = tokio::select! {
        biased;
        _ = ending.began() => return Err(Stopped::Over.into()),
        client = timeout(HANDSHAKE, E::identify(shared, number, arrival)) => client,
    };
    let client = client.unwrap_or(Err(Stopped::Slow.into()))?;
    sockopt::set_socket_recv_buffer_size(&socket, SESSION_RECEIVED)?;
    Ok(client)
}

/// A session, to its end.
async fn relay<E: Engine>(session: E::Session, mut open: OpenOnRecord) -> Attended {
    let database_session = E::database_session(&session);
    tracing::info!(%database_session, "session opened");
    let Over { reason, told, counted } = E::relay(session).await;
    tracing::info!(reason, "session ended");
    (open.why, open.counted) = (Some(reason), counted);
    if told { Attended::Settled } else { Attended::Untold }
}

/// Answers go out at once, and the dead are noticed.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(stream, SILENT)?;
    sockopt::set_tcp_keepintvl(stream, PROBE)?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Acknowledgements, Keeper, NotRecorded, Number};
    use crate::ending::Ending;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Ends(Arc<Mutex<Vec<String>>>);

    impl Keeper for Ends {
        fn keep(&mut self, _: Number, record: &Record<'_>) -> Result<(), NotRecorded> {
            let said = match record {
                Record::SessionOpened(who) => format!("{} opened", who.session),
                Record::SessionClosed { session, why, .. } => format!("{session} closed: {why}"),
                _ => return Ok(()),
            };
            self.0.lock().unwrap().push(said);
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_the_kernel_holds_of_a_stranger_is_bounded() {
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let (came, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (_came, (accepted, _)) = (came.unwrap(), accepted.unwrap());
        let held = sockopt::socket_recv_buffer_size(&accepted).unwrap();
        assert!(held.div_ceil(2) <= RECEIVED as usize, "{held}");
    }

    #[tokio::test]
    async fn beginning_and_end_of_a_session_are_on_record_though_its_code_panics() {
        let ends = Ends::default();
        let keeper = Box::new(ends.clone());
        let journal = Journal::new(Arc::default(), Ending::new(), Acknowledgements::default(), keeper);
        let open = |session| OpenOnRecord::new(journal.clone(), &Who::sample(session));
        let (mut lucky, unlucky) = (open(6), open(7));
        lucky.why = Some("the client went".into());
        drop(lucky);
        let ended = tokio::spawn(async move {
            let _open = unlucky;
            panic!("on purpose")
        });
        assert!(ended.await.map(|(): ()| ()).is_err());
        let said = ends.0.lock().unwrap().clone();
        let closed = ["6 closed: the client went", "7 closed: its code broke, or it did not end in time"];
        assert_eq!(said, [&["6 opened", "7 opened"][..], &closed].concat());
    }
}
