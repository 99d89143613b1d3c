//! `AccessPolicy`: who may read what, and who must approve. Platform team.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LimitsSpec;

/// Ordered rules: the first that matches decides; none, or an error in any `when` on the way, refuses.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "access.keyhole.dev",
    version = "v1alpha1",
    kind = "AccessPolicy",
    namespaced,
    shortname = "apol",
    category = "keyhole",
    status = "PolicyStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessPolicySpec {
    /// The groups the rules may speak of. Requests and approvals must say truthfully which of them the person is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// A request that nobody decides lapses after this. `24h` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_timeout: Option<String>,
    /// The first that matches wins.
    pub rules: Vec<Rule>,
}

/// One rule: either it denies, or it says how many of whom must approve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// What people call it; shown in the request's status.
    pub name: String,
    /// CEL over `request` (`user`, `groups`, `submittedBy`, `reason`, `minutes`), `database` (`name`, `namespace`,
    /// `engine`, `labels`) and `now` (timestamp); true when the rule matches. Default: it matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Refuse, with a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<DenySpec>,
    /// How many of whom must approve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalsSpec>,
    /// Submitters trusted to act for others under this rule. None by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_behalf_by: Vec<OnBehalfBy>,
    /// The longest duration under this rule, `30m`, `2h`. Default `12h`, the longest there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<String>,
    /// Bounds, where narrower than the database's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsSpec>,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DenySpec {
    /// Why, and what to do instead.
    pub message: String,
}

/// N of M.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalsSpec {
    /// Number of approvals of different people. 0 grants at once.
    pub required: u32,
    /// Who may approve.
    #[serde(default)]
    pub approvers: ApproversSpec,
}

/// People and groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApproversSpec {
    /// User names, as the API server knows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Groups; each must stand in the policy's `groups`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// A submitter that may act for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OnBehalfBy {
    /// Its user name, for example `system:serviceaccount:argocd:argocd-application-controller`.
    pub user: String,
    /// Whether it may carry both a request and an approval of it: only for a controller whose git host holds the
    /// review. Default false.
    #[serde(default)]
    pub both: bool,
}

/// What the operator found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// `Ready`: True when every expression compiles.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}
