//! Listens to proxies that start or end: each change of theirs is looked at when it happens, and until then nobody asks the API server
//! what became of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use access::report::{Phase, Report};
use crds::AccessGrant;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::observe;
use crate::context::Context;

/// How long a proxy is listened to at the most: after that a look begins anew.
const AT_MOST: Duration = Duration::from_secs(30);

/// How long to wait before a proxy is asked again that does not listen yet, or of a release that answers at once.
const AGAIN_IN: Duration = Duration::from_millis(100);

/// The most proxies that are listened to at once. The others are looked at as often as their plans say.
const AT_ONCE: usize = 256;

/// How often the same proxy is heard, or asked, without a pause. An honest one has no more to say; one that was taken over may never stop.
const OFTEN: u32 = 20;

/// How long it waits to be heard after that.
const PAUSE: Duration = Duration::from_secs(1);

/// The proxies that are listened to, by uid of their grants.
pub struct Listening {
    listeners: Mutex<HashMap<String, Listener>>,
    places: Semaphore,
}

/// Who listens to one proxy.
struct Listener {
    address: IpAddr,
    /// What the proxy had said before, if anything.
    revision: Option<u64>,
    /// How many of those before it heard something at once.
    earlier: u32,
    since: Instant,
    task: AbortHandle,
}

impl Default for Listening {
    fn default() -> Self {
        Self { listeners: Mutex::default(), places: Semaphore::new(AT_ONCE) }
    }
}

