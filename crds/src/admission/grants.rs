//! Who may write an `AccessGrant`: the operator. A person may only revoke it, once, in their own name.
//!
//! That nothing but `revocation` ever changes stands here and in the schema, and binds the operator too. Deleting a grant is left to
//! RBAC: its finalizer, which only the operator may take off, keeps it until everything is shut.

use super::draft::{Draft, OURS};
use super::{ABANDON, Release};

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
        .variable(
            "abandons",
            "request.operation == 'UPDATE' && has(object.spec.abandon) && !has(oldObject.spec.abandon)",
        )
        .check(
            "request.operation != 'UPDATE' || variables.operator || variables.cleaner || variables.revokes || \
             variables.abandons",
            "nothing of a grant can be changed: a person may only set spec.revocation, or spec.abandon, once",
        )
        .check(
            "request.operation != 'UPDATE' || (object.spec.request == oldObject.spec.request && \
             object.spec.user == oldObject.spec.user && object.spec.terms == oldObject.spec.terms && \
             object.spec.termsDigest == oldObject.spec.termsDigest && \
             object.spec.?approvedBy == oldObject.spec.?approvedBy && \
             object.spec.expiresAt == oldObject.spec.expiresAt && (!has(oldObject.spec.revocation) || \
             object.spec.?revocation == oldObject.spec.?revocation) && (!has(oldObject.spec.abandon) || \
             object.spec.?abandon == oldObject.spec.?abandon))",
            "nothing of a grant changes but spec.revocation and spec.abandon, and those once",
        )
        .check_saying(
            "!variables.abandons || object.spec.abandon.by == variables.caller",
            "spec.abandon.by must be your own user name",
            "'spec.abandon.by must be your own user name: write ' + variables.caller",
        )
        .check(
            &format!(
                "!variables.abandons || authorizer.group('{OURS}').resource('accessgrants')\
                 .namespace(request.namespace).name(request.name).check('{ABANDON}').allowed()"
            ),
            &format!("to give up the proof of a grant's end needs the verb {ABANDON} on accessgrants"),
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
