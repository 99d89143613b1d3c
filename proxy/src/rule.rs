//! What refuses a command: one word of ours for each rule, with its meaning and what to do instead. How a protocol says it,
//! and by which number, is the engine's affair (`errors.rs`).

use sql::Reason;

/// A rule that refuses a command, or stops the answer to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// One of the gate's.
    Gate(Reason),
    /// The gate gave no verdict on the text.
    Unchecked,
    /// A command of the protocol that is not open to readers.
    Command,
    /// A command longer than 1 MiB.
    TooLong,
    /// A command that cannot be read.
    Malformed,
    /// The name of a schema that cannot be one.
    SchemaName,
    /// A statement that the proxy answers itself, or that has an effect on the session.
    NotPreparable,
    /// More prepared statements than a session may have.
    TooManyStatements,
    /// A prepared statement that is not one of the session's.
    UnknownStatement,
    /// A cursor that does more than read.
    Cursor,
    /// A fetch from a statement that has no open cursor.
    NoCursor,
    /// Parameters that are longer than the proxy holds.
    LongData,
    /// A prepared statement, and the mode in which texts are read is another one now.
    OtherMode,
    /// Parameters that cannot be read.
    Parameters,
    /// The memory for what all sessions send and read is in use.
    Memory,
    /// The database does not tell which columns its tables have, so that the column rules cannot be checked.
    UnknownTables,
    /// More tables, or views of views, than are checked against the column rules.
    TooManyTables,
    /// A result with other columns than the column rules were checked for.
    OtherColumns,
    /// A row of more than 16 MiB in a result with masked columns.
    LongRow,
    /// The statement's limit of rows.
    Rows,
    /// The statement's limit of bytes.
    Bytes,
    /// The statement's limit of time.
    Seconds,
    /// The grant's budget of rows is used up.
    GrantRows,
    /// The grant's budget of bytes is used up.
    GrantBytes,
    /// A session that is none of the grant's.
    UnknownSession,
    /// The database could not be told to stop a statement.
    NotStopped,
    /// `KILL` of the very session.
    Interrupted,
}

impl Rule {
    /// Every rule that is not one of the gate's.
    const OWN: [Self; 26] = [
        Self::Unchecked,
        Self::Command,
        Self::TooLong,
        Self::Malformed,
        Self::SchemaName,
        Self::NotPreparable,
        Self::TooManyStatements,
        Self::UnknownStatement,
        Self::Cursor,
        Self::NoCursor,
        Self::LongData,
        Self::OtherMode,
        Self::Parameters,
        Self::Memory,
        Self::UnknownTables,
        Self::TooManyTables,
        Self::OtherColumns,
        Self::LongRow,
        Self::Rows,
        Self::Bytes,
        Self::Seconds,
        Self::GrantRows,
        Self::GrantBytes,
        Self::UnknownSession,
        Self::NotStopped,
        Self::Interrupted,
    ];

    /// Every rule: the gate's first.
    pub fn all() -> impl Iterator<Item = Self> {
        Reason::ALL.into_iter().map(Self::Gate).chain(Self::OWN)
    }

