//! The plan of a grant that has time left: rules first, then the pod, then custody, then ready.

use access::report::{Phase, Report};
use access::{ChildName, Limits, Used};
use crds::{AccessGrant, AccessGrantStatus, Because, ConditionType, GrantPhase, Reason};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::super::observed::{Child, Known, Observed, Place, PodSeen, PodState, Rules, UsageDue};
use super::draft::Draft;
use super::leases::{note_end, note_stopped, open_detail, record, settle, standing, to_hand_over};
use super::show::not_ready;
use super::trust::untrusted;
use super::usage::{self, used};
use super::{Action, ChildKind, Knows, Plan};
use crate::audit::facts::of_custody;

/// How soon a probe that is ready is looked at again: it has nothing to wait for.
const PROBED: SignedDuration = SignedDuration::from_millis(150);
/// How soon a proxy that starts is looked at again though it says nothing new.
const LISTENED: SignedDuration = SignedDuration::from_secs(5);
/// How long a grant that is ready is left alone when nothing of it changes: everything that it stands on is watched. Some wait a little
/// less, so that those that were opened together are not looked at together.
const SETTLED: SignedDuration = SignedDuration::from_mins(60);
/// How often a proxy is looked at that is ready and does not answer: its node tells when it stops, and it is asked beside the looks.
const SILENT: SignedDuration = SignedDuration::from_secs(60);
/// How long Kubernetes' own events are waited for.
const PATIENT: SignedDuration = SignedDuration::from_secs(2);
/// How long whoever shuts the leases is waited for, until we look ourselves whether they are still in hand.
const LEASES: SignedDuration = SignedDuration::from_secs(30);
/// Times of objects have whole seconds; less than this is not late.
const LATE: SignedDuration = SignedDuration::from_secs(2);
/// How long the first failed pod is left to be looked at; twice as long each time after.
const FIRST_BACKOFF_SECONDS: i64 = 5;
/// The longest wait between two pods.
const LONGEST_BACKOFF_SECONDS: i64 = 120;

pub(super) fn open(observed: &Observed, now: Timestamp) -> Plan {
    let mut draft = Draft::of(observed, now);
    if let Some(report) = &observed.report {
        record(&observed.grant, &mut draft.status, observed.pod.there(), report);
    }
    if let Some(used) = observed.report.as_ref().map(|report| &report.usage).or(observed.heard.as_ref()) {
        let limits = observed.grant.spec.terms.limits.over(Limits::DEFAULT);
        // While it serves, now and then is enough; its last words always count.
        let now_and_then = observed.usage == UsageDue::Now || usage::is_step(&draft.status, used, &limits);
        if now_and_then || !observed.pod.there().is_some_and(serves) {
            usage::note(&mut draft.status, used);
        }
    }
    note_end(&mut draft.status, observed.pod.there(), observed.report.as_ref());
    if let Some(stopped) = &observed.stopped {
        note_stopped(&mut draft.status, stopped);
    }
    settle(&mut draft.status, &observed.findings);
    count(&mut draft);
    if observed.admission.is_some() && why_not(observed).is_none() {
        // From here on it is trusted also by those that come later.
        draft.status.seal.clone_from(&observed.seal.own);
    }
    match &observed.pod {
        Known::Unknown => unread(&mut draft),
        Known::Seen(None) => without_pod(&mut draft),
        Known::Seen(Some(pod)) => match &pod.state {
            PodState::Finished { at, .. } => finished(&mut draft, pod, *at),
            PodState::Pending(_) | PodState::Running if pod.deleting_since.is_some() => leaving(&mut draft),
            PodState::Pending(_) | PodState::Running => alive(&mut draft, pod),
        },
    }
    // The deadline is never slept through.
    draft.again_by(observed.grant.spec.expires_at.0);
    draft.finish()
}

/// Counts the pods that were seen, not those that were tried.
fn count(draft: &mut Draft<'_>) {
    let Some(pod) = draft.observed.pod.there() else { return };
    if draft.status.pod_uid.as_ref() != Some(&pod.uid) {
        draft.status.pod_uid = Some(pod.uid.clone());
        draft.status.attempts = draft.status.attempts.saturating_add(1);
    }
}

/// Whether there is a pod can't be told: nothing changes until it can.
fn unread(draft: &mut Draft<'_>) {
    if draft.status.phase == GrantPhase::Opening
        && let Some(why) = cannot_read(draft.observed)
    {
        draft.is_not(ConditionType::Ready, &why);
    }
    draft.again_in(PATIENT);
}

