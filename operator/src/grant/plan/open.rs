//! The plan of a grant that has time left: rules first, then the pod, then custody, then ready.

use access::report::{Phase, Report};
use access::{ChildName, Used};
use crds::{AccessGrantStatus, GrantPhase};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::super::observed::{Child, Observed, Place, PodSeen, PodState, Rules, UsageDue};
use super::leases::{open_detail, record, settle, standing};
use super::show::{because, not_ready, say};
use super::trust::untrusted;
use super::usage::{self, used};
use super::{Action, Plan, recorded};

/// How often a proxy that starts is asked how far it is.
const STARTING: SignedDuration = SignedDuration::from_millis(150);
/// How often a proxy that is ready is asked.
const SETTLED: SignedDuration = SignedDuration::from_secs(5);
/// How long Kubernetes' own events are waited for.
const PATIENT: SignedDuration = SignedDuration::from_secs(2);
/// Times of objects have whole seconds; less than this is not late.
const LATE: SignedDuration = SignedDuration::from_secs(2);
/// How long the first failed pod is left to be looked at; twice as long each time after.
const FIRST_BACKOFF_SECONDS: i64 = 5;
/// The longest wait between two pods.
const LONGEST_BACKOFF_SECONDS: i64 = 120;

pub(super) fn open(observed: &Observed, mut status: AccessGrantStatus, now: Timestamp) -> Plan {
    settle(&mut status, &observed.findings);
    if let Some(report) = &observed.report {
        record(&observed.grant, &mut status, observed.pod.as_ref(), report);
        // While it serves, now and then is enough; its last words always count.
        if observed.usage == UsageDue::Now || !observed.pod.as_ref().is_some_and(serves) {
            usage::note(&mut status, &report.usage);
        }
    }
    let mut plan = match &observed.pod {
        None => without_pod(observed, status, now),
        Some(pod) => match &pod.state {
            PodState::Finished { at, .. } => finished(observed, status, pod, *at, now),
            PodState::Pending(_) | PodState::Running if pod.deleting_since.is_some() => {
                leaving(observed, status, now)
            }
            PodState::Pending(_) | PodState::Running => alive(observed, status, pod, now),
        },
    };
    // The deadline is never slept through.
    let deadline = observed.grant.spec.expires_at.0;
    plan.look_again = Some(plan.look_again.map_or(deadline, |again| again.min(deadline)));
    plan
}

fn serves(pod: &PodSeen) -> bool {
    pod.state == PodState::Running && pod.deleting_since.is_none()
}

/// No pod: what an earlier one left is shut first, then everything is made, rules before pod.
fn without_pod(observed: &Observed, mut status: AccessGrantStatus, now: Timestamp) -> Plan {
    let grant = &observed.grant;
    status.phase = GrantPhase::Opening;
    if let Some(detail) = open_detail(&observed.findings) {
        let why = because("OldLeaseOpen", format!("the earlier proxy's lease must be shut first: {detail}"));
        say(grant, &mut status, "Ready", (false, why), now);
        return Plan { actions: recorded(observed, status), look_again: after(now, backoff(3)) };
    }
    let old: Vec<_> = standing(&status, None).cloned().map(Action::ShutLease).collect();
    if !old.is_empty() {
        let mut actions = recorded(observed, status);
        actions.extend(old);
        return Plan { actions, look_again: after(now, STARTING) };
    }
    if let Some(why) = untrusted(observed) {
        say(grant, &mut status, "Ready", (false, why), now);
        return Plan { actions: recorded(observed, status), look_again: after(now, PATIENT) };
    }
    status.attempts = status.attempts.saturating_add(1);
    say(grant, &mut status, "Ready", (false, not_ready(None, None)), now);
    let used = used(&status);
    let mut actions = recorded(observed, status);
    actions.extend([
        Action::ApplyNetworkPolicy,
        Action::ApplyServiceAccount,
        Action::ApplySecret(used),
        Action::ApplyRole,
        Action::ApplyRoleBinding,
        Action::ApplyPod,
    ]);
    Plan { actions, look_again: after(now, PATIENT) }
}

/// A pod that stopped by itself is left for a while, so that people can see why; then it goes, and a new one follows.
fn finished(
    observed: &Observed,
    mut status: AccessGrantStatus,
    pod: &PodSeen,
    at: Timestamp,
    now: Timestamp,
) -> Plan {
    status.phase = GrantPhase::Opening;
    let why = not_ready(Some(pod), observed.report.as_ref());
    say(&observed.grant, &mut status, "Ready", (false, why), now);
    let until = at.checked_add(backoff(status.attempts)).unwrap_or(now);
    let mut actions = recorded(observed, status);
    if pod.deleting_since.is_some() {
        return Plan { actions, look_again: after(now, PATIENT) };
    }
    if until > now {
        return Plan { actions, look_again: Some(until) };
    }
    actions.push(Action::DeletePod);
    Plan { actions, look_again: after(now, PATIENT) }
}

