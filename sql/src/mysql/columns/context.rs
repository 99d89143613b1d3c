//! One trace: the rules, the catalogue, and what the walk over a text noted. Tells what a reader gets of a table's columns;
//! where a table is not in the catalogue, notes that it is wanted.

use super::scope::{Access, Field, Output};
use super::{Catalogue, Column, Relation, ResultColumn, Trace};
use crate::facts::TableName;
use crate::mysql::names::{alike, may_mention, same};
use crate::mysql::query;
use crate::mysql::server::Server;
use crate::mysql::verdict::{StatementKind, Verdict};
use crate::refusal::{Reason, Refusal, shown};
use access::{ColumnAccess, ColumnRule};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Views may read views this deep.
const DEEPEST: usize = 32;

/// Tables of the server's own that show values of columns: histograms, and constants of optimized statements.
const SHOWS_VALUES: &[(&str, &str)] = &[
    ("information_schema", "column_statistics"),
    ("information_schema", "optimizer_trace"),
    ("mysql", "column_stats"),
];

/// What the walk noted.
#[derive(Debug, Default)]
struct Notes {
    wanted: BTreeSet<TableName>,
    views: BTreeMap<TableName, Output>,
    depth: usize,
    /// A table with a rule was met.
    ruled: bool,
    /// A view reads such a column, wherever in its text.
    in_view: bool,
    /// The result of the query that the text is.
    output: Output,
}

/// What one trace works with.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    rules: &'a [ColumnRule],
    catalogue: &'a Catalogue,
    server: Server,
    notes: RefCell<Notes>,
}

impl<'a> Context<'a> {
    /// A trace that nothing was noted in yet.
    pub(crate) fn new(rules: &'a [ColumnRule], catalogue: &'a Catalogue, server: Server) -> Self {
        Self { rules, catalogue, server, notes: RefCell::default() }
    }

    /// Was a table with a rule met?
    pub(crate) fn is_ruled(&self) -> bool {
        self.notes.borrow().ruled
    }

    /// Notes that a view's text reads a column with a rule.
    pub(crate) fn note_in_view(&self) {
        self.notes.borrow_mut().in_view = true;
    }

    /// Notes the result of the text's query.
    pub(crate) fn note_output(&self, output: Output) {
        self.notes.borrow_mut().output = output;
    }

    /// The columns of a table or view, with what a reader gets of them.
    ///
    /// # Errors
    /// There is no such table or it is called otherwise, a rule does not fit it, or a view's text can't be traced.
    pub(crate) fn relation(&self, name: &TableName) -> Result<Output, Refusal> {
        let Some(known) = self.known(name) else { return Ok(Output::default()) };
        let Some(relation) = known else {
            let what = format!("there is no table {} that you may read", shown(&name.name));
            return Err(Refusal::new(Reason::NoTable, what));
        };
        if !same(name.schema.as_deref().unwrap_or_default(), &relation.schema)
            || !same(&name.name, &relation.name)
        {
            let (schema, table) = (shown(&relation.schema), shown(&relation.name));
            let what = format!("write the table's name exactly as the server has it: {schema}.{table}");
            return Err(Refusal::new(Reason::Column, what));
        }
        let output = match &relation.view {
            None => self.ruled(relation, None)?,
            Some(definition) => self.view(name, relation, definition)?,
        };
        if output.access().is_some() {
            self.notes.borrow_mut().ruled = true;
        }
        Ok(output)
    }

    /// Does the server have this table? `false` as long as that is not known.
    pub(crate) fn exists(&self, name: &TableName) -> bool {
        self.known(name).flatten().is_some()
    }

