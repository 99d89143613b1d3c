//! The loops: which change leads to which object being looked at again. Decides nothing.

use std::sync::Arc;

use access::{GRANT_UID_LABEL, SIGNER};
use crds::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, Database};
use futures_util::StreamExt;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, watcher};
use kube::{Api, Resource, ResourceExt};

use crate::context::Context;
use crate::grant::children::GRANT_ANNOTATION;
use crate::{certificates, grant, policy, request, sweep};

/// Runs every loop until dropped.
pub async fn run(context: Arc<Context>) {
    tokio::join!(
        requests(Arc::clone(&context)),
        grants(Arc::clone(&context)),
        policies(Arc::clone(&context)),
        sessions(Arc::clone(&context)),
        sweep::run(&context),
    );
}

fn all<K>(context: &Context) -> Api<K>
where
    K: Resource,
    K::DynamicType: Default,
{
    Api::all(context.client.clone())
}

async fn requests(context: Arc<Context>) {
    let anything = watcher::Config::default;
    let controller = Controller::new(all::<AccessRequest>(&context), anything());
    let [by_database, by_policy, by_rules, by_bindings] = [(); 4].map(|()| controller.store());
    controller
        .watches(all::<AccessApproval>(&context), anything(), |approval| {
            named(&approval, &approval.spec.request.name)
        })
        .watches(all::<AccessGrant>(&context), anything(), |grant| named(&grant, &grant.spec.request.name))
        .watches(all::<Database>(&context), anything(), move |database| pending_in(&by_database, &database))
        .watches(all::<AccessPolicy>(&context), anything(), move |policy| pending_in(&by_policy, &policy))
        .watches(all::<ValidatingAdmissionPolicy>(&context), anything(), move |_| pending(&by_rules))
        .watches(all::<ValidatingAdmissionPolicyBinding>(&context), anything(), move |_| {
            pending(&by_bindings)
        })
        .run(request::reconcile, request::failed, context)
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn grants(context: Arc<Context>) {
    let anything = watcher::Config::default;
    let controller = Controller::new(all::<AccessGrant>(&context), anything());
    let [by_request, by_database, by_policy] = [(); 3].map(|()| controller.store());
    context.grants.set(controller.store()).ok();
    let proxies = Api::<Pod>::namespaced(context.client.clone(), &context.config.proxies_namespace);
    let listening = Arc::clone(&context);
    controller
        .watches(proxies, watcher::Config::default().labels(GRANT_UID_LABEL), move |pod| {
            grant::observe::listen(&listening, &pod);
            annotated(&pod)
        })
        .watches(all::<AccessRequest>(&context), anything(), move |request| {
            let uid = request.uid().unwrap_or_default();
            of(&by_request, &request, |grant| grant.spec.request.uid == uid)
        })
        .watches(all::<Database>(&context), anything(), move |database| {
            let name = database.name_any();
            of(&by_database, &database, |grant| grant.spec.terms.database == name)
        })
        .watches(all::<AccessPolicy>(&context), anything(), move |policy| {
            let name = policy.name_any();
            of(&by_policy, &policy, |grant| grant.spec.terms.policy == name)
        })
        .run(grant::reconcile, grant::failed, context)
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn policies(context: Arc<Context>) {
    Controller::new(all::<AccessPolicy>(&context), watcher::Config::default())
        .run(policy::reconcile, policy::failed, context)
        .for_each(|_| std::future::ready(()))
        .await;
}

async fn sessions(context: Arc<Context>) {
    let ours = watcher::Config::default().fields(&format!("spec.signerName={SIGNER}"));
    Controller::new(all::<CertificateSigningRequest>(&context), ours)
        .run(certificates::sign::reconcile, certificates::sign::failed, context)
        .for_each(|_| std::future::ready(()))
        .await;
}

/// The request of this name in the namespace of `object`.
fn named<K: Resource>(object: &K, request: &str) -> Option<ObjectRef<AccessRequest>> {
    Some(ObjectRef::new(request).within(&object.namespace()?))
}

fn pending(store: &Store<AccessRequest>) -> Vec<ObjectRef<AccessRequest>> {
    let waiting = store.state().into_iter().filter(|known| request::is_pending(known));
    waiting.map(|request| ObjectRef::from_obj(&*request)).collect()
}

/// Requests of the same namespace that are not decided. Which of them the object matters to, they find out themselves.
fn pending_in<K: Resource>(store: &Store<AccessRequest>, object: &K) -> Vec<ObjectRef<AccessRequest>> {
    let namespace = object.namespace();
    pending(store).into_iter().filter(|reference| reference.namespace == namespace).collect()
}

/// Grants of the same namespace that are made from the object.
fn of<K: Resource>(
    store: &Store<AccessGrant>,
    object: &K,
    is_of: impl Fn(&AccessGrant) -> bool,
) -> Vec<ObjectRef<AccessGrant>> {
    let namespace = object.namespace();
    let matching = store.state().into_iter().filter(|grant| grant.namespace() == namespace && is_of(grant));
    matching.map(|grant| ObjectRef::from_obj(&*grant)).collect()
}

/// The grant that a child says it belongs to.
fn annotated<K: Resource>(child: &K) -> Option<ObjectRef<AccessGrant>> {
    let (namespace, name) = child.annotations().get(GRANT_ANNOTATION)?.split_once('/')?;
    Some(ObjectRef::new(name).within(namespace))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_child_finds_its_grant_by_its_annotation() {
        let pod = |annotations| -> Pod {
            serde_json::from_value(json!({"metadata": {"name": "grant-1", "annotations": annotations}}))
                .unwrap()
        };
        let found = annotated(&pod(json!({"access.keyhole.dev/grant": "shop/look-1"}))).unwrap();
        assert_eq!((found.namespace.as_deref(), found.name.as_str()), (Some("shop"), "look-1"));
        assert_eq!(annotated(&pod(json!({}))), None);
        assert_eq!(annotated(&pod(json!({"access.keyhole.dev/grant": "nothing"}))), None);
    }
}