/// Somebody deleted the pod; it ends its sessions and goes, and a new one follows.
fn leaving(observed: &Observed, mut status: AccessGrantStatus, now: Timestamp) -> Plan {
    status.phase = GrantPhase::Opening;
    let why = because("ProxyStopping", "the proxy pod was deleted; a new one with a new lease follows.");
    say(&observed.grant, &mut status, "Ready", (false, why), now);
    Plan { actions: recorded(observed, status), look_again: after(now, PATIENT) }
}

fn alive(observed: &Observed, mut status: AccessGrantStatus, pod: &PodSeen, now: Timestamp) -> Plan {
    let grant = &observed.grant;
    let report = observed.report.as_ref();
    let is_ready = match report {
        Some(report) => report.phase == Phase::Ready && pod.state == PodState::Running,
        // Silence for a moment is no reason to call a proxy that was ready anything else.
        None => status.phase == GrantPhase::Ready && pod.state == PodState::Running,
    };
    if is_ready {
        status.phase = GrantPhase::Ready;
        let why = because(
            "Ready",
            "connect with `kubectl keyhole connect`, or by port-forward to status.endpoint.",
        );
        say(grant, &mut status, "Ready", (true, why), now);
    } else {
        status.phase = GrantPhase::Opening;
        let held_up =
            report.filter(|report| report.phase == Phase::Custody).and_then(|_| untrusted(observed));
        let why = held_up.unwrap_or_else(|| not_ready(Some(pod), report));
        say(grant, &mut status, "Ready", (false, why), now);
    }
    let name = ChildName::of(&grant.uid().unwrap_or_default());
    let Place { proxies_namespace, internal_ca_pem } = &observed.place;
    status.pod = Some(name.to_string());
    status.endpoint = is_ready.then(|| format!("{proxies_namespace}/{name}"));
    status.server_name = Some(name.server_name());
    status.ca = Some(internal_ca_pem.clone());
    let custody = custody(&status, report).filter(|_| untrusted(observed).is_none());
    let repairs = repairs(&observed.rules, used(&status));
    let mut actions = recorded(observed, status);
    actions.extend(repairs);
    actions.extend(late_start(observed, pod));
    actions.extend(custody);
    Plan { actions, look_again: after(now, pace(is_ready, pod, report)) }
}

/// Only an accessor that stands in the status is confirmed; the status goes first.
fn custody(status: &AccessGrantStatus, report: Option<&Report>) -> Option<Action> {
    let report = report.filter(|report| report.phase == Phase::Custody)?;
    let accessor = report.token_accessor.as_ref()?;
    let on_record = status.leases.iter().any(|lease| lease.token_accessor == *accessor && !lease.revoked);
    on_record.then(|| Action::TellCustody { token_accessor: accessor.clone() })
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
        (network_policy, Action::ApplyNetworkPolicy),
        (service_account, Action::ApplyServiceAccount),
        (secret, Action::ApplySecret(used)),
        (role, Action::ApplyRole),
        (role_binding, Action::ApplyRoleBinding),
    ]
    .into_iter()
    .filter(|(child, _)| *child == Child::Missing)
    .map(|(_, action)| action)
    .collect()
}

fn pace(is_ready: bool, pod: &PodSeen, report: Option<&Report>) -> SignedDuration {
    let failed = report.is_some_and(|report| report.failure.is_some());
    match (&pod.state, is_ready) {
        (PodState::Running, true) => SETTLED,
        (PodState::Running, false) if !failed => STARTING,
        (PodState::Running | PodState::Pending(_) | PodState::Finished { .. }, _) => PATIENT,
    }
}

fn backoff(attempts: u32) -> SignedDuration {
    let doublings = attempts.saturating_sub(1).min(6);
    let seconds = FIRST_BACKOFF_SECONDS.saturating_mul(1_i64.checked_shl(doublings).unwrap_or(1));
    SignedDuration::from_secs(seconds.min(LONGEST_BACKOFF_SECONDS))
}

fn after(now: Timestamp, wait: SignedDuration) -> Option<Timestamp> {
    now.checked_add(wait).ok()
}
