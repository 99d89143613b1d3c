//! `AccessGrant`: what was granted, and how it went. Only the operator writes it; a person may only revoke it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{PLAIN_TEXT, PLAIN_TEXT_SAYS};
use crate::{DatabaseSpec, Evidence, LeaseStatus, LimitsSpec, RequestRef};

/// A grant: a snapshot of everything that was approved. Later edits of `Database` or `AccessPolicy` can't widen it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "access.keyhole.dev",
    version = "v1alpha1",
    kind = "AccessGrant",
    namespaced,
    shortname = "khgrant",
    category = "keyhole",
    doc = "What was granted, and how it goes. The operator writes it; a person may only set spec.revocation.",
    status = "AccessGrantStatus",
    derive = "PartialEq",
    selectable = ".spec.user",
    selectable = ".spec.request.name",
    selectable = ".spec.terms.database",
    selectable = ".spec.revocation.by",
    selectable = ".status.phase",
    selectable = ".status.settled",
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Database", "type": "string", "jsonPath": ".spec.terms.database"}"#,
    printcolumn = r#"{"name": "User", "type": "string", "jsonPath": ".spec.user"}"#,
    printcolumn = r#"{"name": "Expires", "type": "string", "jsonPath": ".spec.expiresAt"}"#,
    printcolumn = r#"{"name": "Endpoint", "type": "string", "jsonPath": ".status.endpoint"}"#,
    printcolumn = r#"{"name": "Sessions", "type": "integer", "jsonPath": ".status.usage.openSessions"}"#,
    printcolumn = r#"{"name": "End", "type": "string", "jsonPath": ".status.endReason"}"#,
    printcolumn = r#"{"name": "Request", "type": "string", "jsonPath": ".spec.request.name", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new(
    "self.request == oldSelf.request && self.user == oldSelf.user && self.terms == oldSelf.terms && \
     self.termsDigest == oldSelf.termsDigest && self.approvedBy == oldSelf.approvedBy && \
     self.expiresAt == oldSelf.expiresAt"
).message("nothing of a grant changes but spec.revocation and spec.abandon"))]
#[x_kube(validation = Rule::new(
    "!has(oldSelf.revocation) || (has(self.revocation) && self.revocation == oldSelf.revocation)"
).message("a revocation is final"))]
#[x_kube(validation = Rule::new(
    "!has(oldSelf.abandon) || (has(self.abandon) && self.abandon == oldSelf.abandon)"
).message("what was given up stays given up"))]
#[x_kube(validation = Rule::new("!has(self.abandon) || has(self.revocation)")
    .message("revoke the grant first: only what ends can be given up"))]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantSpec {
    /// The request it answers.
    pub request: RequestRef,
    /// The person it is for.
    #[schemars(length(min = 1, max = 384))]
    pub user: String,
    /// What was approved.
    pub terms: GrantedTerms,
    /// Digest of what was approved.
    #[schemars(length(min = 71, max = 71))]
    pub terms_digest: String,
    /// Who approved.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub approved_by: Vec<GrantedBy>,
    /// When it ends.
    pub expires_at: Time,
    /// Set this to end the grant now; once set it can't be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
    /// Set this to give up the proof of what is still open of a grant that was revoked: it ends with those items on record as
    /// `Unprovable`. Needs the verb `abandon` on accessgrants; once set it can't be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abandon: Option<Revocation>,
}

/// The approved terms, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantedTerms {
    /// Name of the `Database`.
    #[schemars(length(min = 1, max = 50))]
    pub database: String,
    /// Its uid.
    #[schemars(length(min = 1, max = 64))]
    pub database_uid: String,
    /// Its spec when the grant was made.
    pub database_spec: DatabaseSpec,
    /// Name of the `AccessPolicy`.
    #[schemars(length(min = 1, max = 253))]
    pub policy: String,
    /// Its uid.
    #[schemars(length(min = 1, max = 64))]
    pub policy_uid: String,
    /// The rule that matched.
    #[schemars(length(min = 1, max = 63))]
    pub rule: String,
    /// Bounds, all of them.
    pub limits: LimitsSpec,
    /// Whole minutes.
    #[schemars(range(min = 1, max = 720))]
    pub minutes: u16,
    /// Whether nobody is to read by it: it is made to see whether people could connect, and ends then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
    /// Why, in the requester's words.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Who wrote the request.
    #[serde(default)]
    #[schemars(length(max = 384))]
    pub submitted_by: String,
    /// Where the request was reviewed, when it was submitted on behalf of somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// One approval that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantedBy {
    /// Name of the `AccessApproval`.
    #[schemars(length(min = 1, max = 253))]
    pub approval: String,
    /// Its uid.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// The person.
    #[schemars(length(min = 1, max = 384))]
    pub approver: String,
}

