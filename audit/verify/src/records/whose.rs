//! For whom a grant is and what it opens, as each writer says it: these claims must be one. And who asked for it, for nobody approves that.

use record::kinds::operator::{Approval, Grant, Request};
use record::kinds::proxy::Open;

use super::print::Print;

/// As one record says it.
#[derive(Clone, Copy)]
pub(super) struct Whose {
    user: Print,
    database: Print,
    namespace: Print,
    /// The name of the grant. A request's is another.
    name: Option<Print>,
    /// Who applied the request. Only its own record says it.
    submitter: Option<Print>,
}

impl Whose {
    pub(super) fn of_request(request: &Request) -> Self {
        let Request { database, namespace, submitted_by, user, .. } = request;
        Self { submitter: Some(Print::of(submitted_by)), ..Self::of([user, database, namespace], None) }
    }

    pub(super) fn of_grant(grant: &Grant) -> Self {
        let Grant { database, namespace, name, user, .. } = grant;
        Self::of([user, database, namespace], Some(name))
    }

    pub(super) fn of_open(open: &Open) -> Self {
        let Open { database, namespace, name, user, .. } = open;
        Self::of([user, database, namespace], Some(name))
    }

    /// As a record says it that names the grant, and neither person nor database.
    pub(super) fn named(self, namespace: &str, name: &str) -> Self {
        Self { namespace: Print::of(namespace), name: Some(Print::of(name)), ..self }
    }

    fn of([user, database, namespace]: [&str; 3], name: Option<&String>) -> Self {
        Self {
            user: Print::of(user),
            database: Print::of(database),
            namespace: Print::of(namespace),
            name: name.map(|name| Print::of(name)),
            submitter: None,
        }
    }

    /// The person.
    pub(super) fn user(self) -> Print {
        self.user
    }

    /// Whether an approval is of somebody who asked for the access, or was brought by the person whom it is for.
    pub(super) fn asked(self, approval: &Approval) -> bool {
        let Approval { approver, submitted_by, .. } = approval;
        let (approver, brought_by) = (Print::of(approver), Print::of(submitted_by));
        [approver, brought_by].contains(&self.user) || self.submitter == Some(approver)
    }

    /// The first field in which two records differ that should say the same.
    pub(super) fn differs(self, other: Self) -> Option<&'static str> {
        let both_differ = |both: Option<(Print, Print)>| both.is_some_and(|(one, other)| one != other);
        let differ = [
            ("user", self.user != other.user),
            ("database", self.database != other.database),
            ("namespace", self.namespace != other.namespace),
            ("name", both_differ(self.name.zip(other.name))),
            ("submittedBy", both_differ(self.submitter.zip(other.submitter))),
        ];
        differ.into_iter().find_map(|(field, differs)| differs.then_some(field))
    }
}
