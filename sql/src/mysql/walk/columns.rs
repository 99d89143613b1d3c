//! The columns under the walker's feet: which table a name belongs to and what a reader gets of it. Only where there are
//! column rules; without a tracer every function here does nothing.
//!
//! In a reader's text a masked column may stand as an item of a `SELECT`, alone; everywhere else reading it is refused,
//! for whatever is made of a value tells of it. In the text of a view nothing is refused: what an item is made of is
//! what its column inherits.

use super::Walker;
use super::tracer::{Around, Author, Common, Tracer, inference, key, named, renamed, unclear};
use crate::facts::TableName;
use crate::mysql::columns::scope::{
    Access, Field, Found, Frame, Output, Path, Source, is_simple, may_be_a_key, resolve,
};
use crate::mysql::names::may_mean;
use crate::mysql::server::Flavour;
use crate::refusal::{Reason, Refusal};
use sqlparser::ast::{Ident, TableAlias};

impl<'a> Walker<'a> {
    /// With a tracer.
    pub(crate) fn tracing(mut self, tracer: Option<Tracer<'a>>) -> Self {
        self.tracer = tracer;
        self
    }

    /// The columns of the last query, when they were traced.
    pub(crate) fn take_output(&mut self) -> Option<Output> {
        self.tracer.as_mut().map(|tracer| std::mem::take(&mut tracer.output))
    }

    /// A query begins.
    pub(super) fn enter_query(&mut self) -> Around {
        let Some(tracer) = &mut self.tracer else { return Around::default() };
        Around { frames: tracer.frames.len(), recursive: tracer.recursive.take() }
    }

    /// Its `SELECT`s are walked: `ORDER BY` sees what the only one saw, or the result's columns. Returns the result.
    pub(super) fn leave_body(&mut self, around: &mut Around) -> Option<Output> {
        let tracer = self.tracer.as_mut()?;
        if tracer.frames.len() == around.frames {
            let items = tracer.output.clone();
            tracer.frames.push(Frame { items, ..Frame::default() });
        }
        let output = std::mem::take(&mut tracer.output);
        tracer.bind(around, &output);
        self.loose(true);
        Some(output)
    }

    /// The query ends: what it saw goes, its result stays.
    pub(super) fn leave_query(&mut self, around: Around, output: Option<Output>) {
        let depth = self.scope.depth();
        if let Some(tracer) = &mut self.tracer {
            tracer.frames.truncate(around.frames);
            tracer.tables.truncate(depth);
            tracer.output = output.unwrap_or_default();
        }
    }

    /// One `SELECT` of a set operation was walked; the first of a recursive table gives it its columns.
    pub(super) fn operand(&mut self, around: &mut Around) -> Option<Output> {
        let tracer = self.tracer.as_mut()?;
        let output = std::mem::take(&mut tracer.output);
        tracer.bind(around, &output);
        tracer.frames.truncate(around.frames);
        Some(output)
    }

    /// The result of a set operation. Which rows are alike tells of their values.
    pub(super) fn combine(&mut self, operands: Vec<Output>, keeps_all: bool) -> Result<(), Refusal> {
        let Some(tracer) = &mut self.tracer else { return Ok(()) };
        let mut operands = operands.into_iter();
        let mut all = operands.next().unwrap_or_default();
        for operand in operands {
            if operand.fields.len() != all.fields.len() && all.certain && operand.certain {
                return Err(Refusal::new(
                    Reason::Column,
                    "the SELECTs do not have the same number of columns",
                ));
            }
            let unsure = !all.certain || !operand.certain;
            let masked = all.access().max(operand.access());
            if unsure && masked.is_some() && tracer.author == Author::Reader {
                return Err(inference("a set operation over columns that are not named"));
            }
            for (field, other) in all.fields.iter_mut().zip(&operand.fields) {
                field.access = field.access.max(other.access);
            }
            all.certain &= operand.certain;
        }
        if !keeps_all && all.access().is_some() && tracer.author == Author::Reader {
            return Err(inference("a set operation that compares rows (write UNION ALL)"));
        }
        tracer.output = all;
        Ok(())
    }

    /// `VALUES`: nothing of a table. MySQL counts the columns to name them.
    pub(super) fn plain_output(&mut self, columns: usize) {
        let counted = self.server.flavour == Flavour::MySql;
        if let Some(tracer) = &mut self.tracer {
            let name = |index: usize| counted.then(|| format!("column_{index}"));
            let field = |index| Field { name: name(index), access: None, invisible: false };
            tracer.output = Output { fields: (0..columns).map(field).collect(), certain: true };
        }
    }