/// A person ends the grant, or gives up the proof of its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// Your own user name.
    #[schemars(length(min = 1, max = 384))]
    pub by: String,
    /// Why.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(PLAIN_TEXT).message(PLAIN_TEXT_SAYS))]
    pub reason: String,
}

/// Where a grant stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GrantPhase {
    /// Its proxy is being made.
    #[default]
    Opening,
    /// People can connect.
    Ready,
    /// Nobody can connect any more; it is being shut and proved.
    Ending,
    /// Shut, with a receipt.
    Ended,
}

/// How it goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessGrantStatus {
    /// Where it stands.
    #[serde(default)]
    pub phase: GrantPhase,
    /// Name of the proxy pod, in the proxies namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Where to connect: `<proxies namespace>/<pod>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Name that the proxy's certificate carries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Certificate authority of the proxy's certificate, PEM (public).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Authority whose certificates the proxy takes from people: SHA-256 of its public key, 64 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_ca: Option<String>,
    /// Seal of the operator that trusted the grant: HMAC-SHA-256 over its uid and its spec, by the key of the internal authority, 64 hex
    /// digits. By it a later release trusts a grant that is older than its own admission policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
    /// Every lease the grant ever had, newest last: a replaced pod brings a new one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leases: Vec<LeaseStatus>,
    /// How many proxy pods the grant has had; more than one when a pod failed or was deleted while time was left.
    #[serde(default)]
    pub attempts: u32,
    /// Uid of the newest of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// What all proxies of the grant together used, as last reported, and what was charged for those that died unheard. It never
    /// shrinks: the next proxy counts on from here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageStatus>,
    /// Why it ends or ended, in one word (`Expired`, `Revoked`, `DatabaseChanged`, …): docs/reasons.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
    /// When its end began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending_since: Option<Time>,
    /// What is known about the end, item by item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipt: Vec<ReceiptLine>,
    /// Where the receipt stands in the audit log, some seconds after the end. Absent: an earlier release ended the grant, or the log
    /// could not be asked in the ten minutes after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_record: Option<ReceiptRecordStatus>,
    /// Everything about it is done: it has ended, its request says so, and nothing will ever change. The operator looks at
    /// it no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
    /// Of a probe: what came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probed: Option<ProbeStatus>,
    /// `Ready`, `Ended`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What came of a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeStatus {
    /// Whether people could have connected.
    pub ready: bool,
    /// If not, the reason of `Ready` when it ended.
    pub reason: String,
    /// And its sentence.
    pub message: String,
}

/// Where the receipt stands in the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptRecordStatus {
    /// Origin of the log, the first line of its checkpoints: `keyhole.internal/log/<16 hex digits>`.
    pub origin: String,
    /// Index of the record in the log, whose first record has 0.
    pub index: u64,
    /// Leaf hash of the record: SHA-256 of a zero byte and its bytes (RFC 6962), in base64.
    pub leaf: String,
    /// Streams of the grant's proxies as the record counts them: those that the log has whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<CountedStreamStatus>,
}

/// A stream of the audit log as a receipt counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountedStreamStatus {
    /// The name of the stream.
    pub stream: String,
    /// How many records it has.
    pub count: u64,
    /// The leaf hash of the last one, in base64.
    pub head: String,
}

/// What was used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageStatus {
    /// Sessions open now.
    pub open_sessions: u32,
    /// Statements forwarded or answered.
    pub statements: u64,
    /// Statements refused.
    pub refused: u64,
    /// Rows relayed.
    pub rows: u64,
    /// Bytes relayed.
    pub bytes: u64,
}

/// One line of the receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptLine {
    /// `sockets`, `serverSessions`, `lease`, `login`, `pod`, `rules`, `record`.
    pub item: String,
    /// `Proved`, `Open` or `Unprovable`.
    pub outcome: String,
    /// How it is known, in one word.
    #[serde(default)]
    pub reason: String,
    /// How it was seen, how to fix it, or why it can't be known.
    pub detail: String,
    /// How long after the end began it was so, in milliseconds; of an item that is not open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_millis: Option<u64>,
}
