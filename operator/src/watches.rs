//! What the loops follow: watches whose failures are told and tried again soon, and that hide nothing. Decides nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use access::chain;
use crds::admission::RELEASE_LABEL;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use kube::runtime::reflector::Store;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Resource, ResourceExt};

use crate::api::{Kind, Metadata, Namespaced};
use crate::context::Context;

/// The longest wait before a watch that failed is tried again.
const AGAIN_AT_MOST: Duration = Duration::from_secs(4);

/// How long the API server lets a watch last, in seconds.
const WATCH_SECONDS: u32 = 60;

/// What a watch of a kind brings, without its failures: they are told, and the watch tries again by itself. A loop that heard of
/// them would pause all its watches for one.
pub type Objects<K> = BoxStream<'static, Result<K, watcher::Error>>;

/// The objects of a kind, and a store that follows them. Who wrote which field is half of an object, and nothing to us.
pub fn followed<K: Kind>(context: &Arc<Context>, selected: watcher::Config) -> (Store<K>, Objects<K>) {
    listed(context, selected, |_| {}, || {})
}

/// The same. `less` takes away what nobody needs of an object that is kept; `tell` hears of each time that the store has all of them. (A
/// store can be waited for by one task alone, which is the loop's.)
pub fn listed<K: Kind>(
    context: &Arc<Context>,
    selected: watcher::Config,
    less: fn(&mut K),
    tell: impl Fn() + Send + 'static,
) -> (Store<K>, Objects<K>) {
    let (store, writer) = reflector::store();
    let events = watcher(Api::all(context.watches.clone()), lasting(selected))
        .modify(move |object: &mut K| {
            object.managed_fields_mut().clear();
            less(object);
        })
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
pub fn changes<K: Kind>(context: &Arc<Context>, selected: watcher::Config) -> Objects<K> {
    changes_in(context, Api::all(context.watches.clone()), selected)
}

/// The same, of one API.
pub fn changes_in<K: Kind>(context: &Arc<Context>, api: Api<K>, selected: watcher::Config) -> Objects<K> {
    let events = after_gaps(context, watcher(api, lasting(selected)).backoff(Soon::default()));
    without_failures(context, events.touched_objects())
}

/// The objects of a kind that go or are about to, or are no longer among those selected.
pub fn departures<K: Kind>(context: &Arc<Context>, selected: watcher::Config) -> Objects<K> {
    let api = Api::<K>::all(context.watches.clone());
    let events = after_gaps(context, watcher(api, lasting(selected)).backoff(Soon::default()));
    let going = events.filter_map(|event| {
        std::future::ready(match event {
            Ok(event) => going(event).map(Ok),
            Err(error) => Some(Err(error)),
        })
    });
    without_failures(context, going)
}

fn going<K: Resource>(event: watcher::Event<K>) -> Option<K> {
    match event {
        watcher::Event::Delete(object) => Some(object),
        watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
            Some(object).filter(|object| object.meta().deletion_timestamp.is_some())
        }
        watcher::Event::Init | watcher::Event::InitDone => None,
    }
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
/// does not wait for it. Each list may hide that something went before it.
pub fn names<K: Namespaced>(context: &Arc<Context>, label: &str) -> Objects<Metadata<K>> {
    let api = Api::<Metadata<K>>::namespaced(context.watches.clone(), &context.config.proxies_namespace);
    let events = watcher(api, lasting(anything().labels(label))).backoff(Soon::default());
    let telling = Arc::clone(context);
    let events = after_gaps(context, self::telling(events, move || telling.rules_seen.tell_all()));
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

/// Nothing is left out.
pub fn anything() -> watcher::Config {
    watcher::Config::default()
}

/// What the release itself is made of.
pub fn of_release() -> watcher::Config {
    let (key, value) = RELEASE_LABEL;
    anything().labels(&format!("{key}={value}"))
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use k8s_openapi::api::rbac::v1::Role;

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
    fn what_changes_and_stays_does_not_go() {
        let role = |deleted: bool| {
            let now =
                deleted.then(|| k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(crate::clock::now()));
            let metadata = kube::core::ObjectMeta { deletion_timestamp: now, ..Default::default() };
            Role { metadata, ..Role::default() }
        };
        let events = [
            (watcher::Event::Init, false),
            (watcher::Event::InitApply(role(false)), false),
            (watcher::Event::InitApply(role(true)), true),
            (watcher::Event::InitDone, false),
            (watcher::Event::Apply(role(false)), false),
            (watcher::Event::Apply(role(true)), true),
            (watcher::Event::Delete(role(false)), true),
        ];
        for (number, (event, goes)) in events.into_iter().enumerate() {
            assert_eq!(going(event).is_some(), goes, "event {number}");
        }
    }

    #[test]
    fn a_watch_is_never_long_away() {
        let waits: Vec<Duration> = Soon::default().take(12).collect();
        assert_eq!(waits.len(), 12, "it is tried for ever");
        assert!(waits.iter().all(|wait| *wait <= AGAIN_AT_MOST), "{waits:?}");
    }
}
