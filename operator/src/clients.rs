//! The two ways to the API server: one for calls, which answer in time or not at all, and one for watches, which last.

use std::time::Duration;

use kube::config::InferConfigError;
use kube::{Client, Config};

/// How long the API server may take to go on with an answer. A connection that hangs costs no more than this.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// How long a connection may take to be made.
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);

/// How long a watch may be silent: a little longer than the API server is asked to let one last, which is a minute.
const WATCH_SPEAKS_WITHIN: Duration = Duration::from_secs(75);

/// Both.
#[derive(Clone)]
pub struct Clients {
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
    let client = |read_timeout| {
        let mut config = found.clone();
        config.connect_timeout = Some(CONNECTS_WITHIN);
        config.read_timeout = Some(read_timeout);
        config.write_timeout = Some(ANSWERS_WITHIN);
        // From the request on, not from when its connection fell idle.
        config.reset_reader_on_write = true;
        // Whoever calls tries again, and knows how urgent it is.
        config.default_retry = false;
        Client::try_from(config).map_err(FindApiServerError::Client)
    };
    Ok(Clients { calls: client(ANSWERS_WITHIN)?, watches: client(WATCH_SPEAKS_WITHIN)? })
}
