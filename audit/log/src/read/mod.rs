//! Port 7447: the log is read, over mutual TLS. The files exactly as C2SP tlog-tiles lays them out, and what is asked beside them.

mod copy;
mod files;
mod guests;
mod looks;
mod question;
mod reader;
mod records;
mod refusal;
mod sealed;
mod texts;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::crowd::{accept, prepare};
use crate::engine::prune::Pruned;
use crate::figures::{self, Figures};
use crate::index::{Index, View};
use crate::pruning::Said;
use crate::seal::Keys;
use crate::source::{Source, beginning, is_away};
use crate::threads::Log;
use crate::tls::{Tls, common_name, only_uri};

use guests::Guests;
use looks::Looks;
use records::may;

pub use files::Files;
pub use looks::Places;
pub use reader::{Reader, Scope, Thing};
pub use refusal::Refusal;
pub use sealed::{each_sealed, long_texts, texts_file};

/// How long a caller has for the handshake, and for the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long a connection takes requests; who is welcome opens another. The last answer has as long again.
const LIFE: Duration = Duration::from_secs(60);

/// How many callers are in the handshake at once.
const HANDSHAKES: usize = 256;

/// How many ask for the log's health or figures at once.
const HEALTH: usize = 64;

/// The longest body of a request, in bytes; no order is near it.
const LONGEST_BODY: usize = 4 * 1024;

/// How many copies of texts are made at once. The others wait.
const COPIES: usize = 4;

/// How many files of the tree are read at once for readers. The others wait.
const FILES: usize = 8;

/// How long a reader's question waits for others, or for the index.
const PATIENCE: Duration = Duration::from_secs(10);

/// What readers use.
#[derive(Clone)]
pub struct Desk {
    log: Log,
    files: Files,
    index: Index,
    keys: Keys,
    looks: Looks,
    copies: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

/// Who asks.
struct Caller {
    reader: Reader,
    /// As the record of a reading names them.
    person: String,
}

impl Desk {
    /// Of this log.
    pub fn new(log: Log, files: Files, index: Index, keys: Keys) -> Self {
        Self {
            log,
            files,
            looks: Looks::of(index.clone()),
            index,
            keys,
            copies: Arc::new(Semaphore::new(COPIES)),
            reads: Arc::new(Semaphore::new(FILES)),
        }
    }

    fn source(&self) -> &Arc<dyn Source> {
        self.files.source()
    }

    /// Reads a file, on a thread that may wait for it. `None`: there is none.
    async fn reads<F>(&self, read: F) -> Result<Option<Vec<u8>>, Refusal>
    where
        F: FnOnce(&Files) -> io::Result<Option<Vec<u8>>> + Send + 'static,
    {
        let busy = |_| Refusal::again("too many questions at once: ask again in a while");
        let turn = timeout(PATIENCE, Arc::clone(&self.reads).acquire_owned()).await.map_err(busy)?;
        let turn = turn.map_err(|_| records::ends())?;
        let files = self.files.clone();
        let read = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            read(&files)
        });
        match read.await.map_err(|_| records::ends())? {
            Err(error) if is_away(&error) => Err(Refusal::away()),
            // To whoever asks, one that cannot be read is not there: the scrub says which.
            read => Ok(read.ok().flatten()),
        }
    }

    /// The index of the first record that the log has.
    pub(crate) fn begins(&self) -> u64 {
        self.files.begins().index()
    }

    /// Where the log begins, as it is said in its bucket: a process that led it before may have said so since this one started.
    pub(crate) async fn said_in_bucket(&self) -> Result<Option<Said>, Refusal> {
        let source = Arc::clone(self.source());
        let said = tokio::task::spawn_blocking(move || beginning(source.as_ref()));
        let said = said.await.map_err(|_| records::ends())?.map_err(|_| Refusal::away())?;
        let said = said.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(said.map(|Pruned { minimum, record, .. }| Said { minimum, record }))
    }

    /// The log begins later from now on, as a record says that is in a checkpoint. Readers hear of it before anything is gone.
    pub(crate) async fn prune(&self, said: Said) -> Result<(), Refusal> {
        let index = self.index.clone();
        let waits = tokio::task::spawn_blocking(move || index.begins_later(said.minimum));
        waits.await.map_err(|_| records::ends())?;
        self.log.prune(said).await.ok_or_else(records::ends)
    }

    /// That a record is not one that was pruned.
    fn is_kept(&self, index: u64) -> Result<(), Refusal> {
        if index < self.begins() { Err(Refusal::pruned(self.begins())) } else { Ok(()) }
    }

    /// Looks into index and tree. An index that does not fit is made again.
    pub(crate) async fn look<T, F>(&self, places: Places, look: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<T, Refusal> + Send + 'static,
    {
        self.looks.look(places, look).await
    }
}

/// Answers readers until dropped.
pub async fn serve(listener: TcpListener, tls: Arc<Tls>, desk: Desk) {
    let (router, guests) = (router(desk), Guests::default());
    accept(listener, HANDSHAKES, |stream, place| {
        let (acceptor, router, guests) = (tls.acceptor(), router.clone(), guests.clone());
        async move {
            let Some((stream, caller)) = let_in(acceptor, stream).await else { return };
            drop(place);
            let Some(guest) = guests.enters(&caller) else {
                tracing::warn!("refused: a reader has too many connections");
                return;
            };
            // Nobody can take this one's place any more.
            tokio::spawn(async move {
                let router = if guest.is_answered { router } else { too_many() };
                speak_http(stream, router.layer(Extension(Arc::new(caller)))).await;
                drop(guest);
            });
        }
    })
    .await;
}

