//! Leader election on a `Lease`, as Kubernetes' own components do it: two replicas, one of which acts.
//!
//! A holder that does not renew is judged by our own clock, from when we last saw its lease change: clocks of two
//! machines are never compared, and ours is one that nobody sets. A leader that cannot renew stops before another may begin. A Lease that
//! is not there is held by somebody silent: the leader stops at once, and another is made only when a silent one would be given up.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::api::is_conflict;
use crate::clock::now;
use crate::config::Config;
use crate::owner;
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
    client: Client,
    config: Config,
    view: View,
}

/// What one replica knows about the lease.
struct View {
    me: String,
    seen: Option<Seen>,
    /// Since when there is no Lease.
    absent: Option<Instant>,
    /// The largest number of a leadership that was seen.
    highest: u64,
    /// The number of what was claimed last.
    leadership: u64,
    /// The number of what was before that.
    after: Option<u64>,
}

/// A leadership that has begun.
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    /// Since when, at the latest.
    pub since: Instant,
    /// Its number: see [`LEADERSHIP_ANNOTATION`].
    pub leadership: u64,
    /// The number of the one before it, by the Lease.
    pub after: Option<u64>,
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
    /// There is none.
    Absent,
}

impl Candidate {
    /// A candidate for the operator's Lease; `me` is the replica's own name.
    pub fn new(client: &Client, config: &Config, me: &str) -> Self {
        Self { client: client.clone(), config: config.clone(), view: View::of(me) }
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.config.namespace)
    }

    fn name(&self) -> &str {
        &self.config.service_account
    }

    /// Returns when we lead.
    pub async fn acquire(&mut self) -> Lead {
        let mut every = tokio::time::interval(EVERY);
        loop {
            every.tick().await;
            let asked = Instant::now();
            match timeout(ONE_TRY, self.claim_or_make()).await {
                Ok(Ok(Standing::Ours)) => {
                    let View { leadership, after, .. } = self.view;
                    return Lead { since: asked, leadership, after };
                }
                Ok(Ok(Standing::Theirs | Standing::Unclear | Standing::Absent)) => {}
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
                Ok(Ok(Standing::Ours | Standing::Theirs | Standing::Absent)) => return,
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
        let (leases, name) = (self.leases(), self.name());
        let Ok(Some(mut lease)) = leases.get_opt(name).await else { return };
        let Some(spec) =
            lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.view.me))
        else {
            return;
        };
        spec.holder_identity = Some(String::new());
        if let Err(error) = leases.replace(name, &PostParams::default(), &lease).await {
            tracing::debug!(error = %chain(&error), "the leader's lease was not released");
        }
    }

    async fn try_once(&mut self) -> Result<Standing, kube::Error> {
        let time = Instant::now();
        let leases = self.leases();
        let Some(mut lease) = leases.get_opt(self.name()).await? else { return Ok(Standing::Absent) };
        if self.view.judge(&lease, time) == Standing::Theirs {
            return Ok(Standing::Theirs);
        }
        if !self.view.holds(&lease)
            && let Some(owner) = self.owner().await?
        {
            lease.metadata.owner_references = Some(owner);
        }
        // With the resourceVersion we read: of two who try at once, one meets a conflict.
        let claimed = self.view.claim(lease, now());
        won(leases.replace(self.name(), &PostParams::default(), &claimed).await.map(drop))
    }

    /// The chart does not make the Lease: Argo CD applies none, whatever its settings say.
    async fn claim_or_make(&mut self) -> Result<Standing, kube::Error> {
        match self.try_once().await? {
            Standing::Absent if self.view.is_absent_for_long(Instant::now()) => self.make().await,
            other => Ok(other),
        }
    }

    /// Makes the Lease, as ours.
    async fn make(&mut self) -> Result<Standing, kube::Error> {
        let metadata = ObjectMeta {
            name: Some(self.name().to_owned()),
            owner_references: self.owner().await?,
            ..ObjectMeta::default()
        };
        let claimed = self.view.claim(Lease { metadata, spec: None }, now());
        won(self.leases().create(&PostParams::default(), &claimed).await.map(drop))
    }

    async fn owner(&self) -> Result<Option<Vec<OwnerReference>>, kube::Error> {
        Ok(owner::find(&self.client, &self.config).await?.map(|owner| vec![owner]))
    }
}

