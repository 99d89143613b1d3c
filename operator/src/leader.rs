//! Leader election on a `Lease`, as Kubernetes' own components do it: two replicas, one of which acts.
//!
//! A holder that does not renew is judged by our own clock, from when we last saw its lease change: clocks of two
//! machines are never compared, and ours is one that nobody sets. A leader that cannot renew stops before another may begin.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::api::is_conflict;
use crate::clock::now;
use crate::config::Config;
use access::{LEADERSHIP_ANNOTATION, chain};

/// After this long without a change another replica may take over.
const LASTS: Duration = Duration::from_secs(15);
/// After this long without a renewal a leader stops.
const GIVES_UP: Duration = Duration::from_secs(10);
/// How often a lease is looked at or renewed.
const EVERY: Duration = Duration::from_secs(2);
/// How long one try to become the leader may take.
const ONE_TRY: Duration = Duration::from_secs(5);

/// One replica's part in the election.
pub struct Candidate {
    leases: Api<Lease>,
    name: String,
    view: View,
}

/// What one replica knows about the lease.
struct View {
    me: String,
    seen: Option<Seen>,
    /// The number of what was claimed last.
    leadership: u64,
}

/// A leadership that has begun.
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    /// Since when, at the latest.
    pub since: Instant,
    /// Its number: see [`LEADERSHIP_ANNOTATION`].
    pub leadership: u64,
}

/// The lease as it was when it last changed.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    holder: String,
    renewed: Option<MicroTime>,
    at: Instant,
}

/// What a look at the lease means.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// It is ours, or nobody's, or its holder is silent.
    Ours,
    /// Somebody else's.
    Theirs,
    /// Somebody wrote it between our reading and our writing: perhaps we ourselves, in a try that was given up.
    Unclear,
}

impl Candidate {
    /// A candidate for the operator's Lease; `me` is the replica's own name.
    pub fn new(client: &Client, config: &Config, me: &str) -> Self {
        Self {
            leases: Api::namespaced(client.clone(), &config.namespace),
            name: config.service_account.clone(),
            view: View { me: me.to_owned(), seen: None, leadership: 0 },
        }
    }

    /// Returns when we lead.
    pub async fn acquire(&mut self) -> Lead {
        let mut every = tokio::time::interval(EVERY);
        loop {
            every.tick().await;
            let asked = Instant::now();
            match timeout(ONE_TRY, self.try_once()).await {
                Ok(Ok(Standing::Ours)) => return Lead { since: asked, leadership: self.view.leadership },
                Ok(Ok(Standing::Theirs | Standing::Unclear)) => {}
                Ok(Err(error)) => tracing::warn!(error = %chain(&error), "cannot take part in the election"),
                Err(_) => tracing::warn!("cannot take part in the election: no answer in time"),
            }
        }
    }

    /// Renews; returns when we lead no more. Leading anew is another leadership: whoever was away begins from the start.
    pub async fn hold(&mut self, lead: Lead) {
        let mut renewed = lead.since;
        let mut every = tokio::time::interval(EVERY);
        loop {
            every.tick().await;
            // A process that was paused may have been followed, and its follower may be gone again.
            if renewed.elapsed() >= GIVES_UP {
                return;
            }
            // Others count from when they see it, which is after it was asked for.
            let asked = Instant::now();
            // An API server that does not answer must not make us miss our own deadline.
            match timeout(EVERY, self.try_once()).await {
                Ok(Ok(Standing::Ours)) if self.view.leadership == lead.leadership => renewed = asked,
                Ok(Ok(Standing::Ours | Standing::Theirs)) => return,
                Ok(Ok(Standing::Unclear)) => {}
                Ok(Err(error)) => tracing::warn!(error = %chain(&error), "cannot renew the leader's lease"),
                Err(_) => tracing::warn!("cannot renew the leader's lease in time"),
            }
        }
    }

    /// Renews until it is told to stop, and lets go then; or returns when we lead no more.
    pub async fn hold_until(mut self, lead: Lead, told_to_stop: oneshot::Receiver<()>) {
        let stops = tokio::select! {
            () = self.hold(lead) => false,
            // A sender that is gone has not said so.
            told = told_to_stop => told.is_ok(),
        };
        if stops {
            self.release().await;
        }
    }

