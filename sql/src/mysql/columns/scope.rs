//! Which column a name means. Follows the servers' rules of scope where they are certain; where a server may look in
//! several places, the strictest answer of all of them counts. Names and accesses only, nothing of a tree.
//!
//! The servers compare names of columns without case and without accents (`utf8mb3_general_ci`), so a name beyond ASCII
//! is only believed where it is spelled exactly and nothing else can be meant.

use access::ColumnAccess;

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
    /// Nothing in sight.
    Nothing,
    /// More than can be told apart.
    Unclear,
}

/// The servers read such a name as itself only.
pub(crate) fn is_simple(name: &str) -> bool {
    name.is_ascii() && !name.ends_with(' ')
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
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

    fn is_simple(&self) -> bool {
        is_simple(self.column) && self.table.is_none_or(is_simple) && self.schema.is_none_or(is_simple)
    }

    fn is_exactly(&self, source: &Source, field: &Field) -> bool {
        field.name.as_deref() == Some(self.column) && self.table.is_none_or(|table| source.name == table)
    }
}

/// Could the server take one for the other? Between simple names it is certain.
fn may_mean(written: &str, own: &str) -> bool {
    same(written, own) || !is_simple(own)
}

impl Source {
    /// Is a name with this table and schema before it a name of this one?
    pub(crate) fn is_called(&self, schema: Option<&str>, table: Option<&str>) -> bool {
        let table = table.is_none_or(|table| same(table, &self.name));
        let schema = match (schema, &self.schema) {
            (Some(wanted), Some(own)) => same(wanted, own),
            (Some(_), None) => false,
            (None, _) => true,
        };
        table && schema
    }

    /// Is it certainly one? Whether case counts in a table's name or alias is the server's setting.
    fn is_surely_called(&self, path: &Path<'_>) -> bool {
        let schema = path.schema.is_none_or(|schema| self.schema.as_deref() == Some(schema));
        schema && path.table.is_none_or(|table| self.name == table)
    }

    /// Could it be one?
    fn may_be_called(&self, path: &Path<'_>) -> bool {
        let schema =
            path.schema.zip(self.schema.as_deref()).is_none_or(|(wanted, own)| may_mean(wanted, own));
        schema && path.table.is_none_or(|table| may_mean(table, &self.name))
    }

    fn named<'a>(&'a self, is: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = Access> + 'a {
        let named = move |field: &&Field| field.name.as_deref().is_some_and(&is);
        self.output.fields.iter().filter(named).map(|field| field.access)
    }

    /// May it have columns whose names are not known here? They are open.
    fn has_unknown(&self) -> bool {
        !self.output.certain || self.output.fields.iter().any(|field| field.name.is_none())
    }
}

impl Frame {
    /// The columns that the name means.
    fn columns(&self, path: &Path<'_>) -> Option<Access> {
        let called = self.sources.iter().filter(|source| source.is_surely_called(path));
        called.flat_map(|source| source.named(|own| same(path.column, own))).max()
    }

    /// Those, and the columns that it could mean.
    fn possible(&self, path: &Path<'_>) -> Option<Access> {
        let called = || self.sources.iter().filter(|source| source.may_be_called(path));
        let unknown = called().any(Source::has_unknown).then_some(None);
        called().flat_map(|source| source.named(|own| may_mean(path.column, own))).max().max(unknown)
    }

    /// The aliases that it could mean.
    fn aliases(&self, path: &Path<'_>) -> Option<Access> {
        if path.table.is_some() {
            return None;
        }
        let meant = |field: &&Field| field.name.as_deref().is_none_or(|own| may_mean(path.column, own));
        self.items.fields.iter().filter(meant).map(|field| field.access).max()
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
    if !path.is_simple() {
        let inner = visible().next().filter(|frame| !frame.loose);
        return match inner.and_then(|frame| frame.exactly(path)) {
            Some(access) => Found::Access(access),
            None if visible().all(Frame::is_open) => Found::Access(None),
            None => Found::Unclear,
        };
    }
    let mut strictest: Option<Access> = None;
    for (depth, frame) in visible().enumerate() {
        if !frame.loose
            && let Some(column) = frame.columns(path)
        {
            return Found::Access(strictest.flatten().max(column));
        }
        strictest = strictest.max(frame.possible(path));
        if frame.loose || depth > 0 {
            strictest = strictest.max(frame.aliases(path));
        }
    }
    strictest.map_or(Found::Nothing, Found::Access)
}
