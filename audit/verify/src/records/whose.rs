//! For whom a grant is and what it opens, as each writer says it: these claims must be one.

use record::kinds::operator::{Grant, Request};
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
}

impl Whose {
    pub(super) fn of_request(request: &Request) -> Self {
        let Request { database, namespace, user, .. } = request;
        Self::of([user, database, namespace], None)
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
        }
    }

    /// The person.
    pub(super) fn user(self) -> Print {
        self.user
    }

    /// The first field in which two records differ that should say the same.
    pub(super) fn differs(self, other: Self) -> Option<&'static str> {
        let names = self.name.zip(other.name);
        let differ = [
            ("user", self.user != other.user),
            ("database", self.database != other.database),
            ("namespace", self.namespace != other.namespace),
            ("name", names.is_some_and(|(one, other)| one != other)),
        ];
        differ.into_iter().find_map(|(field, differs)| differs.then_some(field))
    }
}
