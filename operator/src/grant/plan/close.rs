//! The plan of a grant that ends: record why, cut everyone off, let the pod go, take the rules away, shut the leases in
//! Vault, prove it. Cutting off never waits for the proof.

use access::EndReason;
use access::report::{Phase, Report};
use crds::{
    AccessGrant, AccessGrantStatus, Because, ConditionType, GrantPhase, LeaseStatus, ProbeStatus, Reason,
    find_condition,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};

use super::super::observed::{Child, Known, Observed, PodSeen, PodState, Rules};
use super::draft::Draft;
use super::leases::{
    are_answered, lacks_proofs, note_end, note_ends, note_stopped, note_streams, recall, record, settle,
    standing, to_hand_over,
};
use super::receipt::{noted, receipt};
use super::usage;
use super::{Action, Order, Plan, let_go, own_end};
use crate::audit::facts::{of_end, of_kill, of_receipt};

/// How long a proxy may take to cut, shut and prove before its pod is deleted.
const TO_PROVE: SignedDuration = SignedDuration::from_secs(10);
/// How long after its deletion a pod may stay before its NetworkPolicy closes everything.
const TO_LEAVE: SignedDuration = SignedDuration::from_secs(30);
/// How long everything is tried at the most, where somebody gave up the proof.
const TO_TRY: SignedDuration = SignedDuration::from_secs(60);
/// How soon a proxy is told again that does not say yet that it ends.
const TOLD: SignedDuration = SignedDuration::from_millis(500);
/// How soon a pod that goes is looked at again though nothing is heard of it.
const LISTENED: SignedDuration = SignedDuration::from_secs(5);
/// How soon it is tried again to read what could not be read.
const PATIENT: SignedDuration = SignedDuration::from_secs(2);
/// Times of objects have whole seconds; less than this is not late.
const LATE: SignedDuration = SignedDuration::from_secs(2);
/// How long whoever shuts the leases is waited for, until we look ourselves whether they are still in hand.
const LEASES: SignedDuration = SignedDuration::from_secs(30);

pub(super) fn close(observed: &Observed, reason: EndReason, now: Timestamp) -> Plan {
    let mut draft = Draft::of(observed, now);
    if is_noted(&observed.grant) {
        shut(&mut draft, reason);
        return draft.finish();
    }
    let recorded = draft.status.ending_since.as_ref().map_or(now, |time| time.0);
    // Though nothing can be written, time passes.
    let since = observed.ending.map_or(recorded, |seen| seen.since.min(recorded));
    begin(&mut draft, reason);
    if let Some(report) = &observed.report {
        record(&observed.grant, &mut draft.status, observed.pod.there(), report);
        usage::note(&mut draft.status, &report.usage);
    }
    recall(&mut draft.status, &observed.let_on);
    note_end(&mut draft.status, observed.pod.there(), observed.report.as_ref());
    note_ends(&mut draft.status, &observed.ends);
    if let Some(stopped) = &observed.stopped {
        note_stopped(&mut draft.status, stopped);
    }
    settle(&mut draft.status, &observed.findings);
    note_streams(&mut draft.status, &observed.streams);
    let elapsed = now.duration_since(since);
    let abandon = observed.grant.spec.abandon.as_ref();
    let given_up = abandon.filter(|_| is_tried(observed, &draft.status, elapsed, now));
    let told = receipt(observed, &draft.status, given_up);
    let late = now.duration_since(triggered(&observed.grant, reason, since));
    told.write(&mut draft.status, u64::try_from(late.as_millis()).unwrap_or(0));
    let is_over = told.is_shut() && (given_up.is_some() || standing(&draft.status).next().is_none());
    // What goes on record must not change any more: so it stands in the status first.
    if is_over && given_up.is_none() {
        draft.again_by(now);
        return draft.finish();
    }
    let sentence = "nobody can connect; see status.receipt for what is proved and what is still open.";
    draft.is_not(ConditionType::Ended, &Because::new(Reason::Closing, sentence));
    draft.order(order(&draft, elapsed));
    draft.then(Some(of_end(&observed.grant)).filter(|facts| !facts.is_empty()).map(Action::Note));
    let goes = pod_goes(observed, reason, elapsed);
    let is_killed = goes.contains(&Action::DeletePod);
    draft.then(
        unobeyed(observed).filter(|_| is_killed).map(|why| Action::Note(of_kill(&observed.grant, why))),
    );
    draft.then(goes);
    draft.then(rules_go(observed, now));
    draft.then(shut_leases(observed, &draft.status, elapsed));
    if observed.pod.there().is_some_and(|pod| pod.state == PodState::Running) {
        draft.listen();
    }
    draft.again_in(pace(observed, elapsed));
    let to_give_up =
        [TO_PROVE, TO_TRY].into_iter().filter(|_| abandon.is_some()).find(|wait| elapsed < *wait);
    if let Some(wait) = to_give_up {
        draft.again_by(since.checked_add(wait).unwrap_or(now));
    }
    if is_over {
        draft.again_by(now);
    }
    draft.finish()
}

