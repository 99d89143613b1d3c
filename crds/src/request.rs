//! `AccessRequest`: a person asks to read a database. Immutable.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A request to read one database for a while.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "access.keyhole.dev",
    version = "v1alpha1",
    kind = "AccessRequest",
    namespaced,
    shortname = "areq",
    category = "keyhole",
    status = "AccessRequestStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessRequestSpec {
    /// Name of the `Database` in this namespace.
    pub database: String,
    /// The person who will read: your own user name, unless you may `request-on-behalf`.
    pub user: String,
    /// Of the groups that this namespace's policies name, those the person is in.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Who writes this object: always your own user name.
    pub submitted_by: String,
    /// Why. Approvers read it.
    pub reason: String,
    /// How long, whole minutes: `30m`, `2h`, `1h30m`; 1 minute to 12 hours.
    pub duration: String,
    /// Where this was reviewed, when it is submitted on behalf of somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// Where something was reviewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// Address of the pull request.
    pub pull_request: String,
    /// The merged commit, 40 or 64 hex digits.
    pub commit: String,
    /// Who wrote the change, as the git host names them.
    pub author: String,
    /// Who reviewed it there; another person.
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
    /// The terms in words, for approvers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The rule that matched, `<policy>/<rule>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// `1/2`: approvals that count, of those needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<String>,
    /// Approvals seen, and whether each counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<ApprovalSummary>,
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
    /// `Approved`, `Ready`, `Ended`.
    #[serde(default)]
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
