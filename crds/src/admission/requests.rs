//! Who may write an `AccessRequest`: a person for themselves, or a trusted submitter with evidence for others.
//!
//! Its immutability stands in the schema. Deleting one is left to RBAC: it ends the grant, which only takes access away.

use super::REQUEST_ON_BEHALF;
use super::draft::{Draft, OURS};

pub(super) fn written_by() -> Draft {
    Draft::new("requests")
        .on(OURS, &["accessrequests"], &["CREATE"])
        .check_saying(
            "object.spec.submittedBy == variables.caller",
            "spec.submittedBy must be your own user name",
            "'spec.submittedBy must be your own user name: write ' + variables.caller",
        )
        .check_saying(
            &format!(
                "object.spec.user == variables.caller || \
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
            "object.spec.user == variables.caller || has(object.spec.evidence)",
            "a request for somebody else needs spec.evidence: say where it was reviewed, and by whom",
        )
}
