//! Who may write an `AccessRequest`: a person for themselves, or a trusted submitter with evidence for others.
//!
//! That it never changes stands here and in the schema: either can be taken away, and then the other still holds. Deleting one
//! is left to RBAC: it ends the grant, which only takes access away.

use super::REQUEST_ON_BEHALF;
use super::draft::{Draft, OURS};

pub(super) fn written_by() -> Draft {
    Draft::new("requests")
        .on(OURS, &["accessrequests"], &["CREATE", "UPDATE"])
        .check(
            "request.operation != 'UPDATE' || object.spec == oldObject.spec",
            "a request never changes: delete it and apply another one",
        )
        .check_saying(
            "request.operation != 'CREATE' || object.spec.submittedBy == variables.caller",
            "spec.submittedBy must be your own user name",
            "'spec.submittedBy must be your own user name: write ' + variables.caller",
        )
        .check_saying(
            &format!(
                "request.operation != 'CREATE' || object.spec.user == variables.caller || \
                 authorizer.group('{OURS}').resource('accessrequests').namespace(request.namespace)\
                 .check('{REQUEST_ON_BEHALF}').allowed()"
            ),
            "spec.user must be your own user name",
            &format!(
                "'spec.user must be your own user name: write ' + variables.caller + \
                 ' (asking for somebody else needs the verb {REQUEST_ON_BEHALF} on accessrequests)'"
            ),
        )
        .check(
            "request.operation != 'CREATE' || object.spec.user == variables.caller || has(object.spec.evidence)",
            "a request for somebody else needs spec.evidence: say where it was reviewed, and by whom",
        )
}
