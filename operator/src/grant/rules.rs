//! Reads whether a grant's children other than its pod are there.

use access::ChildName;
use crds::AccessGrant;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;

use super::observe::{Unread, metadata};
use super::observed::{Child, Known, Rules};
use crate::context::Context;

/// Reads them, and notes it when all are there.
pub async fn read(context: &Context, grant: &AccessGrant, unread: &mut Unread) -> Rules {
    let uid = grant.uid().unwrap_or_default();
    let before = context.rules_seen.before(&uid);
    let place = context.config.proxies_namespace.as_str();
    let account = format!("{}.{}", grant.namespace().unwrap_or_default(), grant.spec.terms.database);
    let name = ChildName::of(&uid);
    let name = name.as_str();
    let (network_policy, secret, role, role_binding, service_account) = tokio::join!(
        metadata::<NetworkPolicy>(context, place, name),
        metadata::<Secret>(context, place, name),
        metadata::<Role>(context, place, name),
        metadata::<RoleBinding>(context, place, name),
        metadata::<ServiceAccount>(context, place, &account),
    );
    let rules = Rules {
        network_policy: child(&unread.read("the NetworkPolicy", network_policy)),
        secret: child(&unread.read("the Secret", secret)),
        role: child(&unread.read("the Role", role)),
        role_binding: child(&unread.read("the RoleBinding", role_binding)),
        service_account: child(&unread.read("the ServiceAccount", service_account)),
    };
    if rules == Rules::PRESENT {
        context.rules_seen.note(&uid, before);
    }
    rules
}

fn child<K>(found: &Known<Option<K>>) -> Child {
    match found {
        Known::Seen(Some(_)) => Child::Present,
        Known::Seen(None) => Child::Missing,
        Known::Unknown => Child::Unknown,
    }
}
