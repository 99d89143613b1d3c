//! What of a session decides how its texts are read: the current schema, and the parts of `sql_mode` that the lexer goes by.
//!
//! Sources: MySQL manual, "Server SQL Modes"; MariaDB knowledge base, "SQL_MODE"; `sql/sql_lex.cc` of both.

use std::sync::Arc;

/// The modes of a session's `sql_mode` that change how a text is split or what it calls. The others change what a statement
/// does, or how tightly an operator binds (`PIPES_AS_CONCAT`, `HIGH_NOT_PRECEDENCE`): the same lexemes, names and calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SqlMode {
    /// `"a"` is a name.
    pub ansi_quotes: bool,
    /// A built-in function's name may have white space behind it.
    pub ignore_space: bool,
    /// A backslash in a string is one.
    pub no_backslash_escapes: bool,
}

/// The session has a mode in which texts are not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sql_mode has {mode}, in which statements are not read; the modes that are, are in docs/mysql.md")]
pub struct UnreadMode {
    /// The mode, of at most 32 plain characters.
    pub mode: String,
}

/// Modes, sorted, that say nothing of how a text is read.
const OTHERS: &[&str] = &[
    "ALLOW_INVALID_DATES",
    // With what it stands for beside it.
    "ANSI",
    "EMPTY_STRING_IS_NULL",
    "ERROR_FOR_DIVISION_BY_ZERO",
    "HIGH_NOT_PRECEDENCE",
    "IGNORE_BAD_TABLE_OPTIONS",
    "NO_AUTO_CREATE_USER",
    "NO_AUTO_VALUE_ON_ZERO",
    "NO_DIR_IN_CREATE",
    "NO_ENGINE_SUBSTITUTION",
    "NO_FIELD_OPTIONS",
    "NO_KEY_OPTIONS",
    "NO_TABLE_OPTIONS",
    "NO_UNSIGNED_SUBTRACTION",
    "NO_ZERO_DATE",
    "NO_ZERO_IN_DATE",
    "ONLY_FULL_GROUP_BY",
    "PAD_CHAR_TO_FULL_LENGTH",
    "PIPES_AS_CONCAT",
    "REAL_AS_FLOAT",
    "SIMULTANEOUS_ASSIGNMENT",
    "STRICT_ALL_TABLES",
    "STRICT_TRANS_TABLES",
    "TIME_ROUND_FRACTIONAL",
    "TIME_TRUNCATE_FRACTIONAL",
    "TRADITIONAL",
];

impl SqlMode {
    /// Reads the value of `@@SESSION.sql_mode`, as the server tells it: the modes that a mode stands for are named beside it.
    ///
    /// # Errors
    /// A mode in which texts are not read: `ORACLE`, those of other products, and any that is not known.
    pub fn of_variable(list: &str) -> Result<Self, UnreadMode> {
        let mut mode = Self::default();
        for name in list.split(',').filter(|name| !name.is_empty()) {
            match name {
                "ANSI_QUOTES" => mode.ansi_quotes = true,
                "IGNORE_SPACE" => mode.ignore_space = true,
                "NO_BACKSLASH_ESCAPES" => mode.no_backslash_escapes = true,
                name if OTHERS.binary_search(&name).is_ok() => {}
                name => {
                    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
                    return Err(UnreadMode { mode: name.chars().filter(plain).take(32).collect() });
                }
            }
        }
        Ok(mode)
    }

    /// Is this a mode that a session may have?
    pub(crate) fn is_read(name: &str) -> bool {
        Self::of_variable(&name.to_ascii_uppercase()).is_ok()
    }
}

/// What the gate must know of a session to decide its texts. Cheap to copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Session {
    /// The current schema.
    pub schema: Option<Arc<str>>,
    /// How the server reads texts now.
    pub mode: SqlMode,
}

/// A session with this schema whose `sql_mode` changes nothing of how texts are read.
impl From<Option<&str>> for Session {
    fn from(schema: Option<&str>) -> Self {
        Self { schema: schema.map(Arc::from), mode: SqlMode::default() }
    }
}

impl From<&Session> for Session {
    fn from(session: &Session) -> Self {
        session.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(OTHERS.is_sorted());
    }

    #[test]
    fn a_servers_list_is_read() {
        let ansi = "REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ONLY_FULL_GROUP_BY,ANSI";
        let expected = SqlMode { ansi_quotes: true, ignore_space: true, no_backslash_escapes: false };
        assert_eq!(SqlMode::of_variable(ansi), Ok(expected));
        let escapes = SqlMode { no_backslash_escapes: true, ..SqlMode::default() };
        assert_eq!(SqlMode::of_variable("STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES"), Ok(escapes));
        for list in ["", "STRICT_TRANS_TABLES,NO_ZERO_DATE", "HIGH_NOT_PRECEDENCE"] {
            assert_eq!(SqlMode::of_variable(list), Ok(SqlMode::default()), "{list}");
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        for list in ["ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL", "MYSQL40", "NEW_MODE", "ansi quotes"] {
            assert!(SqlMode::of_variable(list).is_err(), "{list}");
        }
        let refused = SqlMode::of_variable("ANSI_QUOTES,ORACLE").unwrap_err();
        assert!(refused.to_string().contains("ORACLE"));
    }
}