    /// Lets go, so that another replica need not wait.
    async fn release(&self) {
        let Ok(Some(mut lease)) = self.leases.get_opt(&self.name).await else { return };
        let Some(spec) =
            lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.view.me))
        else {
            return;
        };
        spec.holder_identity = Some(String::new());
        if let Err(error) = self.leases.replace(&self.name, &PostParams::default(), &lease).await {
            tracing::debug!(error = %chain(&error), "the leader's lease was not released");
        }
    }

    async fn try_once(&mut self) -> Result<Standing, kube::Error> {
        let time = Instant::now();
        // The chart makes it, so that the operator needs no right to make any.
        let lease = self.leases.get(&self.name).await?;
        let spec = lease.spec.clone().unwrap_or_default();
        if self.view.judge(&spec, time) == Standing::Theirs {
            return Ok(Standing::Theirs);
        }
        // With the resourceVersion we read: of two who try at once, one meets a conflict.
        let claimed = self.view.claim(lease, now());
        won(self.leases.replace(&self.name, &PostParams::default(), &claimed).await.map(drop))
    }
}

impl View {
    fn judge(&mut self, spec: &LeaseSpec, time: Instant) -> Standing {
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder.is_empty() || holder == self.me {
            return Standing::Ours;
        }
        let same = self.seen.as_ref().filter(|seen| seen.holder == holder && seen.renewed == spec.renew_time);
        let at = same.map_or(time, |seen| seen.at);
        self.seen = Some(Seen { holder, renewed: spec.renew_time.clone(), at });
        if time.duration_since(at) >= LASTS { Standing::Ours } else { Standing::Theirs }
    }

    fn claim(&mut self, before: Lease, time: Timestamp) -> Lease {
        let Lease { mut metadata, spec } = before;
        let before = spec.unwrap_or_default();
        let was_ours = before.holder_identity.as_deref() == Some(&self.me);
        let transitions = before.lease_transitions.unwrap_or(0);
        let annotations = metadata.annotations.get_or_insert_default();
        let number = annotations.get(LEADERSHIP_ANNOTATION).and_then(|number| number.parse().ok());
        self.leadership = match number {
            Some(number) if was_ours => number,
            number => number.unwrap_or(0).saturating_add(1).max(millis(time)),
        };
        annotations.insert(LEADERSHIP_ANNOTATION.to_owned(), self.leadership.to_string());
        let spec = LeaseSpec {
            acquire_time: if was_ours { before.acquire_time.clone() } else { Some(MicroTime(time)) },
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
            lease_transitions: Some(if was_ours { transitions } else { transitions.saturating_add(1) }),
            renew_time: Some(MicroTime(time)),
            ..LeaseSpec::default()
        };
        Lease { metadata, spec: Some(spec) }
    }
}

