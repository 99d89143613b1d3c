//! The identity of a database in the proxies namespace, `<namespace>.<database>`: shared by its grants, owned by none.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::core::ObjectMeta;

use super::{DATABASE_NAME_LABEL, DATABASE_NAMESPACE_LABEL, Parent};

/// The service account. It gives no rights in Kubernetes; Vault knows it.
pub fn service_account(parent: Parent<'_>) -> ServiceAccount {
    let target = parent.target;
    ServiceAccount {
        metadata: ObjectMeta {
            name: Some(target.identity()),
            namespace: Some(parent.config.proxies_namespace.clone()),
            labels: Some(BTreeMap::from([
                (DATABASE_NAMESPACE_LABEL.to_owned(), target.namespace.clone()),
                (DATABASE_NAME_LABEL.to_owned(), target.name.clone()),
                ("app.kubernetes.io/managed-by".to_owned(), "keyhole-operator".to_owned()),
            ])),
            ..ObjectMeta::default()
        },
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
