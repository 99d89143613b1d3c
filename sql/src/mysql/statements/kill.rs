//! `KILL` of one's own session, or of the statement in it: what a client sends when its user presses Ctrl-C. Never reaches
//! the database: its numbers are not those that the proxy gives its sessions.
//!
//! Source: MySQL 9 manual, "KILL Statement"; MariaDB knowledge base, "KILL": there `ID` takes a statement's number, and
//! `USER` a person's name.

use super::Decided;
use super::cursor::Cursor;
use crate::mysql::text::lexer::Kind;
use crate::mysql::verdict::LocalAnswer;
use crate::refusal::{Reason, Refusal};

/// From behind `KILL`.
pub(super) fn decide(mut cursor: Cursor<'_>) -> Result<Decided, Refusal> {
    cursor.take_one_of(&["HARD", "SOFT"]);
    let what = cursor.take_one_of(&["CONNECTION", "QUERY"]);
    let place = cursor.place();
    let number = match cursor.kind() {
        Some(Kind::Number) => cursor.lexed().text(cursor.index()).parse().ok(),
        _ => None,
    };
    let Some(session) = number else {
        let what = "KILL ends sessions of your own grant; write the session's number";
        return Err(Refusal::new(Reason::Statement, what).at(place));
    };
    cursor.step();
    cursor.expect_end()?;
    Ok(Decided::Answer(LocalAnswer::Kill { session, query_only: what == Some("QUERY") }))
}
