//! What a record is about, for who looks for it: said by the record itself, or by those of its grant and request. Pure.

use std::collections::BTreeSet;

use record::kinds::proxy;
use record::{Record, Uid, What};

/// By what records are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// The uid of the grant.
    Grant,
    /// The uid of the request.
    Request,
    /// The person whom the grant is for.
    User,
    /// The `Database`.
    Database,
    /// The namespace of grant and request.
    Namespace,
    /// A table that a statement reads.
    Table,
    /// The name of the kind.
    Kind,
    /// The name of the request or of the grant, in the operator's records that name one.
    Name,
}

impl Sort {
    /// Its number in the index.
    pub fn number(self) -> i64 {
        match self {
            Self::Grant => 0,
            Self::Request => 1,
            Self::User => 2,
            Self::Database => 3,
            Self::Namespace => 4,
            Self::Table => 5,
            Self::Kind => 6,
            Self::Name => 7,
        }
    }
}

/// One thing by which a record is found.
pub type Term = (Sort, String);

/// Where something is, and whose. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whose {
    /// The namespace.
    pub namespace: Option<String>,
    /// The `Database`.
    pub database: Option<String>,
    /// The person.
    pub user: Option<String>,
}

impl Whose {
    /// What a grant's own records say: the operator's of its newest proxy, which is believed where it speaks, and the first one of the
    /// first proxy, which can only speak of itself.
    pub fn of_grant(open: Option<&Record>, pod: Option<&Record>) -> Self {
        let mut whose = match open.map(|record| &record.what) {
            Some(What::Open(proxy::Open { namespace, database, user, .. })) => {
                Self::all(namespace, database, user)
            }
            _ => Self::default(),
        };
        if let Some(What::Pod(pod)) = pod.map(|record| &record.what) {
            whose.namespace = Some(pod.namespace.clone());
        }
        whose
    }

    /// What a request's own record says.
    pub fn of_request(record: &Record) -> Self {
        match &record.what {
            What::Request(request) => Self::all(&request.namespace, &request.database, &request.user),
            _ => Self::default(),
        }
    }

    fn all(namespace: &str, database: &str, user: &str) -> Self {
        let some = |text: &str| Some(text.to_owned());
        Self { namespace: some(namespace), database: some(database), user: some(user) }
    }

    /// By what a record of it is found.
    pub fn terms(&self) -> impl Iterator<Item = Term> {
        let Self { namespace, database, user } = self.clone();
        [(Sort::Namespace, namespace), (Sort::Database, database), (Sort::User, user)]
            .into_iter()
            .filter_map(|(sort, text)| Some((sort, text?)))
    }
}

/// The request that a record is about, where it names one.
pub fn request_of(record: &Record) -> Option<&Uid> {
    match &record.what {
        What::Request(request) => Some(&request.uid),
        What::Decision(decision) => Some(&decision.request),
        What::Approval(approval) => Some(&approval.request),
        What::Grant(grant) => Some(&grant.request),
        What::Pod(pod) => Some(&pod.request),
        _ => None,
    }
}

/// What the operator's records of a request, a grant and its proxies call it.
fn name_of(record: &Record) -> Option<&str> {
    match &record.what {
        What::Request(request) => Some(&request.name),
        What::Grant(grant) => Some(&grant.name),
        What::Pod(pod) => Some(&pod.grant),
        _ => None,
    }
}

/// Whose a record is: its grant's; where it has none, its request's; where nothing is known of that, what it says itself.
pub fn whose(record: &Record, grant: Option<&Whose>, request: Option<&Whose>) -> Whose {
    let own = match &record.what {
        What::Request(_) => Whose::of_request(record),
        What::Approval(approval) => Whose { namespace: Some(approval.namespace.clone()), ..Whose::default() },
        What::Grant(grant) => Whose::all(&grant.namespace, &grant.database, &grant.user),
        What::Pod(pod) => Whose { namespace: Some(pod.namespace.clone()), ..Whose::default() },
        What::Receipt(receipt) => Whose { namespace: Some(receipt.namespace.clone()), ..Whose::default() },
        _ => Whose::default(),
    };
    let known = if record.grant.is_some() { grant } else { request };
    let known = known.cloned().unwrap_or_default();
    Whose {
        namespace: known.namespace.or(own.namespace),
        database: known.database.or(own.database),
        user: known.user.or(own.user),
    }
}

/// Everything by which a record is found.
pub fn terms(record: &Record, whose: &Whose) -> BTreeSet<Term> {
    let mut terms: BTreeSet<Term> = whose.terms().collect();
    let (_, kind) = record.what.kind();
    terms.insert((Sort::Kind, kind.to_owned()));
    terms.extend(record.grant.iter().map(|grant| (Sort::Grant, grant.to_string())));
    terms.extend(request_of(record).map(|request| (Sort::Request, request.to_string())));
    terms.extend(name_of(record).map(|name| (Sort::Name, name.to_owned())));
    if let What::Statement(statement) = &record.what {
        let tables = statement.tables.iter().flat_map(|tables| &tables.names);
        terms.extend(tables.map(|name| (Sort::Table, name.clone())));
    }
    terms
}

#[cfg(test)]
mod tests {
    use record::samples::every_kind;

    use super::*;

    fn records() -> Vec<Record> {
        every_kind().iter().map(|leaf| Record::decode(&leaf.text).unwrap()).collect()
    }

    fn of_kind(kind: &str) -> Record {
        records().into_iter().find(|record| record.what.kind().1 == kind).unwrap()
    }

    fn namespace(name: &str) -> Whose {
        Whose { namespace: Some(name.into()), ..Whose::default() }
    }

    #[test]
    fn a_statement_is_found_by_what_its_proxy_said_first() {
        let grant = Whose::of_grant(Some(&of_kind("open")), None);
        let statement = of_kind("statement");
        let terms = terms(&statement, &whose(&statement, Some(&grant), None));
        let found: Vec<String> = terms.iter().map(|(_, text)| text.clone()).collect();
        let uid = record::samples::uid(3).to_string();
        assert_eq!(found, [&uid, "requester", "orders", "shop", "shop.orders", "statement"]);
    }

    #[test]
    fn the_operator_is_believed_where_it_and_the_proxy_differ() {
        let (open, mut pod) = (of_kind("open"), of_kind("pod"));
        let What::Pod(what) = &mut pod.what else { panic!() };
        what.namespace = "other".into();
        let whose = Whose::of_grant(Some(&open), Some(&pod));
        assert_eq!(whose.namespace.as_deref(), Some("other"));
        assert_eq!(whose.user.as_deref(), Some("requester"));
    }

    #[test]
    fn no_record_is_of_another_namespace_than_its_grant() {
        // What a record says itself counts only where nothing is known of its grant.
        for record in records().iter().filter(|record| record.grant.is_some()) {
            let whose = whose(record, Some(&namespace("a")), Some(&namespace("b")));
            assert_eq!(whose.namespace.as_deref(), Some("a"), "{:?}", record.what.kind());
        }
        let mut decision = of_kind("decision");
        decision.grant = None;
        let whose = whose(&decision, None, Some(&namespace("b")));
        assert_eq!(whose.namespace.as_deref(), Some("b"));
    }
}
