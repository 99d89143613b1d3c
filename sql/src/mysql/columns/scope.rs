//! Which column a name means. Follows the servers' rules of scope where they are certain; where a server may look in
//! several places, the strictest answer of all of them counts. Names and accesses only, nothing of a tree.
//!
//! The servers compare names of columns without case and without accents (`utf8mb3_general_ci`), so a name beyond ASCII
//! is only believed where it is spelled exactly and nothing else can be meant.
//!
//! No catalogue tells of all that a name can mean: servers have a name of their own for a table's key, and look for it in
//! the innermost table first. So a name that only something unknown explains (a column that some table may have, an item
//! without a name) is open only where nothing in sight is masked or hidden.

use crate::mysql::names::{may_mean, same};
use access::ColumnAccess;

/// The servers' own name for the column of a table's key, where that is one column of integers.
const KEY: &str = "_rowid";

/// What a reader gets of a value: everything (`None`), or less.
pub(crate) type Access = Option<ColumnAccess>;

/// A column of a table, of a derived table or of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Its name; `None` when the server makes one of the expression's text. Such a field is always open.
    pub(crate) name: Option<String>,
    /// What a reader gets of it.
    pub(crate) access: Access,
    /// `*` leaves it out.
    pub(crate) invisible: bool,
}

/// The columns of a query's result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Output {
    /// The columns in their order.
    pub(crate) fields: Vec<Field>,
    /// Number and order are known. Where they are not, every field that may be missing here is open.
    pub(crate) certain: bool,
}

impl Output {
    /// The strictest access of all its columns.
    pub(crate) fn access(&self) -> Access {
        self.fields.iter().filter_map(|field| field.access).max()
    }
}

/// One table reference of a `FROM`.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The schema, where a name with a schema can mean it.
    pub(crate) schema: Option<String>,
    /// The alias, or the table's own name.
    pub(crate) name: String,
    /// Its columns.
    pub(crate) output: Output,
}

/// What a `SELECT` sees: its tables and its aliases.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    /// The tables met so far.
    pub(crate) sources: Vec<Source>,
    /// The items of the `SELECT` met so far.
    pub(crate) items: Output,
    /// A derived table of this `FROM` that is not `LATERAL` is being walked: it does not see the others.
    pub(crate) concealed: bool,
    /// In a clause in which the server may look elsewhere first: aliases, the tables of one join only, outer queries.
    pub(crate) loose: bool,
    /// `USING` or `NATURAL` makes one column of two: the order of `*` is not known.
    pub(crate) merged: bool,
}

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A column or alias with this access.
    Access(Access),
    /// A table's key under the servers' own name for it, where some column is masked or hidden.
    Key,
    /// Nothing in sight.
    Nothing,
    /// More than can be told apart.
    Unclear,
}

/// The servers read such a name as itself only.
pub(crate) fn is_simple(name: &str) -> bool {
    name.is_ascii() && !name.ends_with(' ')
}

/// A name as it stands in the text: `column`, `table.column` or `schema.table.column`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'a> {
    schema: Option<&'a str>,
    table: Option<&'a str>,
    column: &'a str,
}

impl<'a> Path<'a> {
    /// From the parts of the name.
    pub(crate) fn new(parts: &'a [String]) -> Option<Self> {
        match parts {
            [column] => Some(Self { schema: None, table: None, column }),
            [table, column] => Some(Self { schema: None, table: Some(table), column }),
            [schema, table, column] => Some(Self { schema: Some(schema), table: Some(table), column }),
            _ => None,
        }
    }

    /// What stands before the name of a column, or before `*`.
    pub(crate) fn before(schema: Option<&'a str>, table: Option<&'a str>) -> Self {
        Self { schema, table, column: "*" }
    }

    /// Could it be the servers' own name for a key?
    fn may_be_a_key(&self) -> bool {
        may_be_a_key(self.column)
    }

    /// A word, as every name is that servers have of their own; else it can be an expression's text.
    fn is_word(&self) -> bool {
        let begins = self.column.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        begins && self.column.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$'))
    }

    fn is_simple(&self) -> bool {
        is_simple(self.column) && self.table.is_none_or(is_simple) && self.schema.is_none_or(is_simple)
    }

    fn is_exactly(&self, source: &Source, field: &Field) -> bool {
        field.name.as_deref() == Some(self.column) && self.table.is_none_or(|table| source.name == table)
    }
}

/// Could this be the servers' own name for a key?
pub(crate) fn may_be_a_key(column: &str) -> bool {
    may_mean(column, KEY)
}

