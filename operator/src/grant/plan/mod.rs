//! What happens next to one grant. Pure: same arguments, same plan.
//!
//! A grant only ever moves `Opening` -> `Ready` -> `Ending` -> `Ended`; once an end is recorded nothing opens it again.

pub mod changed;
mod close;
mod draft;
mod leases;
mod open;
mod receipt;
mod show;
mod trust;
pub mod usage;

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod model;
#[cfg(test)]
mod on_record;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod wakes;
#[cfg(test)]
pub use model::{grant as tests_grant, said as tests_report};

use access::report::Report;
use access::{EndReason, Used};
use crds::{AccessGrant, AccessGrantStatus, GrantPhase, LeaseStatus};
use jiff::Timestamp;

use self::draft::Draft;
pub use self::leases::{lacks_proofs, vault_role};
use super::observed::{Link, Observed, RequestLink};
use crate::audit::facts::Fact;

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The steps.
    pub actions: Vec<Action>,
    /// How they go together.
    pub order: Order,
    /// When to look again even if nothing changes. `None`: wait for an event.
    pub look_again: Option<Timestamp>,
    /// Whether to look, too, when the proxy says something new.
    pub listen: bool,
}

/// How the steps of a plan go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One after the other, and the first that fails is the last: what opens stands on what was done before. Only children that need no
    /// other are made at once.
    Strict,
    /// The status and the word to the proxy at once; the rest at once when the status is written, for it takes away what only
    /// the status will tell then.
    RecordFirst,
    /// All at once, whatever becomes of the others: what cuts waits for nothing.
    AtOnce,
}

/// One step. Doing it twice is doing it once.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write the grant's status.
    Record(Box<AccessGrantStatus>),
    /// Put these into the audit log, and go on when they are on its disk.
    Put(Vec<Fact>),
    /// Hand these over to the audit log. Nothing waits for it, and its failure stops nothing.
    Note(Vec<Fact>),
    /// Make or repair a child.
    Apply(ChildKind),
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
    /// Delete the pod that was seen; where none could be read, the one of this name.
    DeletePod,
    /// Let nothing in or out of the pod any more. A pod that no policy selects may be open: only an empty one closes it for certain.
    CloseNetworkPolicy,
    /// Delete the NetworkPolicy, of a pod that is gone.
    DeleteNetworkPolicy,
    /// Delete the binding of the Role.
    DeleteRoleBinding,
    /// Delete the Role.
    DeleteRole,
    /// Delete the Secret.
    DeleteSecret,
    /// Have a lease revoked in Vault, which takes its time, until it is seen to be gone.
    ShutLease(Box<LeaseStatus>),
    /// Let the request say that its grant has ended.
    CloseRequest,
    /// Let the grant object go.
    RemoveFinalizer,
}

/// Which authorities a proxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knows {
    /// Those that there are now: its pod is still to be made.
    Newest,
    /// Those that its grant notes: its pod is there.
    AsNoted,
}

/// What belongs to a grant in the proxies namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildKind {
    /// Who may connect to the proxy, and where it may.
    NetworkPolicy,
    /// The database's service account, which its grants share.
    ServiceAccount,
    /// A fresh certificate, and a grant file that says what was used before.
    Secret(Used, Knows),
    /// For port-forward to the pod.
    Role,
    /// Of that Role to the person.
    RoleBinding,
    /// The proxy.
    Pod,
}

/// Decides; does nothing.
pub fn plan(observed: &Observed, now: Timestamp) -> Plan {
    let phase = observed.grant.status.as_ref().map(|status| status.phase).unwrap_or_default();
    if phase == GrantPhase::Ended {
        return after_the_end(observed, now);
    }
    match ended(observed, now) {
        Some(reason) => close::close(observed, reason, now),
        None => open::open(observed, now),
    }
}

/// Why the grant ends, if it does. What was seen once stays so, though what told it is gone or says something else now.
pub fn ended(observed: &Observed, now: Timestamp) -> Option<EndReason> {
    let grant = &observed.grant;
    if let Some(reason) = own_end(grant, now) {
        return Some(reason);
    }
    let is_ready = grant.status.as_ref().is_some_and(|status| status.phase == GrantPhase::Ready);
    if grant.spec.terms.probe && is_ready {
        return Some(EndReason::Probed);
    }
    if observed.request == RequestLink::Gone {
        return Some(EndReason::Deleted);
    }
    if observed.database == Link::Gone {
        return Some(EndReason::DatabaseGone);
    }
    if observed.database == Link::Changed {
        return Some(EndReason::DatabaseChanged);
    }
    if observed.policy == Link::Gone {
        return Some(EndReason::PolicyGone);
    }
    if observed.approvals == Link::Gone {
        return Some(EndReason::ApprovalWithdrawn);
    }
    let violation = observed.report.as_ref().and_then(|report| violation(grant, report));
    violation.or(observed.ending.map(|ending| ending.reason))
}

/// Why it ends whatever is around it: the reasons that stand in the grant itself. What was recorded stays the reason.
pub fn own_end(grant: &AccessGrant, now: Timestamp) -> Option<EndReason> {
    if let Some(word) = grant.status.as_ref().and_then(|status| status.end_reason.as_ref()) {
        return Some(EndReason::from_word(word).unwrap_or(EndReason::Failed));
    }
    if grant.spec.revocation.is_some() {
        return Some(EndReason::Revoked);
    }
    if grant.spec.expires_at.0 <= now {
        return Some(EndReason::Expired);
    }
    grant.metadata.deletion_timestamp.is_some().then_some(EndReason::Deleted)
}

/// A proxy that reports a lease of another role is not to be trusted with this one.
fn violation(grant: &AccessGrant, report: &Report) -> Option<EndReason> {
    let foreign = report.lease.as_ref().is_some_and(|lease| !leases::owned(grant, &lease.lease_id));
    let ended_so = report.end.as_ref().is_some_and(|end| end.reason == EndReason::Violation.word());
    (foreign || ended_so).then_some(EndReason::Violation)
}

/// Shut and proved. When nothing is left to be said either, it is settled.
fn after_the_end(observed: &Observed, now: Timestamp) -> Plan {
    let mut draft = Draft::of(observed, now);
    let left = let_go(observed);
    draft.status.settled |= left.is_empty();
    if !left.is_empty() {
        draft.again_by(now);
    }
    draft.then(left);
    draft.finish()
}

/// Everything is shut; what is left is to say so. The request first: it must never see its grant gone and think that there
/// was none.
fn let_go(observed: &Observed) -> Vec<Action> {
    let is_open = matches!(observed.request, RequestLink::Open | RequestLink::Unknown);
    let request = is_open.then_some(Action::CloseRequest);
    let finalizer = has_finalizer(&observed.grant).then_some(Action::RemoveFinalizer);
    request.into_iter().chain(finalizer).collect()
}

/// Whether our finalizer is still on the grant.
pub fn has_finalizer(grant: &AccessGrant) -> bool {
    grant.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == crds::FINALIZER)
}
