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
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::observe;
use crate::context::Context;

/// How long a proxy is listened to at the most: after that a look begins anew.
const AT_MOST: Duration = Duration::from_secs(30);

/// How long to wait before a proxy is asked again that does not listen yet, or of a release that answers at once.
const AGAIN_IN: Duration = Duration::from_millis(100);

/// How often the same proxy is heard, or asked, at once. An honest one has no more to say; a proxy that was taken over may never stop.
const OFTEN: u32 = 20;

/// How long it waits to be heard after that.
const PAUSE: Duration = Duration::from_secs(1);

/// The proxies that are listened to, by uid of their grants.
#[derive(Default)]
pub struct Listening(Mutex<HashMap<String, Listener>>);

/// Who listens to one proxy.
struct Listener {
    address: IpAddr,
    /// What the proxy had said before, if anything.
    revision: Option<u64>,
    /// How many listened there before.
    earlier: u32,
    task: AbortHandle,
}

impl Listening {
    /// Nobody listens to this grant's proxy any more.
    pub fn forget(&self, uid: &str) {
        if let Some(listener) = self.locked().remove(uid) {
            listener.task.abort();
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Listener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
    let earlier = before.map_or(0, |listener| listener.earlier.saturating_add(1));
    let Some(proxy) = observe::proxy(context, grant, address, now).map(Arc::new) else { return };
    let (waking, reference) = (Arc::clone(context), ObjectRef::from_obj(grant));
    let task = tokio::spawn(async move {
        let ask = |revision| {
            let proxy = Arc::clone(&proxy);
            async move { proxy.report_since(revision).await.ok() }
        };
        timeout(AT_MOST, news(ask, said)).await.ok();
        sleep(pause(earlier)).await;
        waking.wake(reference);
    });
    let listener = Listener { address, revision, earlier, task: task.abort_handle() };
    if let Some(last) = listening.insert(uid, listener) {
        last.task.abort();
    }
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
        if is_new && !says.as_ref().is_some_and(is_on_its_way) {
            return;
        }
        said = says;
        if !is_new || asked >= OFTEN {
            sleep(AGAIN_IN).await;
        }
    }
}

/// It does what it was told, and will say how that went.
fn is_on_its_way(report: &Report) -> bool {
    report.failure.is_none()
        && match report.phase {
            Phase::Starting | Phase::Ending => true,
            Phase::Leasing => report.lease.is_none(),
            Phase::Custody | Phase::Ready | Phase::Ended => false,
        }
}

#[cfg(test)]
mod tests {
    use access::report::{Failure, Lease};
    use tokio::time::Instant;

    use super::*;
    use crate::grant::plan::tests_report;

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
        let heard = asked(vec![Some(leasing), Some(leased)], Some(custody.clone())).await;
        assert_eq!(heard, (vec![Some(2), Some(3)], Duration::ZERO));
        let heard =
            asked(vec![Some(says(Phase::Ending, 5)), Some(says(Phase::Ended, 6))], Some(custody)).await;
        assert_eq!(heard, (vec![Some(2), Some(5)], Duration::ZERO));
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
        assert_eq!(
            [0, OFTEN - 1, OFTEN, u32::MAX].map(pause),
            [Duration::ZERO, Duration::ZERO, PAUSE, PAUSE]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_that_counts_no_revisions_is_asked_now_and_then() {
        let custody = says(Phase::Custody, 0);
        let answers = vec![Some(custody.clone()), Some(custody.clone()), Some(says(Phase::Ready, 0))];
        assert_eq!(asked(answers, Some(custody)).await, (vec![Some(0); 3], AGAIN_IN * 2));
    }
}
