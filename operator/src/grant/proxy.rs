//! The operator's calls to a proxy's status port: report, custody, end. Mutual TLS; the name that is verified depends on
//! the grant's uid alone, whatever address the pod has.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use access::report::{CustodyNote, EndOrder, Report};
use access::{ChildName, EndReason, PORT_STATUS};
use reqwest::{Client, Response, StatusCode, redirect, retry};
use rustls::ClientConfig;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(2);
/// A report is at most 4 KiB.
const LONGEST_REPORT: usize = 64 * 1024;

/// Why a proxy was not reached. Never holds an answer's text.
#[derive(Debug, thiserror::Error)]
pub enum CallProxyError {
    /// No connection, the wrong certificate, or no answer in time.
    #[error("cannot reach the proxy to {doing}")]
    Unreachable {
        /// What we were doing.
        doing: &'static str,
        /// Why.
        source: reqwest::Error,
    },
    /// An answer that is none.
    #[error("the proxy's answer to {doing} was not understood")]
    Answer {
        /// What we were doing.
        doing: &'static str,
    },
    /// A refusal.
    #[error("the proxy refused to {doing}: status {status}")]
    Refused {
        /// What we were doing.
        doing: &'static str,
        /// The HTTP status.
        status: StatusCode,
    },
}

/// One proxy.
pub struct Proxy {
    http: Client,
    base: String,
    grant_uid: String,
}

impl Proxy {
    /// The proxy of the grant `uid`, at `ip`.
    pub fn new(uid: &str, ip: IpAddr, tls: &Arc<ClientConfig>) -> Result<Self, CallProxyError> {
        let name = ChildName::of(uid).server_name();
        let http = Client::builder()
            .tls_backend_preconfigured(ClientConfig::clone(tls))
            .https_only(true)
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .resolve(&name, SocketAddr::new(ip, PORT_STATUS))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .build()
            .map_err(|source| CallProxyError::Unreachable { doing: "set up the connection", source })?;
        Ok(Self { http, base: format!("https://{name}:{PORT_STATUS}"), grant_uid: uid.to_owned() })
    }

    /// What it says about itself.
    pub async fn report(&self) -> Result<Report, CallProxyError> {
        let doing = "read its report";
        let request = self.http.get(format!("{}/v1/report", self.base));
        let mut response = expect(doing, request.send().await, StatusCode::OK)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|source| unreachable(doing, source))? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_REPORT {
                return Err(CallProxyError::Answer { doing });
            }
        }
        read_report(&body, &self.grant_uid).ok_or(CallProxyError::Answer { doing })
    }

    /// Its accessor is on record.
    pub async fn confirm(&self, token_accessor: &str) -> Result<(), CallProxyError> {
        let doing = "confirm its accessor";
        let note = CustodyNote { token_accessor: token_accessor.to_owned() };
        let request = self.http.post(format!("{}/v1/custody", self.base)).json(&note);
        expect(doing, request.send().await, StatusCode::NO_CONTENT).map(drop)
    }

    /// Cut everyone off, shut everything, prove it, exit.
    pub async fn end(&self, reason: EndReason, message: &str) -> Result<(), CallProxyError> {
        let doing = "end it";
        let message = message.chars().filter(|c| !c.is_control()).take(200).collect();
        let order = EndOrder { reason: reason.word().to_owned(), message };
        let request = self.http.post(format!("{}/v1/end", self.base)).json(&order);
        expect(doing, request.send().await, StatusCode::ACCEPTED).map(drop)
    }
}

/// A report, if it is one and of this grant: live or as a termination message.
pub fn read_report(json: &[u8], grant_uid: &str) -> Option<Report> {
    serde_json::from_slice::<Report>(json).ok().filter(|report| report.grant_uid == grant_uid)
}

fn expect(
    doing: &'static str,
    answer: Result<Response, reqwest::Error>,
    status: StatusCode,
) -> Result<Response, CallProxyError> {
    let response = answer.map_err(|source| unreachable(doing, source))?;
    if response.status() != status {
        return Err(CallProxyError::Refused { doing, status: response.status() });
    }
    Ok(response)
}

fn unreachable(doing: &'static str, source: reqwest::Error) -> CallProxyError {
    CallProxyError::Unreachable { doing, source: source.without_url() }
}
