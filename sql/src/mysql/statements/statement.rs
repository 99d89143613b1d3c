//! MariaDB's `SET STATEMENT name = value FOR statement`: passes when it bounds the rows of a query and does nothing else.
//! MariaDB Connector/J sends that for `setMaxRows`, and with it the tools that page through results. Any other variable is
//! refused: limits of time and memory are the grant's, and modes change how the statement is read.
//!
//! Source: MariaDB knowledge base, "SET STATEMENT". The query locks no more than it does by itself (measured).

use super::Decided;
use super::cursor::Cursor;
use crate::mysql::judge::policy::Policy;
use crate::mysql::query;
use crate::mysql::text::lexer::Kind;
use crate::mysql::verdict::StatementKind;
use crate::refusal::{Reason, Refusal};

/// From behind `SET STATEMENT`.
pub(super) fn decide(mut cursor: Cursor<'_>, policy: &Policy<'_>) -> Result<Decided, Refusal> {
    let place = cursor.place();
    let bounds = cursor.take_word("SQL_SELECT_LIMIT")
        && cursor.take_symbol("=")
        && cursor.kind() == Some(Kind::Number);
    cursor.step();
    if !bounds || !cursor.take_word("FOR") || !query::begins(cursor.lexed(), cursor.index()) {
        let what = "SET STATEMENT can override limits; only SET STATEMENT sql_select_limit = .. FOR a query is open \
                    (drivers send others for a query timeout: set none)";
        return Err(Refusal::new(Reason::Statement, what).at(place));
    }
    let mut facts = query::decide(cursor.lexed(), cursor.rest(), policy)?;
    facts.variables_set.insert("@@sql_select_limit".to_owned());
    Ok(Decided::plain(StatementKind::Query, facts))
}