impl View {
    fn of(me: &str) -> Self {
        Self { me: me.to_owned(), seen: None, absent: None, highest: 0, leadership: 0, after: None }
    }

    fn holds(&self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        holder == Some(&self.me)
    }

    /// Whether a leader that could not renew meanwhile has stopped.
    fn is_absent_for_long(&mut self, time: Instant) -> bool {
        let since = *self.absent.get_or_insert(time);
        time.duration_since(since) >= LASTS
    }

    fn judge(&mut self, lease: &Lease, time: Instant) -> Standing {
        self.absent = None;
        self.highest = self.highest.max(number(lease).unwrap_or(0));
        let spec = lease.spec.clone().unwrap_or_default();
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
        let number = number(&before);
        // A process that began anew under the same name leads anew, too: it knows nothing of what the one before it put on record.
        let was_ours = self.holds(&before) && number.is_none_or(|number| number == self.leadership);
        let Lease { mut metadata, spec } = before;
        let before = spec.unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or(0);
        let annotations = metadata.annotations.get_or_insert_default();
        if !was_ours {
            self.after = number;
        }
        self.leadership = match number {
            Some(number) if was_ours => number,
            // Larger than any before, also where the Lease was deleted and a clock went back.
            number => number.unwrap_or(0).max(self.highest).saturating_add(1).max(millis(time)),
        };
        self.highest = self.highest.max(self.leadership);
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

/// The number of the leadership that the Lease tells of.
fn number(lease: &Lease) -> Option<u64> {
    lease.metadata.annotations.as_ref()?.get(LEADERSHIP_ANNOTATION)?.parse().ok()
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
    use serde_json::json;

    use super::*;

    fn candidate() -> View {
        View::of("me")
    }

    fn held_by(holder: &str, renewed: &str) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.into()),
            renew_time: Some(MicroTime(renewed.parse().unwrap())),
            ..LeaseSpec::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
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
        let anew = claimed(&mut self::candidate(), lease.clone(), "2026-01-01T00:00:03Z").1;
        assert_eq!(anew, first + 3_000, "a process that began anew under the same name leads anew");
        let mut let_go = lease;
        let_go.spec.as_mut().unwrap().holder_identity = Some(String::new());
        let (lease, again) = claimed(&mut candidate, let_go.clone(), "2026-01-01T00:00:04Z");
        assert_eq!(again, first + 4_000, "leading anew is another leadership");
        assert_eq!(lease.spec.unwrap().lease_transitions, Some(2));
        // A clock that is behind makes no smaller number.
        assert_eq!(claimed(&mut candidate, let_go.clone(), "2025-01-01T00:00:00Z").1, first + 4_001);
        let_go.metadata.annotations = None;
        assert_eq!(claimed(&mut candidate, let_go, "2026-01-01T00:00:06Z").1, first + 6_000, "written over");
    }

    /// The Lease that there is, if there is one.
    type Kept = Arc<Mutex<Option<Lease>>>;

