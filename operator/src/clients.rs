//! The two ways to the API server: one for calls, which answer in time or not at all, and one for watches, which last.

use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::InferConfigError;
use kube::{Client, Config};
use prometheus_client::metrics::counter::Counter;
use tower::util::MapRequestLayer;

/// How long the API server may take to go on with an answer. A connection that hangs costs no more than this.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection may take to be made.
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);

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
    /// Its certificate authority, or the credentials for it.
    #[error("cannot set up the connection to the API server")]
    Client(#[source] kube::Error),
}

/// Finds the API server, as kubectl or a pod does. Nothing is asked yet.
pub async fn find() -> Result<Clients, FindApiServerError> {
    let found = Config::infer().await.map_err(FindApiServerError::Infer)?;
    let sent = Counter::default();
    let client = |read_timeout| {
        let mut config = found.clone();
        config.connect_timeout = Some(CONNECTS_WITHIN);
        config.read_timeout = Some(read_timeout);
        config.write_timeout = Some(ANSWERS_WITHIN);
        // From the request on, not from when its connection fell idle.
        config.reset_reader_on_write = true;
        // Whoever calls tries again, and knows how urgent it is.
        config.default_retry = false;
        let builder = ClientBuilder::try_from(config).map_err(FindApiServerError::Client)?;
        let counter: Counter = sent.clone();
        let counted = MapRequestLayer::new(move |request| {
            counter.inc();
            request
        });
        Ok(builder.with_layer(&counted).build())
    };
    let (calls, watches) = (client(ANSWERS_WITHIN)?, client(WATCH_SPEAKS_WITHIN)?);
    Ok(Clients { sent, calls, watches })
}
