//! What only the operator may write on any kind of ours: `/status` and finalizers. And nobody makes an object that speaks
//! of access belong to another one.

use super::Release;
use super::draft::{Draft, OURS};

pub(super) fn status(release: &Release) -> Draft {
    Draft::new("status")
        .operator(release)
        .on(OURS, &["*/status"], &["CREATE", "UPDATE"])
        .check("variables.operator", "only the operator writes the status of this kind")
}

pub(super) fn marks(release: &Release) -> Draft {
    Draft::new("marks")
        .operator(release)
        .on(OURS, &["*"], &["CREATE", "UPDATE"])
        .check(
            "variables.operator || variables.cleaner || object.metadata.?finalizers.orValue([]) == \
             (oldObject == null ? [] : oldObject.metadata.?finalizers.orValue([]))",
            "only the operator adds or removes finalizers of this kind: leave metadata.finalizers as it is",
        )
        // A platform team's tools may own databases and policies; deleting those ends grants, and RBAC covers it.
        .check(
            "variables.operator || variables.cleaner || request.resource.resource in ['databases', 'accesspolicies'] || \
             object.metadata.?ownerReferences.orValue([]) == \
             (oldObject == null ? [] : oldObject.metadata.?ownerReferences.orValue([]))",
            "requests, approvals and grants have no owner but what the operator sets: leave metadata.ownerReferences \
             as it is",
        )
}