    /// A recursive common table expression: its own query may name it.
    pub(super) fn enter_recursive(&mut self, alias: &TableAlias) {
        let (name, names) = (self.common_name(alias), self.names_of(alias));
        if let Some(tracer) = &mut self.tracer {
            tracer.recursive = Some(tracer.tables.len());
            tracer.tables.push((name, Common::Unbound(names)));
        }
    }

    /// A recursive one ends: its rows must not be stricter than those it began with.
    pub(super) fn leave_recursive(&mut self) -> Result<(), Refusal> {
        let Some(tracer) = &mut self.tracer else { return Ok(()) };
        let output = std::mem::take(&mut tracer.output);
        let Some((_, Common::Known(columns))) = tracer.tables.last() else { return Ok(()) };
        let same = |(one, other): (&Field, &Field)| one.access == other.access;
        if columns.fields.iter().zip(&output.fields).all(same) && columns.certain == output.certain {
            return Ok(());
        }
        match columns.access().max(output.access()) {
            None => Ok(()),
            Some(_) => Err(inference("a recursive table that moves its columns")),
        }
    }

    /// A plain common table expression comes into sight.
    pub(super) fn add_common_table(&mut self, alias: &TableAlias) {
        let (name, names) = (self.common_name(alias), self.names_of(alias));
        if let Some(tracer) = &mut self.tracer {
            let output = renamed(std::mem::take(&mut tracer.output), named(names));
            tracer.tables.push((name, Common::Known(output)));
        }
    }

    fn common_name(&self, alias: &TableAlias) -> String {
        self.lexed.name(crate::mysql::parse::dialect::index_of(alias.name.span))
    }

    fn names_of(&self, alias: &TableAlias) -> Vec<Field> {
        let name = |ident: &Ident| self.lexed.name(crate::mysql::parse::dialect::index_of(ident.span));
        let field = |name| Field { name: Some(name), access: None, invisible: false };
        alias.columns.iter().map(|column| field(name(&column.name))).collect()
    }

    /// A `SELECT` begins.
    pub(super) fn enter_select(&mut self) {
        if let Some(tracer) = &mut self.tracer {
            let items = Output { fields: Vec::new(), certain: true };
            tracer.frames.push(Frame { items, ..Frame::default() });
        }
    }

    /// Names are looked up more widely from here on: see [`Frame::loose`].
    pub(super) fn loose(&mut self, loose: bool) {
        if let Some(frame) = self.tracer.as_mut().and_then(Tracer::frame) {
            frame.loose = loose;
        }
    }

    /// The `SELECT` ends: its items are the result. Which rows are alike tells of their values.
    pub(super) fn leave_select(&mut self, distinct: bool) -> Result<(), Refusal> {
        let Some(tracer) = &mut self.tracer else { return Ok(()) };
        let Some(frame) = tracer.frames.last() else { return Ok(()) };
        tracer.output = frame.items.clone();
        if distinct && tracer.output.access().is_some() && tracer.author == Author::Reader {
            return Err(inference("DISTINCT"));
        }
        Ok(())
    }

    /// A derived table begins: only a `LATERAL` one sees its neighbours.
    pub(super) fn conceal(&mut self, concealed: bool) {
        if let Some(frame) = self.tracer.as_mut().and_then(Tracer::frame) {
            frame.concealed = concealed;
        }
    }

    /// A table of a `FROM`, or a common table expression.
    pub(super) fn add_table(
        &mut self,
        name: TableName,
        alias: Option<&TableAlias>,
        partitions: bool,
    ) -> Result<(), Refusal> {
        let Some(tracer) = &mut self.tracer else { return Ok(()) };
        let common = match &name.schema {
            None => tracer.common(&name.name)?,
            Some(_) => None,
        };
        let (schema, output) = match common {
            Some(Common::Known(output)) => (None, output),
            Some(Common::Unbound(_)) => return Err(unclear(&name.name)),
            None => {
                let Some(schema) = name.schema.clone().or(tracer.default_schema.map(str::to_owned)) else {
                    return Err(Refusal::new(
                        Reason::Schema,
                        "no schema is selected; write it before the table",
                    ));
                };
                let table = TableName { schema: Some(schema.clone()), name: name.name.clone() };
                (Some(schema), tracer.context.relation(&table)?)
            }
        };
        if partitions && output.access().is_some() {
            return Err(inference("PARTITION"));
        }
        self.add_source(schema, name.name, output, alias)
    }