/// Whether everything is shut that can be, or was tried for long enough: whoever gives up the proof gives up no try.
fn is_tried(
    observed: &Observed,
    status: &AccessGrantStatus,
    elapsed: SignedDuration,
    now: Timestamp,
) -> bool {
    let is_left = match &observed.pod {
        Known::Seen(None) => observed.rules.are_gone(),
        Known::Seen(Some(pod)) => is_stuck(pod, now),
        Known::Unknown => false,
    };
    elapsed >= TO_TRY || (elapsed >= TO_PROVE && is_left && are_answered(status, &observed.findings))
}

/// A pod that does not go though it is deleted.
fn is_stuck(pod: &PodSeen, now: Timestamp) -> bool {
    pod.deleting_since.is_some_and(|since| now.duration_since(since) >= TO_LEAVE)
}

/// When what ends the grant happened, as its object tells; when it was first seen, where that was soon after.
fn triggered(grant: &AccessGrant, reason: EndReason, seen: Timestamp) -> Timestamp {
    let told = match reason {
        EndReason::Expired => Some(grant.spec.expires_at.0),
        EndReason::Revoked => revoked_at(grant),
        EndReason::Deleted => grant.metadata.deletion_timestamp.as_ref().map(|time| time.0),
        _ => None,
    };
    told.filter(|told| seen.duration_since(*told) >= LATE).unwrap_or(seen)
}

/// When somebody wrote the order to end, as the API server noted it.
fn revoked_at(grant: &AccessGrant) -> Option<Timestamp> {
    let wrote_it = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:spec"));
        fields.is_some_and(|spec| spec.get("f:revocation").is_some())
    };
    let entry = grant.metadata.managed_fields.iter().flatten().find(wrote_it)?;
    entry.time.as_ref().map(|time| time.0)
}

/// What is seen of a pod goes with it: where the reason to end, a lease, or how the proxy ended stands in no other place yet, it
/// goes on record before the pod goes. A pod that still runs is not waited for without end.
fn order(draft: &Draft<'_>, elapsed: SignedDuration) -> Order {
    let Draft { observed, status, now, .. } = draft;
    let grant = &observed.grant;
    let leases = grant.status.as_ref().map(|status| status.leases.as_slice()).unwrap_or_default();
    let is_finished = observed.pod.there().is_some_and(|pod| matches!(pod.state, PodState::Finished { .. }));
    // Of a pod that nobody sees, this may be the last that is ever known.
    let is_unseen = matches!(observed.pod, Known::Unknown)
        && grant.status.as_ref().is_none_or(|status| status.end_reason.is_none());
    let is_new = own_end(grant, *now).is_none() || status.leases != leases || is_unseen;
    if is_finished || (is_new && elapsed < TO_LEAVE) { Order::RecordFirst } else { Order::AtOnce }
}

