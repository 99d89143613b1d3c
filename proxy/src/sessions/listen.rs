//! Accepts connections on both ports until the grant ends, bounded in number and in time, and returns when the last
//! session was cut and told.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use wire::mysql::frame::Sequence;

use super::shared::Shared;
use crate::engines::mysql::client::{Identity, Plain, Session, TurnedAway};
use crate::engines::mysql::packets::write_packet;

/// From the first byte to a proven identity.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// So many connections may be on their way to an identity. Each holds a few KB.
const MOST_HANDSHAKES: usize = 64;

/// The longest that a session's goodbye may take; each bounds its own more tightly.
const GOODBYE: Duration = Duration::from_millis(450);

/// How long a client that is turned away at once may take to hear it.
const TELLING: Duration = Duration::from_millis(100);

/// A client that is silent so long is asked whether it is still there, and again every `PROBE` so many times: one that
/// went away without a word gives its place back within two minutes.
const SILENT: Duration = Duration::from_secs(60);
const PROBE: Duration = Duration::from_secs(15);
const PROBES: u32 = 4;

/// When a listener fails, for want of file descriptors mostly, we wait so long.
const PAUSE: Duration = Duration::from_millis(50);

/// The two ports, bound.
pub struct Listeners {
    /// The protocol first, TLS in it.
    pub native: TcpListener,
    /// TLS first.
    pub tls_first: TcpListener,
}

/// Serves until the grant ends. Returns when every session was cut and told: the database's connection ids that were
/// open at that moment.
pub async fn serve(listeners: Listeners, shared: Arc<Shared>) -> Vec<u32> {
    let Listeners { native, tls_first } = listeners;
    let handshakes = Arc::new(Semaphore::new(MOST_HANDSHAKES));
    let mut sessions = JoinSet::new();
    loop {
        let (accepted, port) = tokio::select! {
            biased;
            _ = shared.ending.began() => break,
            accepted = native.accept() => (accepted, Port::Native),
            accepted = tls_first.accept() => (accepted, Port::TlsFirst),
            Some(_) = sessions.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let arrival = Arrival { stream, peer, port };
                sessions.spawn(attend(arrival, Arc::clone(&shared), Arc::clone(&handshakes)));
            }
            Err(error) => {
                tracing::warn!(%error, ?port, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // Nobody is accepted any more.
    drop((native, tls_first));
    let all_told = async { while sessions.join_next().await.is_some() {} };
    if timeout(GOODBYE, all_told).await.is_err() {
        tracing::warn!("some sessions did not end in time and are dropped");
        sessions.shutdown().await;
    }
    shared.open_connections()
}

/// Which of the two ports it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// The protocol first, TLS in it.
    Native,
    /// TLS first.
    TlsFirst,
}

struct Arrival {
    stream: TcpStream,
    peer: SocketAddr,
    port: Port,
}

/// One connection, from its first byte to its last.
async fn attend(arrival: Arrival, shared: Arc<Shared>, handshakes: Arc<Semaphore>) {
    let Arrival { mut stream, peer, port } = arrival;
    if let Err(error) = tune(&stream) {
        tracing::info!(%peer, ?port, %error, "connection lost at once");
        return;
    }
    let identified = {
        let Ok(_place) = handshakes.try_acquire() else {
            if port == Port::Native {
                crowded(&shared, &mut stream).await;
            }
            tracing::info!(%peer, ?port, reason = %TurnedAway::Crowded, "turned away");
            return;
        };
        let session = Session::<Plain>::new(Arc::clone(&shared), stream, peer, port);
        tokio::select! {
            biased;
            cause = shared.ending.began() => Err(TurnedAway::Ended(cause)),
            outcome = timeout(HANDSHAKE, identify(session)) => outcome.unwrap_or(Err(TurnedAway::Slow)),
        }
    };
    let permitted = match identified {
        Ok(session) => session.permit().await,
        Err(error) => Err(error),
    };
    match permitted {
        Ok(session) => {
            tracing::info!(%peer, ?port, "session opened");
            let ended = session.relay().await;
            tracing::info!(%peer, ?port, reason = %ended, "session ended");
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            tracing::info!(%peer, ?port, reason = %error, cause, "turned away");
        }
    }
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

async fn identify(session: Session<Plain>) -> Result<Session<Identity>, TurnedAway> {
    session.secure().await?.identify().await
}

/// An error in place of a greeting is one that every client understands.
async fn crowded(shared: &Shared, stream: &mut TcpStream) {
    if let Some(packet) = TurnedAway::Crowded.packet(shared.grant_name()) {
        let mut sequence = Sequence::default();
        // Whoever doesn't listen finds the connection closed.
        let _ = timeout(TELLING, write_packet(stream, &mut sequence, &packet)).await;
    }
}
