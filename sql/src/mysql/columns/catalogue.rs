//! What is known of the server's tables, as far as statements touched them. Filled by the caller from
//! `information_schema`; holds names and the texts of views, never a row.

use crate::facts::TableName;
use crate::mysql::names::alike;
use std::collections::BTreeMap;

/// What a name takes at least.
const NAME: usize = 32;

/// What a table takes without its columns.
const TABLE: usize = 512;

/// A column of a table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// `*` leaves it out (`INVISIBLE` in `information_schema.columns.extra`).
    pub invisible: bool,
    /// What the server computes it from (`information_schema.columns.generation_expression`); empty for a plain column.
    pub generated: String,
}

/// A table or view that the server has. Its name is the one that the server tells, not the one that it was asked for by: a
/// rule on a table holds whatever a statement calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// The server's own name for its schema.
    pub schema: String,
    /// The server's own name for it.
    pub name: String,
    /// Its columns, in the server's order.
    pub columns: Vec<Column>,
    /// The text that defines a view (`information_schema.views.view_definition`: empty without the right to see it). `None`
    /// for a base table, or a table of the server's own.
    pub view: Option<String>,
}

impl Relation {
    /// Does it have the column that a rule names? Compared without case, as loosely as any server does.
    #[must_use]
    pub fn has_column(&self, ruled: &str) -> bool {
        self.columns.iter().any(|column| alike(&column.name, ruled))
    }
}

/// Tables by schema and name, as they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    relations: BTreeMap<TableName, Option<Relation>>,
}

impl Catalogue {
    /// Notes what the server says of a table, under the name that was asked for. `None`: it shows no such table to this user.
    pub fn insert(&mut self, name: TableName, relation: Option<Relation>) {
        self.relations.insert(name, relation);
    }

    /// What it takes of memory, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let relation = |relation: &Relation| {
            let names = relation.columns.iter().map(|column| column.name.len().max(NAME));
            let columns = relation.columns.len().saturating_mul(size_of::<Column>());
            let view = relation.view.as_ref().map_or(0, String::len);
            names.fold(columns.saturating_add(view), usize::saturating_add)
        };
        let relations = self.relations.values().flatten().map(relation);
        relations.map(|bytes| bytes.saturating_add(TABLE)).fold(0, usize::saturating_add)
    }

    /// What is known of a table; `None` when it was not looked up.
    #[must_use]
    pub fn get(&self, name: &TableName) -> Option<Option<&Relation>> {
        self.relations.get(name).map(Option::as_ref)
    }
}
