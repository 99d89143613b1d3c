//! What the audit log has: asked over its read port, by mutual TLS, under the name that its certificate has.

use std::time::Duration;

use crds::LeaseStatus;
use crds::admission::LOG;
use record::{Record, What};
use reqwest::{Client, StatusCode, redirect, retry};
use rustls::ClientConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tlog::{Hash, Note, TileName};
use tokio::net::lookup_host;

use crate::clock::now;
use crate::config::Config;
use crate::pki::authority::Authority;
use crate::pki::log::server_name;
use crate::pki::operator::{Identity, IdentityError};
use access::PORT_LOG_READ;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest answer, in bytes: a bundle of 256 records of the longest kind, which is read once.
const LONGEST: usize = 17 << 20;

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

/// What is known of what the log has of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InLog {
    /// It was not asked, or gave no answer to go by.
    Unknown,
    /// It does not know all of it yet: it looks its records up again.
    InPart,
    /// These streams.
    All(Vec<StreamSeen>),
}

/// What the log says of a grant.
#[derive(Default, Deserialize)]
pub struct Streams {
    /// Each of its streams, as far as it is looked up.
    pub streams: Vec<StreamSeen>,
    /// What the operator put on record before it let its proxies on, of those that no record says to be shut.
    pods: Vec<Told>,
    /// How many records are looked up, and how many there are.
    indexed: u64,
    size: u64,
    /// Whether every record is looked up.
    complete: bool,
}

impl Streams {
    /// Whether this is all that the log has of what proxies wrote under these leases: a log that makes its index again knows the streams
    /// of old only when it is done.
    pub fn are_all_of(&self, leases: &[LeaseStatus]) -> bool {
        let is_seen = |lease: &LeaseStatus| match &lease.record {
            Some(said) => self.streams.iter().any(|seen| seen.stream == said.stream),
            // One that wrote nothing; or died, and nobody knows which streams are its own.
            None => lease.unanswered.is_some(),
        };
        self.complete || leases.iter().filter(|lease| lease.had_credential()).all(is_seen)
    }

    /// Tokens that proxies of this grant were let on with, by the operator's own record, and that no record says to be shut: as a
    /// status has them. `None`: none is found, and not all records are looked up.
    pub fn let_on(&self, grant: &str) -> Option<Vec<LeaseStatus>> {
        let lease = |told: &Told| match told.record()? {
            Record { what: What::Pod(pod), grant: Some(own), .. } if own.as_str() == grant => {
                Some(LeaseStatus {
                    pod_uid: pod.uid.to_string(),
                    token_accessor: pod.accessor,
                    confirmed: Some(true),
                    ..LeaseStatus::default()
                })
            }
            _ => None,
        };
        let leases: Vec<LeaseStatus> = self.pods.iter().filter_map(lease).collect();
        let is_known = !leases.is_empty() || self.indexed >= self.size;
        is_known.then_some(leases)
    }
}

/// Records that the log finds.
#[derive(Deserialize)]
pub struct Found {
    /// Each, in its order.
    pub records: Vec<Told>,
    /// How many records are looked up.
    #[serde(default)]
    pub indexed: u64,
    /// How many there are.
    #[serde(default)]
    pub size: u64,
}

impl Found {
    /// Whether it looked at all that it has: then what is not found is not there.
    pub fn is_all_looked_up(&self) -> bool {
        self.indexed >= self.size
    }
}

/// A record, and where it stands.
#[derive(Deserialize)]
pub struct Told {
    /// Its index.
    pub index: u64,
    record: Box<RawValue>,
}

impl Told {
    /// What it says, where it is understood.
    pub fn record(&self) -> Option<Record> {
        Record::decode(self.record.get().as_bytes()).ok()
    }

    /// By which it is known in the tree.
    pub fn leaf(&self) -> Hash {
        Hash::of_leaf(self.record.get().as_bytes())
    }
}

/// Why nobody knows what the log has.
#[derive(Debug, thiserror::Error)]
pub enum CannotAsk {
    /// The operator's certificate.
    #[error("the operator has no certificate")]
    Identity(#[source] IdentityError),
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

impl CannotAsk {
    /// Whether an answer came that is not what was asked for.
    pub fn is_wrong_answer(&self) -> bool {
        match self {
            Self::Answer => true,
            // By this the log asks for patience.
            Self::Refused(status) => *status != StatusCode::SERVICE_UNAVAILABLE,
            Self::Identity(_) | Self::Name(_) | Self::Unreachable(_) => false,
        }
    }
}

/// What of a log is read.
pub trait Log {
    /// The answer to a question, or a file of its tree; `None`: the log has no such thing.
    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, CannotAsk>;

    /// The newest checkpoint, as the log signed it.
    async fn note(&self) -> Result<Note, CannotAsk> {
        let body = self.get("checkpoint").await?.ok_or(CannotAsk::Answer)?;
        String::from_utf8(body).ok().and_then(|text| text.parse().ok()).ok_or(CannotAsk::Answer)
    }

    /// A file of the tree.
    async fn tile(&self, name: TileName) -> Result<Vec<u8>, CannotAsk> {
        self.get(&name.to_string()).await?.ok_or(CannotAsk::Answer)
    }

    /// An answer in JSON.
    async fn asks<T: DeserializeOwned>(&self, path: &str) -> Result<T, CannotAsk> {
        let body = self.get(path).await?.ok_or(CannotAsk::Answer)?;
        serde_json::from_slice(&body).map_err(|_| CannotAsk::Answer)
    }
}

/// The way to the log's read port, for one question each.
pub struct Reader<'a> {
    config: &'a Config,
    internal: &'a Authority,
    identity: &'a Identity,
}

impl<'a> Reader<'a> {
    /// Who asks, and where.
    pub fn new(config: &'a Config, internal: &'a Authority, identity: &'a Identity) -> Self {
        Self { config, internal, identity }
    }