impl Listening {
    /// Nobody listens to this grant's proxy any more.
    pub fn forget(&self, uid: &str) {
        if let Some(listener) = self.locked().remove(uid) {
            listener.task.abort();
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the grant looked at when its proxy says something else than it said to the look that asks for this. One listens at a time: the
/// one of the last look.
pub fn listen(
    context: &Arc<Context>,
    grant: &AccessGrant,
    (address, said): (IpAddr, Option<Report>),
    now: Timestamp,
) {
    let uid = grant.uid().unwrap_or_default();
    let revision = said.as_ref().map(|said| said.revision);
    let mut listening = context.listening.locked();
    let is_the_same = |listener: &Listener| listener.address == address && listener.revision == revision;
    if listening.get(&uid).is_some_and(|listener| is_the_same(listener) && !listener.task.is_finished()) {
        return;
    }
    let before = listening.get(&uid).filter(|listener| listener.address == address);
    let earlier = before.map_or(0, |before| heard(before.earlier, before.since.elapsed()));
    let Some(proxy) = observe::proxy(context, grant, address, now).map(Arc::new) else { return };
    let (waking, reference, of) = (Arc::clone(context), ObjectRef::from_obj(grant), uid.clone());
    let task = tokio::spawn(async move {
        let (context, of) = (&waking, &of);
        let ask = |revision| {
            let proxy = Arc::clone(&proxy);
            async move {
                let mut report = proxy.report_since(revision).await.ok()?;
                context.metrics.records.hear(of, &mut report);
                Some(report)
            }
        };
        let listens = async {
            // It is closed by nobody.
            let _place = waking.listening.places.acquire().await;
            news(ask, said).await;
        };
        timeout(AT_MOST, listens).await.ok();
        sleep(pause(earlier)).await;
        waking.wake(reference);
    });
    let since = Instant::now();
    let listener = Listener { address, revision, earlier, since, task: task.abort_handle() };
    if let Some(last) = listening.insert(uid, listener) {
        last.task.abort();
    }
}

/// How often a proxy was heard at once lately, with one more that took this long.
fn heard(earlier: u32, took: Duration) -> u32 {
    if took < PAUSE { earlier.saturating_add(1) } else { earlier.saturating_sub(1) }
}

fn pause(earlier: u32) -> Duration {
    if earlier < OFTEN { Duration::ZERO } else { PAUSE }
}

/// Returns when the proxy says something else that gives somebody something to do, or nothing any more.
async fn news<F>(ask: impl Fn(Option<u64>) -> F, mut said: Option<Report>)
where
    F: Future<Output = Option<Report>>,
{
    for asked in 0_u32.. {
        let says = ask(said.as_ref().map(|said| said.revision)).await;
        let is_new = says != said;
        if is_news(said.as_ref(), says.as_ref()) {
            return;
        }
        said = says;
        if !is_new || asked >= OFTEN {
            sleep(AGAIN_IN).await;
        }
    }
}

/// Whether what a proxy says gives somebody something to do. One that does what it was told, and has nothing that must go on record,
/// will say how that went.
pub fn is_news(said: Option<&Report>, says: Option<&Report>) -> bool {
    let Some(report) = says else { return said.is_some() };
    let is_on_its_way = match report.phase {
        Phase::Starting | Phase::Leasing | Phase::Ending => true,
        Phase::Custody | Phase::Ready | Phase::Ended => false,
    };
    let lease = |report: &Report| report.lease.clone();
    let is_quiet = report.failure.is_none() && report.lease == said.and_then(lease);
    Some(report) != said && !(is_on_its_way && is_quiet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::plan::tests_report;
    use access::report::{Failure, Lease};

    fn says(phase: Phase, revision: u64) -> Report {
        Report { phase, revision, ..tests_report() }
    }

    /// After how many questions there is news, and when.
    async fn asked(answers: Vec<Option<Report>>, said: Option<Report>) -> (Vec<Option<u64>>, Duration) {
        let (began, answers, asked) =
            (Instant::now(), Mutex::new(answers.into_iter()), Mutex::new(Vec::new()));
        let ask = |revision| {
            asked.lock().unwrap().push(revision);
            std::future::ready(answers.lock().unwrap().next().unwrap())
        };
        news(ask, said).await;
        assert!(answers.into_inner().unwrap().next().is_none(), "not all was heard");
        (asked.into_inner().unwrap(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_is_asked_until_there_is_something_to_do() {
        let starts = says(Phase::Starting, 1);
        let answers =
            vec![None, None, Some(starts.clone()), Some(starts.clone()), Some(says(Phase::Custody, 2))];
        let heard = asked(answers, None).await;
        assert_eq!(heard, (vec![None, None, None, Some(1), Some(1)], AGAIN_IN * 3));
        let custody = says(Phase::Custody, 2);
        let leasing = says(Phase::Leasing, 3);
        let lease = Lease {
            lease_id: "database/creds/reader/1".into(),
            user_name: "v-reader".into(),
            expires_at: "2026-01-01T12:30:00Z".parse().unwrap(),
        };
        let leased = Report { lease: Some(lease), ..says(Phase::Leasing, 4) };
        let heard = asked(vec![Some(leasing), Some(leased.clone())], Some(custody.clone())).await;
        assert_eq!(heard, (vec![Some(2), Some(3)], Duration::ZERO));
        let heard = asked(vec![Some(says(Phase::Ending, 5)), None], Some(custody.clone())).await;
        assert_eq!(heard, (vec![Some(2), Some(5)], Duration::ZERO));
        // Told to end while it read its credential: the lease goes on record all the same.
        let ending = Report { phase: Phase::Ending, revision: 5, ..leased };
        assert_eq!(asked(vec![Some(ending)], Some(custody)).await, (vec![Some(2)], Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_and_what_falls_silent_is_news_at_once() {
        let starts = says(Phase::Starting, 1);
        let failure = Failure { reason: "VaultSealed".into(), message: "unseal it".into() };
        let fails = Report { failure: Some(failure), ..says(Phase::Starting, 2) };
        for answer in [Some(fails), None] {
            assert_eq!(asked(vec![answer], Some(starts.clone())).await, (vec![Some(1)], Duration::ZERO));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_that_never_stops_is_not_asked_without_a_pause() {
        let chatter = (0..100).map(|revision| Some(says(Phase::Ending, revision)));
        let (asked, took) = asked(chatter.chain([None]).collect(), None).await;
        assert_eq!((asked.len(), took), (101, AGAIN_IN * (100 - OFTEN)));
        let mut looks = (0, Duration::ZERO, 0);
        while looks.1 < Duration::from_secs(60) {
            let took = pause(looks.2) + Duration::from_millis(10);
            looks = (looks.0 + 1, looks.1 + took, heard(looks.2, took));
        }
        assert!(looks.0 < OFTEN + 130, "{} looks in a minute", looks.0);
        assert_eq!(heard(OFTEN, AT_MOST), OFTEN - 1, "one that is patient is heard at once again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_that_counts_no_revisions_is_asked_now_and_then() {
        let custody = says(Phase::Custody, 0);
        let answers = vec![Some(custody.clone()), Some(custody.clone()), Some(says(Phase::Ready, 0))];
        assert_eq!(asked(answers, Some(custody)).await, (vec![Some(0); 3], AGAIN_IN * 2));
    }
}
