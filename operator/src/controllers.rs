//! The loops: which change leads to which object being looked at again. Decides nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use access::{GRANT_ANNOTATION, GRANT_UID_LABEL, SIGNER, chain};
use crds::admission::RELEASE_LABEL;
use crds::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, Database};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;
use kube::runtime::{Controller, WatchStreamExt, controller, reflector, watcher};
use kube::{Api, Resource, ResourceExt};

use crate::api::{Kind, Metadata, Namespaced};
use crate::context::Context;
use crate::grant::children::{DATABASE_NAME_LABEL, DATABASE_NAMESPACE_LABEL};
use crate::{certificates, database, glance, grant, policy, request, retention, sweep, watchdog};

/// The most objects of one kind that are looked at at once.
const AT_ONCE: u16 = 16;

/// The longest wait before a watch that failed is tried again.
const AGAIN_AT_MOST: Duration = Duration::from_secs(4);

/// How long the API server lets a watch last, in seconds.
const WATCH_SECONDS: u32 = 60;

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
        () = watchdog::run(&context) => {}
        () = glance::run(&context) => {}
    }
}

/// What a watch of a kind brings, without its failures: they are told, and the watch tries again by itself. A loop that heard of
/// them would pause all its watches for one.
type Objects<K> = BoxStream<'static, Result<K, watcher::Error>>;

/// The objects of a kind, and a store that follows them. Who wrote which field is half of an object, and nothing to us.
fn followed<K: Kind>(context: &Arc<Context>, selected: watcher::Config) -> (Store<K>, Objects<K>) {
    listed(context, selected, || {})
}

/// The same; `tell` hears of each time that the store has all of them. (A store can be waited for by one task alone, which is the loop's.)
fn listed<K: Kind>(
    context: &Arc<Context>,
    selected: watcher::Config,
    tell: impl Fn() + Send + 'static,
) -> (Store<K>, Objects<K>) {
    let (store, writer) = reflector::store();
    let events = watcher(Api::all(context.watches.clone()), lasting(selected))
        .modify(|object: &mut K| object.managed_fields_mut().clear())
        .backoff(Soon::default())
        .reflect(writer);
    let objects = telling(events, tell).applied_objects();
    (store, without_failures(context, objects))
}

/// The events; `tell` hears of the end of each list.
fn telling<K, S: Stream<Item = watcher::Result<watcher::Event<K>>>>(
    events: S,
    tell: impl Fn() + Send + 'static,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> {
    events.inspect(move |event| {
        if matches!(event, Ok(watcher::Event::InitDone)) {
            tell();
        }
    })
}

/// The objects of a kind that come, change or go.
fn changes<K: Kind>(context: &Arc<Context>, selected: watcher::Config) -> Objects<K> {
    changes_in(context, Api::all(context.watches.clone()), selected)
}

fn changes_in<K: Kind>(context: &Arc<Context>, api: Api<K>, selected: watcher::Config) -> Objects<K> {
    let events = after_gaps(context, watcher(api, lasting(selected)).backoff(Soon::default()));
    without_failures(context, events.touched_objects())
}

/// A watch that was broken for too long begins with a list anew, and of what went meanwhile nobody hears: every grant is looked at.
fn after_gaps<K, S>(
    context: &Arc<Context>,
    events: S,
) -> impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + use<K, S>
where
    S: Stream<Item = Result<watcher::Event<K>, watcher::Error>>,
{
    let context = Arc::clone(context);
    let mut gaps = Gaps::default();
    events.inspect(move |event| {
        if event.as_ref().is_ok_and(|event| gaps.ends_one(event)) {
            context.wake_all();
        }
    })
}

/// The lists of one watch.
#[derive(Default)]
struct Gaps {
    has_begun: bool,
}

impl Gaps {
    /// Whether this event ends a list that is not the first: at the start everything is looked at anyhow.
    fn ends_one<K>(&mut self, event: &watcher::Event<K>) -> bool {
        matches!(event, watcher::Event::InitDone) && std::mem::replace(&mut self.has_begun, true)
    }
}

