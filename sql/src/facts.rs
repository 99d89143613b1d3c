//! What a statement touches. Holds names only, never a value of the statement and never a judgement: policy judges.

use access::QualifiedName;
use std::collections::BTreeSet;

/// A table or view that a statement reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName {
    /// The schema: as written, or else the session's. `None` when neither is there: the server will refuse it.
    pub schema: Option<String>,
    /// The table's name, unquoted, in the case it was written in.
    pub name: String,
}

/// Everything that a permitted statement reads, calls or sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Tables and views read, names of common table expressions taken out.
    pub tables: BTreeSet<TableName>,
    /// Built-in functions called, in lower case.
    pub functions: BTreeSet<String>,
    /// Stored functions called, each allowed by the `Database`.
    pub stored_functions: BTreeSet<QualifiedName>,
    /// User and system variables read, in lower case, with `@` or `@@` in front.
    pub variables_read: BTreeSet<String>,
    /// User and system variables set, in lower case, with `@` or `@@` in front.
    pub variables_set: BTreeSet<String>,
    /// Parameters (`?`) of a statement to prepare.
    pub parameters: usize,
    /// How many tables it reads beside those in `tables`: none, unless the gate keeps few facts.
    pub more_tables: usize,
}

/// How many tables a gate names that keeps few facts.
const MOST_TABLES: usize = 64;

impl Facts {
    /// Its parameters and its first 64 tables: of a long text all facts are megabytes.
    pub(crate) fn few(self) -> Self {
        let more_tables = self.tables.len().saturating_sub(MOST_TABLES);
        let tables = self.tables.into_iter().take(MOST_TABLES).collect();
        Self { tables, more_tables, parameters: self.parameters, ..Self::default() }
    }
}
