//! What a proxy tells its operator, and what the operator may tell a proxy. JSON over mutual TLS on the status port.
//!
//! - `GET /v1/report` answers a `Report`. With `?since=REVISION` the answer waits until the report has another revision, for
//!   `LONGEST_WAIT` at the most.
//! - `POST /v1/custody` with a `CustodyNote`: the accessor is on record; only now may a credential be read. 204, or 409
//!   when the accessor is not the proxy's own.
//! - `POST /v1/end` with an `EndOrder`: cut everyone off, shut everything, prove it, exit. 202.
//!
//! When the proxy exits it leaves the same `Report` as its termination message, so that the receipt outlives it.
//! A report never holds a password, a token, SQL or a row.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How long `GET /v1/report?since=` waits for another revision at the most.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How far a proxy has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Logging in to Vault.
    Starting,
    /// It has the token that will own the lease, and waits until its accessor is on record.
    Custody,
    /// It reads the credential, connects and checks the privileges.
    Leasing,
    /// People can connect.
    Ready,
    /// Nobody can connect any more; it shuts and proves.
    Ending,
    /// Everything it can do is done. The next thing is its exit.
    Ended,
}

/// The lease of the database credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The full lease id, `<mount>/creds/<role>/<suffix>`.
    pub lease_id: String,
    /// Name of the database user that Vault made.
    pub user_name: String,
    /// When Vault will end it at the latest.
    pub expires_at: Timestamp,
}

/// Why a proxy could not become ready. The grant does not get better by itself, unless `retry` says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// One of the words in `failure`.
    pub reason: String,
    /// What to do about it: one sentence, no secrets.
    pub message: String,
}

/// The reasons a proxy gives for a `Failure`, CamelCase, used in conditions, events and metrics alike.
pub mod failure {
    /// No connection, or no answer in time.
    pub const VAULT_UNREACHABLE: &str = "VaultUnreachable";
    /// Vault is sealed (503).
    pub const VAULT_SEALED: &str = "VaultSealed";
    /// Vault refused (403): the message says which call, and which policy or role to look at.
    pub const VAULT_DENIED: &str = "VaultDenied";
    /// An auth role, token role or database role is not there.
    pub const VAULT_ROLE_MISSING: &str = "VaultRoleMissing";
    /// This node's clock and Vault's differ too much for a deadline to mean anything.
    pub const CLOCK_SKEW: &str = "ClockSkew";
    /// No connection to the database, or no answer in time.
    pub const DATABASE_UNREACHABLE: &str = "DatabaseUnreachable";
    /// The server's certificate or name is not what the `Database` says.
    pub const DATABASE_TLS: &str = "DatabaseTls";
    /// The server refused the credential that Vault just made.
    pub const DATABASE_LOGIN: &str = "DatabaseLogin";
    /// The credential may do more than read; the message names the privilege.
    pub const PRIVILEGES: &str = "Privileges";
    /// The server is not what the `Database` says, or a version that the gate does not know.
    pub const SERVER_UNKNOWN: &str = "ServerUnknown";
    /// The grant file or the identity files are wrong.
    pub const GRANT_FILE: &str = "GrantFile";
    /// Nobody confirmed in time that the accessor is on record.
    pub const CUSTODY: &str = "Custody";

    /// The audit log does not take the proxy's records.
    pub const AUDIT_UNREACHABLE: &str = "AuditUnreachable";
    /// The audit log has less than it acknowledged to this proxy.
    pub const AUDIT_FORGOT: &str = "AuditForgot";

    /// Every reason.
    pub const ALL: [&str; 14] = [
        VAULT_UNREACHABLE,
        VAULT_SEALED,
        VAULT_DENIED,
        VAULT_ROLE_MISSING,
        CLOCK_SKEW,
        DATABASE_UNREACHABLE,
        DATABASE_TLS,
        DATABASE_LOGIN,
        PRIVILEGES,
        SERVER_UNKNOWN,
        GRANT_FILE,
        CUSTODY,
        AUDIT_UNREACHABLE,
        AUDIT_FORGOT,
    ];
}

/// What the grant's sessions have used so far, those on earlier proxies among them as far as the grant file tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Sessions open now.
    pub open_sessions: u32,
    /// Sessions that this proxy ever opened.
    pub sessions: u64,
    /// Statements forwarded or answered.
    pub statements: u64,
    /// Statements refused.
    pub refused: u64,
    /// Rows relayed.
    pub rows: u64,
    /// Bytes relayed.
    pub bytes: u64,
}

/// One line of the receipt; the words are those of `access::Item` and `access::Outcome`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofLine {
    /// What it is about.
    pub item: String,
    /// `Proved`, `Open` or `Unprovable`.
    pub outcome: String,
    /// One sentence.
    pub detail: String,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// A word of `access::EndReason`.
    pub reason: String,
    /// When the last session was cut.
    pub cut_at: Timestamp,
    /// Milliseconds from the order (or the deadline) until the last session was cut.
    pub cut_millis: u64,
    /// What the proxy could prove: sockets, server sessions, lease, login.
    pub proofs: Vec<ProofLine>,
    /// Whether a credential was asked for and the answer was lost, so that there may be a lease that nobody knows. Absent: an earlier
    /// release did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<bool>,
    /// What it wrote to the audit log. Absent: a proxy of a release that wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<OnRecord>,
}