fn serves(pod: &PodSeen) -> bool {
    pod.state == PodState::Running && pod.deleting_since.is_none()
}

/// No pod: what an earlier one left is shut first, then everything is made, rules before pod.
fn without_pod(draft: &mut Draft<'_>) {
    let observed = draft.observed;
    draft.status.phase = GrantPhase::Opening;
    if standing(&draft.status).next().is_some() {
        if let Some(detail) = open_detail(&observed.findings) {
            let sentence = format!("the earlier proxy's lease must be shut first: {detail}");
            draft.is_not(ConditionType::Ready, &Because::new(Reason::OldLeaseOpen, sentence));
        }
        draft.then(to_hand_over(&draft.status, &observed.findings));
        draft.again_in(LEASES);
        return;
    }
    draft.again_in(PATIENT);
    if let Some(why) = why_not(observed) {
        draft.is_not(ConditionType::Ready, &why);
        return;
    }
    usage::charge(&mut draft.status, &observed.grant.spec.terms.limits.over(Limits::DEFAULT));
    draft.status.ca = Some(observed.place.internal_ca_pem.clone());
    draft.status.session_ca = Some(observed.place.session_ca.clone());
    let why = observed.setback.clone().unwrap_or_else(|| not_ready(None, None));
    draft.is_not(ConditionType::Ready, &why);
    draft.then([
        Action::Apply(ChildKind::NetworkPolicy),
        Action::Apply(ChildKind::ServiceAccount),
        Action::Apply(ChildKind::Secret(used(&draft.status), Knows::Newest)),
        Action::Apply(ChildKind::Role),
        Action::Apply(ChildKind::RoleBinding),
        Action::Apply(ChildKind::Pod),
    ]);
}

/// A pod that stopped by itself is left for a while, so that people can see why; then it goes, and a new one follows.
fn finished(draft: &mut Draft<'_>, pod: &PodSeen, at: Timestamp) {
    draft.status.phase = GrantPhase::Opening;
    draft.is_not(ConditionType::Ready, &not_ready(Some(pod), draft.observed.report.as_ref()));
    let until = at.checked_add(backoff(draft.status.attempts)).unwrap_or(draft.now);
    if pod.deleting_since.is_none() && until > draft.now {
        draft.again_by(until);
        return;
    }
    if pod.deleting_since.is_none() {
        draft.then([Action::DeletePod]);
    }
    draft.again_in(PATIENT);
}

/// Somebody deleted the pod; it ends its sessions and goes, and a new one follows.
fn leaving(draft: &mut Draft<'_>) {
    draft.status.phase = GrantPhase::Opening;
    let sentence = "the proxy pod was deleted; a new one with a new lease follows.";
    draft.is_not(ConditionType::Ready, &Because::new(Reason::ProxyStopping, sentence));
    draft.again_in(PATIENT);
}

fn alive(draft: &mut Draft<'_>, pod: &PodSeen) {
    let observed = draft.observed;
    let report = observed.report.as_ref();
    let is_ready = match report {
        Some(report) => report.phase == Phase::Ready && pod.state == PodState::Running,
        // Silence alone is no reason to call a proxy that was ready anything else: its node looks, too.
        None => draft.status.phase == GrantPhase::Ready && pod.state == PodState::Running && pod.is_ready,
    };
    let waits = report.is_some_and(|report| report.phase == Phase::Custody);
    let held_up = Some(()).filter(|()| waits).and_then(|()| why_not(observed));
    let is_held_up = held_up.is_some();
    let unrecorded = observed.unrecorded().filter(|_| waits).cloned();
    if is_ready {
        draft.status.phase = GrantPhase::Ready;
        let sentence = "connect with `kubectl keyhole connect`, or by port-forward to status.endpoint.";
        draft.is(ConditionType::Ready, &Because::new(Reason::Ready, sentence));
    } else {
        draft.status.phase = GrantPhase::Opening;
        let why = held_up.or(unrecorded).unwrap_or_else(|| not_ready(Some(pod), report));
        draft.is_not(ConditionType::Ready, &why);
    }
    let name = ChildName::of(&observed.grant.uid().unwrap_or_default());
    let Place { proxies_namespace, internal_ca_pem, session_ca: _ } = &observed.place;
    draft.status.pod = Some(name.to_string());
    draft.status.endpoint = is_ready.then(|| format!("{proxies_namespace}/{name}"));
    draft.status.server_name = Some(name.server_name());
    // Those that it knows were there when it was made.
    draft.status.ca.get_or_insert_with(|| internal_ca_pem.clone());
    if cannot_read(observed).is_none() {
        draft.then(repairs(&observed.rules, used(&draft.status)));
    }
    draft.then(late_start(observed, pod));
    if let Some(accessor) = custody(&draft.status, report).filter(|_| why_not(observed).is_none()) {
        // From here on it may read a credential: that goes on record first, too.
        for line in draft.status.leases.iter_mut().filter(|line| line.token_accessor == accessor) {
            line.confirmed = Some(true);
            line.log = line.log.take().or_else(|| observed.log.clone());
        }
        let facts = of_custody(&observed.grant, &draft.status, &accessor);
        draft.then([Action::Put(facts), Action::TellCustody { token_accessor: accessor }]);
    }
    if pod.state == PodState::Running && !is_ready {
        draft.listen();
    }
    // Nobody tells when what holds it up is over.
    draft.again_in(if is_held_up { PATIENT } else { pace(is_ready, pod, report, &observed.grant) });
}