/// Objects of the proxies namespace with this label that change or go: their names and labels alone. What comes was made by a look that
/// does not wait for it.
fn names<K: Namespaced>(context: &Arc<Context>, label: &str) -> Objects<Metadata<K>> {
    let api = Api::<Metadata<K>>::namespaced(context.watches.clone(), &context.config.proxies_namespace);
    let events =
        after_gaps(context, watcher(api, lasting(anything().labels(label))).backoff(Soon::default()));
    let mut known = Known::default();
    let news = events.filter_map(move |event| {
        std::future::ready(match event {
            Ok(event) => known.news(event).map(Ok),
            Err(error) => Some(Err(error)),
        })
    });
    without_failures(context, news)
}

/// The objects of one watch, by uid.
#[derive(Default)]
struct Known(HashSet<String>);

impl Known {
    /// The object, if it is one that was known before.
    fn news<K: ResourceExt>(&mut self, event: watcher::Event<K>) -> Option<K> {
        match event {
            watcher::Event::Init => self.0.clear(),
            watcher::Event::InitDone => {}
            watcher::Event::InitApply(object) => {
                self.0.extend(object.uid());
            }
            watcher::Event::Apply(object) => {
                let is_new = object.uid().is_some_and(|uid| self.0.insert(uid));
                return Some(object).filter(|_| !is_new);
            }
            watcher::Event::Delete(object) => {
                object.uid().map(|uid| self.0.remove(&uid));
                return Some(object);
            }
        }
        None
    }
}

/// How long to wait before a watch that failed is tried again: as kube has it, but never long. A revocation may wait for it, and an API
/// server that comes back refuses the first.
#[derive(Default)]
struct Soon(DefaultBackoff);

impl Iterator for Soon {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|wait| wait.min(AGAIN_AT_MOST))
    }
}

impl Backoff for Soon {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// The API server ends each watch after this time, and a connection that hangs is noticed soon after.
fn lasting(selected: watcher::Config) -> watcher::Config {
    selected.timeout(WATCH_SECONDS)
}

fn without_failures<K: Resource<DynamicType = ()> + Send + 'static>(
    context: &Arc<Context>,
    objects: impl Stream<Item = Result<K, watcher::Error>> + Send + 'static,
) -> Objects<K> {
    let context = Arc::clone(context);
    let told = move |object: Result<K, watcher::Error>| {
        let object = object.inspect_err(|error| {
            context.metrics.failed("Watch");
            let kind = K::kind(&());
            tracing::warn!(%kind, error = %chain(error), "a watch failed; it is tried again");
        });
        std::future::ready(object.ok().map(Ok))
    };
    objects.filter_map(told).boxed()
}

fn anything() -> watcher::Config {
    watcher::Config::default()
}

fn of_release() -> watcher::Config {
    let (key, value) = RELEASE_LABEL;
    anything().labels(&format!("{key}={value}"))
}

fn few() -> controller::Config {
    controller::Config::default().concurrency(AT_ONCE)
}

async fn requests(context: Arc<Context>) {
    let (store, requests) = followed::<AccessRequest>(&context, anything().fields(LIVE_REQUESTS));
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
        .run(request::reconcile, request::failed, Arc::clone(&context))
        .for_each(|turn| turned(&context, turn))
        .await;
}

async fn grants(context: Arc<Context>) {
    let following = Arc::clone(&context);
    let (store, grants) =
        listed::<AccessGrant>(&context, anything().fields(LIVE_GRANTS), move || following.progress.follows());
    let [by_database, by_policy, by_approval, by_account] = [(); 4].map(|()| store.clone());
    context.grants.set(store.clone()).ok();
    let proxies = Api::<Pod>::namespaced(context.watches.clone(), &context.config.proxies_namespace);
    let proxies = changes_in(&context, proxies, anything().labels(GRANT_UID_LABEL));
    let listening = Arc::clone(&context);
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
            annotated(&pod)
        })
        .watches_stream(names::<NetworkPolicy>(&context, GRANT_UID_LABEL), |child| annotated(&child))
        .watches_stream(names::<Secret>(&context, GRANT_UID_LABEL), |child| annotated(&child))
        .watches_stream(names::<Role>(&context, GRANT_UID_LABEL), |child| annotated(&child))
        .watches_stream(names::<RoleBinding>(&context, GRANT_UID_LABEL), |child| annotated(&child))
        .watches_stream(names::<ServiceAccount>(&context, DATABASE_NAME_LABEL), move |account| {
            of_account(&by_account, &account)
        })
        .watches_stream(changes::<AccessRequest>(&context, anything().fields(LIVE_REQUESTS)), |request| {
            Some(ObjectRef::new(&request::grant_object::name(&request)).within(&request.namespace()?))
        })
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
        .run(grant::reconcile, grant::failed, Arc::clone(&context))
        .for_each(|turn| turned(&context, turn))
        .await;
}