/// How far a proxy came in its stream of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OnRecord {
    /// The name of the stream.
    pub stream: String,
    /// How many records it wrote.
    pub count: u64,
    /// The leaf hash of the last one, in base64; absent, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Of how many it heard that they are on the log's disk.
    pub acknowledged: u64,
    /// How commands went whose outcomes are not among those, in their order: as many as fit, at most [`MOST_OUTCOMES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<OwedOutcome>,
    /// How many ends of commands and sessions had no place in the stream, those told here among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub owed: u64,
}

/// The most outcomes that last words tell. Each session has one or two that the log may not have.
pub const MOST_OUTCOMES: usize = 40;

/// How a command went, where the audit log may not have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwedOutcome {
    /// Its number in the stream. Absent: it had no place there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// The number of the command's own record.
    pub of: u64,
    /// Rows that went to the client.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rows: u64,
    /// Bytes that went to the client.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes: u64,
    /// Microseconds from the command's arrival to the last byte of its answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub micros: u64,
    /// Whether its session was cut before it was answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// The SQLSTATE of the error that it ended with, five characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// That error's number, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<u64>,
    /// The rule that stopped its answer, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// What a JSON of few bytes leaves out.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The upper bounds, included, by which the times of acknowledgements are counted, in microseconds.
pub const ACKNOWLEDGED_WITHIN: [u64; 11] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_000_000];

/// How the audit log acknowledged the intents of a proxy's statements, from the proxy's beginning on. The time of one is that from its
/// hand-over to its acknowledgement. Numbers only grow but for that of those that wait: what is new since another report is their difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledged {
    /// How many took no longer than each of `ACKNOWLEDGED_WITHIN`, and longer than the one before; the last number are those that took
    /// longer than all. A proxy of a release with other bounds has another count of numbers.
    pub within: Vec<u64>,
    /// All their times together, in microseconds.
    pub micros: u64,
    /// How many wait now.
    pub waiting: u64,
    /// The longest that one waited, those that wait now among them, in microseconds.
    pub longest_micros: u64,
}

impl Acknowledged {
    /// How many were acknowledged.
    pub fn count(&self) -> u64 {
        self.within.iter().fold(0, |all, some| all.saturating_add(*some))
    }
}

/// Everything a proxy knows about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whose proxy it is.
    pub grant_uid: String,
    /// Release of the proxy.
    pub version: String,
    /// How often anything but the usage and the acknowledgements was set, from 1. 0: a proxy of a release that did not count.
    #[serde(default)]
    pub revision: u64,
    /// How far it has come.
    pub phase: Phase,
    /// Accessor of the token that owns (or will own) the lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_accessor: Option<String>,
    /// The lease, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// The database server's own words about its version, at most 80 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What was used.
    pub usage: Usage,
    /// How long statements waited for the audit log. Absent: a proxy of a release that did not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

impl Report {
    /// Of a proxy that has just started.
    pub fn starting(grant_uid: String, version: &str) -> Self {
        Self {
            grant_uid,
            version: version.to_owned(),
            revision: 1,
            phase: Phase::Starting,
            token_accessor: None,
            lease: None,
            server_version: None,
            failure: None,
            usage: Usage::default(),
            acknowledged: None,
            end: None,
        }
    }
}

/// What follows `/v1/report` in a question for another revision than this one.
pub fn query_since(revision: u64) -> String {
    format!("since={revision}")
}

/// The revision in such a query. Anything else asks for the report as it is.
pub fn since(query: Option<&str>) -> Option<u64> {
    query?.strip_prefix("since=")?.parse().ok()
}

/// The operator has this accessor on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustodyNote {
    /// The accessor as it stands in the grant's status.
    pub token_accessor: String,
}

/// End now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndOrder {
    /// A word of `access::EndReason`.
    pub reason: String,
    /// What the client reads: one sentence, at most 200 characters.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_and_an_operator_of_the_release_before_are_understood() {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Before {
            grant_uid: String,
            usage: Usage,
        }
        let acknowledged = Acknowledged { within: vec![1, 2], micros: 3, waiting: 4, longest_micros: 5 };
        let says = Report { acknowledged: Some(acknowledged), ..Report::starting("g1".into(), "0.2.0") };
        let text = serde_json::to_string(&says).unwrap();
        let Before { grant_uid, usage } = serde_json::from_str(&text).unwrap();
        assert_eq!((grant_uid.as_str(), usage), ("g1", Usage::default()));
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), says);
        let before = Report { acknowledged: None, ..says };
        let text = serde_json::to_string(&before).unwrap();
        assert!(!text.contains("acknowledged"), "{text}");
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), before);
    }

    #[test]
    fn a_question_for_another_revision_is_understood_and_nothing_else_waits() {
        for revision in [0, 7, u64::MAX] {
            assert_eq!(since(Some(&query_since(revision))), Some(revision));
        }
        for query in [None, Some(""), Some("since="), Some("since=-1"), Some("since=1&x=2"), Some("until=1")]
        {
            assert_eq!(since(query), None, "{query:?}");
        }
    }
}