/// What a name could mean where a server may look, as far as that is known.
#[derive(Clone, Copy, Debug, Default)]
struct Possible {
    /// The strictest of what is known.
    known: Option<Access>,
    /// There may be more, and that is open.
    unknown: bool,
    /// Something there is masked or hidden.
    ruled: bool,
}

impl Possible {
    fn add(&mut self, path: &Path<'_>, field: &Field) {
        let Some(own) = &field.name else {
            self.unknown = true;
            return;
        };
        if same(path.column, own) || (may_mean(path.column, own) && field.access.is_some()) {
            self.known = self.known.max(Some(field.access));
        } else if may_mean(path.column, own) {
            self.unknown = true;
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            known: self.known.max(other.known),
            unknown: self.unknown || other.unknown,
            ruled: self.ruled || other.ruled,
        }
    }
}

impl Source {
    /// Is it certainly one? Whether case counts in a table's name or alias is the server's setting.
    fn is_surely_called(&self, path: &Path<'_>) -> bool {
        let schema = path.schema.is_none_or(|schema| self.schema.as_deref() == Some(schema));
        schema && path.table.is_none_or(|table| self.name == table)
    }

    /// Could a name with this table and schema before it be one of this one?
    pub(crate) fn may_be_called(&self, path: &Path<'_>) -> bool {
        let schema =
            path.schema.zip(self.schema.as_deref()).is_none_or(|(wanted, own)| may_mean(wanted, own));
        schema && path.table.is_none_or(|table| may_mean(table, &self.name))
    }

    fn named<'a>(&'a self, is: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = Access> + 'a {
        let named = move |field: &&Field| field.name.as_deref().is_some_and(&is);
        self.output.fields.iter().filter(named).map(|field| field.access)
    }
}

impl Frame {
    /// The columns that the name means.
    fn columns(&self, path: &Path<'_>) -> Option<Access> {
        let called = self.sources.iter().filter(|source| source.is_surely_called(path));
        called.flat_map(|source| source.named(|own| same(path.column, own))).max()
    }

    /// What the name could mean: columns, and in the places for them aliases.
    fn possible(&self, path: &Path<'_>, with_aliases: bool) -> Possible {
        let mut possible = Possible { ruled: self.is_ruled(path), ..Possible::default() };
        for source in self.sources.iter().filter(|source| source.may_be_called(path)) {
            possible.unknown |= !source.output.certain;
            source.output.fields.iter().for_each(|field| possible.add(path, field));
        }
        if with_aliases && path.table.is_none() {
            possible.ruled |= self.items.access().is_some();
            self.items.fields.iter().for_each(|field| possible.add(path, field));
        }
        possible
    }

    /// Is something masked or hidden in a table that the name could be one of?
    fn is_ruled(&self, path: &Path<'_>) -> bool {
        let mut called = self.sources.iter().filter(|source| source.may_be_called(path));
        called.any(|source| source.output.access().is_some())
    }

    fn exactly(&self, path: &Path<'_>) -> Option<Access> {
        let pairs = self
            .sources
            .iter()
            .flat_map(|source| source.output.fields.iter().filter(|field| path.is_exactly(source, field)));
        pairs.map(|field| field.access).max()
    }

    /// Nothing in it is masked or hidden.
    fn is_open(&self) -> bool {
        self.items.access().is_none() && self.sources.iter().all(|source| source.output.access().is_none())
    }
}

/// Finds what a name means, from the innermost frame outwards.
pub(crate) fn resolve(frames: &[Frame], path: &Path<'_>) -> Found {
    let visible = || frames.iter().rev().filter(|frame| !frame.concealed);
    if path.may_be_a_key() {
        let ruled = visible().any(|frame| frame.is_ruled(path));
        return if ruled { Found::Key } else { Found::Access(None) };
    }
    if !path.is_simple() {
        let inner = visible().next().filter(|frame| !frame.loose);
        return match inner.and_then(|frame| frame.exactly(path)) {
            Some(access) => Found::Access(access),
            None if visible().all(Frame::is_open) => Found::Access(None),
            None => Found::Unclear,
        };
    }
    let mut possible = Possible::default();
    for (depth, frame) in visible().enumerate() {
        if !frame.loose
            && let Some(column) = frame.columns(path)
        {
            return Found::Access(possible.known.flatten().max(column));
        }
        possible = possible.or(frame.possible(path, frame.loose || depth > 0));
    }
    match possible {
        Possible { known: Some(access), .. } => Found::Access(access),
        Possible { unknown: true, ruled: true, .. } if path.is_word() => Found::Unclear,
        Possible { unknown: true, .. } => Found::Access(None),
        Possible { unknown: false, .. } => Found::Nothing,
    }
}
