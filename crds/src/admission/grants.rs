//! Who may write an `AccessGrant`: the operator. A person may only revoke it, once, in their own name.
//!
//! That nothing but `revocation` ever changes stands here and in the schema, and binds the operator too. Deleting a grant is left to
//! RBAC: its finalizer, which only the operator may take off, keeps it until everything is shut.

use super::Release;
use super::draft::{Draft, OURS};

pub(super) fn written_by(release: &Release) -> Draft {
    Draft::new("grants")
        .operator(release)
        .on(OURS, &["accessgrants"], &["CREATE", "UPDATE"])
        .check(
            "request.operation != 'CREATE' || variables.operator",
            "only the operator makes grants: apply an AccessRequest instead",
        )
        .variable(
            "revokes",
            "request.operation == 'UPDATE' && has(object.spec.revocation) && !has(oldObject.spec.revocation)",
        )
        .check(
            "request.operation != 'UPDATE' || variables.operator || variables.cleaner || variables.revokes",
            "nothing of a grant can be changed: a person may only set spec.revocation, once",
        )
        .check(
            "request.operation != 'UPDATE' || (object.spec.request == oldObject.spec.request && \
             object.spec.user == oldObject.spec.user && object.spec.terms == oldObject.spec.terms && \
             object.spec.termsDigest == oldObject.spec.termsDigest && \
             object.spec.?approvedBy == oldObject.spec.?approvedBy && \
             object.spec.expiresAt == oldObject.spec.expiresAt && (!has(oldObject.spec.revocation) || \
             object.spec.?revocation == oldObject.spec.?revocation))",
            "nothing of a grant changes but spec.revocation, and that once",
        )
        .check_saying(
            "!variables.revokes || object.spec.revocation.by == variables.caller",
            "spec.revocation.by must be your own user name",
            "'spec.revocation.by must be your own user name: write ' + variables.caller",
        )
        .check(
            "request.operation != 'UPDATE' || variables.operator || variables.cleaner || \
             (object.metadata.?labels.orValue({}) == oldObject.metadata.?labels.orValue({}) && \
             object.metadata.?annotations.orValue({}) == oldObject.metadata.?annotations.orValue({}))",
            "labels and annotations of a grant are the operator's: to revoke it, set spec.revocation and nothing else",
        )
        // Kubernetes' own controllers take owner references and finalizers off; they have no business in the spec.
        .check(
            "!variables.cleaner || request.operation != 'UPDATE' || object.spec == oldObject.spec",
            "a controller that cleans up may not change a grant's spec",
        )
}
