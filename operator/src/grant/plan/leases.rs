//! Leases and the accessors of the tokens that own them: on record before they can do anything.

use access::VaultLease;
use access::report::Report;
use crds::{AccessGrant, AccessGrantStatus, LeaseStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::observed::PodSeen;
use super::Action;
use crate::leases::{Finding, Shut};

/// The most leases that one grant may have. A proxy whose accessor is not on record reads no credential; and a status that grew without
/// end could not be written any more, not even to end the grant.
const MOST: usize = 256;

/// Whether a lease id is one of this grant's own role. The proxy's word is not taken for it.
pub fn owned(grant: &AccessGrant, lease_id: &str) -> bool {
    let vault = &grant.spec.terms.database_spec.credentials.vault;
    VaultLease { mount: vault.mount.clone(), role: vault.role.clone() }.owns(lease_id)
}

/// Puts what the proxy reports on record: a new accessor as a new line, its lease where it is the role's own.
pub fn record(grant: &AccessGrant, status: &mut AccessGrantStatus, pod: Option<&PodSeen>, report: &Report) {
    let Some(accessor) = &report.token_accessor else { return };
    let known = status.leases.iter().any(|lease| lease.token_accessor == *accessor);
    if !known && status.leases.len() < MOST {
        status.leases.push(LeaseStatus {
            pod_uid: pod.map(|pod| pod.uid.clone()).unwrap_or_default(),
            token_accessor: accessor.clone(),
            ..LeaseStatus::default()
        });
    }
    let reported = report.lease.as_ref().filter(|lease| owned(grant, &lease.lease_id));
    let line = status.leases.iter_mut().find(|lease| lease.token_accessor == *accessor);
    if let (Some(line), Some(lease)) = (line, reported)
        && line.lease_id.is_none()
    {
        // Whatever was shut before was not this one, by its id.
        line.revoked = false;
        line.lease_id = Some(lease.lease_id.clone());
        line.user_name = Some(lease.user_name.clone());
        line.expires_at = Some(Time(lease.expires_at));
    }
}

/// Marks as revoked what Vault said is gone.
pub fn settle(status: &mut AccessGrantStatus, findings: &[Finding]) {
    for line in &mut status.leases {
        let gone = |finding: &Finding| finding.is_of(line) && finding.shut == Shut::Gone;
        line.revoked |= findings.iter().any(gone);
    }
}

/// Leases that may stand.
pub fn standing(status: &AccessGrantStatus) -> impl Iterator<Item = &LeaseStatus> {
    status.leases.iter().filter(|lease| !lease.revoked)
}

/// Leases that may stand and that nobody shuts yet.
pub fn to_hand_over(status: &AccessGrantStatus, findings: &[Finding]) -> Vec<Action> {
    let in_hand = |lease: &LeaseStatus| findings.iter().any(|finding| finding.is_of(lease));
    standing(status).filter(|lease| !in_hand(lease)).cloned().map(Action::ShutLease).collect()
}

/// What to do about a lease that could not be shut, if anything was tried.
pub fn open_detail(findings: &[Finding]) -> Option<&str> {
    findings.iter().find_map(|finding| match &finding.shut {
        Shut::Open(detail) => Some(detail.as_str()),
        Shut::Gone | Shut::Asked => None,
    })
}
