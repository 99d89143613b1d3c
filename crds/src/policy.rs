//! `AccessPolicy`: who may read what, and who must approve. Platform team.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LimitsSpec;
use crate::text::{GRANT_DURATION, GRANT_DURATION_SAYS};

/// Ordered rules: the first that matches decides; none, or an error in any `when` on the way, refuses.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "access.keyhole.dev",
    version = "v1alpha1",
    kind = "AccessPolicy",
    namespaced,
    shortname = "khpol",
    category = "keyhole",
    doc = "Who may read what, and who must approve.",
    status = "PolicyStatus",
    derive = "PartialEq",
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Groups", "type": "string", "jsonPath": ".spec.groups", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[x_kube(validation = Rule::new(
    "has(self.groups) == has(oldSelf.groups) && (!has(self.groups) || self.groups == oldSelf.groups)"
).message("groups never change, for requests already say which of them a person is in: make another AccessPolicy"))]
#[x_kube(validation = Rule::new("self.rules.all(rule, self.rules.exists_one(other, other.name == rule.name))")
    .message("each rule needs a name of its own"))]
#[x_kube(validation = Rule::new(
    "self.rules.all(rule, !has(rule.approvals) || !has(rule.approvals.approvers.groups) || \
     rule.approvals.approvers.groups.all(group, has(self.groups) && group in self.groups))"
).message("each group of approvers must stand in spec.groups"))]
#[serde(rename_all = "camelCase")]
pub struct AccessPolicySpec {
    /// The groups the rules may speak of. Requests and approvals must say truthfully which of them the person is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub groups: Vec<String>,
    /// A request that nobody decides lapses after this. `24h` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new(
        "self.matches('^([1-9][0-9]{0,2}h)?([1-9][0-9]{0,2}m)?$') && self != '' && \
         duration(self) >= duration('1m') && duration(self) <= duration('168h')"
    ).message("write 1m to 168h in whole minutes: 30m, 24h, 168h"))]
    pub pending_timeout: Option<String>,
    /// How long ended grants are kept, where shorter than the release keeps them (`retention.ended`): whole minutes, up to 999 hours.
    /// Requests and approvals follow the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new(
        "self.matches('^([1-9][0-9]{0,2}h)?([1-9][0-9]{0,2}m)?$') && self != ''"
    ).message("write whole minutes and hours: 24h, 720h"))]
    pub keep_ended_for: Option<String>,
    /// The first that matches wins.
    #[schemars(length(min = 1, max = 32))]
    pub rules: Vec<crate::Rule>,
}

/// One rule: either it denies, or it says how many of whom must approve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.deny) != has(self.approvals)")
    .message("a rule has either deny or approvals"))]
#[x_kube(validation = Rule::new(
    "!has(self.onBehalfBy) || !has(self.approvals) || self.approvals.required <= 1 || \
     !self.onBehalfBy.exists(trusted, has(trusted.both) && trusted.both)"
).message("onBehalfBy with both is for rules that want one approval: one submitter carries no request and several approvals of it"))]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// What people call it; shown in the request's status.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// CEL over `request` (`user`, `groups`, `submittedBy`, `reason`, `minutes`, and the timestamp `createdAt`) and `database`
    /// (`name`, `namespace`, `engine`, `labels`); true when the rule matches. Default: it matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub when: Option<String>,
    /// Refuse, with a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny: Option<DenySpec>,
    /// How many of whom must approve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<ApprovalsSpec>,
    /// Submitters trusted to act for others under this rule. None by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub on_behalf_by: Vec<OnBehalfBy>,
    /// The longest duration under this rule, `30m`, `2h`. Default `12h`, the longest there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new(GRANT_DURATION).message(GRANT_DURATION_SAYS))]
    pub max_duration: Option<String>,
    /// Bounds, where narrower than the database's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsSpec>,
    /// How many live grants of one database one person may have at the same time, 1 to 100. Default 1; another request waits
    /// until one of them has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_live: Option<u32>,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DenySpec {
    /// Why, and what to do instead.
    #[schemars(length(min = 1, max = 1024))]
    pub message: String,
}

/// N of M.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new(
    "self.required == 0 || (has(self.approvers.groups) && self.approvers.groups.size() > 0) || \
     (has(self.approvers.users) && self.approvers.users.size() >= self.required)"
).message("approvers must name at least as many people as required, or a group"))]
#[serde(rename_all = "camelCase")]
pub struct ApprovalsSpec {
    /// Number of approvals of different people. 0 grants at once.
    #[schemars(range(max = 16))]
    pub required: u32,
    /// Who may approve.
    #[serde(default)]
    pub approvers: ApproversSpec,
}

/// People and groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApproversSpec {
    /// User names, as the API server knows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 384)))]
    pub users: Vec<String>,
    /// Groups; each must stand in the policy's `groups`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    pub groups: Vec<String>,
}

/// A submitter that may act for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnBehalfBy {
    /// Its user name, for example `system:serviceaccount:argocd:argocd-application-controller`.
    #[schemars(length(min = 1, max = 384))]
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
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
