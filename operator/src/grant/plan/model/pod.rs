//! The small world's pod and the proxy in it: what they do, and how they are seen.

use access::Used;
use access::report::{End, Failure, Lease, OnRecord, OwedOutcome, Phase, ProofLine, Report, Usage};
use jiff::Timestamp;

use super::super::super::observed::{PodSeen, PodState};
use crate::audit::ends::EndOnRecord;

/// What a pod and the proxy in it do.
#[derive(Clone, Debug, Default)]
pub struct Pod {
    pub uid: String,
    pub phase: Option<Phase>,
    pub accessor: Option<String>,
    pub custody: bool,
    /// It saw its lease go, and the old login refused.
    pub proves: bool,
    /// It saw its lease go, and the old login work: the role's revocation statements are wrong.
    pub login_works: bool,
    pub lease_id: Option<String>,
    pub end: Option<String>,
    pub finished_at: Option<Timestamp>,
    pub deleting_since: Option<Timestamp>,
    /// It neither exits nor goes.
    pub stuck: bool,
    /// It does not do what it is told, and goes on until its pod is deleted.
    pub deaf: bool,
    /// It died without proof.
    pub died: bool,
    pub failure: Option<String>,
    pub over_at: Option<Timestamp>,
    /// How many records it wrote, and how many of them the log has.
    pub wrote: u64,
    pub acknowledged: u64,
    /// What it and those before it have used, as far as it knows.
    pub used: Used,
}

pub fn seen(pod: &Pod) -> PodSeen {
    let state = match (pod.finished_at, pod.phase) {
        (Some(at), _) => PodState::Finished { at, problem: None },
        (None, None) => PodState::Pending(None),
        (None, Some(_)) => PodState::Running,
    };
    PodSeen {
        uid: pod.uid.clone(),
        node: Some("node-1".into()),
        started_at: None,
        deleting_since: pod.deleting_since,
        address: None,
        is_ready: pod.phase == Some(Phase::Ready) && !pod.stuck && !pod.died,
        over_at: pod.over_at,
        state,
    }
}

/// The name of a pod's stream.
pub fn stream(pod_uid: &str) -> String {
    let number: u64 = pod_uid.rsplit('-').next().unwrap().parse().unwrap();
    format!("g1/{number:016x}")
}

/// The hash of the last of that many records.
pub fn head(count: u64) -> Option<String> {
    (count > 0).then(|| tlog_hash(count))
}

fn tlog_hash(count: u64) -> String {
    use base64::Engine as _;
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&count.to_be_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash)
}

/// What a proxy that has ended puts on record.
pub fn end_on_record(pod: &Pod, now: Timestamp) -> Option<EndOnRecord> {
    let (accessor, end) = (pod.accessor.clone()?, report(pod, now)?.end?);
    Some(EndOnRecord { token_accessor: accessor, reason: end.reason, proofs: end.proofs })
}

/// What a proxy says that has just started.
pub fn said() -> Report {
    Report::starting("g1".into(), "0")
}

/// How its last command went, where the log does not have that: each record of a proxy here is an outcome.
fn owed(pod: &Pod) -> Vec<OwedOutcome> {
    let last = pod.wrote.checked_sub(1).filter(|last| *last >= pod.acknowledged);
    last.map(|n| OwedOutcome { n: Some(n), of: 1, rows: 7, ..OwedOutcome::default() }).into_iter().collect()
}

pub fn report(pod: &Pod, now: Timestamp) -> Option<Report> {
    if pod.died || pod.stuck {
        return None;
    }
    let phase = pod.phase?;
    let proof = |item: &str| ProofLine { item: item.into(), outcome: "Proved".into(), detail: "seen".into() };
    Some(Report {
        phase,
        token_accessor: pod.accessor.clone(),
        lease: pod.lease_id.as_ref().map(|id| Lease {
            lease_id: id.clone(),
            user_name: "v-user".into(),
            expires_at: "2026-01-01T12:30:00Z".parse().unwrap(),
        }),
        failure: pod
            .failure
            .as_ref()
            .map(|reason| Failure { reason: reason.clone(), message: "do this".into() }),
        usage: {
            let Used { statements, refused, rows, bytes } = pod.used;
            Usage { open_sessions: 0, sessions: 0, statements, refused, rows, bytes }
        },
        end: (phase == Phase::Ended).then(|| End {
            reason: pod.end.clone().unwrap_or_default(),
            cut_at: now,
            cut_millis: 3,
            proofs: match pod.proves {
                true if pod.login_works => {
                    let works =
                        ProofLine { item: "login".into(), outcome: "Open".into(), detail: "it works".into() };
                    vec![proof("sockets"), proof("serverSessions"), proof("lease"), works]
                }
                true => vec![proof("sockets"), proof("serverSessions"), proof("lease"), proof("login")],
                false => vec![proof("sockets")],
            },
            unanswered: Some(false),
            record: Some(OnRecord {
                stream: stream(&pod.uid),
                count: pod.wrote,
                head: head(pod.wrote),
                acknowledged: pod.acknowledged,
                outcomes: owed(pod),
                owed: 0,
            }),
        }),
        ..said()
    })
}
