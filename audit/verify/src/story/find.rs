//! Finds the grant that somebody means: by its uid or name, or by those of the request that it came from.

use record::kinds::{operator, proxy};
use record::{Record, Time, Uid, What};

/// The most that are kept of what one name fits.
const MOST: usize = 100;

/// What somebody calls a grant. As text `UID`, `NAME` or `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    uid: Option<Uid>,
    namespace: Option<String>,
    name: String,
}

/// What names no grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Not of that form.
    #[error("a grant is named by its uid, by NAME or by NAMESPACE/NAME")]
    Form,
    /// Two namespaces.
    #[error("the name has one namespace, and -n says another")]
    TwoNamespaces,
}

impl Sought {
    /// From the text, and the namespace in which a name without one is looked for: without it, in all.
    pub fn parse(text: &str, namespace: Option<&str>) -> Result<Self, BadName> {
        let parts: Vec<&str> = text.split('/').collect();
        let (of_text, name) = match parts.as_slice() {
            [name] => (None, *name),
            [namespace, name] => (Some(*namespace), *name),
            _ => return Err(BadName::Form),
        };
        if name.is_empty() || of_text == Some("") {
            return Err(BadName::Form);
        }
        if of_text.is_some() && namespace.is_some() && of_text != namespace {
            return Err(BadName::TwoNamespaces);
        }
        let uid = if of_text.is_none() { name.parse().ok() } else { None };
        Ok(Self { uid, namespace: of_text.or(namespace).map(str::to_owned), name: name.to_owned() })
    }

    fn is_called(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace.as_deref().is_none_or(|wanted| wanted == namespace)
    }

    fn is_uid(&self, uid: Option<&Uid>) -> bool {
        self.uid.is_some() && self.uid.as_ref() == uid
    }
}

/// A grant, or a request without one, that may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The uid of the grant, where a record has it.
    pub grant: Option<Uid>,
    /// The uid of the request, where a record has it.
    pub request: Option<Uid>,
    /// Its namespace.
    pub namespace: String,
    /// The name of the grant, or of the request before there is one.
    pub name: String,
    /// Who reads, where it is known.
    pub user: String,
    /// What.
    pub database: String,
    /// When the first record of it was written.
    pub at: Time,
    by_uid: bool,
}

/// Looks through the records of a log, in their order.
#[derive(Clone, Debug)]
pub struct Search {
    sought: Sought,
    found: Vec<Candidate>,
}

/// What one record says of a grant and its names.
#[derive(Clone, Copy, Default)]
struct Says<'r> {
    grant: Option<&'r Uid>,
    request: Option<&'r Uid>,
    namespace: &'r str,
    name: &'r str,
    user: &'r str,
    database: &'r str,
}

impl<'r> Says<'r> {
    fn of(record: &'r Record) -> Self {
        let grant = record.grant.as_ref();
        match &record.what {
            What::Request(operator::Request { uid, namespace, name, user, database, .. }) => {
                Self { grant: None, request: Some(uid), namespace, name, user, database }
            }
            What::Grant(operator::Grant { request, namespace, name, user, database, .. }) => {
                Self { grant: None, request: Some(request), namespace, name, user, database }
            }
            What::Pod(operator::Pod { request, namespace, grant: name, .. }) => {
                Self { grant, request: Some(request), namespace, name, ..Self::default() }
            }
            What::Open(proxy::Open { namespace, name, user, database, .. }) => {
                Self { grant, request: None, namespace, name, user, database }
            }
            What::Receipt(operator::Receipt { namespace, name, .. }) => {
                Self { grant, namespace, name, ..Self::default() }
            }
            _ => Self { grant, ..Self::default() },
        }
    }

    fn is_about(&self, found: &Candidate) -> bool {
        let is_same = |one: Option<&Uid>, other: &Option<Uid>| one.is_some() && one == other.as_ref();
        is_same(self.grant, &found.grant) || is_same(self.request, &found.request)
    }
}

impl Search {
    /// For this one.
    pub fn of(sought: Sought) -> Self {
        Self { sought, found: Vec::new() }
    }

    /// Takes from a record what it says.
    pub fn learn(&mut self, record: &Record) {
        let says = Says::of(record);
        let by_uid = self.sought.is_uid(says.grant) || self.sought.is_uid(says.request);
        let known = self.found.iter().position(|found| says.is_about(found));
        if let Some(number) = known {
            self.add(number, says, by_uid);
            return;
        }
        let is_meant = by_uid || self.sought.is_called(says.namespace, says.name);
        if is_meant && self.found.len() < MOST {
            self.found.push(Candidate {
                grant: says.grant.cloned(),
                request: says.request.cloned(),
                namespace: says.namespace.to_owned(),
                name: says.name.to_owned(),
                user: says.user.to_owned(),
                database: says.database.to_owned(),
                at: record.at,
                by_uid,
            });
        }
    }

    /// Adds what is said to the one that is known. A proxy's first record, which knows its grant alone, comes before the operator's that
    /// names the request, too: then two that were found are one.
    fn add(&mut self, number: usize, says: Says<'_>, by_uid: bool) {
        let other =
            self.found.iter().rposition(|found| says.is_about(found)).filter(|other| *other != number);
        let joined = other.map(|other| self.found.remove(other));
        let Some(found) = self.found.get_mut(number) else { return };
        found.by_uid |= by_uid || joined.as_ref().is_some_and(|joined| joined.by_uid);
        found.grant = found.grant.take().or_else(|| says.grant.cloned());
        found.request = found.request.take().or_else(|| says.request.cloned());
        // The grant's name comes later than that of its request, and stays.
        for (field, said) in [
            (&mut found.namespace, says.namespace),
            (&mut found.name, says.name),
            (&mut found.user, says.user),
            (&mut found.database, says.database),
        ] {
            if !said.is_empty() && *field != said {
                said.clone_into(field);
            }
        }
    }

    /// Those that may be meant: one, where the uid fits.
    pub fn found(self) -> Vec<Candidate> {
        let by_uid: Vec<Candidate> = self.found.iter().filter(|found| found.by_uid).cloned().collect();
        if by_uid.is_empty() { self.found } else { by_uid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_at_most_one_namespace() {
        for text in ["", "/", "shop/", "/look", "a/b/c"] {
            assert_eq!(Sought::parse(text, None), Err(BadName::Form), "{text:?}");
        }
        assert_eq!(Sought::parse("shop/look", Some("depot")), Err(BadName::TwoNamespaces));
        let of = |text, namespace| Sought::parse(text, namespace).unwrap();
        assert!(of("look", None).is_called("shop", "look") && of("look", None).is_called("depot", "look"));
        for sought in [of("shop/look", None), of("look", Some("shop")), of("shop/look", Some("shop"))] {
            assert!(sought.is_called("shop", "look") && !sought.is_called("depot", "look"));
        }
        assert!(!of("shop/look", None).is_uid(Some(&"look".parse().unwrap())), "a uid has no namespace");
    }
}
