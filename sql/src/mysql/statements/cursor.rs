//! A position among lexemes, for the small parsers of session statements.

use crate::mysql::judge::words;
use crate::mysql::parse::cannot_read;
use crate::mysql::server::Server;
use crate::mysql::text::lexer::{Kind, Lexed};
use crate::refusal::{Place, Refusal};
use std::ops::Range;

/// Where a small parser is.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    lexed: &'a Lexed<'a>,
    server: Server,
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(lexed: &'a Lexed<'a>, range: Range<usize>, server: Server) -> Self {
        Self { lexed, server, at: range.start, end: range.end }
    }

    pub(super) fn lexed(&self) -> &'a Lexed<'a> {
        self.lexed
    }

    /// The index of the lexeme that stands next.
    pub(super) fn index(&self) -> usize {
        self.at
    }

    /// The lexemes that are left.
    pub(super) fn rest(&self) -> Range<usize> {
        self.at..self.end
    }

    pub(super) fn place(&self) -> Place {
        self.lexed.place(self.at)
    }

    pub(super) fn is_end(&self) -> bool {
        self.at >= self.end
    }

    pub(super) fn step(&mut self) {
        self.at = self.at.saturating_add(1).min(self.end);
    }

    /// Goes to another lexeme.
    pub(super) fn jump(&mut self, index: usize) {
        self.at = index.min(self.end);
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        if self.is_end() { None } else { self.lexed.kind(self.at) }
    }

    /// The unquoted word that stands next.
    pub(super) fn word(&self) -> Option<&'a str> {
        match self.kind() {
            Some(Kind::Word { .. }) => Some(self.lexed.text(self.at)),
            _ => None,
        }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        !self.is_end() && self.lexed.is_word(self.at, word)
    }

    /// Does the statement end behind the next lexeme?
    pub(super) fn second_is_end(&self) -> bool {
        self.at.saturating_add(1) >= self.end
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.step();
        }
        found
    }

    /// Goes past one of these words and says which.
    pub(super) fn take_one_of(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let found = words.iter().find(|word| self.is_word(word)).copied();
        if found.is_some() {
            self.step();
        }
        found
    }

    pub(super) fn take_words(&mut self, words: &[&str]) -> bool {
        let mut ahead = self.clone();
        let found = words.iter().all(|word| ahead.take_word(word));
        if found {
            self.at = ahead.at;
        }
        found
    }

    pub(super) fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = !self.is_end() && self.lexed.is_symbol(self.at, symbol);
        if found {
            self.step();
        }
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<(), Refusal> {
        if self.take_word(word) { Ok(()) } else { Err(self.cannot_read()) }
    }

    pub(super) fn expect_end(&self) -> Result<(), Refusal> {
        if self.is_end() { Ok(()) } else { Err(self.cannot_read()) }
    }

    /// An error if the next word is no name unless it is quoted: what it begins is something else than it looks like.
    pub(super) fn expect_unreserved(&self) -> Result<(), Refusal> {
        if self.word().is_some_and(|word| words::is_reserved(word, self.server)) {
            return Err(self.cannot_read());
        }
        Ok(())
    }

    /// A name: any word or a quoted name. The server refuses reserved ones itself.
    pub(super) fn expect_name(&mut self) -> Result<String, Refusal> {
        match self.kind() {
            Some(Kind::Word { .. } | Kind::Quoted) if !self.lexed.is_empty_name(self.at) => {
                let name = self.lexed.name(self.at);
                self.step();
                Ok(name)
            }
            _ => Err(self.cannot_read()),
        }
    }

    /// A name with its schema, if one is written.
    pub(super) fn expect_qualified_name(&mut self) -> Result<(Option<String>, String), Refusal> {
        let first = self.expect_name()?;
        if self.take_symbol(".") {
            let second = self.expect_name()?;
            return Ok((Some(first), second));
        }
        Ok((None, first))
    }

    /// The content of the string that stands next, if it has no escapes in it.
    pub(super) fn plain_text(&self) -> Option<&'a str> {
        if self.kind() != Some(Kind::Text) {
            return None;
        }
        let text = self.lexed.text(self.at);
        let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(['\\', quote])).then_some(inner)
    }

    /// Does a value end here, at a comma or at the statement's end?
    pub(super) fn is_end_of_value(&self) -> bool {
        self.is_end() || self.clone().take_symbol(",")
    }

    /// The statement can't be read from here on.
    pub(super) fn cannot_read(&self) -> Refusal {
        cannot_read(self.lexed, if self.is_end() { usize::MAX } else { self.at })
    }
}
