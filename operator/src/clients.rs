//! The two ways to the API server: one for calls, which answer in time or not at all, and one for watches, which last.

use std::time::Duration;

use axum::http::Request;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy as http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::config::InferConfigError;
use kube::{Client, Config};
use prometheus_client::metrics::counter::Counter;
use tower::{BoxError, ServiceBuilder};

/// How long the API server may take to go on with an answer. A connection that hangs costs no more than this.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection may take to be made.
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);

/// How long a connection is idle before its other end is asked whether it is there, and again if there is no answer: `tcp(7)`,
/// `TCP_KEEPIDLE` and `TCP_KEEPINTVL`.
const ASKED_AFTER: Duration = Duration::from_secs(2);
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How many such questions stay without an answer (`TCP_KEEPCNT`).
const UNANSWERED: u32 = 3;

/// How long the other end may take to acknowledge what was sent (`TCP_USER_TIMEOUT`). One that is gone is found in this time, whether the
/// connection is idle or not; a leader, which renews every two seconds and stops after ten without a renewal,
/// has two tries left on others.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(5);

/// How long a watch may be silent: a little longer than the API server is asked to let one last, which is a minute.
const WATCH_SPEAKS_WITHIN: Duration = Duration::from_secs(75);

/// Both.
#[derive(Clone)]
pub struct Clients {
    /// How many requests both have sent.
    pub sent: Counter,
    /// For calls.
    pub calls: Client,
    /// For watches.
    pub watches: Client,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum FindApiServerError {
    /// Neither a kubeconfig nor a pod's service account.
    #[error("cannot find the API server")]
    Infer(#[source] InferConfigError),
    /// `proxy-url` of a kubeconfig, or a variable such as `HTTPS_PROXY`.
    #[error(
        "cannot go through a proxy, which the kubeconfig or HTTPS_PROXY names: reach the API server without one"
    )]
    Proxy,
    /// Its certificate authority, or the credentials for it.
    #[error("cannot set up the connection to the API server")]
    Client(#[source] kube::Error),
}

/// Finds the API server, as kubectl or a pod does. Nothing is asked yet.
pub async fn find() -> Result<Clients, FindApiServerError> {
    let config = Config::infer().await.map_err(FindApiServerError::Infer)?;
    if config.proxy_url.is_some() {
        return Err(FindApiServerError::Proxy);
    }
    let sent = Counter::default();
    let (calls, watches) =
        (client(&config, ANSWERS_WITHIN, &sent)?, client(&config, WATCH_SPEAKS_WITHIN, &sent)?);
    Ok(Clients { sent, calls, watches })
}

/// As kube makes one, but for the connections below it, and without its retries: whoever calls tries again, and knows how urgent it is.
fn client(config: &Config, speaks_within: Duration, sent: &Counter) -> Result<Client, FindApiServerError> {
    let connections =
        config.rustls_https_connector_with_connector(tcp()).map_err(FindApiServerError::Client)?;
    let mut connections = TimeoutConnector::new(connections);
    connections.set_connect_timeout(Some(CONNECTS_WITHIN));
    connections.set_read_timeout(Some(speaks_within));
    connections.set_write_timeout(Some(ANSWERS_WITHIN));
    // From the request on, not from when its connection fell idle.
    connections.set_reset_reader_on_write(true);
    let sent = sent.clone();
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(FindApiServerError::Client)?)
        .layer(config.extra_headers_layer().map_err(FindApiServerError::Client)?)
        .map_request(move |request: Request<Body>| {
            sent.inc();
            request
        })
        .map_err(BoxError::from)
        .service(http::Client::builder(TokioExecutor::new()).build(connections));
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// Connections that the system itself finds dead, idle ones too: otherwise each of those that wait for the next call costs that call its
/// time, one after another.
fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_keepalive(Some(ASKED_AFTER));
    tcp.set_keepalive_interval(Some(ASKED_AGAIN_AFTER));
    tcp.set_keepalive_retries(Some(UNANSWERED));
    tcp.set_tcp_user_timeout(Some(ACKNOWLEDGED_WITHIN));
    tcp
}
