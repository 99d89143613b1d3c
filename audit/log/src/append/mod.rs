//! Port 7446: writers hand records over and hear when they are on the disk. Frames as crate `record` has them, over TLS 1.3 with
//! certificates of the internal authority.

mod connection;
mod waiting;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_user_timeout};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::server::TlsStream;

pub use waiting::{Callers, Held};

use crate::arriving::Peer;
use crate::figures::Figures;
use crate::seal::Keys;
use crate::source::Source;
use crate::threads::Log;
use crate::tls::{Tls, only_uri};

/// How long a caller has for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How many callers are in the handshake at once.
const HANDSHAKES: usize = 256;

/// How long a caller has for it while others wait for his place: those who never finish it keep nobody else out for long.
const CROWDED: Duration = Duration::from_millis(500);

/// How long nothing is heard of a peer before its end is asked whether it is there, in seconds.
const IDLE: Duration = Duration::from_secs(15);

/// How long we wait after `accept` failed, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// What every connection uses.
#[derive(Clone)]
pub struct Desk {
    /// The log.
    pub log: Log,
    /// The keys of texts.
    pub keys: Keys,
    /// The log's files, among which they are stored.
    pub source: Arc<dyn Source>,
    /// Where all of it is counted.
    pub figures: Arc<Figures>,
    /// Who is connected.
    pub callers: Callers,
}

/// Accepts writers until dropped.
pub async fn serve(listener: TcpListener, tls: Arc<Tls>, desk: Desk) {
    let mut handshakes = Handshakes { places: Arc::new(Semaphore::new(HANDSHAKES)), begun: VecDeque::new() };
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = handshakes.place().await else { return };
        let (acceptor, desk) = (tls.acceptor(), desk.clone());
        let handshake = tokio::spawn(async move {
            let let_in = let_in(acceptor, stream, &desk.figures).await;
            drop(place);
            if let Some((peer, stream)) = let_in {
                // Nobody can take this one's place any more.
                tokio::spawn(connection::attend(peer, stream, desk));
            }
        });
        handshakes.begun.push_back((Instant::now(), handshake.abort_handle()));
    }
}

/// The callers in the handshake.
struct Handshakes {
    places: Arc<Semaphore>,
    /// Since when, the oldest first; some may have finished.
    begun: VecDeque<(Instant, AbortHandle)>,
}

impl Handshakes {
    /// Waits for a place. While there is none, whoever has had his time gives his up.
    async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        loop {
            self.begun.retain(|(_, handshake)| !handshake.is_finished());
            let free = Arc::clone(&self.places).acquire_owned();
            let oldest = self.begun.front().and_then(|(since, _)| since.checked_add(CROWDED));
            let Some(late) = oldest else { return free.await.ok() };
            match timeout_at(late, free).await {
                Ok(place) => return place.ok(),
                Err(_) => {
                    if let Some((_, oldest)) = self.begun.pop_front() {
                        oldest.abort();
                    }
                }
            }
        }
    }
}

async fn let_in(
    acceptor: tokio_rustls::TlsAcceptor,
    stream: TcpStream,
    figures: &Figures,
) -> Option<(Peer, TlsStream<TcpStream>)> {
    if let Err(error) = prepare(&stream) {
        tracing::warn!(%error, "cannot prepare a connection");
        return None;
    }
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            figures.turned_away();
            tracing::warn!(%error, "refused: no TLS with a certificate of the internal authority");
            return None;
        }
        Err(_) => return None,
    };
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first)?;
    let Some(peer) = only_uri(certificate).and_then(|uri| Peer::named(&uri)) else {
        figures.turned_away();
        tracing::warn!("refused: the certificate is neither a proxy's nor the operator's");
        return None;
    };
    Some((peer, stream))
}

/// Acknowledgements do not wait for more to send, and an end that is gone is noticed.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    set_socket_keepalive(stream, true)?;
    set_tcp_keepidle(stream, IDLE)?;
    set_tcp_keepintvl(stream, HANDSHAKE)?;
    set_tcp_user_timeout(stream, u32::try_from(IDLE.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}