async fn policies(context: Arc<Context>) {
    let (store, policies) = followed::<AccessPolicy>(&context, anything());
    Controller::for_stream(policies, store)
        .with_config(few())
        .run(policy::reconcile, policy::failed, Arc::clone(&context))
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
        .run(database::reconcile, database::failed, Arc::clone(&context))
        .for_each(|turn| turned(&context, turn))
        .await;
}

async fn sessions(context: Arc<Context>) {
    let ours = watcher::Config::default().fields(&format!("spec.signerName={SIGNER}"));
    let (store, sessions) = followed::<CertificateSigningRequest>(&context, ours);
    Controller::for_stream(sessions, store)
        .with_config(few())
        .run(certificates::sign::reconcile, certificates::sign::failed, Arc::clone(&context))
        .for_each(|turn| turned(&context, turn))
        .await;
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
    fn a_list_after_the_first_may_hide_that_something_went() {
        let mut gaps = Gaps::default();
        let events = [
            (watcher::Event::Init, false),
            (watcher::Event::InitApply("policy"), false),
            (watcher::Event::InitDone, false),
            (watcher::Event::Delete("policy"), false),
            (watcher::Event::Init, false),
            (watcher::Event::InitDone, true),
            (watcher::Event::InitDone, true),
        ];
        for (event, ends) in events {
            assert_eq!(gaps.ends_one(&event), ends, "{event:?}");
        }
    }

    #[tokio::test]
    async fn the_end_of_a_list_is_told_though_somebody_waits_for_the_store_too() {
        let (store, writer) = reflector::store::<Role>();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let (begin, begins) = tokio::sync::oneshot::channel::<()>();
        let events = stream::once(async move {
            begins.await.ok();
            Ok(watcher::Event::InitDone)
        });
        let events = telling(events.reflect(writer), move || tell.send(()).unwrap());
        let loops = tokio::spawn(events.for_each(|_| std::future::ready(())));
        let waits = tokio::spawn(async move { store.wait_until_ready().await.is_ok() });
        begin.send(()).unwrap();
        assert_eq!(told.recv().await, Some(()));
        assert!(waits.await.unwrap());
        loops.await.unwrap();
    }

    #[test]
    fn a_child_that_comes_is_no_news_and_one_that_changes_or_goes_is() {
        let role = |uid: &str| Role {
            metadata: kube::core::ObjectMeta { uid: Some(uid.to_owned()), ..Default::default() },
            ..Role::default()
        };
        let mut known = Known::default();
        let events = [
            (watcher::Event::Init, false),
            (watcher::Event::InitApply(role("old")), false),
            (watcher::Event::InitDone, false),
            (watcher::Event::Apply(role("old")), true),
            (watcher::Event::Apply(role("new")), false),
            (watcher::Event::Apply(role("new")), true),
            (watcher::Event::Delete(role("new")), true),
            (watcher::Event::Apply(role("new")), false),
            (watcher::Event::Delete(role("unknown")), true),
        ];
        for (number, (event, is_news)) in events.into_iter().enumerate() {
            assert_eq!(known.news(event).is_some(), is_news, "event {number}");
        }
    }

    #[test]
    fn a_watch_is_never_long_away() {
        let waits: Vec<Duration> = Soon::default().take(12).collect();
        assert_eq!(waits.len(), 12, "it is tried for ever");
        assert!(waits.iter().all(|wait| *wait <= AGAIN_AT_MOST), "{waits:?}");
    }

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
