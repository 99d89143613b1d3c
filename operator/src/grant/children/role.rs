//! Port-forward to this one pod, for this one person.

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::Parent;

const RBAC: &str = "rbac.authorization.k8s.io";

/// `get` on the pod, `get` and `create` on its port-forward, by name.
pub fn role(parent: Parent<'_>) -> Role {
    Role {
        metadata: parent.metadata(),
        rules: Some(vec![
            rule(parent, "pods", &["get"]),
            rule(parent, "pods/portforward", &["get", "create"]),
        ]),
    }
}

/// The grant's person holds it, nobody else.
pub fn role_binding(parent: Parent<'_>) -> RoleBinding {
    RoleBinding {
        metadata: parent.metadata(),
        role_ref: RoleRef {
            api_group: RBAC.to_owned(),
            kind: "Role".to_owned(),
            name: parent.name().to_string(),
        },
        subjects: Some(vec![Subject {
            api_group: Some(RBAC.to_owned()),
            kind: "User".to_owned(),
            name: parent.grant.spec.user.clone(),
            namespace: None,
        }]),
    }
}

fn rule(parent: Parent<'_>, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec![resource.to_owned()]),
        resource_names: Some(vec![parent.name().to_string()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        non_resource_urls: None,
    }
}
