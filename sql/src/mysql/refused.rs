//! What goes on record of a refused text. People send passwords to the wrong server, in the wrong statement, with a word misspelt
//! or a quote of their word processor's; and in a text that nobody understood, nobody knows where they stand. So of such a text the
//! record has the words that it begins with, as long as they are words of [`WORDS`], and `?` for all that follows.
//!
//! Whole stays what was read as one statement of a kind in which no password has its place, and names nothing that has to do
//! with one. The gate never looks at any of this.

use super::server::Server;
use super::session::SqlMode;
use super::text::lexer::{self, Kind, Lexed};

/// What a text that stays whole may begin with: queries, and what changes rows, tables or nothing at all. (Not `CALL`: managed
/// databases have procedures that take a password. Not `SET`: its variables may be passwords.)
const WHOLE: [&str; 20] = [
    "DELETE", "DESC", "DESCRIBE", "DROP", "EXPLAIN", "INSERT", "KILL", "LOAD", "LOCK", "RENAME", "REPLACE",
    "SELECT", "SHOW", "TABLE", "TRUNCATE", "UNLOCK", "UPDATE", "USE", "VALUES", "WITH",
];

/// Parts of the words that tell of a password wherever they stand, in lower case: `IDENTIFIED BY`, `MASTER_PASSWORD`,
/// `SOURCE_PASSWORD`, `OPTIONS (PASSWORD ..)` of a server, the `CONNECTION` of a federated table, columns and variables that hold
/// secrets. (MySQL manual, "Account Management Statements", "CREATE SERVER", "CHANGE REPLICATION SOURCE TO"; MariaDB, the same.)
const TELLING: [&str; 9] = [
    "identified",
    "passw",
    "pwd",
    "connection",
    "secret",
    "_auth",
    "authentication",
    "credential",
    "private_key",
];

/// Words that, unquoted, begin a statement in which a password may be: behind another one they are one whose semicolon is missing.
const BEGINNINGS: [&str; 6] = ["ALTER", "CALL", "CHANGE", "CREATE", "GRANT", "START"];

/// The schema in whose tables servers keep passwords of users and of other servers.
const ACCOUNTS: &str = "mysql";

/// The longest text that is looked through, in bytes.
const LONGEST: usize = 64 * 1024;

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

/// What goes on record in the place of a refused text; nothing where the text may stand there whole. `read`: the mode in which the
/// gate read it as one statement; nothing where the text was not understood.
#[must_use]
pub fn of_refused(text: &[u8], server: Server, read: Option<SqlMode>) -> Option<Vec<u8>> {
    match read {
        Some(mode) if may_stand_whole(text, server, mode) => None,
        _ => Some(beginning(text)),
    }
}

fn may_stand_whole(text: &[u8], server: Server, mode: SqlMode) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    if text.len() > LONGEST || is_telling(text) {
        return false;
    }
    // What one server skips another one executes.
    if text.contains("/*!") || text.contains("/*M!") {
        return false;
    }
    lexer::lex(text.as_bytes(), server, mode).is_ok_and(|lexed| is_about_data(&lexed))
}

/// Whether it is one statement that begins as [`WHOLE`] has it, and nothing in it begins another or names an account.
fn is_about_data(lexed: &Lexed<'_>) -> bool {
    let any = |words: &[&str], index| words.iter().any(|word| lexed.is_word(index, word));
    let open = (0..lexed.len()).take_while(|index| lexed.is_symbol(*index, "(")).count();
    let last = lexed.len().saturating_sub(1);
    let names_accounts = |index| {
        matches!(lexed.kind(index), Some(Kind::Word { .. } | Kind::Quoted))
            && lexed.name(index).eq_ignore_ascii_case(ACCOUNTS)
    };
    any(&WHOLE, open)
        && !(0..lexed.len()).any(|index| any(&BEGINNINGS, index) || names_accounts(index))
        && !(0..last).any(|index| lexed.is_symbol(index, ";"))
}

fn is_telling(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    TELLING.iter().any(|part| lower.contains(part))
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
