//! What is known of the server's tables, as far as statements touched them. Filled by the caller from
//! `information_schema`; holds names and the texts of views, never a row.

use crate::facts::TableName;
use std::collections::BTreeMap;

/// The columns of a table or view, in the server's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Name of each, and whether `*` leaves it out (`INVISIBLE` in `information_schema.columns.extra`).
    pub names: Vec<(String, bool)>,
}

/// A table, or a view with the text that defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// A base table, or a table of the server's own.
    Table(Columns),
    /// A view.
    View {
        /// Its columns.
        columns: Columns,
        /// `information_schema.views.view_definition`: empty without the right to see it.
        definition: String,
    },
    /// The server shows no such table to this user.
    Absent,
}

/// Tables by schema and name, as the server spells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    relations: BTreeMap<TableName, Relation>,
}

impl Catalogue {
    /// Notes what the server says of a table, under the name that was asked for.
    pub fn insert(&mut self, name: TableName, relation: Relation) {
        self.relations.insert(name, relation);
    }

    /// What is known of a table; `None` when it was not looked up.
    #[must_use]
    pub fn get(&self, name: &TableName) -> Option<&Relation> {
        self.relations.get(name)
    }
}