fn millis(time: Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

/// A conflict is no loss yet: the next look tells whose it is.
fn won(written: Result<(), kube::Error>) -> Result<Standing, kube::Error> {
    match written {
        Ok(()) => Ok(Standing::Ours),
        Err(error) if is_conflict(&error) => Ok(Standing::Unclear),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use axum::http::{Method, Request, Response};
    use kube::client::Body;

    use super::*;

    fn candidate() -> View {
        View { me: "me".into(), seen: None, leadership: 0 }
    }

    fn held_by(holder: &str, renewed: &str) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.into()),
            renew_time: Some(MicroTime(renewed.parse().unwrap())),
            ..LeaseSpec::default()
        }
    }

    /// So many seconds after the test began.
    fn after(began: Instant, seconds: u64) -> Instant {
        began.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn a_silent_holder_is_judged_by_our_own_clock_only() {
        let (mut candidate, began) = (candidate(), Instant::now());
        // Its clock is a year behind: that alone means nothing.
        let old = held_by("other", "2025-01-01T00:00:00Z");
        assert_eq!(candidate.judge(&old, began), Standing::Theirs);
        assert_eq!(candidate.judge(&old, after(began, 14)), Standing::Theirs);
        assert_eq!(candidate.judge(&old, after(began, 15)), Standing::Ours);
    }

    #[test]
    fn a_holder_that_renews_stays() {
        let (mut candidate, began) = (candidate(), Instant::now());
        assert_eq!(candidate.judge(&held_by("other", "2026-01-01T00:00:00Z"), began), Standing::Theirs);
        assert_eq!(
            candidate.judge(&held_by("other", "2026-01-01T00:00:10Z"), after(began, 14)),
            Standing::Theirs
        );
        assert_eq!(
            candidate.judge(&held_by("other", "2026-01-01T00:00:10Z"), after(began, 20)),
            Standing::Theirs
        );
    }

    #[test]
    fn a_released_lease_and_our_own_are_ours_at_once() {
        let (mut candidate, began) = (candidate(), Instant::now());
        assert_eq!(candidate.judge(&held_by("", "2026-01-01T00:00:00Z"), began), Standing::Ours);
        assert_eq!(candidate.judge(&held_by("me", "2026-01-01T00:00:00Z"), began), Standing::Ours);
    }

    fn claimed(candidate: &mut View, before: Lease, time: &str) -> (Lease, u64) {
        let claimed = candidate.claim(before, time.parse().unwrap());
        let number = claimed.metadata.annotations.as_ref().unwrap()[LEADERSHIP_ANNOTATION].parse().unwrap();
        assert_eq!(candidate.leadership, number);
        (claimed, number)
    }

    #[test]
    fn each_leadership_has_a_larger_number_than_all_before_and_keeps_it() {
        let mut candidate = candidate();
        let (lease, first) = claimed(&mut candidate, Lease::default(), "2026-01-01T00:00:00Z");
        assert_eq!(first, 1_767_225_600_000, "a Lease that nobody held, or that was made anew");
        let (lease, renewed) = claimed(&mut candidate, lease, "2026-01-01T00:00:02Z");
        assert_eq!(renewed, first);
        let mut let_go = lease;
        let_go.spec.as_mut().unwrap().holder_identity = Some(String::new());
        let (lease, again) = claimed(&mut candidate, let_go.clone(), "2026-01-01T00:00:04Z");
        assert_eq!(again, first + 4_000, "leading anew is another leadership");
        assert_eq!(lease.spec.unwrap().lease_transitions, Some(2));
        // A clock that is behind makes no smaller number.
        assert_eq!(claimed(&mut candidate, let_go.clone(), "2025-01-01T00:00:00Z").1, first + 1);
        let_go.metadata.annotations = None;
        assert_eq!(claimed(&mut candidate, let_go, "2026-01-01T00:00:06Z").1, first + 6_000, "written over");
    }

    /// An API server that has one Lease and takes whatever is written; and how often it was asked.
    fn api_server(lease: &Arc<Mutex<Lease>>) -> (Client, Arc<AtomicUsize>) {
        let (lease, asked) = (Arc::clone(lease), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&asked);
        let answers = tower::service_fn(move |request: Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            let lease = Arc::clone(&lease);
            async move {
                if request.method() == Method::PUT {
                    let written = request.into_body().collect_bytes().await?;
                    *lease.lock().unwrap() = serde_json::from_slice(&written)?;
                }
                let now = serde_json::to_vec(&*lease.lock().unwrap())?;
                Ok::<_, tower::BoxError>(Response::new(Body::from(now)))
            }
        });
        (Client::new(answers, "keyhole-system"), asked)
    }

    fn held(holder: &str, number: u64) -> Arc<Mutex<Lease>> {
        let lease = serde_json::json!({
            "metadata": {"name": "keyhole-operator", "annotations": {LEADERSHIP_ANNOTATION: number.to_string()}},
            "spec": {"holderIdentity": holder},
        });
        Arc::new(Mutex::new(serde_json::from_value(lease).unwrap()))
    }

    /// Whether a leader whose number is 7 still leads after half a minute, and how often it asked.
    async fn leads_on(lease: &Arc<Mutex<Lease>>, since: Instant) -> (bool, usize) {
        let (client, asked) = api_server(lease);
        let leases = Api::namespaced(client, "keyhole-system");
        let mut candidate = Candidate { leases, name: "keyhole-operator".to_owned(), view: candidate() };
        let held = timeout(Duration::from_secs(30), candidate.hold(Lead { since, leadership: 7 })).await;
        (held.is_err(), asked.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_leads_on_in_the_leadership_that_it_began_and_in_no_other() {
        let ours = held("me", 7);
        assert!(leads_on(&ours, Instant::now()).await.0);
        // Somebody sent it away, or a follower came and went: it could lead again, and what it knows is of before.
        assert_eq!(leads_on(&held("", 7), Instant::now()).await, (false, 2));
        assert_eq!(leads_on(&held("me", 8), Instant::now()).await, (false, 2));
        assert!(!leads_on(&held("other", 8), Instant::now()).await.0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_away_for_too_long_asks_for_nothing_more() {
        let began = Instant::now();
        tokio::time::advance(GIVES_UP).await;
        assert_eq!(leads_on(&held("me", 7), began).await, (false, 0));
    }
}