    /// A derived table or `JSON_TABLE`, with the columns that its alias gives it.
    pub(super) fn add_derived(
        &mut self,
        alias: Option<&TableAlias>,
        output: Option<Output>,
    ) -> Result<(), Refusal> {
        let output = output.unwrap_or_default();
        self.add_source(None, String::new(), output, alias)
    }

    fn add_source(
        &mut self,
        schema: Option<String>,
        name: String,
        output: Output,
        alias: Option<&TableAlias>,
    ) -> Result<(), Refusal> {
        let names = alias.map(|alias| self.names_of(alias)).unwrap_or_default();
        let alias =
            alias.map(|alias| self.lexed.name(crate::mysql::parse::dialect::index_of(alias.name.span)));
        let source = Source {
            schema: schema.filter(|_| alias.is_none()),
            name: alias.unwrap_or(name),
            output: renamed(output, named(names)),
        };
        let Some(tracer) = &mut self.tracer else { return Ok(()) };
        tracer.take_in(source.output.fields.len())?;
        if let Some(frame) = tracer.frame() {
            frame.sources.push(source);
        }
        Ok(())
    }

    /// `USING` compares columns of this name in two tables.
    pub(super) fn using(&mut self, index: usize) -> Result<(), Refusal> {
        let name = self.lexed.name(index);
        let Some(tracer) = &mut self.tracer else { return Ok(()) };
        let Some(frame) = tracer.frames.last_mut() else { return Ok(()) };
        frame.merged = true;
        let fields = frame.sources.iter().flat_map(|source| &source.output.fields);
        let called = fields.filter(|field| field.name.as_deref().is_some_and(|own| may_mean(&name, own)));
        let mut access = called.map(|field| field.access).max().flatten();
        if !is_simple(&name) || may_be_a_key(&name) {
            access = frame.sources.iter().filter_map(|source| source.output.access()).max();
        }
        tracer.read(&name, access)
    }

    /// `NATURAL` compares all columns whose names are alike, whichever they are.
    pub(super) fn natural(&mut self) -> Result<(), Refusal> {
        let Some(tracer) = &mut self.tracer else { return Ok(()) };
        let Some(frame) = tracer.frames.last_mut() else { return Ok(()) };
        frame.merged = true;
        let access = frame.sources.iter().filter_map(|source| source.output.access()).max();
        match (access, tracer.author) {
            (Some(_), Author::Reader) => Err(inference("NATURAL JOIN")),
            (access, _) => tracer.read("", access),
        }
    }

    /// The columns of a subquery become a value.
    pub(super) fn value_of_subquery(&mut self) -> Result<(), Refusal> {
        let Some(tracer) = &mut self.tracer else { return Ok(()) };
        let output = std::mem::take(&mut tracer.output);
        let masked = output.fields.iter().find(|field| field.access == output.access());
        let name = masked.and_then(|field| field.name.clone()).unwrap_or_default();
        tracer.read(&name, output.access())
    }

    /// A column is read as part of an expression.
    pub(super) fn read_column(&mut self, parts: &[Ident]) -> Result<(), Refusal> {
        if self.tracer.is_none() {
            return Ok(());
        }
        let access = self.access_of(parts)?;
        let index =
            parts.last().map(|part| crate::mysql::parse::dialect::index_of(part.span)).unwrap_or_default();
        let lexed = self.lexed;
        let name = lexed.name(index);
        let Some(tracer) = &mut self.tracer else { return Ok(()) };
        // To tell a place the text is counted through: not for each of thousands of columns.
        tracer.read(&name, access).map_err(|refusal| refusal.at(lexed.place(index)))
    }

    pub(super) fn access_of(&self, parts: &[Ident]) -> Result<Access, Refusal> {
        let Some(tracer) = &self.tracer else { return Ok(None) };
        let index = |part: &Ident| crate::mysql::parse::dialect::index_of(part.span);
        let names: Vec<String> = parts.iter().map(|part| self.lexed.name(index(part))).collect();
        let last = names.last().map(String::as_str).unwrap_or_default();
        let found = Path::new(&names).map_or(Found::Unclear, |path| resolve(&tracer.frames, &path));
        match found {
            Found::Access(access) => Ok(access),
            unfound @ (Found::Key | Found::Nothing | Found::Unclear) => {
                let refusal = if unfound == Found::Key { key(last) } else { unclear(last) };
                Err(refusal.at(self.lexed.place(parts.first().map(index).unwrap_or_default())))
            }
        }
    }
}