    /// What is in the catalogue; what isn't is noted as wanted.
    fn known(&self, name: &TableName) -> Option<Option<&'a Relation>> {
        let known = self.catalogue.get(name);
        if known.is_none() {
            self.notes.borrow_mut().wanted.insert(name.clone());
        }
        known
    }

    /// Columns under the rules of their table, and of those that a view's columns come from.
    fn ruled(&self, relation: &Relation, inherited: Option<&Output>) -> Result<Output, Refusal> {
        let Relation { schema, name, columns, view: _ } = relation;
        let rules = self.rules.iter().filter_map(|ColumnRule { schema: of, table, column, access }| {
            (alike(of, schema) && alike(table, name)).then_some((column, *access))
        });
        for (ruled, _) in rules.clone() {
            if !relation.has_column(ruled) {
                let what = format!(
                    "the Database has a rule on a column {} that {} does not have; ask the platform team",
                    shown(ruled),
                    shown(name)
                );
                return Err(Refusal::new(Reason::Column, what));
            }
        }
        let shows_values = SHOWS_VALUES.iter().any(|(of, table)| same(schema, of) && same(name, table));
        let fields = columns.iter().enumerate().map(|(index, column)| {
            let own = rules.clone().filter(|(ruled, _)| alike(ruled, &column.name));
            let own = own.map(|(_, access)| access).max();
            let from = inherited.and_then(|output| output.fields.get(index)).and_then(|field| field.access);
            let access = own.max(from).max(shows_values.then_some(ColumnAccess::Hide));
            Field { name: Some(column.name.clone()), access, invisible: column.invisible }
        });
        let mut fields: Vec<Field> = fields.collect();
        follow_generated(columns, &mut fields);
        Ok(Output { fields, certain: true })
    }

    fn view(&self, name: &TableName, relation: &Relation, definition: &str) -> Result<Output, Refusal> {
        if let Some(known) = self.notes.borrow().views.get(name) {
            return Ok(known.clone());
        }
        let depth = self.notes.borrow().depth;
        if depth >= DEEPEST {
            return Err(untraceable(name, "it reads views too deeply"));
        }
        if definition.is_empty() {
            return Err(untraceable(name, "the server does not show its text: the role lacks SHOW VIEW"));
        }
        self.notes.borrow_mut().depth = depth.saturating_add(1);
        let traced = query::trace_view(definition, self.server, self);
        self.notes.borrow_mut().depth = depth;
        let wanted = !self.notes.borrow().wanted.is_empty();
        let output = match traced {
            // It will be traced again with more in the catalogue.
            _ if wanted => return Ok(Output::default()),
            Ok(output) if output.certain && output.fields.len() == relation.columns.len() => output,
            Ok(_) => return Err(untraceable(name, "its columns are not those of its text")),
            Err(refusal) => return Err(untraceable(name, refusal.what())),
        };
        let output = self.ruled(relation, Some(&output))?;
        self.notes.borrow_mut().views.insert(name.clone(), output.clone());
        Ok(output)
    }

    /// The answer, from what was decided while noting.
    pub(crate) fn conclude(self, decided: Result<Verdict, Refusal>) -> Trace {
        let Notes { wanted, output, in_view, .. } = self.notes.into_inner();
        if !wanted.is_empty() {
            return Trace::Wanted(wanted);
        }
        let permit = match decided {
            Err(refusal) | Ok(Verdict::Refuse(refusal)) => return Trace::Refuse(refusal),
            Ok(Verdict::Answer(_)) => return Trace::Open,
            Ok(Verdict::Forward(permit)) => permit,
        };
        match permit.kind() {
            StatementKind::Query if output.access().is_none() => Trace::Open,
            StatementKind::Query if output.certain => Trace::Masked(result(&output)),
            StatementKind::Query => Trace::Refuse(unordered()),
            StatementKind::Explain if in_view || output.access().is_some() => {
                let what = "EXPLAIN can show values of masked columns; explain the query without them";
                Trace::Refuse(Refusal::new(Reason::Column, what))
            }
            _ => Trace::Open,
        }
    }
}

/// A generated column is as strict as the strictest column that it is computed from, by way of others too.
fn follow_generated(columns: &[Column], fields: &mut [Field]) {
    loop {
        let closed: Vec<(String, ColumnAccess)> =
            fields.iter().filter_map(|field| Some((field.name.clone()?, field.access?))).collect();
        let mut changed = false;
        for (column, field) in
            columns.iter().zip(fields.iter_mut()).filter(|(column, _)| !column.generated.is_empty())
        {
            let named = closed.iter().filter(|(name, _)| may_mention(&column.generated, name));
            let access = field.access.max(named.map(|(_, access)| *access).max());
            changed |= access != field.access;
            field.access = access;
        }
        if !changed {
            return;
        }
    }
}

fn untraceable(name: &TableName, why: &str) -> Refusal {
    let what = format!("the view {} can't be held to the column rules: {why}", shown(&name.name));
    Refusal::new(Reason::Column, what)
}

fn unordered() -> Refusal {
    let what = "which columns of the result are masked can't be told; name the columns instead of *";
    Refusal::new(Reason::Column, what)
}

fn result(output: &Output) -> Vec<ResultColumn> {
    let column = |field: &Field| {
        let name = field.name.clone().filter(|name| is_kept(name));
        ResultColumn { name, masked: field.access.is_some() }
    };
    output.fields.iter().map(column).collect()
}

/// Does the server give the column this very name? It shortens long ones and trims spaces.
fn is_kept(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a reader gets of one column, in words.
pub(crate) fn told(name: &str, access: Access) -> Option<Refusal> {
    let name = shown(name);
    let what = match access? {
        ColumnAccess::Hide => format!("the column {name} is not open to readers; leave it out"),
        ColumnAccess::Mask => {
            format!("the column {name} is masked: it can be selected as it is, and nothing can be made of it")
        }
    };
    Some(Refusal::new(Reason::Column, what))
}
