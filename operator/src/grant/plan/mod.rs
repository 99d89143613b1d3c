//! What happens next to one grant. Pure: same arguments, same plan.
//!
//! A grant only ever moves `Opening` -> `Ready` -> `Ending` -> `Ended`; once an end is recorded nothing opens it again.

mod close;
mod draft;
mod leases;
mod open;
mod receipt;
mod show;
mod trust;
mod usage;

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub use model::grant as tests_grant;

use access::report::Report;
use access::{EndReason, Used};
use crds::{AccessGrant, AccessGrantStatus, GrantPhase, LeaseStatus};
use jiff::Timestamp;

use super::observed::{Link, Observed, RequestLink};

/// What to do, in this order; `apply` stops at the first failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The steps.
    pub actions: Vec<Action>,
    /// When to look again even if nothing changes. `None`: wait for an event.
    pub look_again: Option<Timestamp>,
}

/// One step. Doing it twice is doing it once.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write the grant's status.
    Record(Box<AccessGrantStatus>),
    /// Make or repair the NetworkPolicy.
    ApplyNetworkPolicy,
    /// Make or repair the database's service account.
    ApplyServiceAccount,
    /// Write a fresh certificate, and a grant file that says what was used before.
    ApplySecret(Used),
    /// Make or repair the Role for port-forward.
    ApplyRole,
    /// Make or repair its binding.
    ApplyRoleBinding,
    /// Make the pod.
    ApplyPod,
    /// Let the node end the pod sooner.
    ShortenPod {
        /// Seconds to take off its `activeDeadlineSeconds`.
        by_seconds: i64,
    },
    /// Tell the proxy that its accessor is on record.
    TellCustody {
        /// The accessor.
        token_accessor: String,
    },
    /// Tell the proxy to cut everyone off, shut everything, prove it and exit. Its failure stops nothing.
    TellEnd(EndReason),
    /// Delete the pod.
    DeletePod,
    /// Delete the NetworkPolicy.
    DeleteNetworkPolicy,
    /// Delete the binding of the Role.
    DeleteRoleBinding,
    /// Delete the Role.
    DeleteRole,
    /// Delete the Secret.
    DeleteSecret,
    /// Revoke a lease in Vault and look whether it is gone.
    ShutLease(LeaseStatus),
    /// Let the request say that its grant has ended.
    CloseRequest,
    /// Let the grant object go.
    RemoveFinalizer,
}

/// Decides; does nothing.
pub fn plan(observed: &Observed, now: Timestamp) -> Plan {
    let status = observed.grant.status.clone().unwrap_or_default();
    if status.phase == GrantPhase::Ended {
        return Plan { actions: let_go(observed), look_again: None };
    }
    match ended(observed, &status, now) {
        Some(reason) => close::close(observed, reason, now),
        None => open::open(observed, now),
    }
}

/// Why the grant ends, if it does. What was recorded stays the reason.
fn ended(observed: &Observed, status: &AccessGrantStatus, now: Timestamp) -> Option<EndReason> {
    let grant = &observed.grant;
    if let Some(word) = &status.end_reason {
        return Some(EndReason::from_word(word).unwrap_or(EndReason::Failed));
    }
    if grant.spec.revocation.is_some() {
        return Some(EndReason::Revoked);
    }
    if grant.spec.expires_at.0 <= now {
        return Some(EndReason::Expired);
    }
    if grant.metadata.deletion_timestamp.is_some() || observed.request == RequestLink::Gone {
        return Some(EndReason::Deleted);
    }
    if observed.database == Link::Gone {
        return Some(EndReason::DatabaseGone);
    }
    if observed.policy == Link::Gone {
        return Some(EndReason::PolicyGone);
    }
    observed.report.as_ref().and_then(|report| violation(grant, report))
}

/// A proxy that reports a lease of another role is not to be trusted with this one.
fn violation(grant: &AccessGrant, report: &Report) -> Option<EndReason> {
    let foreign = report.lease.as_ref().is_some_and(|lease| !leases::owned(grant, &lease.lease_id));
    let ended_so = report.end.as_ref().is_some_and(|end| end.reason == EndReason::Violation.word());
    (foreign || ended_so).then_some(EndReason::Violation)
}

/// Everything is shut; what is left is to say so. The request first: it must never see its grant gone and think that there
/// was none.
fn let_go(observed: &Observed) -> Vec<Action> {
    let request = (observed.request == RequestLink::Open).then_some(Action::CloseRequest);
    let finalizer = has_finalizer(&observed.grant).then_some(Action::RemoveFinalizer);
    request.into_iter().chain(finalizer).collect()
}

/// Whether our finalizer is still on the grant.
pub fn has_finalizer(grant: &AccessGrant) -> bool {
    grant.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == crds::FINALIZER)
}