/// Why nothing is opened now, if so.
fn why_not(observed: &Observed) -> Option<Because> {
    cannot_read(observed).or_else(|| untrusted(observed))
}

/// What is not known may be what forbids it.
fn cannot_read(observed: &Observed) -> Option<Because> {
    let first = observed.unread.first()?;
    let sentence = format!("nothing is opened while this cannot be read: {first}; tried again soon.");
    Some(Because::new(Reason::Unread, sentence))
}

/// Only an accessor that stands in the status is confirmed; the status goes first.
fn custody(status: &AccessGrantStatus, report: Option<&Report>) -> Option<String> {
    let report = report.filter(|report| report.phase == Phase::Custody)?;
    let accessor = report.token_accessor.as_ref()?;
    let on_record = status.leases.iter().any(|lease| lease.token_accessor == *accessor && !lease.revoked);
    on_record.then(|| accessor.clone())
}

/// The node counts from the pod's start: a pod that had to wait for one must not lengthen the grant.
fn late_start(observed: &Observed, pod: &PodSeen) -> Option<Action> {
    let late = pod.over_at?.duration_since(observed.grant.spec.expires_at.0);
    (late >= LATE).then(|| Action::ShortenPod { by_seconds: late.as_secs() })
}

/// What somebody took away comes back.
fn repairs(rules: &Rules, used: Used) -> Vec<Action> {
    let Rules { network_policy, secret, role, role_binding, service_account } = *rules;
    [
        (network_policy, Action::Apply(ChildKind::NetworkPolicy)),
        (service_account, Action::Apply(ChildKind::ServiceAccount)),
        (secret, Action::Apply(ChildKind::Secret(used, Knows::AsNoted))),
        (role, Action::Apply(ChildKind::Role)),
        (role_binding, Action::Apply(ChildKind::RoleBinding)),
    ]
    .into_iter()
    .filter(|(child, _)| *child == Child::Missing)
    .map(|(_, action)| action)
    .collect()
}

fn pace(is_ready: bool, pod: &PodSeen, report: Option<&Report>, grant: &AccessGrant) -> SignedDuration {
    match (&pod.state, is_ready) {
        (PodState::Running, true) if grant.spec.terms.probe => PROBED,
        (PodState::Running, true) if report.is_none() => SILENT,
        (PodState::Running, true) => earlier(SETTLED, &grant.uid().unwrap_or_default()),
        (PodState::Running, false) => LISTENED,
        (PodState::Pending(_) | PodState::Finished { .. }, _) => PATIENT,
    }
}

/// Up to a tenth earlier; how much, the name decides.
fn earlier(wait: SignedDuration, name: &str) -> SignedDuration {
    let spread = name.bytes().fold(0_i64, |sum, byte| sum.wrapping_mul(31).wrapping_add(i64::from(byte)));
    let of_a_thousand = spread.rem_euclid(1_000);
    let seconds = wait.as_secs().saturating_mul(of_a_thousand).checked_div(10_000).unwrap_or(0);
    SignedDuration::from_secs(wait.as_secs().saturating_sub(seconds))
}

fn backoff(attempts: u32) -> SignedDuration {
    let doublings = attempts.saturating_sub(1).min(6);
    let seconds = FIRST_BACKOFF_SECONDS.saturating_mul(1_i64.checked_shl(doublings).unwrap_or(1));
    SignedDuration::from_secs(seconds.min(LONGEST_BACKOFF_SECONDS))
}
