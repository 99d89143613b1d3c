//! The plan of a grant that ends: record why, cut everyone off, let the pod go, take the rules away, shut the leases in
//! Vault, prove it. Cutting off never waits for the proof.

use access::EndReason;
use access::report::Phase;
use crds::{AccessGrantStatus, Because, ConditionType, GrantPhase, Reason};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::observed::{Child, Observed, PodSeen, PodState, Rules};
use super::draft::Draft;
use super::leases::{record, settle, standing};
use super::receipt::{receipt, write};
use super::usage;
use super::{Action, Plan, let_go};

/// How long a proxy may take to cut, shut and prove before its pod is deleted.
const TO_PROVE: SignedDuration = SignedDuration::from_secs(10);
/// How long after its deletion a pod may stay before its NetworkPolicy goes first.
const TO_LEAVE: SignedDuration = SignedDuration::from_secs(30);
/// How often a proxy that ends is asked.
const ENDING: SignedDuration = SignedDuration::from_millis(100);
/// How long Kubernetes' own events are waited for.
const PATIENT: SignedDuration = SignedDuration::from_secs(2);
/// The longest wait between two attempts to shut what is open. A grant is not proved shut before Vault is asked again, so
/// this is also how late the proof may be once Vault is back.
const LONGEST_WAIT_SECONDS: i64 = 30;

pub(super) fn close(observed: &Observed, reason: EndReason, now: Timestamp) -> Plan {
    let mut draft = Draft::of(observed, now);
    let since = draft.status.ending_since.as_ref().map_or(now, |time| time.0);
    begin(&mut draft, reason);
    settle(&mut draft.status, &observed.findings);
    if let Some(report) = &observed.report {
        record(&observed.grant, &mut draft.status, observed.pod.as_ref(), report);
        usage::note(&mut draft.status, &report.usage);
    }
    let told = receipt(observed, &draft.status);
    write(&mut draft.status, &told);
    if told.is_shut() {
        shut(&mut draft, reason);
        return draft.finish();
    }
    let sentence = "nobody can connect; see status.receipt for what is proved and what is still open.";
    draft.is_not(ConditionType::Ended, &Because::new(Reason::Closing, sentence));
    let elapsed = now.duration_since(since);
    draft.then(pod_goes(observed, reason, elapsed));
    draft.then(rules_go(observed, now));
    let leases = shut_leases(observed, &draft.status, elapsed);
    draft.again_in(if leases.is_empty() { pace(observed, elapsed) } else { ENDING });
    draft.then(leases);
    draft.finish()
}

/// Why, since when, and that nobody can connect.
fn begin(draft: &mut Draft<'_>, reason: EndReason) {
    draft.status.phase = GrantPhase::Ending;
    draft.status.end_reason = Some(reason.word().to_owned());
    draft.status.ending_since.get_or_insert(Time(draft.now));
    draft.status.endpoint = None;
    draft.is_not(ConditionType::Ready, &Because::new(reason.into(), reason.sentence()));
}

fn shut(draft: &mut Draft<'_>, reason: EndReason) {
    draft.status.phase = GrantPhase::Ended;
    let sentence = "everything is shut; status.receipt says how each item was seen.";
    draft.is(ConditionType::Ended, &Because::new(reason.into(), sentence));
    draft.then(let_go(draft.observed));
}

/// The proxy is told first, for it can say why to each client; its pod goes when it has ended, or takes too long, or
/// has never run.
fn pod_goes(observed: &Observed, reason: EndReason, elapsed: SignedDuration) -> Vec<Action> {
    let Some(pod) = &observed.pod else { return Vec::new() };
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

fn delete_once(pod: &PodSeen) -> Vec<Action> {
    if pod.deleting_since.is_some() { Vec::new() } else { vec![Action::DeletePod] }
}

/// With the NetworkPolicy gone first, an open connection would stall in silence and the server keep its session: so the
/// pod goes first, unless it won't go.
fn rules_go(observed: &Observed, now: Timestamp) -> Vec<Action> {
    let Rules { network_policy, secret, role, role_binding, service_account: _ } = observed.rules;
    let present = |child: Child, action: Action| (child == Child::Present).then_some(action);
    let policy = present(network_policy, Action::DeleteNetworkPolicy);
    if let Some(pod) = &observed.pod {
        let stuck = pod.deleting_since.is_some_and(|since| now.duration_since(since) >= TO_LEAVE);
        return if stuck { policy.into_iter().collect() } else { Vec::new() };
    }
    [
        policy,
        present(role_binding, Action::DeleteRoleBinding),
        present(role, Action::DeleteRole),
        present(secret, Action::DeleteSecret),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The proxy revokes its own lease first and tries the old login; after that, or when it takes too long, we do. Once in
/// a round: what a finding says is not tried again at once.
fn shut_leases(observed: &Observed, status: &AccessGrantStatus, elapsed: SignedDuration) -> Vec<Action> {
    let proxy_is_done = match &observed.pod {
        None => true,
        Some(pod) => matches!(pod.state, PodState::Finished { .. }),
    };
    if !proxy_is_done && elapsed < TO_PROVE {
        return Vec::new();
    }
    let tried = |accessor: &str| observed.findings.iter().any(|finding| finding.token_accessor == accessor);
    standing(status, None)
        .filter(|lease| !tried(&lease.token_accessor))
        .cloned()
        .map(Action::ShutLease)
        .collect()
}

fn pace(observed: &Observed, elapsed: SignedDuration) -> SignedDuration {
    match &observed.pod {
        Some(pod) if pod.state == PodState::Running && elapsed < TO_PROVE => ENDING,
        Some(_) => PATIENT,
        // The rules go in this very plan; only Vault is left, which is asked less and less often.
        None => {
            let half = elapsed.as_secs().checked_div(2).unwrap_or(1);
            SignedDuration::from_secs(half.clamp(1, LONGEST_WAIT_SECONDS))
        }
    }
}