    /// The word that goes on record. It never changes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gate(reason) => reason.word(),
            Self::Unchecked => "Unchecked",
            Self::Command => "Command",
            Self::TooLong => "TooLong",
            Self::Malformed => "Malformed",
            Self::SchemaName => "SchemaName",
            Self::NotPreparable => "NotPreparable",
            Self::TooManyStatements => "TooManyStatements",
            Self::UnknownStatement => "UnknownStatement",
            Self::Cursor => "Cursor",
            Self::NoCursor => "NoCursor",
            Self::LongData => "LongData",
            Self::OtherMode => "OtherMode",
            Self::Parameters => "Parameters",
            Self::Memory => "Memory",
            Self::UnknownTables => "UnknownTables",
            Self::TooManyTables => "TooManyTables",
            Self::OtherColumns => "OtherColumns",
            Self::LongRow => "LongRow",
            Self::Rows => "Rows",
            Self::Bytes => "Bytes",
            Self::Seconds => "Seconds",
            Self::GrantRows => "GrantRows",
            Self::GrantBytes => "GrantBytes",
            Self::UnknownSession => "UnknownSession",
            Self::NotStopped => "NotStopped",
            Self::Interrupted => "Interrupted",
        }
    }

    /// What was met, for the documents: half a sentence.
    pub fn meaning(self) -> &'static str {
        self.told().0
    }

    /// What to do instead, for the documents: half a sentence.
    pub fn instead(self) -> &'static str {
        self.told().1
    }

    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Gate(reason) => of_gate(reason),
            Self::Unchecked => ("the gate gave no verdict on the text", "send it in a plainer form"),
            Self::Command => ("a command of the protocol that is not open to readers", "leave it out"),
            Self::TooLong => ("a command longer than 1 MiB", "send it in parts"),
            Self::Malformed => ("a command that cannot be read", "use another client"),
            Self::SchemaName => ("the name of a schema that cannot be one", "check its name"),
            Self::NotPreparable => (
                "a statement that the proxy answers itself, or that has an effect on the session",
                "send it as a plain query",
            ),
            Self::TooManyStatements => ("more prepared statements than a session may have", "close some"),
            Self::UnknownStatement => ("a prepared statement that is not one of the session's", "prepare it"),
            Self::Cursor => ("a cursor that does more than read", "open one for reading"),
            Self::NoCursor => ("a fetch from a statement that has no open cursor", "execute it first"),
            Self::LongData => ("parameters that are longer than the proxy holds", "send less"),
            Self::OtherMode => ("a statement that was prepared in another `sql_mode`", "prepare it again"),
            Self::Parameters => {
                ("parameters that cannot be read", "send as many as the statement has, with their types")
            }
            Self::Memory => (
                "the memory of the proxy is in use by what the grant's sessions send, read and have prepared",
                "send less at once, close prepared statements, or try again",
            ),
            Self::UnknownTables => (
                "the database does not tell which columns its tables have, so that the column rules cannot be checked",
                "try again",
            ),
            Self::TooManyTables => (
                "more tables, or views of views, than are checked against the column rules",
                "read fewer at once",
            ),
            Self::OtherColumns => {
                ("a result with other columns than the column rules were checked for", "try again")
            }
            Self::LongRow => {
                ("a row of more than 16 MiB in a result with masked columns", "select fewer columns")
            }
            Self::Rows => ("the statement's limit of rows", "read less at once"),
            Self::Bytes => ("the statement's limit of bytes", "read less at once"),
            Self::Seconds => ("the statement's limit of time", "read less at once, or by an index"),
            Self::GrantRows => ("the grant's budget of rows is used up", "ask for a new grant"),
            Self::GrantBytes => ("the grant's budget of bytes is used up", "ask for a new grant"),
            Self::UnknownSession => {
                ("a session that is none of the grant's", "look at the number that the client shows")
            }
            Self::NotStopped => ("the database could not be told to stop a statement", "try again"),
            Self::Interrupted => ("`KILL` of the very session", "nothing"),
        }
    }
}

fn of_gate(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Empty => ("nothing stands in the text, or between two semicolons", "send a statement"),
        Reason::Character => (
            "bytes that are no UTF-8 where a name or word stands, control characters, unusual white space",
            "connect with utf8mb4; write binary values as `x'..'`",
        ),
        Reason::Unterminated => ("a string, quoted name or comment that does not end", "close it"),
        Reason::Ambiguous => (
            "a token that servers read differently from each other",
            "write it with spaces, or without the comment",
        ),
        Reason::TooLarge => ("the text is larger or deeper than the gate reads", "send it in parts"),
        Reason::SeveralStatements => (
            "more than one statement in a text",
            "send them one by one, or turn multi-statements on in the client",
        ),
        Reason::Statement => ("a statement that is not for reading", "nothing: the session only reads"),
        Reason::Clause => ("a clause that locks, writes or goes around a limit", "leave it out"),
        Reason::Syntax => ("the gate cannot parse it", "check its spelling"),
        Reason::Unaccounted => {
            ("a word whose meaning the gate did not understand", "write it in a plainer form")
        }
        Reason::Function => ("a function with an effect, or one that the gate does not know", "leave it out"),
        Reason::StoredFunction => {
            ("a stored function that the `Database` does not allow", "ask the platform team to allow it")
        }
        Reason::Schema => ("a schema that holds the server's own affairs", "read `information_schema`"),
        Reason::Table => ("a table of a system schema that is not open", "read `information_schema`"),
        Reason::NoTable => ("a table that is not there, or not for the grant's user", "check its name"),
        Reason::Column => (
            "a column that a rule of the `Database` closes, or may close for all that can be told",
            "leave it out, or name the columns one by one",
        ),
        Reason::Secret => ("a variable that shows a password", "leave it out"),
        Reason::Setting => ("a variable that may not be set", "leave it as it is"),
        Reason::SettingValue => ("a value that the variable may not have", "leave it as it is"),
        Reason::CharacterSet => ("a character set whose bytes the gate cannot read", "use utf8mb4"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_has_a_word_of_its_own() {
        let words: BTreeSet<_> = Rule::all().map(Rule::word).collect();
        assert_eq!(words.len(), Rule::all().count());
    }
}
