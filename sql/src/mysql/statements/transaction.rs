//! Transactions. They can't weaken the lock: the session's access mode stays read only whatever begins or ends here.

use super::Decided;
use super::cursor::Cursor;
use crate::facts::Facts;
use crate::mysql::verdict::StatementKind;
use crate::refusal::{Reason, Refusal};

/// From behind the first word, which is `first` in upper case.
pub(super) fn decide(mut cursor: Cursor<'_>, first: &str) -> Result<Decided, Refusal> {
    match first {
        "BEGIN" => {
            cursor.take_word("WORK");
        }
        "START" => start(&mut cursor)?,
        "COMMIT" => chain(&mut cursor)?,
        "ROLLBACK" => rollback(&mut cursor)?,
        "SAVEPOINT" => {
            cursor.expect_name()?;
        }
        "RELEASE" => {
            cursor.expect_word("SAVEPOINT")?;
            cursor.expect_name()?;
        }
        // Ends LOCK TABLES, which is refused; dump tools send it all the same.
        _ => {
            if cursor.take_one_of(&["TABLES", "TABLE"]).is_none() {
                return Err(cursor.cannot_read());
            }
        }
    }
    cursor.expect_end()?;
    Ok(Decided::plain(StatementKind::Transaction, Facts::default()))
}

/// `START TRANSACTION [WITH CONSISTENT SNAPSHOT | READ ONLY], ..`
fn start(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    cursor.expect_word("TRANSACTION")?;
    if cursor.is_end() {
        return Ok(());
    }
    loop {
        if !cursor.take_words(&["WITH", "CONSISTENT", "SNAPSHOT"]) {
            access_mode(cursor)?;
        }
        if !cursor.take_symbol(",") {
            return Ok(());
        }
    }
}

/// `READ ONLY`; `READ WRITE` is refused.
pub(super) fn access_mode(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    let place = cursor.place();
    cursor.expect_word("READ")?;
    if cursor.is_word("WRITE") {
        let what = "READ WRITE is not for this session, which only reads; leave it out or say READ ONLY";
        return Err(Refusal::new(Reason::Statement, what).at(place));
    }
    cursor.expect_word("ONLY")
}

/// `[WORK] [AND [NO] CHAIN] [NO RELEASE]`.
fn chain(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    cursor.take_word("WORK");
    if cursor.take_word("AND") {
        cursor.take_word("NO");
        cursor.expect_word("CHAIN")?;
    }
    cursor.take_words(&["NO", "RELEASE"]);
    Ok(())
}

fn rollback(cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    let mut ahead = cursor.clone();
    ahead.take_word("WORK");
    if ahead.take_word("TO") {
        ahead.take_word("SAVEPOINT");
        ahead.expect_name()?;
        *cursor = ahead;
        return Ok(());
    }
    chain(cursor)
}
