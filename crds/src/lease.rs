//! What stands in a grant's status of each of its proxies: its token, its lease, and what it said last.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The token and lease of one proxy pod. Names and ids only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseStatus {
    /// Uid of the pod.
    pub pod_uid: String,
    /// Accessor of the token that owns the lease.
    pub token_accessor: String,
    /// Full lease id, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<String>,
    /// Database user that Vault made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// When Vault ends it at the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Whether its proxy was told that its accessor is on record, and so was let on to a credential. Absent: an earlier release did not
    /// say, so it may have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<bool>,
    /// Whether Vault said that it is gone, and its token with it.
    #[serde(default)]
    pub revoked: bool,
    /// Why nobody can see whether its token owned other leases, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
    /// Name of the node that its pod ran on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Whether the pod's process was seen to have ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// What its proxy proved as it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<ProofStatus>,
    /// Whether its proxy asked for a credential and never heard the answer, so that its token may own a lease that nobody knows.
    /// Absent: it did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unanswered: Option<bool>,
    /// What its proxy wrote to the audit log, by its own last words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<StreamStatus>,
    /// Origin of the audit log that its proxy's records went into when it was let on. Absent: nobody had witnessed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// What was counted as used because its proxy died unheard, a guess: what one statement may answer, for each session last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub charged: Option<ChargedStatus>,
}

impl LeaseStatus {
    /// Whether its proxy may have had a credential.
    pub fn had_credential(&self) -> bool {
        self.confirmed != Some(false) || self.lease_id.is_some()
    }
}

/// What a proxy said about one item as it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProofStatus {
    /// `sockets`, `serverSessions`, `lease` or `login`.
    pub item: String,
    /// `Proved`, `Open` or `Unprovable`.
    pub outcome: String,
    /// How it was seen, how to fix it, or why it can't be known.
    pub detail: String,
}

/// How far a proxy came in its stream of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamStatus {
    /// The name of the stream.
    pub stream: String,
    /// How many records the proxy wrote.
    pub count: u64,
    /// The leaf hash of the last one, in base64. Absent: it wrote none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// How many of them are known to be on the log's disk.
    pub acknowledged: u64,
    /// How commands went whose outcomes may not be among those, by the proxy's last words: as many as fitted in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<OwedOutcomeStatus>,
    /// How many ends of commands and sessions had no place in the stream, those told here among them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub owed: u64,
}

/// How a command went, where the audit log may not have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwedOutcomeStatus {
    /// Its number in the stream. Absent: it had no place there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
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
    /// The SQLSTATE of the error that it ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sqlstate: Option<String>,
    /// That error's number, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<u64>,
    /// The rule that stopped its answer, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What was counted as used though nobody saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChargedStatus {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}