    /// An API server that has one Lease or none, and one Deployment, and takes whatever is written; and how often it was asked for Leases.
    fn api_server(lease: &Kept) -> (Client, Arc<AtomicUsize>) {
        let (lease, asked) = (Arc::clone(lease), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&asked);
        let answers = tower::service_fn(move |request: Request<Body>| {
            let (lease, counted) = (Arc::clone(&lease), Arc::clone(&counted));
            async move {
                if request.uri().path().ends_with("/deployments/keyhole-operator") {
                    let deployment =
                        json!({"metadata": {"name": "keyhole-operator", "uid": "of-the-deployment"}});
                    return Ok(Response::new(Body::from(serde_json::to_vec(&deployment)?)));
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let method = request.method().clone();
                let written = request.into_body().collect_bytes().await?;
                let mut kept = lease.lock().unwrap();
                let refused = match method {
                    Method::POST if kept.is_some() => Some((409, "AlreadyExists")),
                    Method::GET | Method::PUT if kept.is_none() => Some((404, "NotFound")),
                    _ => None,
                };
                if refused.is_none() && method != Method::GET {
                    *kept = Some(serde_json::from_slice(&written)?);
                }
                let (status, answer) = match refused {
                    Some((code, reason)) => (
                        code,
                        serde_json::to_vec(&json!({"kind": "Status", "code": code, "reason": reason}))?,
                    ),
                    None => (200, serde_json::to_vec(&*kept)?),
                };
                Ok::<_, tower::BoxError>(Response::builder().status(status).body(Body::from(answer))?)
            }
        });
        (Client::new(answers, "keyhole-system"), asked)
    }

    fn held(holder: &str, number: u64) -> Kept {
        let lease = json!({
            "metadata": {"name": "keyhole-operator", "annotations": {LEADERSHIP_ANNOTATION: number.to_string()}},
            "spec": {"holderIdentity": holder},
        });
        Arc::new(Mutex::new(serde_json::from_value(lease).unwrap()))
    }

    fn candidate_at(client: Client) -> Candidate {
        Candidate { client, config: crate::config::tests::example(), view: candidate() }
    }

    fn owners(lease: &Kept) -> Vec<String> {
        let lease = lease.lock().unwrap();
        let owners = lease.as_ref().and_then(|lease| lease.metadata.owner_references.clone());
        owners.unwrap_or_default().into_iter().map(|owner| owner.uid).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_not_there_is_made_when_nobody_can_lead_any_more_and_goes_with_the_deployment() {
        let (nothing, began) = (Kept::default(), Instant::now());
        let mut candidate = candidate_at(api_server(&nothing).0);
        let lead = candidate.acquire().await;
        assert!(lead.since.duration_since(began) >= LASTS, "a leader may not have stopped");
        assert!(candidate.view.holds(nothing.lock().unwrap().as_ref().unwrap()));
        assert_eq!(owners(&nothing), ["of-the-deployment"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_whose_lease_is_deleted_stops_at_once_and_makes_none() {
        let lease = Kept::default();
        let mut candidate = candidate_at(api_server(&lease).0);
        let lead = candidate.acquire().await;
        lease.lock().unwrap().take();
        timeout(EVERY.saturating_mul(2), candidate.hold(lead)).await.unwrap();
        assert!(lease.lock().unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_that_find_no_lease_one_leads() {
        let nothing = Kept::default();
        let (client, _) = api_server(&nothing);
        let (mut one, mut two) = (candidate_at(client.clone()), candidate_at(client));
        two.view.me = "other".to_owned();
        let both = async { tokio::join!(one.acquire(), two.acquire()) };
        assert!(timeout(LASTS.saturating_add(EVERY), both).await.is_err(), "both lead");
        let made = nothing.lock().unwrap().clone().unwrap();
        assert!(one.view.holds(&made) != two.view.holds(&made));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_an_earlier_release_left_goes_with_the_deployment_from_then_on() {
        let lease = held("", 7);
        candidate_at(api_server(&lease).0).acquire().await;
        assert_eq!(owners(&lease), ["of-the-deployment"]);
    }

    #[test]
    fn a_number_that_was_seen_is_never_met_again() {
        let mut candidate = candidate();
        let mut theirs = held_by("other", "2026-01-01T00:00:00Z");
        theirs.metadata.annotations =
            Some([(LEADERSHIP_ANNOTATION.to_owned(), "9000000000000".to_owned())].into());
        assert_eq!(candidate.judge(&theirs, Instant::now()), Standing::Theirs);
        // Then it is deleted, and our clock is far behind the one that made it.
        assert_eq!(claimed(&mut candidate, Lease::default(), "2026-01-01T00:00:00Z").1, 9_000_000_000_001);
    }

    /// Whether a leader whose number is 7 still leads after half a minute, and how often it asked.
    async fn leads_on(lease: &Kept, since: Instant) -> (bool, usize) {
        let (client, asked) = api_server(lease);
        let mut candidate = candidate_at(client);
        candidate.view.leadership = 7;
        let held =
            timeout(Duration::from_secs(30), candidate.hold(Lead { since, leadership: 7, after: None }))
                .await;
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