/// Why, since when, and that nobody can connect.
fn begin(draft: &mut Draft<'_>, reason: EndReason) {
    if draft.observed.grant.spec.terms.probe && draft.status.probed.is_none() {
        draft.status.probed = Some(probed(&draft.status));
    }
    draft.status.phase = GrantPhase::Ending;
    draft.status.end_reason = Some(reason.word().to_owned());
    draft.status.ending_since.get_or_insert(Time(draft.now));
    draft.status.endpoint = None;
    draft.is_not(ConditionType::Ready, &Because::new(reason.into(), reason.sentence()));
}

/// What a probe came to, as its condition `Ready` said last.
fn probed(status: &AccessGrantStatus) -> ProbeStatus {
    match find_condition(&status.conditions, ConditionType::Ready) {
        Some(ready) => ProbeStatus {
            ready: ready.status == "True",
            reason: ready.reason.clone(),
            message: ready.message.clone(),
        },
        None => ProbeStatus::default(),
    }
}

/// Whether everything stands in the grant's status that closes it.
fn is_noted(grant: &AccessGrant) -> bool {
    let Some(status) = &grant.status else { return false };
    let given_up = grant.spec.abandon.as_ref();
    let is_shut = noted(status, given_up).is_some_and(|receipt| receipt.is_shut());
    is_shut && (given_up.is_some() || standing(status).next().is_none())
}

/// The receipt goes on record, word for word as it stands in the status, and only then is the grant called ended. Why it could not, if it
/// could not, is said first, once.
fn shut(draft: &mut Draft<'_>, reason: EndReason) {
    let grant = &draft.observed.grant;
    if let Some(Because { reason, sentence }) = draft.observed.unrecorded() {
        let before = draft.status.clone();
        let sentence = format!("everything is shut, but its receipt is not on record yet: {sentence}");
        draft.is_not(ConditionType::Ended, &Because::new(*reason, sentence));
        if draft.status != before {
            draft.again_by(draft.now);
            return;
        }
    }
    draft.first(Action::Put(of_end(grant).into_iter().chain(of_receipt(grant)).collect()));
    draft.status.phase = GrantPhase::Ended;
    let sentence = "everything is shut; status.receipt says how each item was seen.";
    draft.is(ConditionType::Ended, &Because::new(reason.into(), sentence));
    draft.then(let_go(draft.observed));
    draft.again_by(draft.now);
}

/// The proxy is told first, for it can say why to each client; its pod goes when it has ended, or takes too long, or
/// has never run.
fn pod_goes(observed: &Observed, reason: EndReason, elapsed: SignedDuration) -> Vec<Action> {
    let pod = match &observed.pod {
        Known::Seen(Some(pod)) => pod,
        Known::Seen(None) => return Vec::new(),
        // Its deletion would spoil the proof of a proxy that does as it is told.
        Known::Unknown if elapsed < TO_PROVE => return vec![Action::TellEnd(reason)],
        Known::Unknown => return vec![Action::TellEnd(reason), Action::DeletePod],
    };
    let phase = observed.report.as_ref().map(|report| report.phase);
    match &pod.state {
        PodState::Finished { .. } | PodState::Pending(_) => delete_once(pod),
        PodState::Running => match phase {
            Some(Phase::Starting | Phase::Custody | Phase::Leasing | Phase::Ready) => {
                let mut actions = vec![Action::TellEnd(reason)];
                if elapsed >= TO_PROVE {
                    actions.extend(delete_once(pod));
                }
                actions
            }
            Some(Phase::Ending | Phase::Ended) if elapsed < TO_PROVE => Vec::new(),
            Some(Phase::Ending | Phase::Ended) => delete_once(pod),
            // Its deletion told it already.
            None if pod.deleting_since.is_some() => Vec::new(),
            // It does not answer: what SIGTERM does is the same.
            None => {
                let mut actions = vec![Action::TellEnd(reason)];
                actions.extend(delete_once(pod));
                actions
            }
        },
    }
}

