//! Statements that are not queries: the ones that connecting tools send, read by our own small parsers over the same
//! lexemes. What has no parser here is refused.
//!
//! | statement | what happens |
//! |---|---|
//! | `SHOW ..` | forwarded for the forms in `show.rs`, else refused |
//! | `EXPLAIN`, `DESCRIBE`, `DESC` | forwarded for reading queries and tables; `ANALYZE` refused, for it executes |
//! | `SET` of a limit on time or memory alone | answered with OK: the limit stays as it is |
//! | `SET TRANSACTION READ WRITE` alone | answered with OK: the session stays read only |
//! | `SHOW GRANTS` | answered: reading; the server's own answer may show a password's hash |
//! | `SET ..` | forwarded for the session variables in `variables.rs`, for user variables, `NAMES` of utf8; else refused |
//! | `SET STATEMENT .. FOR ..` | forwarded for `sql_select_limit` and a query, else refused |
//! | `HELP 'x'` | forwarded |
//! | `USE x` | forwarded unless the schema is the server's own |
//! | `BEGIN`, `COMMIT`, `ROLLBACK`, `SAVEPOINT`, `UNLOCK TABLES` | forwarded; `READ WRITE` refused |
//! | `KILL n` | answered: the proxy ends a session of the same grant, or the statement in it |
//! | anything else | refused |

mod cursor;
mod explain;
mod kill;
mod set;
mod show;
mod statement;
#[cfg(test)]
mod tests;
mod transaction;
mod variables;

use crate::facts::Facts;
use crate::mysql::judge::policy::Policy;
use crate::mysql::server::Flavour;
use crate::mysql::text::lexer::{Kind, Lexed};
use crate::mysql::verdict::{LocalAnswer, SessionEffect, StatementKind};
use crate::refusal::{Reason, Refusal, shown};
use cursor::Cursor;
use std::ops::Range;

/// What begins the statements that are not for reading, in order; to either flavour. A word that is missing here is
/// refused as a misspelling.
const BEGINS_CHANGE: &[&str] = &[
    "ALTER",
    "ANALYZE",
    "BACKUP",
    "BINLOG",
    "CACHE",
    "CALL",
    "CHANGE",
    "CHECK",
    "CHECKSUM",
    "CLONE",
    "CREATE",
    "DEALLOCATE",
    "DELETE",
    "DO",
    "DROP",
    "EXECUTE",
    "FLUSH",
    "GET",
    "GRANT",
    "HANDLER",
    "IF",
    "IMPORT",
    "INSERT",
    "INSTALL",
    "LOAD",
    "OPTIMIZE",
    "PREPARE",
    "PURGE",
    "RENAME",
    "REPAIR",
    "REPLACE",
    "RESET",
    "RESIGNAL",
    "RESTART",
    "REVOKE",
    "SHUTDOWN",
    "SIGNAL",
    "SLAVE",
    "STOP",
    "TRUNCATE",
    "UNINSTALL",
    "UPDATE",
    "XA",
];

/// What becomes of a text, before the text to forward is made.
#[derive(Debug)]
pub(crate) enum Decided {
    /// Goes to the database.
    Forward {
        /// The statement's kind.
        kind: StatementKind,
        /// What it touches.
        facts: Facts,
        /// What it changes in the session.
        effect: SessionEffect,
    },
    /// Is answered by the proxy.
    Answer(LocalAnswer),
}

impl Decided {
    /// Goes to the database and changes nothing that the proxy tracks.
    pub(crate) fn plain(kind: StatementKind, facts: Facts) -> Self {
        Self::Forward { kind, facts, effect: SessionEffect::None }
    }
}

/// Decides a statement that is not a query.
///
/// # Errors
/// Any statement but those of the table above.
pub(crate) fn decide(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    policy: &Policy<'_>,
) -> Result<Decided, Refusal> {
    let mut cursor = Cursor::new(lexed, range, policy.server);
    let first = cursor.word().unwrap_or_default();
    cursor.step();
    match first.to_ascii_uppercase().as_str() {
        "SHOW" => show::decide(cursor, policy),
        "EXPLAIN" | "DESCRIBE" | "DESC" => explain::decide(cursor, policy),
        "SET" if policy.server.flavour == Flavour::MariaDb && cursor.take_word("STATEMENT") => {
            statement::decide(cursor, policy)
        }
        "SET" => set::decide(cursor, policy),
        "USE" => use_schema(cursor, policy),
        "HELP" => help(cursor),
        "KILL" => kill::decide(cursor),
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "UNLOCK" => {
            transaction::decide(cursor, &first.to_ascii_uppercase())
        }
        "LOCK" => {
            let what = "LOCK is not for reading; dump tools do without it: mysqldump --single-transaction";
            Err(Refusal::new(Reason::Statement, what).at(lexed.place(0)))
        }
        "" => Err(crate::mysql::parse::cannot_read(lexed, 0)),
        word => Err(not_for_reading(word, first).at(lexed.place(0))),
    }
}

/// `upper` begins a statement that changes something, or none.
fn not_for_reading(upper: &str, word: &str) -> Refusal {
    let shown = shown(word);
    if BEGINS_CHANGE.binary_search(&upper).is_ok() {
        return Refusal::new(
            Reason::Statement,
            format!("{shown} is not for reading; this session only reads"),
        );
    }
    let what = format!("{shown} begins no statement: write SELECT, SHOW, DESCRIBE, EXPLAIN, ..");
    Refusal::new(Reason::Syntax, what)
}

/// `HELP 'topic'`: the server's own manual.
fn help(mut cursor: Cursor<'_>) -> Result<Decided, Refusal> {
    if !matches!(cursor.kind(), Some(Kind::Word { .. } | Kind::Quoted | Kind::Text)) {
        return Err(cursor.cannot_read());
    }
    cursor.step();
    cursor.expect_end()?;
    Ok(Decided::plain(StatementKind::Show, Facts::default()))
}

fn use_schema(mut cursor: Cursor<'_>, policy: &Policy<'_>) -> Result<Decided, Refusal> {
    cursor.expect_unreserved()?;
    let place = cursor.place();
    let schema = cursor.expect_name()?;
    cursor.expect_end()?;
    policy.schema(&schema).map_err(|refusal| refusal.at(place))?;
    let effect = SessionEffect::UsesSchema(schema);
    Ok(Decided::Forward { kind: StatementKind::Use, facts: Facts::default(), effect })
}
