//! `AccessApproval`: an approver's word on one request, for exactly these terms. Immutable.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Evidence;
use crate::text::{PLAIN_TEXT, PLAIN_TEXT_SAYS};

/// An approval or denial of one `AccessRequest`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "access.keyhole.dev",
    version = "v1alpha1",
    kind = "AccessApproval",
    namespaced,
    shortname = "khapp",
    category = "keyhole",
    doc = "An approval or denial of one `AccessRequest`, for exactly the terms whose digest it names.",
    status = "ApprovalStatus",
    derive = "PartialEq",
    selectable = ".spec.request.name",
    selectable = ".spec.request.uid",
    selectable = ".spec.approver",
    printcolumn = r#"{"name": "Request", "type": "string", "jsonPath": ".spec.request.name"}"#,
    printcolumn = r#"{"name": "Requester", "type": "string", "jsonPath": ".spec.requester"}"#,
    printcolumn = r#"{"name": "Decision", "type": "string", "jsonPath": ".spec.decision"}"#,
    printcolumn = r#"{"name": "Approver", "type": "string", "jsonPath": ".spec.approver"}"#,
    printcolumn = r#"{"name": "Counts", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Counted')].status"}"#,
    printcolumn = r#"{"name": "Comment", "type": "string", "jsonPath": ".spec.comment", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new("self == oldSelf")
    .message("an approval never changes: delete it and apply another one"))]
#[serde(rename_all = "camelCase")]
pub struct AccessApprovalSpec {
    /// The request.
    pub request: RequestRef,
    /// The person the request is for, as written there.
    #[schemars(length(min = 1, max = 384))]
    #[x_kube(validation = Rule::new(PLAIN_TEXT).message(PLAIN_TEXT_SAYS))]
    pub requester: String,
    /// The person who decides: your own user name, unless you may `approve-on-behalf`.
    #[schemars(length(min = 1, max = 384))]
    #[x_kube(validation = Rule::new(PLAIN_TEXT).message(PLAIN_TEXT_SAYS))]
    pub approver: String,
    /// Of the groups that this namespace's policies name, those the approver is in.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub groups: Vec<String>,
    /// Who writes this object: always your own user name.
    #[schemars(length(min = 1, max = 384))]
    #[x_kube(validation = Rule::new(PLAIN_TEXT).message(PLAIN_TEXT_SAYS))]
    pub submitted_by: String,
    /// `Approve` or `Deny`. A denial is final.
    pub decision: Decision,
    /// The digest from the request's `status.terms`: what you approve, and nothing else.
    #[schemars(length(max = 71))]
    #[x_kube(validation = Rule::new("self.matches('^sha256:[0-9a-f]{64}$')")
        .message("copy the digest from status.terms of the request: sha256: and 64 hex digits"))]
    pub terms: String,
    /// For the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new(PLAIN_TEXT).message(PLAIN_TEXT_SAYS))]
    pub comment: Option<String>,
    /// Where this was reviewed, when it is submitted on behalf of somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// What the operator made of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// `Counted`: whether it counts for its request, and if not, why. As it was when the request was last decided about.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A request by name and uid: a new request of the same name is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRef {
    /// Its name.
    #[schemars(length(min = 1, max = 50))]
    pub name: String,
    /// Its `metadata.uid`.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// An approver's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// Yes, to these terms.
    Approve,
    /// No; final.
    Deny,
}
