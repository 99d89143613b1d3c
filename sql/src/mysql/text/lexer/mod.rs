//! The only lexer: bytes to lexemes, exactly as the server splits them under the session's `sql_mode` and utf8mb4.
//! Holds no grammar. What servers may read differently from each other it refuses.
//!
//! Sources: `sql/sql_lex.cc` of both servers; MySQL manual, "Comments", "Literal Values", "Schema Object Names".

mod charsets;
mod comments;
mod names;
mod numbers;
mod packed;
mod quoted;
mod symbols;

use crate::mysql::server::Server;
use crate::mysql::session::SqlMode;
use crate::refusal::{Place, Reason, Refusal};

pub(crate) use packed::Lexemes;

/// What a lexeme is. Words keep their text in the source; nothing is unescaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An unquoted word: a keyword or an identifier.
    Word {
        /// Directly after a period, or before one that a name follows: there the server reads any word as a name.
        exempt: bool,
    },
    /// A name in backticks, or in double quotes where these quote names.
    Quoted,
    /// `@x`, `@'x'`.
    UserVariable,
    /// `@@x`, `@@session.x`.
    SystemVariable,
    /// `'..'`, also with `N` before it; `".."` where that is a string.
    Text,
    /// `_utf8mb4` and the like before a literal.
    Introducer,
    /// `0x..`, `x'..'`, `0b..`, `b'..'`.
    Binary,
    /// An integer, decimal or float.
    Number,
    /// `?`.
    Parameter,
    /// `\N` of MariaDB.
    Null,
    /// An operator or punctuation, one to three characters.
    Symbol(&'static str),
}

/// One lexeme: its kind and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lexeme {
    /// What it is.
    pub(crate) kind: Kind,
    /// Offset of the first byte.
    pub(crate) start: usize,
    /// Offset after the last byte.
    pub(crate) end: usize,
}

/// A range of bytes that the forwarded text replaces by spaces, newlines kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blank {
    /// Offset of the first byte.
    pub(crate) start: usize,
    /// Offset after the last byte.
    pub(crate) end: usize,
}

/// A text split into lexemes.
#[derive(Clone, Debug)]
pub(crate) struct Lexed<'a> {
    source: &'a str,
    mode: SqlMode,
    /// The lexemes in order.
    pub(crate) lexemes: Lexemes,
    /// What to blank before forwarding.
    pub(crate) blanks: Vec<Blank>,
}

impl<'a> Lexed<'a> {
    /// The text that was split.
    pub(crate) fn source(&self) -> &'a str {
        self.source
    }

    /// How it was split.
    pub(crate) fn mode(&self) -> SqlMode {
        self.mode
    }

    /// How many lexemes there are.
    pub(crate) fn len(&self) -> usize {
        self.lexemes.len()
    }

    /// The kind of the lexeme at `index`, if there is one.
    pub(crate) fn kind(&self, index: usize) -> Option<Kind> {
        self.lexemes.get(index).map(|lexeme| lexeme.kind)
    }

    /// The text of the lexeme at `index` as written, or nothing.
    pub(crate) fn text(&self, index: usize) -> &'a str {
        self.lexemes.get(index).and_then(|l| self.source.get(l.start..l.end)).unwrap_or("")
    }

    /// The unquoted text of a name or a system variable at `index`.
    pub(crate) fn name(&self, index: usize) -> String {
        match self.kind(index) {
            Some(Kind::Quoted) => quoted::unquote_name(self.text(index)),
            Some(Kind::SystemVariable) => self.text(index).replace('`', ""),
            _ => self.text(index).to_owned(),
        }
    }

    /// Is the lexeme at `index` a name of no character in quotes?
    pub(crate) fn is_empty_name(&self, index: usize) -> bool {
        self.kind(index) == Some(Kind::Quoted) && self.text(index).len() == 2
    }

    /// Is the lexeme at `index` this unquoted word? A name after a period is not a keyword.
    pub(crate) fn is_word(&self, index: usize, word: &str) -> bool {
        self.kind(index) == Some(Kind::Word { exempt: false }) && self.text(index).eq_ignore_ascii_case(word)
    }

    /// Is the lexeme at `index` this operator or punctuation?
    pub(crate) fn is_symbol(&self, index: usize, symbol: &str) -> bool {
        matches!(self.kind(index), Some(Kind::Symbol(found)) if found == symbol)
    }

    /// Does the parenthesis behind the name at `index` stand where a built-in function has it: without a byte between, or in
    /// the mode for that, with white space and no comment?
    pub(crate) fn opens_call(&self, index: usize) -> bool {
        let (Some(here), Some(next)) = (self.lexemes.get(index), self.lexemes.get(index.saturating_add(1)))
        else {
            return false;
        };
        let between = self.source.as_bytes().get(here.end..next.start).unwrap_or_default();
        between.is_empty() || (self.mode.ignore_space && between.iter().copied().all(is_space))
    }

    /// Line and column of the lexeme at `index`, or of the text's end.
    pub(crate) fn place(&self, index: usize) -> Place {
        let offset = self.lexemes.get(index).map_or(self.source.len(), |lexeme| lexeme.start);
        place_of(self.source.as_bytes(), offset)
    }
}

