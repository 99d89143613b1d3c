//! Why a grant is not ready, in words: the proxy's own first, then Kubernetes'.

use access::report::{Failure, Phase, Report};
use crds::{Because, Reason};

use super::super::observed::{PodSeen, PodState};

/// Why a grant that is not ready is not ready.
pub fn not_ready(pod: Option<&PodSeen>, report: Option<&Report>) -> Because {
    if let Some(failure) = report.and_then(|report| report.failure.as_ref()) {
        return failed(failure);
    }
    match pod.map(|pod| &pod.state) {
        Some(PodState::Pending(Some(problem)) | PodState::Finished { problem: Some(problem), .. }) => {
            problem.clone()
        }
        Some(PodState::Finished { problem: None, .. }) => {
            Because::new(Reason::ProxyStopped, "the proxy stopped; a new one with a new lease follows.")
        }
        Some(PodState::Pending(None)) => Because::new(Reason::PodStarting, "the proxy pod is being started."),
        Some(PodState::Running) => running(report),
        None => Because::new(Reason::PodMissing, "the proxy pod is being made."),
    }
}

/// The proxy's own words. A reason that this release does not know comes with its sentence.
fn failed(failure: &Failure) -> Because {
    let Failure { reason, message } = failure;
    match Reason::from_word(reason) {
        Some(reason) => Because::new(reason, message.clone()),
        None => Because::new(Reason::ProxyFailed, format!("{reason}: {message}")),
    }
}

fn running(report: Option<&Report>) -> Because {
    let (reason, sentence) = match report.map(|report| report.phase) {
        None => (Reason::ProxySilent, "the proxy runs and does not answer the operator yet."),
        Some(Phase::Starting) => (Reason::ProxyStarting, "the proxy logs in to Vault."),
        Some(Phase::Custody) => (Reason::Custody, "the accessor of the proxy's token goes on record."),
        Some(Phase::Leasing | Phase::Ready) => {
            (Reason::Leasing, "the proxy reads its credential and checks what it may do.")
        }
        Some(Phase::Ending | Phase::Ended) => {
            (Reason::ProxyStopping, "the proxy stops; a new one with a new lease follows.")
        }
    };
    Because::new(reason, sentence)
}
