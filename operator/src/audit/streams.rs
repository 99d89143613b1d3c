//! What the audit log has of a grant: asked over its read port, by mutual TLS, under the name that its certificate has.

use std::time::Duration;

use crds::admission::LOG;
use reqwest::{Client, StatusCode, redirect, retry};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::net::lookup_host;

use crate::clock::now;
use crate::context::Context;
use crate::pki::log::server_name;
use access::PORT_LOG_READ;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest answer, in bytes. A grant has few streams: one for each pod.
const LONGEST: usize = 256 * 1024;

/// A stream as the log has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StreamSeen {
    /// Its name.
    pub stream: String,
    /// How many records.
    pub count: u64,
    /// The leaf hash of the last one, in base64.
    pub head: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    streams: Vec<StreamSeen>,
}

/// Why nobody knows what the log has.
#[derive(Debug, thiserror::Error)]
pub enum CannotAsk {
    /// The operator's certificate.
    #[error("the operator has no certificate")]
    Identity(#[source] crate::pki::operator::IdentityError),
    /// Its Service.
    #[error("the audit log's Service has no address")]
    Name(#[source] std::io::Error),
    /// No connection, or no answer in time.
    #[error("the audit log does not answer")]
    Unreachable(#[source] reqwest::Error),
    /// It answered something else.
    #[error("the audit log answered with status {0}")]
    Refused(StatusCode),
    /// It is not understood.
    #[error("the audit log's answer was not understood")]
    Answer,
}

/// All streams of a grant that the log knows.
pub async fn of_grant(context: &Context, uid: &str) -> Result<Vec<StreamSeen>, CannotAsk> {
    let internal = &context.authorities.internal;
    let name = server_name(internal);
    let tls = context.identity.client(internal, now()).map_err(CannotAsk::Identity)?;
    let service = format!("{LOG}.{}.svc", context.config.namespace);
    let mut addresses = lookup_host((service, PORT_LOG_READ)).await.map_err(CannotAsk::Name)?;
    let address = addresses.next().ok_or_else(|| CannotAsk::Name(std::io::ErrorKind::NotFound.into()))?;
    let http = Client::builder()
        .tls_backend_preconfigured(ClientConfig::clone(&tls))
        .https_only(true)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .resolve(&name, address)
        .timeout(PATIENCE)
        .build()
        .map_err(CannotAsk::Unreachable)?;
    let asked = http.get(format!("https://{name}:{PORT_LOG_READ}/v1/grants/{uid}")).send().await;
    let mut response = asked.map_err(|error| CannotAsk::Unreachable(error.without_url()))?;
    match response.status() {
        StatusCode::OK => {}
        // Nothing of it is there.
        StatusCode::NOT_FOUND => return Ok(Vec::new()),
        status => return Err(CannotAsk::Refused(status)),
    }
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| CannotAsk::Unreachable(error.without_url()))?
    {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            return Err(CannotAsk::Answer);
        }
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| CannotAsk::Answer)?;
    Ok(answer.streams)
}
