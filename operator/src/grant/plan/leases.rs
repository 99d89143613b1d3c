//! Leases and the accessors of the tokens that own them: on record before they can do anything.

use access::report::{MOST_OUTCOMES, OnRecord, OwedOutcome, ProofLine, Report};
use access::{EndReason, Item, Outcome, VaultLease};
use crds::{AccessGrant, AccessGrantStatus, LeaseStatus, OwedOutcomeStatus, ProofStatus, StreamStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::observed::{Known, PodSeen, PodState};
use super::Action;
use crate::audit::ends::EndOnRecord;
use crate::audit::streams::InLog;
use crate::leases::{Finding, Shut};

/// The most leases that one grant may have. A proxy whose accessor is not on record reads no credential; and a status that grew without
/// end could not be written any more, not even to end the grant.
const MOST: usize = 256;

/// The most outcomes of commands that one status holds, of all its proxies: they stand there until they are on record, and a proxy may be taken
/// over.
const MOST_OUTCOMES_OF_ALL: usize = 256;

/// The most lines of proof of one proxy's that are kept: there are four.
const MOST_PROOFS: usize = 16;

/// The longest sentence of a proxy's that is kept, in characters.
const LONGEST_DETAIL: usize = 500;

/// The role in Vault that the grant's leases are of.
pub fn vault_role(grant: &AccessGrant) -> VaultLease {
    let vault = &grant.spec.terms.database_spec.credentials.vault;
    VaultLease { mount: vault.mount.clone(), role: vault.role.clone() }
}

/// Whether a lease id is one of this grant's own role. The proxy's word is not taken for it.
pub fn owned(grant: &AccessGrant, lease_id: &str) -> bool {
    vault_role(grant).owns(lease_id)
}

/// Puts what the proxy reports on record: a new accessor as a new line, its lease where it is the role's own.
pub fn record(grant: &AccessGrant, status: &mut AccessGrantStatus, pod: Option<&PodSeen>, report: &Report) {
    let Some(accessor) = &report.token_accessor else { return };
    let known = status.leases.iter().any(|lease| lease.token_accessor == *accessor);
    if !known && status.leases.len() < MOST {
        status.leases.push(LeaseStatus {
            pod_uid: pod.map(|pod| pod.uid.clone()).unwrap_or_default(),
            token_accessor: accessor.clone(),
            confirmed: Some(false),
            ..LeaseStatus::default()
        });
    }
    let reported = report.lease.as_ref().filter(|lease| owned(grant, &lease.lease_id));
    let line = status.leases.iter_mut().find(|lease| lease.token_accessor == *accessor);
    if let (Some(line), Some(lease)) = (line, reported)
        && line.lease_id.is_none()
    {
        // Whatever was shut before was not this one, by its id.
        (line.revoked, line.unseen) = (false, None);
        line.lease_id = Some(lease.lease_id.clone());
        line.user_name = Some(lease.user_name.clone());
        line.expires_at = Some(Time(lease.expires_at));
    }
}

/// Puts tokens back on record that the audit log knows and the status does not: one of an API server that was restored from a backup. They
/// are older than those that it has.
pub fn recall(status: &mut AccessGrantStatus, let_on: &Known<Vec<LeaseStatus>>) {
    let Known::Seen(let_on) = let_on else { return };
    let is_known =
        |lease: &LeaseStatus| status.leases.iter().any(|line| line.token_accessor == lease.token_accessor);
    let forgotten: Vec<LeaseStatus> = let_on.iter().filter(|lease| !is_known(lease)).cloned().collect();
    status.leases.splice(0..0, forgotten);
}

/// Puts on record how the pod of the last line goes, and what its proxy proved as it ended.
pub fn note_end(status: &mut AccessGrantStatus, pod: Option<&PodSeen>, report: Option<&Report>) {
    if let Some(pod) = pod {
        for line in status.leases.iter_mut().filter(|line| line.pod_uid == pod.uid) {
            line.stopped |= matches!(pod.state, PodState::Finished { .. });
            if pod.node.is_some() {
                line.node.clone_from(&pod.node);
            }
        }
    }
    let Some((report, end)) = report.and_then(|report| Some((report, report.end.as_ref()?))) else { return };
    let Some(accessor) = &report.token_accessor else { return };
    let room = MOST_OUTCOMES_OF_ALL.saturating_sub(outcomes_of_others(status, accessor));
    if let Some(line) = status.leases.iter_mut().find(|line| line.token_accessor == *accessor) {
        (line.proofs, line.unanswered) = (proofs(&end.reason, &end.proofs), end.unanswered);
        line.record = end.record.as_ref().map(|said| on_record(said, room));
    }
}

/// Whether its proxy may have had a credential, and left no proof of its end.
pub fn lacks_proofs(lease: &LeaseStatus) -> bool {
    lease.had_credential() && lease.proofs.is_empty()
}

/// Puts into the status what proxies put on record as they ended, whose last words nobody heard.
pub fn note_ends(status: &mut AccessGrantStatus, ends: &Known<Vec<EndOnRecord>>) {
    let Known::Seen(ends) = ends else { return };
    for line in status.leases.iter_mut().filter(|line| lacks_proofs(line)) {
        if let Some(end) = ends.iter().find(|end| end.token_accessor == line.token_accessor) {
            line.proofs = proofs(&end.reason, &end.proofs);
        }
    }
}

/// Of what a proxy says, what only a proxy can see; and how it left its lease, for what it saw after that is the last word. Whether
/// the lease is gone, the pod, and the rules we look at ourselves.
fn proofs(reason: &str, lines: &[ProofLine]) -> Vec<ProofStatus> {
    if EndReason::from_word(reason).is_none() {
        return Vec::new();
    }
    let of_proxy = lines.iter().take(MOST_PROOFS).filter_map(|line| {
        let item = Item::from_word(&line.item)?;
        let outcome = Outcome::from_word(&line.outcome)?;
        let is_proxys = matches!(item, Item::Sockets | Item::ServerSessions | Item::Lease | Item::Login);
        is_proxys.then(|| ProofStatus {
            item: item.word().to_owned(),
            outcome: outcome.word().to_owned(),
            detail: line.detail.chars().take(LONGEST_DETAIL).collect(),
        })
    });
    of_proxy.collect()
}

/// `room`: for how many outcomes the status has room yet.
fn on_record(said: &OnRecord, room: usize) -> StreamStatus {
    let OnRecord { stream, count, head, acknowledged, outcomes, owed } = said.clone();
    let outcomes = outcomes.into_iter().take(MOST_OUTCOMES.min(room)).map(owed_outcome).collect();
    StreamStatus { stream, count, head, acknowledged, outcomes, owed }
}

fn owed_outcome(outcome: OwedOutcome) -> OwedOutcomeStatus {
    let OwedOutcome { n, of, rows, bytes, micros, cut, sqlstate, error, rule } = outcome;
    OwedOutcomeStatus { number: n, of, rows, bytes, micros, cut, sqlstate, error, rule }
}

/// How many outcomes stand in the lines of other tokens.
fn outcomes_of_others(status: &AccessGrantStatus, accessor: &str) -> usize {
    let others = status.leases.iter().filter(|line| line.token_accessor != accessor);
    others.filter_map(|line| line.record.as_ref()).map(|record| record.outcomes.len()).sum()
}

/// How much of each stream is known to be on the log's disk, also where acknowledgements were lost.
pub fn note_streams(status: &mut AccessGrantStatus, streams: &InLog) {
    let InLog::All(streams) = streams else { return };
    for said in status.leases.iter_mut().filter_map(|line| line.record.as_mut()) {
        let Some(seen) = streams.iter().find(|seen| seen.stream == said.stream) else { continue };
        let is_part = (said.acknowledged..said.count).contains(&seen.count);
        if is_part || (seen.count == said.count && seen.head == said.head) {
            said.acknowledged = seen.count;
        }
    }
}

/// The process of a pod that is gone was seen to end.
pub fn note_stopped(status: &mut AccessGrantStatus, pod_uid: &str) {
    for line in status.leases.iter_mut().filter(|line| line.pod_uid == pod_uid) {
        line.stopped = true;
    }
}

/// Marks as revoked what Vault said is gone, and whether that is all that can be seen.
pub fn settle(status: &mut AccessGrantStatus, findings: &[Finding]) {
    for line in &mut status.leases {
        match findings.iter().find(|finding| finding.is_of(line)).map(|finding| &finding.shut) {
            Some(Shut::Gone) => (line.revoked, line.unseen) = (true, None),
            Some(Shut::Unseen(why)) => (line.revoked, line.unseen) = (true, Some(why.clone())),
            Some(Shut::Asked | Shut::Open(_)) | None => {}
        }
    }
}

/// Leases that may stand.
pub fn standing(status: &AccessGrantStatus) -> impl Iterator<Item = &LeaseStatus> {
    status.leases.iter().filter(|lease| !lease.revoked)
}

/// Whether Vault was asked to end each lease that may stand, and what came of it is known.
pub fn are_answered(status: &AccessGrantStatus, findings: &[Finding]) -> bool {
    let is_answered = |lease: &LeaseStatus| {
        findings.iter().any(|finding| finding.is_of(lease) && finding.shut != Shut::Asked)
    };
    standing(status).all(is_answered)
}

/// Leases that may stand, or whose end nobody could see, and that nobody shuts yet.
pub fn to_hand_over(status: &AccessGrantStatus, findings: &[Finding]) -> Vec<Action> {
    let in_hand = |lease: &LeaseStatus| findings.iter().any(|finding| finding.is_of(lease));
    let unsure = status.leases.iter().filter(|lease| !lease.revoked || lease.unseen.is_some());
    unsure.filter(|lease| !in_hand(lease)).cloned().map(Box::new).map(Action::ShutLease).collect()
}

/// What to do about a lease that could not be shut, if anything was tried.
pub fn open_detail(findings: &[Finding]) -> Option<&str> {
    findings.iter().find_map(|finding| match &finding.shut {
        Shut::Open(detail) => Some(detail.as_str()),
        Shut::Gone | Shut::Unseen(_) | Shut::Asked => None,
    })
}
