//! Accepts connections and speaks HTTP/1.1 on them, so many at a time and each for a bounded time.
//!
//! What is answered is the router's matter; whether a client may ask is decided before, by the caller.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections at the same time; the kubelet and the operator need one or two.
const CONNECTIONS: usize = 16;
/// The longest a connection may take to show its request's head.
const HEAD: Duration = Duration::from_secs(5);
/// The longest a connection may live; the operator opens another.
const LIFE: Duration = Duration::from_secs(60);
/// A pause after `accept` failed, most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until dropped. `serve` has at most `LIFE` for each connection.
pub async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Never closed, so this can't fail.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = timeout(LIFE, serve(stream));
                tokio::spawn(async move {
                    let _ = connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers the requests of one connection.
pub async fn speak_http<S>(stream: S, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a status connection broke off");
    }
}
