//! Who may write what: the admission policies of a release, as values.
//!
//! The chart's YAML is generated from here, and the operator compares the cluster's policies with these: it grants nothing
//! while one is missing or differs. So every default that the API server fills in is written out; a policy that went
//! through the API server has an equal `spec`.
//!
//! What becomes of a CertificateSigningRequest needs no policy: the API server lets only holders of `approve` and `sign` on the
//! signer touch it, and a certificate counts only when the session CA's key made it.

mod approvals;
mod draft;
mod grants;
mod groups;
mod leader;
mod log;
mod metadata;
mod operators;
mod pods;
mod proxies;
mod requests;
mod sessions;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};

/// Verb on `accessrequests`: its holder may write requests in other people's names, with evidence.
pub const REQUEST_ON_BEHALF: &str = "request-on-behalf";
/// Verb on `accessapprovals`: its holder may write approvals in other people's names, with evidence.
pub const APPROVE_ON_BEHALF: &str = "approve-on-behalf";
/// Verb on `accessgrants`, without a namespace: its holder may ask for session certificates, and for no others.
pub const CONNECT: &str = "connect";
/// Verb on `accessgrants`, without a namespace: its holder may ask for certificates for the audit log, and for no others. What they may
/// read or erase there the verbs of `access::AuditorTask` say.
pub const CONNECT_LOG: &str = "connect-log";
/// Verb on `accessgrants`: its holder may give up the proof of a grant's end, on record.
pub const ABANDON: &str = "abandon";
/// Verb on `certificatesigningrequests`: its holder may ask any signer all the same.
pub const REQUEST_ANY: &str = "request-any";
/// Name of the default-deny NetworkPolicy in the proxies namespace: the only one there that the chart owns.
pub const DEFAULT_DENY: &str = "keyhole-default-deny";
/// Secret of the internal authority, in the operator's namespace, where an installation names none.
pub const INTERNAL_AUTHORITY: &str = "keyhole-internal-ca";
/// Secret of the authority of people's sessions, likewise.
pub const SESSION_AUTHORITY: &str = "keyhole-session-ca";
/// Name of the audit log's StatefulSet, Service and NetworkPolicy in the operator's namespace.
pub const LOG: &str = "keyhole-log";
/// Label of the audit log's pod, which nobody else's has.
pub const LOG_LABEL: (&str, &str) = ("app.kubernetes.io/name", LOG);
/// Secret of the audit log's certificate and its key, in the operator's namespace.
pub const LOG_IDENTITY: &str = "keyhole-log-tls";
/// Secret of the key that encrypts the keys of texts on record, likewise.
pub const LOG_KEYS: &str = "keyhole-log-kek";
/// Secret of the key by which the operator signs what it sees of the audit log, likewise.
pub const LOG_WITNESS: &str = "keyhole-witness";
/// ConfigMap of what it has seen, likewise.
pub const LOG_ANCHOR: &str = "keyhole-log-anchor";
/// Label of every policy and definition of a release, by which the operator finds them.
pub const RELEASE_LABEL: (&str, &str) = ("app.kubernetes.io/name", "keyhole");
/// Audience of the token that a proxy shows to Vault.
pub const VAULT_AUDIENCE: &str = "vault";

/// What differs from one installation to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The operator's user name, `system:serviceaccount:<namespace>:<service account>`.
    pub operator_user: String,
    /// Namespace of the operator.
    pub operator_namespace: String,
    /// The only image that the operator's pods run, exactly as they name it.
    pub operator_image: String,
    /// Namespace of the proxies.
    pub proxies_namespace: String,
    /// The only image that runs there, exactly as pods name it.
    pub proxy_image: String,
    /// The only image that the audit log's pod runs, exactly as it names it.
    pub log_image: String,
    /// The Secrets of the operator's namespace that the installation names for its authorities: internal, session, and those before.
    /// Empty where it names none.
    pub authorities: [String; 4],
}

impl Release {
    /// The operator's service account: the last part of its user name. Role and RoleBinding in the proxies namespace are
    /// called the same.
    pub fn service_account(&self) -> &str {
        self.operator_user.rsplit(':').next().unwrap_or_default()
    }
}

/// All policies of this release, each with its one binding.
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
        leader::grants(release),
        leader::children(release),
        leader::reopened(release),
        operators::pods(release),
        operators::neighbours(release),
        log::pods(release),
        operators::entered(release),
        operators::tokens(release),
        operators::secrets(release),
        sessions::asked_for(),
    ]
    .into_iter()
    .map(draft::Draft::finish)
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        Release {
            operator_user: "system:serviceaccount:keyhole-system:keyhole-operator".into(),
            operator_namespace: "keyhole-system".into(),
            operator_image: "registry.example.com/keyhole-operator:0.1.0".into(),
            proxies_namespace: "keyhole-proxies".into(),
            proxy_image: "registry.example.com/keyhole-proxy:0.1.0".into(),
            log_image: "registry.example.com/keyhole-log:0.1.0".into(),
            authorities: Default::default(),
        }
    }

    #[test]
    fn every_policy_fails_closed_and_every_binding_denies_everywhere() {
        for (policy, binding) in release_policies(&release()) {
            let (rules, bound) = (policy.spec.unwrap(), binding.spec.unwrap());
            assert_eq!(rules.failure_policy.as_deref(), Some("Fail"));
            assert_eq!(rules.match_conditions, None);
            assert_eq!(bound.validation_actions, Some(vec!["Deny".to_owned()]));
            assert_eq!(bound.match_resources, None);
            assert_eq!(bound.policy_name, policy.metadata.name);
        }
    }

    #[test]
    fn a_binding_that_says_something_else_has_another_name_and_an_installation_elsewhere_the_same() {
        let bindings = |release: &Release| release_policies(release).into_iter().map(|(_, binding)| binding);
        let names = |release: &Release| -> Vec<_> {
            bindings(release).map(|binding| binding.metadata.name.unwrap()).collect()
        };
        let elsewhere =
            Release { operator_namespace: "x".into(), proxies_namespace: "y".into(), ..release() };
        assert_eq!(names(&release()), names(&elsewhere));
        for binding in bindings(&release()) {
            let name = binding.metadata.name.unwrap();
            let mut said = binding.spec.unwrap();
            assert!(name.contains(&draft::shape(&said)), "{name}");
            match &mut said.param_ref {
                Some(found) => found.parameter_not_found_action = Some("Other".to_owned()),
                None => said.validation_actions = Some(vec!["Audit".to_owned()]),
            }
            assert!(!name.contains(&draft::shape(&said)), "{name}");
        }
    }

    #[test]
    fn every_refusal_says_why() {
        for (policy, _) in release_policies(&release()) {
            let validations = policy.spec.unwrap().validations.unwrap();
            assert!(!validations.is_empty());
            for validation in validations {
                assert!(validation.message.is_some_and(|message| message.len() > 20));
            }
        }
    }

    #[test]
    fn another_operator_namespace_image_or_authority_makes_other_policies() {
        let base = release_policies(&release());
        let operator = Release { operator_user: "system:serviceaccount:x:y".into(), ..release() };
        let namespace = Release { proxies_namespace: "x".into(), ..release() };
        let image = Release { proxy_image: "x".into(), ..release() };
        let operators = Release { operator_image: "x".into(), ..release() };
        let logs = Release { log_image: "x".into(), ..release() };
        let authorities = Release { authorities: ["x", "", "", ""].map(str::to_owned), ..release() };
        for other in [operator, namespace, image, operators, logs, authorities] {
            assert_ne!(release_policies(&other), base);
        }
        assert_eq!(release_policies(&release()), base);
    }
}
