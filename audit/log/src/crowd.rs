//! Callers of whom is not known yet who they are: so many at once. Whoever says nothing keeps nobody else out for long, and no more of them are
//! held than there are places.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl, set_tcp_user_timeout};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// How long a caller has while others wait for his place.
const CROWDED: Duration = Duration::from_millis(500);

/// How long nothing is heard of a peer before its end is asked whether it is there; and how long what is sent to it may not be taken.
const IDLE: Duration = Duration::from_secs(15);

/// How often it is asked.
const ASKED: Duration = Duration::from_secs(5);

/// How long we wait after `accept` failed, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts callers until dropped, and attends to so many at once. Whoever is known gives the place back and goes on in a task of its own; of
/// whoever keeps it, the attendance ends when others wait.
pub async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    places: usize,
    attend: impl Fn(TcpStream, OwnedSemaphorePermit) -> F,
) {
    let mut crowd = Crowd { places: Arc::new(Semaphore::new(places)), begun: VecDeque::new() };
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = crowd.place().await else { return };
        let attended = tokio::spawn(attend(stream, place));
        crowd.begun.push_back((Instant::now(), attended.abort_handle()));
    }
}

struct Crowd {
    places: Arc<Semaphore>,
    /// Since when, the oldest first; some may have finished.
    begun: VecDeque<(Instant, AbortHandle)>,
}

impl Crowd {
    /// Waits for a place. While there is none, whoever has had his time gives his up.
    async fn place(&mut self) -> Option<OwnedSemaphorePermit> {
        loop {
            self.begun.retain(|(_, attended)| !attended.is_finished());
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

/// Small answers do not wait for more to send, and an end that is gone, or takes nothing, is noticed.
pub fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    set_socket_keepalive(stream, true)?;
    set_tcp_keepidle(stream, IDLE)?;
    set_tcp_keepintvl(stream, ASKED)?;
    set_tcp_user_timeout(stream, u32::try_from(IDLE.as_millis()).unwrap_or(u32::MAX))?;
    Ok(())
}
