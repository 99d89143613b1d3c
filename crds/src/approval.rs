//! `AccessApproval`: an approver's word on one request, for exactly these terms. Immutable.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Evidence;

/// An approval or denial of one `AccessRequest`.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "access.keyhole.dev",
    version = "v1alpha1",
    kind = "AccessApproval",
    namespaced,
    shortname = "aapp",
    category = "keyhole",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessApprovalSpec {
    /// The request.
    pub request: RequestRef,
    /// The person the request is for, as written there.
    pub requester: String,
    /// The person who decides: your own user name, unless you may `approve-on-behalf`.
    pub approver: String,
    /// Of the groups that this namespace's policies name, those the approver is in.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Who writes this object: always your own user name.
    pub submitted_by: String,
    /// `Approve` or `Deny`. A denial is final.
    pub decision: Decision,
    /// The digest from the request's `status.terms`: what you approve, and nothing else.
    pub terms: String,
    /// For the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Where this was reviewed, when it is submitted on behalf of somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// A request by name and uid: a new request of the same name is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestRef {
    /// Its name.
    pub name: String,
    /// Its `metadata.uid`.
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
