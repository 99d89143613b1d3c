//! `AccessRequest`: a person asks to read a database. Immutable.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::{GRANT_DURATION, GRANT_DURATION_SAYS, PLAIN_TEXT, PLAIN_TEXT_SAYS};

/// A request to read one database for a while.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "access.keyhole.dev",
    version = "v1alpha1",
    kind = "AccessRequest",
    namespaced,
    shortname = "khreq",
    category = "keyhole",
    doc = "A person asks to read a database for a while.",
    status = "AccessRequestStatus",
    derive = "PartialEq",
    selectable = ".spec.database",
    selectable = ".spec.user",
    selectable = ".spec.submittedBy",
    selectable = ".status.phase",
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Database", "type": "string", "jsonPath": ".spec.database"}"#,
    printcolumn = r#"{"name": "User", "type": "string", "jsonPath": ".spec.user"}"#,
    printcolumn = r#"{"name": "Approvals", "type": "string", "jsonPath": ".status.approvals"}"#,
    printcolumn = r#"{"name": "Expires", "type": "string", "jsonPath": ".status.expiresAt"}"#,
    printcolumn = r#"{"name": "Endpoint", "type": "string", "jsonPath": ".status.endpoint"}"#,
    printcolumn = r#"{"name": "Duration", "type": "string", "jsonPath": ".spec.duration", "priority": 1}"#,
    printcolumn = r#"{"name": "Rule", "type": "string", "jsonPath": ".status.rule", "priority": 1}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".spec.reason", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    validation = Rule::new("self.metadata.name.size() <= 50")
        .message("the name of a request has 50 characters at most: its grant is named after it")
)]
#[x_kube(validation = Rule::new("self == oldSelf")
    .message("a request never changes: delete it and apply another one"))]
#[serde(rename_all = "camelCase")]
pub struct AccessRequestSpec {
    /// Name of the `Database` in this namespace.
    #[schemars(length(min = 1, max = 50))]
    pub database: String,
    /// The person who will read: your own user name, unless you may `request-on-behalf`.
    #[schemars(length(min = 1, max = 384))]
    #[x_kube(validation = Rule::new(PLAIN_TEXT).message(PLAIN_TEXT_SAYS))]
    pub user: String,
    /// Of the groups that this namespace's policies name, those the person is in.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub groups: Vec<String>,
    /// Who writes this object: always your own user name.
    #[schemars(length(min = 1, max = 384))]
    #[x_kube(validation = Rule::new(PLAIN_TEXT).message(PLAIN_TEXT_SAYS))]
    pub submitted_by: String,
    /// Why. Approvers read it.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(PLAIN_TEXT).message(PLAIN_TEXT_SAYS))]
    pub reason: String,
    /// How long, whole minutes: `30m`, `2h`, `1h30m`; 1 minute to 12 hours.
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new(GRANT_DURATION).message(GRANT_DURATION_SAYS))]
    pub duration: String,
    /// Where this was reviewed, when it is submitted on behalf of somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// Where something was reviewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.author.lowerAscii() != self.reviewer.lowerAscii()")
    .message("author and reviewer must be two different people"))]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Address of the pull request.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new("isURL(self) && url(self).getScheme() == 'https'")
        .message("write the https address of the pull request"))]
    pub pull_request: String,
    /// The merged commit, 40 or 64 hex digits.
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9a-f]{40}|[0-9a-f]{64})$')")
        .message("write the merged commit in full: 40 or 64 hex digits"))]
    pub commit: String,
    /// Who wrote the change, as the git host names them.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new(PLAIN_TEXT).message(PLAIN_TEXT_SAYS))]
    pub author: String,
    /// Who reviewed it there; another person.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new(PLAIN_TEXT).message(PLAIN_TEXT_SAYS))]
    pub reviewer: String,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RequestPhase {
    /// Nothing decided yet.
    #[default]
    Pending,
    /// Enough people approved; the grant is on its way.
    Approved,
    /// The grant is open.
    Ready,
    /// Nobody can connect any more; the grant is being shut and proved.
    Ending,
    /// Policy or a person said no.
    Denied,
    /// Nobody decided in time.
    Lapsed,
    /// The grant has ended.
    Ended,
}

/// What the operator made of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessRequestStatus {
    /// Where it stands.
    #[serde(default)]
    pub phase: RequestPhase,
    /// Digest of the terms: approvals must name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms: Option<String>,
    /// The terms in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Everything that the digest covers, for approvers: `name: value`, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// The rule that matched, `<policy>/<rule>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// `1/2`: approvals that count, of those needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<String>,
    /// Approvals seen, and whether each counts: 64 at most, those that count first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<ApprovalSummary>,
    /// How many more were seen. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_seen: Option<u32>,
    /// A denial is final: deleting it changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<DenialLatch>,
    /// Name of the grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// When the grant ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Where to connect: `<proxies namespace>/<pod>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The newest `metadata.generation` that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Approved`, `Open`, `Ended`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// One approval as the operator judged it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalSummary {
    /// Name of the `AccessApproval`.
    pub name: String,
    /// Who.
    pub approver: String,
    /// Whether it counts.
    pub counts: bool,
    /// If not, why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// A denial on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DenialLatch {
    /// The approver who denied, or `policy`.
    pub by: String,
    /// Why.
    pub message: String,
}
