//! What goes on record of a refused text. People send passwords to the wrong server, in the wrong statement, with a word misspelt
//! or a quote of their word processor's; and in a text that nobody understood, nobody knows where they stand. So of such a text the
//! record has the words that it begins with, as long as they are words of [`WORDS`], and `?` for all that follows.
//!
//! Of a query, `INSERT`, `REPLACE`, `UPDATE` or `DELETE` that the parser read to its end it has the words of SQL and the names that
//! stand where none but a table, a column or a function can ([`super::places`]); no value, no comment, no other name. The gate
//! never looks at any of this.

use super::places;
use super::query;
use super::server::Server;
use super::session::SqlMode;
use super::shape;
use super::text::lexer;

/// The longest text that is read once more for its record, in bytes: it is read where its session runs, and others wait there.
const LONGEST: usize = 4 * 1024;

/// What stands for everything that is not shown.
const HIDDEN: &str = "?";

/// The most words that are shown.
const MOST_WORDS: usize = 8;

/// The word behind which a password may follow at once.
const PASSWORD: &str = "PASSWORD";

/// Words that statements begin with: the only ones that are shown.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "ALTER", "ANALYZE", "BACKUP", "BEGIN", "BINLOG", "CACHE", "CALL", "CHANGE", "CHARACTER", "CHECK", "CHECKSUM", "CLONE",
    "COMMIT", "CREATE", "DATA", "DATABASE", "DATABASES", "DEALLOCATE", "DEFAULT", "DELETE", "DESC", "DESCRIBE", "DO", "DROP",
    "EVENT", "EXECUTE", "EXISTS", "EXPLAIN", "FLUSH", "FOR", "FROM", "FUNCTION", "GET", "GLOBAL", "GRANT", "GROUP_REPLICATION",
    "HANDLER", "HELP", "IF", "IGNORE", "IMPORT", "INDEX", "INFILE", "INSERT", "INSTALL", "INSTANCE", "INTO", "KILL", "LOAD",
    "LOCAL", "LOCK", "MASTER", "NAMES", "NOT", "OPTIMIZE", "OR", PASSWORD, "PERSIST", "PERSIST_ONLY", "PLUGIN", "PREPARE",
    "PRIVILEGES", "PROCEDURE", "PURGE", "RELEASE", "RENAME", "REPAIR", "REPLACE", "REPLICA", "REPLICATION", "RESET", "RESIGNAL",
    "RESTART", "REVOKE", "ROLE", "ROLLBACK", "SAVEPOINT", "SCHEMA", "SELECT", "SERVER", "SESSION", "SET", "SHOW", "SHUTDOWN",
    "SIGNAL", "SLAVE", "SOURCE", "START", "STATEMENT", "STOP", "TABLE", "TABLES", "TEMPORARY", "TO", "TRANSACTION", "TRIGGER",
    "TRUNCATE", "UNINSTALL", "UNLOCK", "UPDATE", "USE", "USER", "VALUES", "VIEW", "WITH", "XA",
];

/// What goes on record in the place of a refused text. `mode`: in which its server reads it; nothing where that is not known.
#[must_use]
pub fn of_refused(text: &[u8], server: Server, mode: Option<SqlMode>) -> Vec<u8> {
    mode.and_then(|mode| statement(text, server, mode)).unwrap_or_else(|| beginning(text))
}

/// The text without its values, where it is one statement about data and was read to its end.
fn statement(text: &[u8], server: Server, mode: SqlMode) -> Option<Vec<u8>> {
    if text.len() > LONGEST {
        return None;
    }
    let lexed = lexer::lex(text, server, mode).ok()?;
    let last = lexed.len().checked_sub(1)?;
    let end = if lexed.is_symbol(last, ";") { last } else { lexed.len() };
    query::is_about_data(&lexed, 0..end, server).then(|| {
        let shown = places::of_names(&lexed, server);
        shape::of_lexemes(&lexed, |index| shown.contains(&index))
    })
}

/// The words that a text begins with behind its comments, in upper case, and `?` if anything else follows.
fn beginning(text: &[u8]) -> Vec<u8> {
    let mut rest = behind_comments(text);
    let mut shown = Vec::new();
    while let Some((word, behind)) = first_word(rest).filter(|_| shown.len() < MOST_WORDS) {
        shown.push(word);
        rest = behind.trim_ascii_start();
        if word == PASSWORD {
            break;
        }
    }
    if !rest.is_empty() || shown.is_empty() {
        shown.push(HIDDEN);
    }
    shown.join(" ").into_bytes()
}

/// The word of [`WORDS`] that stands at the beginning, and what is behind it.
fn first_word(text: &[u8]) -> Option<(&'static str, &[u8])> {
    let is_of_word =
        |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'_' | b'$') || !byte.is_ascii();
    let (word, behind) = text.split_at_checked(text.iter().take_while(is_of_word).count())?;
    let shown = WORDS.iter().find(|known| known.as_bytes().eq_ignore_ascii_case(word))?;
    Some((shown, behind))
}

/// The text behind the plain comments at its beginning, by which tools tell who they are.
fn behind_comments(text: &[u8]) -> &[u8] {
    let mut rest = text.trim_ascii_start();
    while let Some(comment) = rest.strip_prefix(b"/*").filter(|body| !body.starts_with(b"!")) {
        let Some(end) = comment.windows(2).position(|pair| pair == b"*/") else { break };
        rest = comment.get(end.saturating_add(2)..).unwrap_or_default().trim_ascii_start();
    }
    rest
}
