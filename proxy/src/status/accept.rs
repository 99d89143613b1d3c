//! Accepts connections and speaks HTTP/1.1 on them, a bounded number at a time and each for a bounded time.
//!
//! What is answered is the router's matter; whether a client may ask is decided before, by the caller.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// The most connections at the same time. One more, and the oldest is dropped: whoever holds many open keeps nobody out. Those who are
/// welcome are not counted once they have shown who they are.
const CONNECTIONS: usize = 64;
/// The longest a connection may take to show its request's head.
const HEAD: Duration = Duration::from_secs(5);
/// The longest a connection may live; who is welcome opens another.
const LIFE: Duration = Duration::from_secs(60);
/// How long we wait after `accept` failed, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until dropped.
pub async fn accept<F>(listener: TcpListener, attend: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                open.retain(|connection| !connection.is_finished());
                if open.len() >= CONNECTIONS
                    && let Some(oldest) = open.pop_front()
                {
                    oldest.abort();
                }
                open.push_back(tokio::spawn(attend(stream)).abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers the requests of one connection, for a minute at the most.
pub async fn speak_http<S>(stream: S, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A connection that breaks off, or is kept too long, concerns only who is at its other end.
    let _ = timeout(LIFE, served).await;
}
