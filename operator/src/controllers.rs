//! The loops: which change leads to which object being looked at again. Decides nothing.

use std::sync::Arc;

use access::{AUDITOR_SIGNER, GRANT_ANNOTATION, GRANT_UID_LABEL, SIGNER};
use crds::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, Database};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, controller, watcher};
use kube::{Api, Resource, ResourceExt};
use tokio::time::Instant;

use crate::api::{Metadata, Namespaced};
use crate::audit::{orphans, receipt, witness};
use crate::certificates::answer::SignError;
use crate::context::Context;
use crate::grant::children::{DATABASE_NAME_LABEL, DATABASE_NAMESPACE_LABEL};
use crate::pki::log;
use crate::watches::{
    Objects, anything, changes, changes_in, departures, followed, listed, names, of_release,
};
use crate::{certificates, database, glance, grant, policy, request, retention, sweep, watchdog};

/// The most objects of one kind that are looked at at once.
const AT_ONCE: u16 = 16;

/// Requests that may still change. What is over costs nothing: it is neither read nor kept.
const LIVE_REQUESTS: &str = "status.phase!=Ended,status.phase!=Denied,status.phase!=Lapsed";

/// Grants about which something is left to be done.
pub const LIVE_GRANTS: &str = "status.settled!=true";

/// Runs every loop until dropped.
pub async fn run(context: Arc<Context>) {
    tokio::select! {
        () = closing(Arc::clone(&context)) => {}
        () = databases(Arc::clone(&context)) => {}
        () = retention::run(&context) => {}
        () = log::run(&context) => {}
        () = witness::run(&context) => {}
        () = receipt::run(&context) => {}
        () = auditors(Arc::clone(&context)) => {}
    }
}

/// Runs the loops without which nothing ends, until dropped: no probe is made beside them.
pub async fn closing(context: Arc<Context>) {
    context.progress.made();
    // Each runs for ever: one that ends is a fault of ours, and ends them all.
    tokio::select! {
        () = requests(Arc::clone(&context)) => {}
        () = grants(Arc::clone(&context)) => {}
        () = policies(Arc::clone(&context)) => {}
        () = sessions(Arc::clone(&context)) => {}
        () = sweep::run(&context) => {}
        () = orphans::run(&context) => {}
        () = watchdog::run(&context) => {}
        () = glance::run(&context) => {}
    }
}

fn few() -> controller::Config {
    controller::Config::default().concurrency(AT_ONCE)
}

async fn requests(context: Arc<Context>) {
    let selected = anything().fields(LIVE_REQUESTS);
    let (store, requests) = listed::<AccessRequest>(&context, selected, request::without_prose, || {});
    let writing = Arc::clone(&context);
    // What we wrote ourselves is no reason to look.
    let requests = requests.filter(move |request| {
        std::future::ready(request.as_ref().map_or(true, |request| !writing.written.is_as_written(request)))
    });
    let [by_database, by_policy, by_rules, by_bindings] = [(); 4].map(|()| store.clone());
    Controller::for_stream(requests, store)
        .with_config(few())
        .watches_stream(changes::<AccessApproval>(&context, anything()), |approval| {
            named(&approval, &approval.spec.request.name)
        })
        .watches_stream(changes::<AccessGrant>(&context, anything().fields(LIVE_GRANTS)), |grant| {
            named(&grant, &grant.spec.request.name)
        })
        .watches_stream(changes::<Database>(&context, anything()), move |database| {
            pending_in(&by_database, &database)
        })
        .watches_stream(changes::<AccessPolicy>(&context, anything()), move |policy| {
            pending_in(&by_policy, &policy)
        })
        .watches_stream(changes::<ValidatingAdmissionPolicy>(&context, of_release()), move |_| {
            pending(&by_rules)
        })
        .watches_stream(changes::<ValidatingAdmissionPolicyBinding>(&context, of_release()), move |_| {
            pending(&by_bindings)
        })
        .run(timed("AccessRequest", request::reconcile), request::failed, Arc::clone(&context))
        .for_each(|turn| turned(&context, turn))
        .await;
}

