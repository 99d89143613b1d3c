//! The operator's calls to a proxy's status port: report, custody, end. Mutual TLS; the name that is verified depends on
//! the grant's uid alone, whatever address the pod has.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use access::report::{
    CustodyNote, End, EndOrder, Failure, LONGEST_WAIT, Lease, OnRecord, OwedOutcome, Report, Usage,
    query_since,
};
use access::{ChildName, EndReason, PORT_STATUS};
use jiff::Timestamp;
use reqwest::{Client, Response, StatusCode, redirect, retry};
use rustls::ClientConfig;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(2);
/// A report is at most 4 KiB.
const LONGEST_REPORT: usize = 64 * 1024;
/// What goes from a report into a status: names, ids and words of ours are shorter than this, sentences than the other.
const LONGEST_NAME: usize = 256;
const LONGEST_SENTENCE: usize = 8 * 1024;
/// A report has four lines of proof.
const MOST_PROOFS: usize = 16;
/// The API server takes no larger number.
const LARGEST: u64 = i64::MAX.unsigned_abs();

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
        self.report_since(None).await
    }

    /// The same, once it is of another revision than this one, or after a while.
    pub async fn report_since(&self, revision: Option<u64>) -> Result<Report, CallProxyError> {
        let doing = "read its report";
        let url = format!("{}/v1/report", self.base);
        let request = match revision {
            Some(revision) => {
                let patient = LONGEST_WAIT.saturating_add(TOTAL_TIMEOUT);
                self.http.get(format!("{url}?{}", query_since(revision))).timeout(patient)
            }
            None => self.http.get(url),
        };
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
///
/// A proxy may be taken over. What it says ends up in the grant's status, and a status that the API server refuses, for
/// a number too large or a text too long, would keep the grant from being ended: such a report counts as none.
pub fn read_report(json: &[u8], grant_uid: &str) -> Option<Report> {
    let report = serde_json::from_slice::<Report>(json).ok()?;
    (report.grant_uid == grant_uid && can_be_recorded(&report)).then_some(report)
}

fn can_be_recorded(report: &Report) -> bool {
    let Report {
        grant_uid: _,
        version: _,
        revision: _,
        phase: _,
        token_accessor,
        lease,
        server_version: _,
        failure,
        usage,
        // It comes into no object.
        acknowledged: _,
        end,
    } = report;
    let Usage { open_sessions: _, sessions, statements, refused, rows, bytes } = *usage;
    let counted = [sessions, statements, refused, rows, bytes].iter().all(|number| *number <= LARGEST);
    let accessor = token_accessor.as_deref().is_none_or(is_name);
    let lease = lease.as_ref().is_none_or(|Lease { lease_id, user_name, expires_at }| {
        is_name(lease_id) && is_name(user_name) && is_of_our_time(*expires_at)
    });
    let failure = failure
        .as_ref()
        .is_none_or(|Failure { reason, message }| is_name(reason) && message.len() <= LONGEST_SENTENCE);
    let end =
        end.as_ref().is_none_or(|End { reason, cut_at: _, cut_millis: _, proofs, unanswered: _, record }| {
            is_name(reason)
                && proofs.len() <= MOST_PROOFS
                && record.as_ref().is_none_or(record_can_be_recorded)
        });
    counted && accessor && lease && failure && end
}

fn record_can_be_recorded(record: &OnRecord) -> bool {
    let OnRecord { stream, count, head, acknowledged, outcomes, owed } = record;
    let is_outcome = |outcome: &OwedOutcome| {
        let OwedOutcome { n, of, rows, bytes, micros, cut: _, sqlstate, error, rule } = outcome;
        let numbers = [*n, Some(*of), Some(*rows), Some(*bytes), Some(*micros), *error];
        let words = [sqlstate, rule];
        numbers.into_iter().flatten().all(|number| number <= LARGEST)
            && words.into_iter().flatten().all(|word| is_name(word))
    };
    let counted = [count, acknowledged, owed].iter().all(|number| **number <= LARGEST);
    is_name(stream) && head.as_deref().is_none_or(is_name) && counted && outcomes.iter().all(is_outcome)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control)
}

/// Objects hold years of four digits.
fn is_of_our_time(time: Timestamp) -> bool {
    (0..=253_402_300_799).contains(&time.as_second())
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report(path: &str, value: Value) -> Value {
        let mut report = json!({
            "grantUid": "g1", "version": "0", "phase": "Ready", "tokenAccessor": "accessor",
            "lease": {"leaseId": "database/creds/role/1", "userName": "v-user", "expiresAt": "2026-01-01T12:30:00Z"},
            "failure": {"reason": "VaultSealed", "message": "unseal it"},
            "usage": {"openSessions": 1, "sessions": 1, "statements": 1, "refused": 0, "rows": 1, "bytes": 1},
            "end": {"reason": "Expired", "cutAt": "2026-01-01T12:30:00Z", "cutMillis": 3, "proofs": [],
                "record": {"stream": "g1/0000000000000001", "count": 7, "head": "aGFzaA==", "acknowledged": 7,
                    "owed": 1, "outcomes": [{"n": 6, "of": 5, "rows": 3, "error": 1105, "sqlstate": "HY000", "rule": "Rows"}]}}
        });
        if let Some(place) = report.pointer_mut(path) {
            *place = value;
        }
        report
    }

    fn read(path: &str, value: Value) -> Option<Report> {
        read_report(report(path, value).to_string().as_bytes(), "g1")
    }

    #[test]
    fn a_report_that_no_status_can_hold_counts_as_none() {
        let proof = json!({"item": "login", "outcome": "Proved", "detail": "seen"});
        let refused = [
            ("/usage/rows", json!(u64::MAX)),
            ("/usage/bytes", json!(1_u64 << 63)),
            ("/usage/statements", json!(u64::MAX)),
            ("/usage/refused", json!(u64::MAX)),
            ("/tokenAccessor", json!("x".repeat(60_000))),
            ("/tokenAccessor", json!("")),
            ("/lease/leaseId", json!("x".repeat(60_000))),
            ("/lease/userName", json!("two\nlines")),
            ("/lease/expiresAt", json!("-000001-01-01T00:00:00Z")),
            ("/failure/reason", json!("x".repeat(60_000))),
            ("/failure/message", json!("x".repeat(60_000))),
            ("/end/proofs", json!(vec![proof; 17])),
            ("/end/record/stream", json!("x".repeat(60_000))),
            ("/end/record/head", json!("x".repeat(60_000))),
            ("/end/record/count", json!(u64::MAX)),
            ("/end/record/owed", json!(u64::MAX)),
            ("/end/record/outcomes/0/rows", json!(u64::MAX)),
            ("/end/record/outcomes/0/n", json!(u64::MAX)),
            ("/end/record/outcomes/0/error", json!(u64::MAX)),
            ("/end/record/outcomes/0/sqlstate", json!("x".repeat(60_000))),
            ("/end/record/outcomes/0/rule", json!("two\nlines")),
            ("/grantUid", json!("another")),
        ];
        for (path, value) in refused {
            assert_eq!(read(path, value), None, "{path}");
        }
        assert!(read("/usage/rows", json!(LARGEST)).is_some());
        assert!(read("", Value::Null).is_none());
        assert!(read("/nowhere", Value::Null).is_some());
    }
}
