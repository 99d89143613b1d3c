//! One connection to the server of a log's files after the other: each lasts as long as the server lets it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HOST, LOCATION};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::WebError;
use crate::args::LogUrl;
use crate::audit::folder::longest;

/// The most bytes that are read of an answer that is no file, so that the connection can be used again.
const LONGEST_REFUSAL: u64 = 64 << 10;

/// The most characters that are told of the place to which a server sends on.
const LONGEST_PLACE: usize = 200;

/// How long things may take.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// A connection to come about.
    pub connect: Duration,
    /// The next bytes of an answer.
    pub silence: Duration,
    /// A whole answer: the longest file of texts is 1 GiB.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [connect, silence, whole] = [20, 30, 1200].map(Duration::from_secs);
        Self { connect, silence, whole }
    }
}

/// A way to the server.
pub(super) struct Connection {
    url: LogUrl,
    /// Without it the connection is plain.
    tls: Option<Arc<ClientConfig>>,
    patience: Patience,
    http: Option<SendRequest<Empty<Bytes>>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Why a body is not read to its end.
enum Cut {
    Broken(hyper::Error),
    Silent,
    Long,
}

impl Connection {
    pub(super) fn to(url: LogUrl, tls: Option<ClientConfig>, patience: Patience) -> Self {
        Self { url, tls: tls.map(Arc::new), patience, http: None }
    }

    /// The bytes of a file; `None`, where the server has none.
    pub(super) async fn file(&mut self, path: &str) -> Result<Option<Vec<u8>>, WebError> {
        let had_one = self.http.as_ref().is_some_and(|http| !http.is_closed());
        match self.ask(path).await {
            // A server closes a connection after a while, and perhaps just now.
            Err(WebError::Broken { .. }) if had_one => {
                self.http = None;
                self.ask(path).await
            }
            asked => asked,
        }
    }

    async fn ask(&mut self, path: &str) -> Result<Option<Vec<u8>>, WebError> {
        let (url, within) = (format!("{}{path}", self.url), self.patience.whole);
        let answered = timeout(within, self.answer(path, &url)).await;
        let answered = answered.unwrap_or_else(|_elapsed| Err(WebError::Slow { url, within }));
        if answered.is_err() {
            // What is left of the answer is not waited for.
            self.http = None;
        }
        answered
    }

    async fn answer(&mut self, path: &str, url: &str) -> Result<Option<Vec<u8>>, WebError> {
        let request = Request::get(format!("{}{path}", self.url.base))
            .header(HOST, &self.url.authority)
            .header(ACCEPT_ENCODING, "identity")
            .body(Empty::new())
            .map_err(|source| WebError::Path { url: url.to_owned(), source })?;
        let silence = self.patience.silence;
        let cut = |cut: Cut, most: u64| match cut {
            Cut::Broken(source) => WebError::Broken { url: url.to_owned(), source },
            Cut::Silent => WebError::Silent { url: url.to_owned(), within: silence },
            Cut::Long => WebError::Long { url: url.to_owned(), most },
        };
        let sent = timeout(silence, self.ready().await?.send_request(request)).await;
        let sent = sent.map_err(|_elapsed| cut(Cut::Silent, 0))?;
        let answer = sent.map_err(|source| cut(Cut::Broken(source), 0))?;
        match answer.status() {
            StatusCode::OK => {
                let encoding = answer.headers().get(CONTENT_ENCODING);
                if encoding.is_some_and(|encoding| encoding != "identity") {
                    return Err(WebError::Encoded { url: url.to_owned() });
                }
                let most = longest(path);
                read(answer.into_body(), most, silence).await.map(Some).map_err(|why| cut(why, most))
            }
            StatusCode::NOT_FOUND => {
                if read(answer.into_body(), LONGEST_REFUSAL, silence).await.is_err() {
                    self.http = None;
                }
                Ok(None)
            }
            _ => Err(refused(&answer, url.to_owned())),
        }
    }

    /// A connection that takes a request.
    async fn ready(&mut self) -> Result<&mut SendRequest<Empty<Bytes>>, WebError> {
        // Whatever the server told the last one is heard before it is used again.
        tokio::task::yield_now().await;
        if self.http.as_ref().is_none_or(SendRequest::is_closed) {
            let (url, within) = (self.url.to_string(), self.patience.connect);
            let http = timeout(within, self.connect()).await;
            self.http = Some(http.map_err(|_elapsed| WebError::Silent { url, within })??);
        }
        self.http.as_mut().ok_or(WebError::Ended)
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, WebError> {
        let LogUrl { host, port, .. } = &self.url;
        let away = |source| WebError::Connect { host: host.clone(), port: *port, source };
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(away)?;
        let stream: Box<dyn Stream> = match &self.tls {
            Some(tls) => {
                let connector = TlsConnector::from(Arc::clone(tls));
                let opened = match ServerName::try_from(host.clone()) {
                    Ok(name) => connector.connect(name, stream).await,
                    Err(bad) => Err(io::Error::other(bad)),
                };
                Box::new(opened.map_err(|source| WebError::Tls { host: host.clone(), source })?)
            }
            None => Box::new(stream),
        };
        let broken = |source| WebError::Broken { url: self.url.to_string(), source };
        let (http, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Its end is seen by who asks next.
        tokio::spawn(async move { _ = connection.await });
        Ok(http)
    }
}

/// An answer that is neither a file nor says that there is none.
fn refused(answer: &Response<Incoming>, url: String) -> WebError {
    let status = answer.status().as_u16();
    match answer.headers().get(LOCATION) {
        Some(place) if answer.status().is_redirection() => {
            let to = String::from_utf8_lossy(place.as_bytes()).chars().take(LONGEST_PLACE).collect();
            WebError::Moved { url, status, to }
        }
        _ => WebError::Status { url, status },
    }
}

/// All of a body, if it has no more bytes than these.
async fn read(mut body: Incoming, most: u64, silence: Duration) -> Result<Vec<u8>, Cut> {
    if body.size_hint().lower() > most {
        return Err(Cut::Long);
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    while let Some(frame) = timeout(silence, body.frame()).await.map_err(|_elapsed| Cut::Silent)? {
        let Ok(data) = frame.map_err(Cut::Broken)?.into_data() else { continue };
        if bytes.len().saturating_add(data.len()) > most {
            return Err(Cut::Long);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