async fn grants(context: Arc<Context>) {
    let (store, grants) = live_grants(&context);
    let [by_database, by_policy, by_approval, by_account] = [(); 4].map(|()| store.clone());
    context.grants.set(store.clone()).ok();
    let proxies = Api::<Pod>::namespaced(context.watches.clone(), &context.config.proxies_namespace);
    let proxies = changes_in(&context, proxies, anything().labels(GRANT_UID_LABEL));
    let [listening, accounts, leaving] = [(); 3].map(|()| Arc::clone(&context));
    let wakes = context.take_wakes();
    let wakes = stream::unfold(wakes, |wakes| async move {
        let mut wakes = wakes?;
        let grant = wakes.recv().await?;
        Some((grant, Some(wakes)))
    });
    // As many turns at once as there are grants: one that ends tells its proxy at once, and `grant::look` bounds the rest.
    Controller::for_stream(grants, store)
        .watches_stream(proxies, move |pod| {
            grant::observe::listen(&listening, &pod);
            // One that is being made, and goes well, gives nobody anything to do.
            annotated(&pod).filter(|_| !grant::pods::is_being_made(&pod))
        })
        .watches_stream(names::<NetworkPolicy>(&context, GRANT_UID_LABEL), rule_of(&context))
        .watches_stream(names::<Secret>(&context, GRANT_UID_LABEL), rule_of(&context))
        .watches_stream(names::<Role>(&context, GRANT_UID_LABEL), rule_of(&context))
        .watches_stream(names::<RoleBinding>(&context, GRANT_UID_LABEL), rule_of(&context))
        .watches_stream(names::<ServiceAccount>(&context, DATABASE_NAME_LABEL), move |account| {
            // It is a rule of many.
            accounts.rules_seen.tell_all();
            of_account(&by_account, &account)
        })
        .watches_stream(
            departures::<AccessRequest>(&context, anything().fields(LIVE_REQUESTS)),
            move |request| {
                leaving.written.forget(&request.uid().unwrap_or_default());
                Some(ObjectRef::new(&request::grant_object::name(&request)).within(&request.namespace()?))
            },
        )
        .watches_stream(changes::<AccessApproval>(&context, anything()), move |approval| {
            let uid = approval.uid().unwrap_or_default();
            of(&by_approval, &approval, |grant| grant.spec.approved_by.iter().any(|by| by.uid == uid))
        })
        .watches_stream(changes::<Database>(&context, anything()), move |database| {
            let name = database.name_any();
            of(&by_database, &database, |grant| grant.spec.terms.database == name)
        })
        .watches_stream(changes::<AccessPolicy>(&context, anything()), move |policy| {
            let name = policy.name_any();
            of(&by_policy, &policy, |grant| grant.spec.terms.policy == name)
        })
        .reconcile_on(wakes)
        .run(timed("AccessGrant", grant::reconcile), grant::failed, Arc::clone(&context))
        .for_each(|turn| turned(&context, turn))
        .await;
}

/// Grants about which something is left to be done, as they come and as others change them.
fn live_grants(context: &Arc<Context>) -> (Store<AccessGrant>, Objects<AccessGrant>) {
    let following = Arc::clone(context);
    let told = move || {
        following.progress.follows();
        // Only now has the store what the list told.
        following.awaited.tell_all();
    };
    let (store, grants) = listed::<AccessGrant>(context, anything().fields(LIVE_GRANTS), |_| {}, told);
    let telling = Arc::clone(context);
    // What changes stands in the store already. What we wrote ourselves is no reason to look.
    let grants = grants.filter(move |grant| {
        let is_news = grant.as_ref().map_or(true, |grant| {
            telling.awaited.tell(&grant.uid().unwrap_or_default());
            !telling.written.is_as_written(grant)
        });
        std::future::ready(is_news)
    });
    (store, grants.boxed())
}

async fn policies(context: Arc<Context>) {
    let (store, policies) = followed::<AccessPolicy>(&context, anything());
    Controller::for_stream(policies, store)
        .with_config(few())
        .run(timed("AccessPolicy", policy::reconcile), policy::failed, Arc::clone(&context))
        .for_each(|turn| turned(&context, turn))
        .await;
}

