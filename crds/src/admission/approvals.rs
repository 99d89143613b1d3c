//! Who may write an `AccessApproval`, and who may take a denial away.
//!
//! That it never changes stands here and in the schema: either can be taken away, and then the other still holds. Whether the approver may approve at all, and whether `requester` is true, is for
//! the operator to judge: a policy can't see the request.

use super::draft::{Draft, OURS};
use super::{APPROVE_ON_BEHALF, Release};

pub(super) fn written_by(release: &Release) -> Draft {
    Draft::new("approvals")
        .operator(release)
        .on(OURS, &["accessapprovals"], &["CREATE", "UPDATE", "DELETE"])
        .check(
            "request.operation != 'UPDATE' || object.spec == oldObject.spec",
            "an approval never changes: delete it and apply another one",
        )
        .check_saying(
            "request.operation != 'CREATE' || object.spec.submittedBy == variables.caller",
            "spec.submittedBy must be your own user name",
            "'spec.submittedBy must be your own user name: write ' + variables.caller",
        )
        .check_saying(
            &format!(
                "request.operation != 'CREATE' || object.spec.approver == variables.caller || \
                 authorizer.group('{OURS}').resource('accessapprovals').namespace(request.namespace)\
                 .check('{APPROVE_ON_BEHALF}').allowed()"
            ),
            "spec.approver must be your own user name",
            &format!(
                "'spec.approver must be your own user name: write ' + variables.caller + \
                 ' (approving for somebody else needs the verb {APPROVE_ON_BEHALF} on accessapprovals)'"
            ),
        )
        .check(
            "request.operation != 'CREATE' || object.spec.approver == variables.caller || has(object.spec.evidence)",
            "an approval for somebody else needs spec.evidence: say where it was reviewed, and by whom",
        )
        .check(
            "request.operation != 'CREATE' || object.spec.approver != object.spec.requester",
            "nobody approves their own request: spec.approver must be another person than spec.requester",
        )
        // A denial is latched in the request's status; until the operator has done so, only its author may take it away.
        // An approval that is deleted no longer counts: that is left to RBAC.
        .check(
            "request.operation != 'DELETE' || oldObject.spec.decision != 'Deny' || \
             variables.caller in [oldObject.spec.approver, oldObject.spec.submittedBy] || \
             variables.operator || variables.cleaner",
            "a denial is final: only who wrote it may delete it",
        )
}
