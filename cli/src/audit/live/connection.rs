//! One connection to the log after the other: each lasts as long as the log lets it, and a certificate for an hour.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use access::{Auditor, NoNamespace, PORT_LOG_READ};
use crds::AccessGrant;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ConfigMap;
use record::Uid;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::{ANCHOR, Anchor, Answer, BadAnchor, Call, Purpose};
use crate::args::{LiveArgs, Place};
use crate::certificates::{LogPass, LogPassError, log_pass};
use crate::clock::now;
use crate::cluster::{CallError, Cluster, ReachError, Scope};
use crate::tunnel::{Forward, ForwardError};

/// The pod of the log.
const POD: &str = "keyhole-log-0";

/// How long a connection may take to come about.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a certificate must still last to be used once more.
const LEFT: SignedDuration = SignedDuration::from_mins(5);

/// How often a log that is busy, or behind with its index, is asked again, and how long after.
const AGAIN: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// Why the log does not answer.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// No kubeconfig.
    #[error(transparent)]
    Reach(ReachError),
    /// The API server.
    #[error(transparent)]
    Call(CallError),
    /// What the witness has seen is there, and says nothing.
    #[error(
        "cannot read what the audit log's witness keeps in ConfigMap {namespace}/{ANCHOR}, though that is there"
    )]
    Anchor {
        /// Its namespace.
        namespace: String,
        /// Why.
        source: BadAnchor,
    },
    /// No namespace.
    #[error(transparent)]
    Namespace(NoNamespace),
    /// No certificate.
    #[error(transparent)]
    Pass(LogPassError),
    /// No way to the pod.
    #[error("cannot reach the audit log in namespace {namespace} (see --operator-namespace)")]
    Forward {
        /// Where it was looked for.
        namespace: String,
        /// Why.
        source: ForwardError,
    },
    /// No way to the address.
    #[error("cannot connect to {address}")]
    Connect {
        /// The address that was given.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// It is not the log, or does not take us.
    #[error("cannot open a TLS session with the audit log {name}")]
    Tls {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Certificate and key don't make a TLS client.
    #[error("cannot use the certificate for the audit log")]
    Certificate(#[source] rustls::Error),
    /// The answer broke off.
    #[error("the audit log gave no answer to {path}")]
    Broken {
        /// What was asked.
        path: String,
        /// Why.
        source: hyper::Error,
    },
    /// More than can be right.
    #[error("the audit log answers {0} with more than it should")]
    Long(String),
    /// Nothing came.
    #[error("the audit log did not answer {path} within {} s", within.as_secs())]
    Silent {
        /// What was asked.
        path: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// Its own words.
    #[error("the audit log refuses: {sentence}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The sentence.
        sentence: String,
    },
    /// An answer in another form.
    #[error("the audit log answers in a form that this release does not know")]
    Json(#[source] serde_json::Error),
    /// Not a path.
    #[error("the audit log cannot be asked that")]
    Path(#[source] hyper::http::Error),
    /// A record of it is none.
    #[error("the audit log answers with a record that is none")]
    Record(#[source] record::BadRecord),
    /// It gives the same place again.
    #[error("the audit log's answer goes on where it was before")]
    Stuck,
    /// A text that its record is not bound to.
    #[error(
        "the text of entry {0} is not the one that its record is bound to: tell whoever answers for the log"
    )]
    Text(u64),
    /// The system gives no thread.
    #[error("cannot start a thread")]
    System(#[source] io::Error),
    /// Our own thread is gone.
    #[error("the connection to the audit log is over")]
    Ended,
}

/// A way to the log.
pub struct Connection {
    cluster: Cluster,
    args: LiveArgs,
    auditor: Auditor,
    pass: LogPass,
    http: Option<SendRequest<Full<Bytes>>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Connection {
    /// Asks for a certificate, and connects.
    pub async fn open(place: &Place, args: &LiveArgs, (task, scope): Purpose) -> Result<Self, LiveError> {
        let cluster = Cluster::reach(place).await.map_err(LiveError::Reach)?;
        let auditor = match scope {
            Scope::Everywhere => Auditor::of_all(task),
            Scope::Namespace => Auditor::of(task, cluster.namespace()).map_err(LiveError::Namespace)?,
        };
        let pass = log_pass(&cluster, &auditor).await.map_err(LiveError::Pass)?;
        let mut connection = Self { cluster, args: args.clone(), auditor, pass, http: None };
        connection.connect().await?;
        Ok(connection)
    }

    /// Who we are to the log.
    pub fn auditor(&self) -> &Auditor {
        &self.auditor
    }

    /// What the log's witness has seen; `None`, where there is no such object.
    pub async fn anchor(&self) -> Result<Option<Anchor>, LiveError> {
        let namespace = &self.args.operator_namespace;
        let read = self.cluster.api_in::<ConfigMap>(namespace).get_opt(ANCHOR).await;
        let cannot = CallError::of(format!("read ConfigMap {namespace}/{ANCHOR}"));
        let map = read.map_err(|error| LiveError::Call(cannot(error)))?;
        let bad = |source| LiveError::Anchor { namespace: namespace.clone(), source };
        map.as_ref().map(Anchor::read).transpose().map_err(bad)
    }

    /// The uid of an AccessGrant. It saves who asks a search, and is nothing to fail by.
    pub async fn uid(&self, namespace: &str, name: &str) -> Option<Uid> {
        let read = self.cluster.api_in::<AccessGrant>(namespace).get_opt(name).await;
        read.ok()??.metadata.uid?.parse().ok()
    }

    /// The answer. A log that says that it is busy is asked again for a while.
    pub async fn ask(&mut self, call: &Call) -> Result<Answer, LiveError> {
        let mut left = AGAIN;
        loop {
            let answer = self.ask_once(call).await?;
            // An order that was not obeyed was not obeyed at all: it is safe to give it again.
            if answer.status != 503 || left == 0 {
                return Ok(answer);
            }
            left = left.saturating_sub(1);
            sleep(PAUSE).await;
        }
    }

    async fn ask_once(&mut self, call: &Call) -> Result<Answer, LiveError> {
        let had_one = self.http.as_ref().is_some_and(|http| !http.is_closed());
        match self.send(call).await {
            // The log closes a connection after a minute, and perhaps just now.
            Err(LiveError::Broken { .. }) if had_one && call.order.is_none() => {
                self.http = None;
                self.send(call).await
            }
            sent => sent,
        }
    }

    async fn send(&mut self, call: &Call) -> Result<Answer, LiveError> {
        let path = call.path.clone();
        let broken = |source| LiveError::Broken { path: path.clone(), source };
        let method = if call.order.is_some() { Method::POST } else { Method::GET };
        let body = Full::new(Bytes::from(call.order.clone().unwrap_or_default()));
        let request = Request::builder()
            .method(method)
            .uri(&call.path)
            .header(HOST, &self.pass.server_name)
            .header(CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(LiveError::Path)?;
        let http = self.ready().await?;
        let answered = async {
            let answer = http.send_request(request).await.map_err(broken)?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), call.longest).collect().await;
            let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(source) => LiveError::Broken { path: path.clone(), source: *source },
                Err(other) => {
                    debug_assert!(other.is::<LengthLimitError>());
                    LiveError::Long(path.clone())
                }
            })?;
            Ok(Answer { status, body: body.to_bytes().to_vec() })
        };
        let silent = || LiveError::Silent { path: path.clone(), within: PATIENCE };
        timeout(PATIENCE, answered).await.map_err(|_elapsed| silent())?
    }

    /// A connection that takes a request.
    async fn ready(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, LiveError> {
        // Whatever the log told the last one is heard before it is used again.
        tokio::task::yield_now().await;
        if self.http.as_ref().is_none_or(SendRequest::is_closed) {
            self.connect().await?;
        }
        self.http.as_mut().ok_or(LiveError::Ended)
    }

    async fn connect(&mut self) -> Result<(), LiveError> {
        if self.pass.not_after.duration_since(now()) < LEFT {
            self.pass = log_pass(&self.cluster, &self.auditor).await.map_err(LiveError::Pass)?;
        }
        let (connector, name) = (connector(&self.pass)?, self.pass.server_name.clone());
        let server = ServerName::try_from(name.clone()).map_err(|bad| io::Error::other(bad.to_string()));
        let met = async {
            let stream = self.stream().await?;
            let opened = match server {
                Ok(server) => connector.connect(server, stream).await,
                Err(error) => Err(error),
            };
            opened.map_err(|source| LiveError::Tls { name, source })
        };
        let silent = || LiveError::Silent { path: "the handshake".to_owned(), within: HANDSHAKE };
        let stream = timeout(HANDSHAKE, met).await.map_err(|_elapsed| silent())??;
        let broken = |source| LiveError::Broken { path: "the handshake".to_owned(), source };
        let (http, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Its end is seen by who asks next.
        tokio::spawn(async move { _ = connection.await });
        self.http = Some(http);
        Ok(())
    }

    async fn stream(&self) -> Result<Box<dyn Stream>, LiveError> {
        if let Some(address) = &self.args.address {
            let stream = TcpStream::connect(address).await;
            return match stream {
                Ok(stream) => Ok(Box::new(stream)),
                Err(source) => Err(LiveError::Connect { address: address.clone(), source }),
            };
        }
        let namespace = &self.args.operator_namespace;
        let stream = Forward::to_pod(&self.cluster, namespace, POD).open(PORT_LOG_READ).await;
        let away = |source| LiveError::Forward { namespace: namespace.clone(), source };
        stream.map(|stream| Box::new(stream) as Box<dyn Stream>).map_err(away)
    }
}

/// Trusts the authority that signed our own certificate, and nobody else.
fn connector(pass: &LogPass) -> Result<TlsConnector, LiveError> {
    let mut roots = RootCertStore::empty();
    roots.add(pass.authority.clone()).map_err(LiveError::Certificate)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(LiveError::Certificate)?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![pass.certificate.clone()], PrivateKeyDer::from(pass.key.pkcs8()))
        .map_err(LiveError::Certificate)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