async fn databases(context: Arc<Context>) {
    let (store, databases) = followed::<Database>(&context, anything());
    let [by_policy, by_grant] = [(); 2].map(|()| store.clone());
    Controller::for_stream(databases, store)
        .with_config(few())
        .watches_stream(changes::<AccessPolicy>(&context, anything()), move |policy| {
            let (namespace, name) = (policy.namespace(), policy.name_any());
            let known = by_policy.state().into_iter();
            let named =
                known.filter(|known| known.namespace() == namespace && known.spec.access_policy == name);
            named.map(|database| ObjectRef::from_obj(&*database)).collect::<Vec<_>>()
        })
        // One that is settled goes out of sight, and is so heard of for the last time.
        .watches_stream(changes::<AccessGrant>(&context, anything().fields(LIVE_GRANTS)), move |grant| {
            let probed = ObjectRef::new(&grant.spec.terms.database).within(&grant.namespace()?);
            // One that is not known is no database any more.
            by_grant.get(&probed).map(|_| probed).filter(|_| grant.spec.terms.probe)
        })
        .run(timed("Database", database::reconcile), database::failed, Arc::clone(&context))
        .for_each(|turn| turned(&context, turn))
        .await;
}

async fn sessions(context: Arc<Context>) {
    signed(context, SIGNER, timed("CertificateSigningRequest", certificates::sign::reconcile)).await;
}

async fn auditors(context: Arc<Context>) {
    let look = timed("CertificateSigningRequest", certificates::auditors::sign::reconcile);
    signed(context, AUDITOR_SIGNER, look).await;
}

/// The requests for one signer.
async fn signed(
    context: Arc<Context>,
    signer: &str,
    look: impl FnMut(
        Arc<CertificateSigningRequest>,
        Arc<Context>,
    ) -> BoxFuture<'static, Result<Action, SignError>>,
) {
    let ours = watcher::Config::default().fields(&format!("spec.signerName={signer}"));
    let (store, requests) = followed::<CertificateSigningRequest>(&context, ours);
    Controller::for_stream(requests, store)
        .with_config(few())
        .run(look, certificates::answer::failed, Arc::clone(&context))
        .for_each(|turn| turned(&context, turn))
        .await;
}

/// Looks as `look` does, and tells how long that took.
fn timed<K, F>(
    kind: &'static str,
    look: fn(Arc<K>, Arc<Context>) -> F,
) -> impl FnMut(Arc<K>, Arc<Context>) -> BoxFuture<'static, F::Output>
where
    K: Send + Sync + 'static,
    F: Future + Send + 'static,
{
    move |object, context| {
        let began = Instant::now();
        let looked = look(object, Arc::clone(&context));
        Box::pin(async move {
            let looked = looked.await;
            context.metrics.looked(kind, began.elapsed());
            looked
        })
    }
}

/// One turn of a loop, whatever came of it: failures are told where they happen, and an object that is not in the store is over, or
/// gone.
async fn turned<T>(context: &Context, _: T) {
    context.progress.made();
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
    let namespace = object.meta().namespace.as_ref();
    let grants = store.state().into_iter();
    let matching = grants.filter(|grant| grant.metadata.namespace.as_ref() == namespace && is_of(grant));
    matching.map(|grant| ObjectRef::from_obj(&*grant)).collect()
}

/// Grants of the database that the service account belongs to.
fn of_account(store: &Store<AccessGrant>, account: &Metadata<ServiceAccount>) -> Vec<ObjectRef<AccessGrant>> {
    let label = |name: &str| account.labels().get(name);
    let (namespace, database) = (label(DATABASE_NAMESPACE_LABEL), label(DATABASE_NAME_LABEL));
    let grants = store.state().into_iter();
    let matching = grants.filter(|grant| {
        grant.metadata.namespace.as_ref() == namespace && Some(&grant.spec.terms.database) == database
    });
    matching.map(|grant| ObjectRef::from_obj(&*grant)).collect()
}

/// Of a rule that changes or goes, its grant: it is read anew.
fn rule_of<K: Namespaced>(
    context: &Arc<Context>,
) -> impl Fn(Metadata<K>) -> Option<ObjectRef<AccessGrant>> + use<K> {
    let context = Arc::clone(context);
    move |rule| {
        rule.labels().get(GRANT_UID_LABEL).into_iter().for_each(|uid| context.rules_seen.tell(uid));
        annotated(&rule)
    }
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