async fn let_in(acceptor: TlsAcceptor, stream: TcpStream) -> Option<(TlsStream<TcpStream>, Caller)> {
    if let Err(error) = prepare(&stream) {
        tracing::warn!(%error, "cannot prepare a connection");
        return None;
    }
    let stream = timeout(HANDSHAKE, acceptor.accept(stream)).await.ok()?.ok()?;
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first);
    let Some(caller) = certificate.and_then(|der| caller(der)) else {
        tracing::warn!("refused: the certificate may not read the log");
        return None;
    };
    Some((stream, caller))
}

/// What whoever has too many connections hears, whatever is asked.
fn too_many() -> Router {
    let told = || async { Refusal::again("too many connections at once: close some, then ask again") };
    Router::new().fallback(told)
}

fn caller(der: &[u8]) -> Option<Caller> {
    let uri = only_uri(der)?;
    let reader = Reader::named(&uri)?;
    let person = match common_name(der) {
        Some(name) => format!("{uri} {name}"),
        None => uri,
    };
    Some(Caller { reader, person })
}

/// Answers the kubelet and Prometheus until dropped: nothing to learn of what the log holds.
pub async fn serve_health(listener: TcpListener, figures: Arc<Figures>, index: Index) {
    let page = move || async move {
        ([(CONTENT_TYPE, figures::CONTENT_TYPE)], figures.page(index.indexed(), index.unread()))
    };
    let router = Router::new()
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(|| async { StatusCode::OK }))
        .route("/metrics", get(page));
    speak_plain(listener, router).await;
}

/// Answers the kubelet until dropped, for a process from which another one has taken the log: it lives, and is not ready.
pub async fn serve_displaced(listener: TcpListener) {
    let router = Router::new()
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(|| async { StatusCode::SERVICE_UNAVAILABLE }));
    speak_plain(listener, router).await;
}

async fn speak_plain(listener: TcpListener, router: Router) {
    accept(listener, HEALTH, |stream, place| {
        let router = router.clone();
        async move {
            if prepare(&stream).is_ok() {
                speak_http(stream, router).await;
            }
            drop(place);
        }
    })
    .await;
}

async fn speak_http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HANDSHAKE)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    // A connection that breaks off concerns only who is at its other end.
    if timeout(LIFE, served.as_mut()).await.is_err() {
        served.as_mut().graceful_shutdown();
        let _ = timeout(LIFE, served).await;
    }
}

fn router(desk: Desk) -> Router {
    let no_such = || async {
        Refusal::nothing(
            "there is nothing here: ask for /v1/search, /v1/story/<grant>, /v1/grants/<grant>, /v1/open, /v1/unended, /v1/texts/<index>, or a file of the tree",
        )
    };
    let no_method = || async {
        let sentence = "this is asked with another method: GET, and POST for /v1/erase".to_owned();
        Refusal { status: StatusCode::METHOD_NOT_ALLOWED, sentence }
    };
    Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .route("/v1/checkpoint", get(newest))
        .route("/v1/erase", post(texts::erase))
        .route("/v1/grants/{uid}", get(records::grant))
        .route("/v1/open", get(records::open))
        .route("/v1/search", get(records::search))
        .route("/v1/story/{grant}", get(records::story))
        .route("/v1/texts", get(copy::some))
        .route("/v1/texts/{index}", get(texts::one))
        .route("/v1/unended", get(records::unended))
        .fallback(no_such)
        .method_not_allowed_fallback(no_method)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(map_response(spoken))
        .with_state(desk)
}

/// What the router itself refuses is said as everything else.
async fn spoken(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let sentence = "the request cannot be read: send UTF-8, and a body of 4 KiB at the most".to_owned();
    Refusal { status, sentence }.into_response()
}

/// The newest that there is.
async fn checkpoint(
    State(desk): State<Desk>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Result<Response, Refusal> {
    may(&caller.reader, Thing::Tree)?;
    text(desk.reads(Files::checkpoint).await?)
}

/// One of everything that is on the disk by now.
async fn newest(
    State(desk): State<Desk>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Result<Response, Refusal> {
    may(&caller.reader, Thing::Tree)?;
    desk.log.publish().await.ok_or_else(records::ends)?;
    text(desk.reads(Files::checkpoint).await?)
}

fn text(bytes: Option<Vec<u8>>) -> Result<Response, Refusal> {
    let bytes = bytes.ok_or_else(|| Refusal::again("there is no checkpoint yet: ask again in a second"))?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")], bytes).into_response())
}

async fn tile(
    State(desk): State<Desk>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(path): Path<String>,
) -> Result<Response, Refusal> {
    may(&caller.reader, Thing::Tree)?;
    let nothing =
        || Refusal::nothing("the tree has no such file: take names that the size of the checkpoint gives");
    let name = format!("tile/{path}").parse().map_err(|_| nothing())?;
    if desk.files.begins().is_pruned(name) {
        return Err(Refusal::pruned(desk.begins()));
    }
    let bytes = desk.reads(move |files| files.tile(name)).await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], bytes.ok_or_else(nothing)?).into_response())
}
