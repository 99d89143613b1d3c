//! The items of a `SELECT` and what stands for them: `*`, aliases, numbers in `ORDER BY`. For the column rules.

use super::tracer::{Author, inference, unclear};
use super::{Role, Walker};
use crate::mysql::columns::context::told;
use crate::mysql::columns::scope::{Access, Field, Path, Source};
use crate::mysql::text::lexer::Kind;
use crate::refusal::{Reason, Refusal, shown};
use access::ColumnAccess;
use sqlparser::ast::{Expr, Ident, UnaryOperator, Value};

impl Walker<'_> {
    /// An item of a `SELECT`: alone, a masked column may stand there.
    pub(super) fn item(&mut self, expr: &Expr, alias: Option<&Ident>) -> Result<(), Refusal> {
        let before = self.tracer.as_mut().and_then(|tracer| tracer.touched.take());
        let (column, access) = match self.plain_column(expr) {
            Some(parts) if self.tracer.is_some() => {
                parts.iter().try_for_each(|part| self.name(part, Role::Column).map(|_| ()))?;
                let access = self.access_of(parts)?;
                let index = parts
                    .last()
                    .map(|part| crate::mysql::parse::dialect::index_of(part.span))
                    .unwrap_or_default();
                if access == Some(ColumnAccess::Hide) || self.is_view() {
                    self.read_column(parts)?;
                }
                (Some(index), access)
            }
            _ => {
                self.expression(expr)?;
                (None, self.tracer.as_ref().and_then(|tracer| tracer.touched))
            }
        };
        if let Some(alias) = alias {
            self.column_alias(alias)?;
        }
        if self.tracer.is_none() {
            return Ok(());
        }
        let name = match alias {
            Some(alias) => self.alias_text(alias, access)?,
            None => column.map(|column| self.lexed.name(column)),
        };
        if let Some(tracer) = &mut self.tracer {
            tracer.touched = tracer.touched.max(before);
            let field = Field { name, access, invisible: false };
            if let Some(frame) = tracer.frame() {
                frame.items.fields.push(field);
            }
        }
        Ok(())
    }

    fn is_view(&self) -> bool {
        self.tracer.as_ref().is_some_and(|tracer| tracer.author == Author::View)
    }

    /// A column alone, not in parentheses and no variable.
    fn plain_column<'e>(&self, expr: &'e Expr) -> Option<&'e [Ident]> {
        let parts = match expr {
            Expr::Identifier(ident) => std::slice::from_ref(ident),
            Expr::CompoundIdentifier(parts) => parts.as_slice(),
            _ => return None,
        };
        let kind =
            parts.first().and_then(|part| self.lexed.kind(crate::mysql::parse::dialect::index_of(part.span)));
        let variable = matches!(kind, Some(Kind::UserVariable | Kind::SystemVariable));
        (!variable && (1..=3).contains(&parts.len())).then_some(parts)
    }

    /// The text of an alias. A string is in the tree as its lexeme's index, and its escapes are not read.
    fn alias_text(&self, alias: &Ident, access: Access) -> Result<Option<String>, Refusal> {
        if !matches!(alias.quote_style, Some('\'' | '"')) {
            return Ok(Some(self.lexed.name(crate::mysql::parse::dialect::index_of(alias.span))));
        }
        let index = alias.value.parse::<usize>().unwrap_or_default();
        let text = self.lexed.text(index);
        let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
        let plain =
            inner.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'\'' | b'"'));
        if self.lexed.kind(index) == Some(Kind::Text) && plain {
            return Ok(Some(inner.to_owned()));
        }
        if access.is_none() {
            return Ok(None);
        }
        let what = "the alias of a masked column; write it without quotes, or in backticks";
        Err(Refusal::new(Reason::Column, what).at(self.lexed.place(index)))
    }

    /// `*`, or `table.*` with the name's lexemes.
    pub(super) fn star(&mut self, indexes: &[usize]) -> Result<(), Refusal> {
        let names: Vec<String> = indexes.iter().map(|index| self.lexed.name(*index)).collect();
        let Some(tracer) = &mut self.tracer else { return Ok(()) };
        let author = tracer.author;
        let Some(frame) = tracer.frames.last() else { return Ok(()) };
        let (schema, table) = match names.as_slice() {
            [] => (None, None),
            [table] => (None, Some(table.as_str())),
            [schema, table] => (Some(schema.as_str()), Some(table.as_str())),
            _ => return Err(unclear("*")),
        };
        // A server may take two tables for the one that is named, and then give the columns of both.
        let path = Path::before(schema, table);
        let taken = frame.sources.iter().filter(|source| source.may_be_called(&path));
        let columns = taken.map(|source| source.output.fields.len()).fold(0, usize::saturating_add);
        tracer.take_in(columns)?;
        let Some(frame) = tracer.frames.last_mut() else { return Ok(()) };
        let called: Vec<&Source> =
            frame.sources.iter().filter(|source| source.may_be_called(&path)).collect();
        if called.is_empty() || (called.len() > 1 && table.is_some()) {
            return Err(unclear(table.unwrap_or("*")));
        }
        let certain = (table.is_some() || !frame.merged) && called.iter().all(|source| source.output.certain);
        let fields = called.iter().flat_map(|source| &source.output.fields).filter(|field| !field.invisible);
        frame.items.fields.extend(fields.cloned());
        frame.items.certain &= certain;
        let hidden = |field: &&Field| field.access == Some(ColumnAccess::Hide);
        if author == Author::Reader
            && let Some(field) = frame.items.fields.iter().find(hidden)
        {
            let name = shown(field.name.as_deref().unwrap_or_default());
            let what = format!(
                "* takes in the column {name}, which is not open to readers; name the columns instead"
            );
            return Err(Refusal::new(Reason::Column, what));
        }
        Ok(())
    }

    /// An item of `ORDER BY` or `GROUP BY` that is a number stands for a column of the result.
    pub(super) fn position(&mut self, expr: &Expr) -> Result<(), Refusal> {
        let Some(tracer) = &self.tracer else { return Ok(()) };
        let Some(items) = tracer.frames.last().map(|frame| &frame.items) else { return Ok(()) };
        let masked = items.access().is_some();
        let mut rest = expr;
        while let Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Plus, expr: inner } = rest {
            rest = inner;
        }
        let (Expr::Value(value), true) = (rest, masked && tracer.author == Author::Reader) else {
            return Ok(());
        };
        if let Value::SingleQuotedString(_) | Value::Null | Value::Boolean(_) = value.value {
            return Ok(());
        }
        let text = self.lexed.text(crate::mysql::parse::dialect::index_of(value.span));
        let field = text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        match field.and_then(|index| items.fields.get(index)) {
            Some(field) if items.certain => {
                told(field.name.as_deref().unwrap_or_default(), field.access).map_or(Ok(()), Err)
            }
            _ => Err(inference("a number or parameter that stands for a column")),
        }
    }
}