/// The servers' white space.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Line and column of an offset.
pub(crate) fn place_of(bytes: &[u8], offset: usize) -> Place {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count().saturating_add(1);
    Place { line, column }
}

/// Splits a text for a server.
///
/// # Errors
/// Anything that a server could split otherwise: see the files of this folder.
pub(crate) fn lex(text: &[u8], server: Server, mode: SqlMode) -> Result<Lexed<'_>, Refusal> {
    let source = std::str::from_utf8(text).map_err(|error| {
        Refusal::new(Reason::Character, "the text is not UTF-8; use a utf8mb4 connection")
            .at(place_of(text, error.valid_up_to()))
    })?;
    let mut scanner = Scanner::new(source, server, mode);
    scanner.run()?;
    if scanner.in_version_comment.is_some() {
        return Err(scanner.refuse(Reason::Unterminated, "a version comment does not end", source.len()));
    }
    Ok(Lexed { source, mode, lexemes: scanner.lexemes, blanks: scanner.blanks })
}

/// The lexer's state: where it is in the bytes, and what it has found.
struct Scanner<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    server: Server,
    mode: SqlMode,
    lexemes: Lexemes,
    blanks: Vec<Blank>,
    /// Offset of the open version comment whose content is being read as SQL.
    in_version_comment: Option<usize>,
}

impl<'a> Scanner<'a> {
    fn new(source: &'a str, server: Server, mode: SqlMode) -> Self {
        let room = source.len() / 4;
        Self {
            source,
            bytes: source.as_bytes(),
            at: 0,
            server,
            mode,
            lexemes: Lexemes::with_room(room),
            blanks: Vec::new(),
            in_version_comment: None,
        }
    }

    fn run(&mut self) -> Result<(), Refusal> {
        while let Some(byte) = self.peek(0) {
            match byte {
                byte if is_space(byte) => self.step(1),
                0..=0x1f | 0x7f => {
                    return Err(self.refuse(
                        Reason::Character,
                        "a control character outside quotes",
                        self.at,
                    ));
                }
                b'#' => self.line_comment(1)?,
                b'-' if self.starts_dash_comment() => self.line_comment(2)?,
                b'/' if self.peek(1) == Some(b'*') => self.block_comment()?,
                b'\'' | b'"' if !self.quotes_names(byte) => self.text(self.at)?,
                b'`' | b'"' => self.quoted_name(byte)?,
                b'@' => self.variable()?,
                b'\\' => self.backslash()?,
                b'?' => self.push(Kind::Parameter, 1),
                b'0'..=b'9' => self.number_or_name()?,
                b'.' => self.period()?,
                _ if names::is_name_byte(byte) => self.word()?,
                _ => self.symbol()?,
            }
        }
        Ok(())
    }

    /// The byte `ahead` of the current one.
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at.saturating_add(ahead)).copied()
    }

    fn byte(&self, offset: usize) -> Option<u8> {
        self.bytes.get(offset).copied()
    }

    fn step(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    /// Adds a lexeme of `length` bytes from here and goes behind it.
    fn push(&mut self, kind: Kind, length: usize) {
        let start = self.at;
        self.push_to(kind, start, start.saturating_add(length));
    }

    /// Adds a lexeme and goes behind it.
    fn push_to(&mut self, kind: Kind, start: usize, end: usize) {
        self.lexemes.push(Lexeme { kind, start, end });
        self.at = end;
    }

    /// Is the previous lexeme a period that ends exactly here?
    fn directly_after_period(&self) -> bool {
        matches!(self.lexemes.last(), Some(last) if last.kind == Kind::Symbol(".") && last.end == self.at)
    }

    /// `\N` is NULL in MariaDB; MySQL 8 dropped it.
    fn backslash(&mut self) -> Result<(), Refusal> {
        let mariadb = self.server.flavour == crate::mysql::server::Flavour::MariaDb;
        let alone = !self.mode.no_backslash_escapes && !self.peek(2).is_some_and(names::is_name_byte);
        if mariadb && self.peek(1) == Some(b'N') && alone {
            self.push(Kind::Null, 2);
            return Ok(());
        }
        Err(self.refuse(Reason::Character, "a backslash outside quotes", self.at))
    }

    fn refuse(&self, reason: Reason, what: &str, offset: usize) -> Refusal {
        Refusal::new(reason, what).at(place_of(self.bytes, offset))
    }
}
