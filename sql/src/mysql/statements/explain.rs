//! `EXPLAIN`, `DESCRIBE` and `DESC`: of a reading query, or of a table. Nothing that executes the statement.

use super::Decided;
use super::cursor::Cursor;
use crate::facts::Facts;
use crate::mysql::judge::policy::Policy;
use crate::mysql::query;
use crate::mysql::server::Flavour;
use crate::mysql::text::lexer::Kind;
use crate::mysql::verdict::StatementKind;
use crate::refusal::{Reason, Refusal};

/// From behind the first word.
pub(super) fn decide(mut cursor: Cursor<'_>, policy: &Policy<'_>) -> Result<Decided, Refusal> {
    let bare = cursor.index();
    if cursor.is_word("FORMAT") || cursor.is_word("EXTENDED") || cursor.is_word("PARTITIONS") {
        options(&mut cursor)?;
    }
    if cursor.is_word("ANALYZE") {
        let what = "EXPLAIN ANALYZE executes the statement; use EXPLAIN";
        return Err(Refusal::new(Reason::Statement, what).at(cursor.place()));
    }
    let mysql = policy.server.flavour == Flavour::MySql;
    if mysql && (cursor.take_words(&["FOR", "SCHEMA"]) || cursor.take_words(&["FOR", "DATABASE"])) {
        return for_schema(cursor, policy);
    }
    if cursor.is_word("FOR") {
        let what = "EXPLAIN FOR shows another session's statement; explain a query of your own";
        return Err(Refusal::new(Reason::Statement, what).at(cursor.place()));
    }
    if query::begins(cursor.lexed(), cursor.index()) && !cursor.is_end() {
        let facts = query::decide(cursor.lexed(), cursor.rest(), policy)?;
        return Ok(Decided::plain(StatementKind::Explain, facts));
    }
    if is_write(&cursor) {
        let what = "EXPLAIN of a statement that changes something; explain the query in it";
        return Err(Refusal::new(Reason::Statement, what).at(cursor.place()));
    }
    cursor.jump(bare);
    describe(cursor, policy)
}

/// `FOR SCHEMA name query`: as if the schema were the current one.
fn for_schema(mut cursor: Cursor<'_>, policy: &Policy<'_>) -> Result<Decided, Refusal> {
    let place = cursor.place();
    let schema = match cursor.plain_text() {
        Some(text) => {
            cursor.step();
            text.to_owned()
        }
        None => cursor.expect_name()?,
    };
    policy.schema(&schema).map_err(|refusal| refusal.at(place))?;
    if !query::begins(cursor.lexed(), cursor.index()) {
        return Err(cursor.cannot_read());
    }
    let there = Policy { default_schema: Some(&schema), ..*policy };
    let facts = query::decide(cursor.lexed(), cursor.rest(), &there)?;
    Ok(Decided::plain(StatementKind::Explain, facts))
}

/// `FORMAT = JSON`, `EXTENDED [ALL]`, `PARTITIONS`; when no query follows, they were a table's name.
fn options(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    let mut ahead = cursor.clone();
    if ahead.take_word("FORMAT") {
        if !ahead.take_symbol("=") {
            return Ok(());
        }
        let known = ["TRADITIONAL", "JSON", "TREE", "DEFAULT", "TRADITIONAL_STRICT"];
        let quoted = ahead.kind() == Some(Kind::Quoted);
        let format = if quoted { ahead.lexed().name(ahead.index()) } else { named(&ahead).to_owned() };
        if !known.iter().any(|name| format.eq_ignore_ascii_case(name)) {
            return Err(ahead.cannot_read());
        }
        ahead.step();
    } else if ahead.take_word("EXTENDED") {
        ahead.take_word("ALL");
    } else {
        ahead.step();
    }
    *cursor = ahead;
    Ok(())
}

/// The word or the string that stands next.
fn named<'a>(cursor: &Cursor<'a>) -> &'a str {
    cursor.word().or(cursor.plain_text()).unwrap_or_default()
}

fn is_write(cursor: &Cursor<'_>) -> bool {
    const WRITES: &[&str] = &["INSERT", "UPDATE", "DELETE", "REPLACE", "ALTER", "LOAD"];
    WRITES.iter().any(|word| cursor.is_word(word)) && !cursor.second_is_end()
}

/// A table, and a column or a pattern of columns.
fn describe(mut cursor: Cursor<'_>, policy: &Policy<'_>) -> Result<Decided, Refusal> {
    cursor.expect_unreserved()?;
    let place = cursor.place();
    let (schema, name) = cursor.expect_qualified_name()?;
    let table = policy.table_name(schema.as_deref(), &name).map_err(|refusal| refusal.at(place))?;
    if matches!(cursor.kind(), Some(Kind::Word { .. } | Kind::Quoted | Kind::Text | Kind::Binary)) {
        cursor.expect_unreserved()?;
        cursor.step();
    }
    cursor.expect_end()?;
    let facts = Facts { tables: [table].into(), ..Facts::default() };
    Ok(Decided::plain(StatementKind::Describe, facts))
}
