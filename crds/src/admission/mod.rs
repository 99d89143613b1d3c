//! Who may write what: the admission policies of a release, as values.
//!
//! The chart's YAML is generated from here, and the operator compares the cluster's policies with these: it grants nothing
//! while one is missing or differs. So every default that the API server fills in is written out; a policy that went
//! through the API server has an equal `spec`.
//!
//! Not here, on purpose: a policy for CertificateSigningRequests. The API server lets only holders of `approve` and `sign`
//! on the signer touch them, and a certificate counts only when the session CA's key made it.

mod approvals;
mod draft;
mod grants;
mod groups;
mod metadata;
mod pods;
mod proxies;
mod requests;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};

/// What an approver-like verb on `accessrequests` is called: lets its holder write requests in other people's names.
pub const REQUEST_ON_BEHALF: &str = "request-on-behalf";
/// The same on `accessapprovals`.
pub const APPROVE_ON_BEHALF: &str = "approve-on-behalf";
/// Name of the default-deny NetworkPolicy in the proxies namespace: the only one there that the chart owns.
pub const DEFAULT_DENY: &str = "keyhole-default-deny";
/// Audience of the token that a proxy shows to Vault.
pub const VAULT_AUDIENCE: &str = "vault";

/// What differs from one installation to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The operator's user name, `system:serviceaccount:<namespace>:<service account>`.
    pub operator_user: String,
    /// Namespace of the operator.
    pub operator_namespace: String,
    /// Namespace of the proxies.
    pub proxies_namespace: String,
    /// The only image that runs there, exactly as pods name it.
    pub proxy_image: String,
}

impl Release {
    /// The operator's service account: the last part of its user name. Role and RoleBinding in the proxies namespace are
    /// called the same.
    fn service_account(&self) -> &str {
        self.operator_user.rsplit(':').next().unwrap_or_default()
    }
}

/// All policies of this release, each with its one binding of the same name.
pub fn release_policies(
    release: &Release,
) -> Vec<(ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding)> {
    [
        requests::written_by(),
        approvals::written_by(release),
        groups::truthful(),
        grants::written_by(release),
        metadata::status(release),
        metadata::marks(release),
        pods::created(release),
        pods::entered(release),
        pods::reported(release),
        proxies::tokens(release),
        proxies::objects(release),
    ]
    .into_iter()
    .map(draft::Draft::finish)
    .collect()
}
