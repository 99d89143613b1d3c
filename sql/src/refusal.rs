//! Why a text is refused: a reason, a place and one sentence. How a protocol says it is not decided here.
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
    /// Every reason, in the order of the way that a text goes.
    pub const ALL: [Self; 20] = [
        Self::Empty,
        Self::Character,
        Self::Unterminated,
        Self::Ambiguous,
        Self::TooLarge,
        Self::SeveralStatements,
        Self::Statement,
        Self::Clause,
        Self::Syntax,
        Self::Unaccounted,
        Self::Function,
        Self::StoredFunction,
        Self::Schema,
        Self::Table,
        Self::NoTable,
        Self::Column,
        Self::Secret,
        Self::Setting,
        Self::SettingValue,
        Self::CharacterSet,
    ];

    /// The word that goes on record. It never changes.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Character => "Character",
            Self::Unterminated => "Unterminated",
            Self::Ambiguous => "Ambiguous",
            Self::TooLarge => "TooLarge",
            Self::SeveralStatements => "SeveralStatements",
            Self::Statement => "Statement",
            Self::Clause => "Clause",
            Self::Syntax => "Syntax",
            Self::Unaccounted => "Unaccounted",
            Self::Function => "Function",
            Self::StoredFunction => "StoredFunction",
            Self::Schema => "Schema",
            Self::Table => "Table",
            Self::NoTable => "NoTable",
            Self::Column => "Column",
            Self::Secret => "Secret",
            Self::Setting => "Setting",
            Self::SettingValue => "SettingValue",
            Self::CharacterSet => "CharacterSet",
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
    what: String,
    place: Option<Place>,
}

impl Refusal {
    /// `what` is a sentence without its full stop; it may name one word of the text.
    pub(crate) fn new(reason: Reason, what: impl Into<String>) -> Self {
        Self { reason, what: what.into(), place: None }
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

    /// The sentence for the person: what was met, where, and what to do. It has no full stop.
    #[must_use]
    pub fn message(&self) -> String {
        match self.place {
            Some(place) => {
                format!("{} (line {}, column {})", self.what, place.line, place.column)
            }
            None => self.what.clone(),
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
