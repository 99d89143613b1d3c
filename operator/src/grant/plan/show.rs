//! What the status says in words: conditions. Each has a reason and a sentence.

use access::report::{Phase, Report};
use crds::{AccessGrant, AccessGrantStatus, condition, set_condition};
use jiff::Timestamp;

use super::super::observed::{PodSeen, PodState, Problem};

/// Sets one condition.
pub fn say(
    grant: &AccessGrant,
    status: &mut AccessGrantStatus,
    kind: &str,
    told: (bool, Problem),
    now: Timestamp,
) {
    let (is_true, Problem { reason, message }) = told;
    let new = condition(kind, Some(is_true), &reason, &message);
    set_condition(&mut status.conditions, new, grant.metadata.generation, now);
}

/// Reason and sentence.
pub fn because(reason: &str, message: impl Into<String>) -> Problem {
    Problem { reason: reason.to_owned(), message: message.into() }
}

/// Why a grant that is not ready is not ready: the proxy's own words first, then Kubernetes'.
pub fn not_ready(pod: Option<&PodSeen>, report: Option<&Report>) -> Problem {
    if let Some(failure) = report.and_then(|report| report.failure.as_ref()) {
        return because(&failure.reason, failure.message.clone());
    }
    match pod.map(|pod| &pod.state) {
        Some(PodState::Pending(Some(problem)) | PodState::Finished { problem: Some(problem), .. }) => {
            problem.clone()
        }
        Some(PodState::Finished { problem: None, .. }) => {
            because("ProxyStopped", "the proxy stopped; a new one with a new lease follows.")
        }
        Some(PodState::Pending(None)) => because("PodStarting", "the proxy pod is being started."),
        Some(PodState::Running) => running(report),
        None => because("PodMissing", "the proxy pod is being made."),
    }
}

fn running(report: Option<&Report>) -> Problem {
    match report.map(|report| report.phase) {
        None => because("ProxySilent", "the proxy runs and does not answer the operator yet."),
        Some(Phase::Starting) => because("ProxyStarting", "the proxy logs in to Vault."),
        Some(Phase::Custody) => because("Custody", "the accessor of the proxy's token goes on record."),
        Some(Phase::Leasing | Phase::Ready) => {
            because("Leasing", "the proxy reads its credential and checks what it may do.")
        }
        Some(Phase::Ending | Phase::Ended) => {
            because("ProxyStopping", "the proxy stops; a new one with a new lease follows.")
        }
    }
}
