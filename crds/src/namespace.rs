//! The proxies namespace as the chart makes it: what every grant stands on beside the admission policies.
//!
//! The chart's own copies are held to these by a test; the operator compares the cluster's with them.

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::admission::{DEFAULT_DENY, Release};

/// Label of the namespace that says which Pod Security Standard its pods are held to.
pub const POD_SECURITY: &str = "pod-security.kubernetes.io/enforce";
/// Label of the namespace with the release of Kubernetes whose standard that is; absent, it is the cluster's own.
pub const POD_SECURITY_VERSION: &str = "pod-security.kubernetes.io/enforce-version";
/// The standard that proxies are held to.
pub const RESTRICTED: &str = "restricted";

const RBAC: &str = "rbac.authorization.k8s.io";

/// Lets nothing in and nothing out: each proxy's own NetworkPolicy opens what its grant needs.
pub fn default_deny(release: &Release) -> NetworkPolicy {
    NetworkPolicy {
        metadata: named(DEFAULT_DENY, release),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector::default()),
            policy_types: Some(["Ingress", "Egress"].map(str::to_owned).to_vec()),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// What the operator makes there, and what it hands out to the user of a grant.
pub fn operators_role(release: &Release) -> Role {
    let all = ["get", "list", "watch", "create", "patch", "delete"];
    Role {
        metadata: named(release.service_account(), release),
        rules: Some(vec![
            rule("", &["pods", "secrets", "serviceaccounts"], &all),
            rule("", &["pods/portforward"], &["get", "create"]),
            rule("networking.k8s.io", &["networkpolicies"], &all),
            rule(RBAC, &["roles", "rolebindings"], &all),
        ]),
    }
}

/// Of that Role, to the operator and nobody else.
pub fn operators_binding(release: &Release) -> RoleBinding {
    let account = release.service_account();
    RoleBinding {
        metadata: named(account, release),
        role_ref: RoleRef { api_group: RBAC.to_owned(), kind: "Role".to_owned(), name: account.to_owned() },
        subjects: Some(vec![Subject {
            api_group: None,
            kind: "ServiceAccount".to_owned(),
            name: account.to_owned(),
            namespace: Some(release.operator_namespace.clone()),
        }]),
    }
}

fn named(name: &str, release: &Release) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(release.proxies_namespace.clone()),
        ..ObjectMeta::default()
    }
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        resource_names: None,
        non_resource_urls: None,
    }
}