    /// The streams of a grant that the log knows.
    pub async fn streams(&self, uid: &str) -> Result<Streams, CannotAsk> {
        match self.get(&format!("v1/grants/{uid}")).await? {
            Some(body) => serde_json::from_slice(&body).map_err(|_| CannotAsk::Answer),
            // Nothing of it is there.
            None => Ok(Streams { complete: true, ..Streams::default() }),
        }
    }
}

impl Log for Reader<'_> {
    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, CannotAsk> {
        let name = server_name(self.internal);
        let tls = self.identity.client(self.internal, now()).map_err(CannotAsk::Identity)?;
        let service = format!("{LOG}.{}.svc", self.config.namespace);
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
        let unreachable = |error: reqwest::Error| CannotAsk::Unreachable(error.without_url());
        let asked = http.get(format!("https://{name}:{PORT_LOG_READ}/{path}")).send().await;
        let mut response = asked.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(CannotAsk::Refused(status)),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(CannotAsk::Answer);
            }
        }
        Ok(Some(body))
    }
}

#[cfg(test)]
mod tests {
    use crds::StreamStatus;

    use super::*;

    #[test]
    fn while_the_log_looks_its_records_up_again_what_is_not_there_is_not_missing() {
        let wrote = |stream: &str| LeaseStatus {
            confirmed: Some(true),
            unanswered: Some(false),
            record: Some(StreamStatus { stream: stream.into(), ..StreamStatus::default() }),
            ..LeaseStatus::default()
        };
        let died = LeaseStatus { confirmed: Some(true), ..LeaseStatus::default() };
        let answer = |stream: &str, complete: bool| -> Streams {
            let streams = serde_json::json!([{"stream": stream, "count": 7, "head": null}]);
            let answer = serde_json::json!({
                "streams": streams, "pods": [], "indexed": 7, "size": 7, "complete": complete,
            });
            serde_json::from_value(answer).unwrap()
        };
        assert!(answer("g1/a", false).are_all_of(&[wrote("g1/a")]));
        assert!(!answer("g1/a", false).are_all_of(&[wrote("g1/a"), wrote("g1/b")]));
        assert!(!answer("g1/a", false).are_all_of(&[wrote("g1/a"), died.clone()]));
        assert!(answer("g1/a", true).are_all_of(&[wrote("g1/b"), died]));
        let never_let_on = LeaseStatus { confirmed: Some(false), ..LeaseStatus::default() };
        assert!(Streams::default().are_all_of(&[never_let_on]));
    }

    #[test]
    fn who_was_let_on_is_known_by_the_record_of_it_and_nothing_is_known_before_all_is_looked_up() {
        let grant = "0b9a2f0e-0000-4000-8000-000000000001";
        let pod = serde_json::json!({"index": 1, "record": {
            "at": "2026-01-01T12:00:00.000000Z", "by": "operator", "grant": grant, "kind": "pod", "n": 0,
            "stream": "operator/7", "v": 1, "what": {
                "accessor": "a1", "grant": "look", "mount": "database", "name": "grant-1", "namespace": "shop",
                "request": "r1", "role": "readers", "uid": "p1",
            },
        }});
        let let_on = |of: &str, pods: &[&serde_json::Value], indexed: u64| {
            let answer = serde_json::json!({
                "streams": [], "pods": pods, "indexed": indexed, "size": 7, "complete": false,
            });
            let answer: Streams = serde_json::from_str(&answer.to_string()).unwrap();
            let pair = |lease: LeaseStatus| (lease.token_accessor, lease.pod_uid);
            answer.let_on(of).map(|leases| leases.into_iter().map(pair).collect::<Vec<_>>())
        };
        let none: Vec<(String, String)> = Vec::new();
        assert_eq!(let_on(grant, &[&pod], 6), Some(vec![("a1".to_owned(), "p1".to_owned())]));
        assert_eq!(let_on(grant, &[], 6), None);
        assert_eq!(let_on(grant, &[], 7), Some(none.clone()));
        assert_eq!(
            let_on("0b9a2f0e-0000-4000-8000-000000000002", &[&pod], 7),
            Some(none),
            "of another grant"
        );
    }
}
