//! What a walk knows of columns: whose text it is, what each `SELECT` around sees, and the common tables in sight.

use crate::facts::TableName;
use crate::mysql::columns::context::{Context, told};
use crate::mysql::columns::scope::{Access, Field, Frame, Output, Source};
use crate::mysql::names::alike;
use crate::refusal::{Reason, Refusal, shown};

/// The most columns that the tables and stars of one text may have in all, those of derived tables and of their stars
/// counted again: each is kept by name, and `SELECT x.*, x.*` over itself doubles them with every level.
const MOST_COLUMNS: usize = 100_000;

/// Whose text is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// A reader's.
    Reader,
    /// A view's.
    View,
}

/// What the walk knows of columns.
#[derive(Debug)]
pub(crate) struct Tracer<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) default_schema: Option<&'a str>,
    pub(super) author: Author,
    /// What each `SELECT` around the current place sees, the innermost last.
    pub(super) frames: Vec<Frame>,
    /// Common table expressions in sight.
    pub(super) tables: Vec<(String, Common)>,
    /// A recursive common table expression whose first `SELECT` comes next.
    pub(super) recursive: Option<usize>,
    /// The result of the query that was walked last.
    pub(super) output: Output,
    /// The strictest access of what a view's item read.
    pub(super) touched: Access,
    /// Columns of tables and stars so far.
    columns: usize,
}

impl<'a> Tracer<'a> {
    /// For a reader's text.
    pub(crate) fn new(context: &'a Context<'a>, default_schema: Option<&'a str>) -> Self {
        Self {
            context,
            default_schema,
            author: Author::Reader,
            frames: Vec::new(),
            tables: Vec::new(),
            recursive: None,
            output: Output::default(),
            touched: None,
            columns: 0,
        }
    }

    /// For a view's text.
    pub(crate) fn of_view(context: &'a Context<'a>) -> Self {
        Self { author: Author::View, ..Self::new(context, None) }
    }

    /// With names around the text that are none of its own: the columns of a `SHOW`.
    pub(crate) fn among_unknown(mut self) -> Self {
        let source = Source { schema: None, name: String::new(), output: Output::default() };
        self.frames.push(Frame { sources: vec![source], ..Frame::default() });
        self
    }

    /// Counts columns that are about to be kept.
    ///
    /// # Errors
    /// They are too many.
    pub(super) fn take_in(&mut self, columns: usize) -> Result<(), Refusal> {
        self.columns = self.columns.saturating_add(columns);
        if self.columns <= MOST_COLUMNS {
            return Ok(());
        }
        let what = format!(
            "its tables and stars have more than {MOST_COLUMNS} columns, too many to hold to the column rules"
        );
        Err(Refusal::new(Reason::TooLarge, what))
    }

    pub(super) fn read(&mut self, name: &str, access: Access) -> Result<(), Refusal> {
        match self.author {
            Author::Reader => told(name, access).map_or(Ok(()), Err),
            Author::View => {
                self.touched = self.touched.max(access);
                if access.is_some() {
                    self.context.note_in_view();
                }
                Ok(())
            }
        }
    }

    /// Gives a recursive table the columns of its first `SELECT`.
    pub(super) fn bind(&mut self, around: &mut Around, output: &Output) {
        if let Some(index) = around.recursive.take()
            && let Some((_, common)) = self.tables.get_mut(index)
            && let Common::Unbound(names) = common
        {
            let names = named(std::mem::take(names));
            *common = Common::Known(renamed(output.clone(), names));
        }
    }

    /// The common table expression that a table's name without a schema means. Where case counts for tables a server takes
    /// only the very same name for one, and where it doesn't another one, too: then no such table may be there.
    pub(super) fn common(&self, name: &str) -> Result<Option<Common>, Refusal> {
        let Some((called, common)) = self.tables.iter().rev().find(|(called, _)| alike(called, name)) else {
            return Ok(None);
        };
        let schema = self.default_schema.map(str::to_owned);
        let table = TableName { schema, name: name.to_owned() };
        if called != name && table.schema.is_some() && self.context.exists(&table) {
            let (name, called) = (shown(name), shown(called));
            let what = format!(
                "{name} may be the common table expression {called} or a table; write it as {called} is"
            );
            return Err(Refusal::new(Reason::Column, what));
        }
        Ok(Some(common.clone()))
    }

    pub(super) fn frame(&mut self) -> Option<&mut Frame> {
        self.frames.last_mut()
    }
}

/// A common table expression.
#[derive(Clone, Debug)]
pub(super) enum Common {
    /// A recursive one whose first `SELECT` was not met yet, with the names of its columns, if it has any.
    Unbound(Vec<Field>),
    /// Its columns.
    Known(Output),
}

/// What was around a query.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    pub(super) frames: usize,
    pub(super) recursive: Option<usize>,
}

pub(super) fn unclear(name: &str) -> Refusal {
    let name = shown(name);
    let what =
        format!("which table's column {name} is can't be told; write the table's name or alias before it");
    Refusal::new(Reason::Column, what)
}

pub(super) fn key(name: &str) -> Refusal {
    let name = shown(name);
    let what =
        format!("{name} is a table's key, and may be a column that is not open; write the column's own name");
    Refusal::new(Reason::Column, what)
}

pub(super) fn inference(what: &str) -> Refusal {
    Refusal::new(Reason::Column, format!("{what} tells of a masked column; leave one of the two out"))
}

/// Names for all columns, or none.
pub(super) fn named(names: Vec<Field>) -> Option<Output> {
    (!names.is_empty()).then_some(Output { fields: names, certain: true })
}

/// The columns under other names. More or fewer names than columns are the server's error to tell.
pub(super) fn renamed(output: Output, names: Option<Output>) -> Output {
    let Some(names) = names.filter(|names| !names.fields.is_empty()) else { return output };
    let Output { fields, certain } = output;
    let strictest = fields.iter().filter_map(|field| field.access).max();
    let known = certain && fields.len() == names.fields.len();
    let field = |(index, named): (usize, Field)| {
        let own = fields.get(index).and_then(|field| field.access);
        Field { access: if known { own } else { strictest }, ..named }
    };
    Output { fields: names.fields.into_iter().enumerate().map(field).collect(), certain }
}
