//! Why a text is refused: a reason, an error code that MySQL clients know, a place and one sentence.
//! It may name one word of the text, never more of it, and nothing of it in `Debug`.

use std::fmt;

/// Where in the text, counted from 1. The column counts bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Byte in the line, from 1.
    pub column: usize,
}

/// The one cause of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The text is empty or only comments.
    Empty,
    /// Bytes outside UTF-8, control characters, unusual white space, a character that SQL doesn't use.
    Character,
    /// A string, quoted name or comment that does not end.
    Unterminated,
    /// A token or comment that servers read differently from each other, so the gate doesn't guess.
    Ambiguous,
    /// The text is larger or deeper than the gate reads.
    TooLarge,
    /// More than one statement in a text.
    SeveralStatements,
    /// A statement that is not for reading.
    Statement,
    /// A clause that locks, writes or goes around a limit.
    Clause,
    /// The gate can't parse it.
    Syntax,
    /// A word that the gate read but did not understand the meaning of.
    Unaccounted,
    /// A function with an effect, or one that the gate doesn't know.
    Function,
    /// A stored function that the `Database` doesn't allow.
    StoredFunction,
    /// A schema that holds the server's own affairs.
    Schema,
    /// A table of a system schema that is not open.
    Table,
    /// A table that is not there, or that the database user may not see.
    NoTable,
    /// A column that a rule of the `Database` closes, or may close for all that can be told.
    Column,
    /// A system variable that holds a secret.
    Secret,
    /// A variable that may not be set.
    Setting,
    /// A value that a variable may not be set to.
    SettingValue,
    /// A character set whose bytes the gate can't read.
    CharacterSet,
}

impl Reason {
    /// The error code and SQLSTATE that a server would use for something like it.
    fn code(self) -> (u16, [u8; 5]) {
        match self {
            Self::Empty => (1065, *b"42000"),
            Self::Character | Self::Unterminated | Self::Syntax | Self::SeveralStatements => {
                (1064, *b"42000")
            }
            Self::Ambiguous | Self::TooLarge | Self::Clause | Self::Unaccounted => (1235, *b"42000"),
            Self::Statement => (1792, *b"25006"),
            Self::Function | Self::StoredFunction => (1370, *b"42000"),
            Self::Schema => (1044, *b"42000"),
            Self::Table => (1142, *b"42000"),
            Self::NoTable => (1146, *b"42S02"),
            Self::Column => (1143, *b"42000"),
            Self::Secret | Self::Setting => (1227, *b"42000"),
            Self::SettingValue => (1231, *b"42000"),
            Self::CharacterSet => (1115, *b"42000"),
        }
    }
}

/// A word of the text as a sentence may show it: not more than a few dozen characters.
pub(crate) fn shown(word: &str) -> String {
    word.chars().take(48).collect()
}

/// A refused text: what, where and what to do.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The cause.
    pub reason: Reason,
    /// The error code for the client.
    pub code: u16,
    /// The SQLSTATE for the client.
    pub sqlstate: [u8; 5],
    what: String,
    place: Option<Place>,
}

impl Refusal {
    /// `what` is a sentence without its full stop; it may name one word of the text.
    pub(crate) fn new(reason: Reason, what: impl Into<String>) -> Self {
        let (code, sqlstate) = reason.code();
        Self { reason, code, sqlstate, what: what.into(), place: None }
    }

    /// Says where, unless a closer place is known already.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.place = self.place.or(Some(place));
        self
    }

    /// Where in the text, when one place is to blame.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// What was met and what to do, without the place.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The sentence for the person: what was met, where, and what to do.
    #[must_use]
    pub fn message(&self) -> String {
        match self.place {
            Some(place) => {
                format!("Keyhole: {} (line {}, column {})", self.what, place.line, place.column)
            }
            None => format!("Keyhole: {}", self.what),
        }
    }
}

impl fmt::Debug for Refusal {
    /// Shows reason and place only: the sentence may name a word of the text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("reason", &self.reason)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