/// What a proxy that runs did not do, if it is deleted now.
fn unobeyed(observed: &Observed) -> Option<&'static str> {
    let runs = observed.pod.there().is_some_and(|pod| pod.state == PodState::Running);
    let phase = observed.report.as_ref().map(|report| report.phase);
    runs.then_some(match phase {
        None => "it does not answer",
        Some(Phase::Ending | Phase::Ended) => "it did not end in time after it was told to",
        Some(Phase::Starting | Phase::Custody | Phase::Leasing | Phase::Ready) => {
            "it was told to end, and goes on"
        }
    })
}

fn delete_once(pod: &PodSeen) -> Vec<Action> {
    if pod.deleting_since.is_some() { Vec::new() } else { vec![Action::DeletePod] }
}

/// With the way out closed first, an open connection would stall in silence and the server keep its session: so the pod goes
/// first, unless it won't go.
fn rules_go(observed: &Observed, now: Timestamp) -> Vec<Action> {
    let Rules { network_policy, secret, role, role_binding, service_account: _ } = observed.rules;
    let unless_missing = |child: Child, action: Action| (child != Child::Missing).then_some(action);
    let policy = unless_missing(network_policy, Action::DeleteNetworkPolicy);
    match &observed.pod {
        Known::Seen(None) => {}
        Known::Seen(Some(pod)) => {
            return if is_stuck(pod, now) { vec![Action::CloseNetworkPolicy] } else { Vec::new() };
        }
        Known::Unknown => return Vec::new(),
    }
    [
        policy,
        unless_missing(role_binding, Action::DeleteRoleBinding),
        unless_missing(role, Action::DeleteRole),
        unless_missing(secret, Action::DeleteSecret),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The proxy revokes its own lease first and tries the old login; after that, or when it takes too long, we do.
fn shut_leases(observed: &Observed, status: &AccessGrantStatus, elapsed: SignedDuration) -> Vec<Action> {
    let proxy_is_done = match &observed.pod {
        Known::Seen(None) => true,
        Known::Seen(Some(pod)) => match pod.state {
            PodState::Finished { .. } => true,
            // One that does not answer revokes nothing.
            PodState::Running => observed.report.is_none(),
            PodState::Pending(_) => false,
        },
        Known::Unknown => false,
    };
    if !proxy_is_done && elapsed < TO_PROVE {
        return Vec::new();
    }
    to_hand_over(status, &observed.findings)
}

fn pace(observed: &Observed, elapsed: SignedDuration) -> SignedDuration {
    let status = observed.grant.status.as_ref();
    let any = |is: fn(&LeaseStatus) -> bool| status.is_some_and(|status| status.leases.iter().any(is));
    let (was_opened, is_silent) = (any(LeaseStatus::had_credential), any(lacks_proofs));
    match &observed.pod {
        Known::Seen(Some(pod)) if pod.state == PodState::Running && elapsed < TO_PROVE => {
            let says_so = |report: &Report| matches!(report.phase, Phase::Ending | Phase::Ended);
            let ends = pod.deleting_since.is_some() || observed.report.as_ref().is_some_and(says_so);
            let again = if ends { LISTENED } else { TOLD };
            again.min(TO_PROVE.saturating_sub(elapsed))
        }
        Known::Seen(Some(_)) => LISTENED,
        Known::Unknown => PATIENT,
        // Nobody had to know them before it was known that it ends.
        Known::Seen(None) if observed.rules == Rules::UNKNOWN && observed.unread.is_empty() => {
            SignedDuration::ZERO
        }
        // The log is asked, once it stands in the status that it ends, whether nobody was let on, and how those ended who were silent.
        Known::Seen(None)
            if (!was_opened && observed.let_on == Known::Unknown)
                || (is_silent && observed.ends == Known::Unknown) =>
        {
            let is_asked = status.is_some_and(|status| status.end_reason.is_some());
            if is_asked { LISTENED } else { SignedDuration::ZERO }
        }
        // The rules go in this very plan; only Vault is left, and who asks it says when it has answered.
        Known::Seen(None) => LEASES,
    }
}
