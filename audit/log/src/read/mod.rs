//! Port 7447: the log is read, over mutual TLS. The files exactly as C2SP tlog-tiles lays them out, and what is asked beside them.

mod files;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::threads::Log;
use crate::tls::{Tls, only_uri};

pub use files::Files;

/// How long a caller has for the handshake, and for the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long a connection lives; who is welcome opens another.
const LIFE: Duration = Duration::from_secs(3600);

/// How long we wait after `accept` failed.
const PAUSE: Duration = Duration::from_millis(100);

/// The URI of the operator's certificate.
const OPERATOR: &str = "keyhole://operator";

/// What readers use.
#[derive(Clone)]
pub struct Desk {
    /// The log.
    pub log: Log,
    /// Its files.
    pub files: Files,
}

/// Answers readers until dropped.
pub async fn serve(listener: TcpListener, tls: Arc<Tls>, desk: Desk) {
    let router = router(desk);
    accept(listener, |stream| {
        let (acceptor, router) = (tls.acceptor(), router.clone());
        async move {
            let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().and_then(<[_]>::first);
            if certificate.and_then(|der| only_uri(der)).as_deref() != Some(OPERATOR) {
                tracing::warn!("refused: the certificate may not read the log");
                return;
            }
            speak_http(stream, router).await;
        }
    })
    .await;
}

/// Answers the kubelet until dropped: nothing to learn.
pub async fn serve_health(listener: TcpListener) {
    let router = Router::new()
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(|| async { StatusCode::OK }));
    accept(listener, |stream| speak_http(stream, router.clone())).await;
}

async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    attend: impl Fn(tokio::net::TcpStream) -> F,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => _ = tokio::spawn(attend(stream)),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn speak_http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A connection that breaks off concerns only who is at its other end.
    let _ = timeout(LIFE, served).await;
}

fn router(desk: Desk) -> Router {
    Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .route("/v1/checkpoint", get(newest))
        .with_state(desk)
}

/// The newest that there is.
async fn checkpoint(State(desk): State<Desk>) -> Response {
    text(desk.files.checkpoint())
}

/// One of everything that is on the disk by now.
async fn newest(State(desk): State<Desk>) -> Response {
    match desk.log.publish().await {
        Some(_) => text(desk.files.checkpoint()),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn text(bytes: Option<Vec<u8>>) -> Response {
    match bytes {
        Some(bytes) => ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")], bytes)
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn tile(State(desk): State<Desk>, Path(path): Path<String>) -> Response {
    let Ok(name) = format!("tile/{path}").parse() else { return StatusCode::NOT_FOUND.into_response() };
    match desk.files.tile(name) {
        Some(bytes) => ([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
