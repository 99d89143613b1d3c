//! Strings, quoted names, and hex and bit strings. Backslash escapes in strings, unless the mode is against it, and never in
//! names.

use super::{Kind, Scanner};
use crate::mysql::names;
use crate::refusal::{Reason, Refusal};

/// The name inside its quotes, doubled ones made single.
pub(super) fn unquote_name(text: &str) -> String {
    let inside = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    match (inside('`'), inside('"')) {
        (Some(inner), _) => inner.replace("``", "`"),
        (None, Some(inner)) => inner.replace("\"\"", "\""),
        (None, None) => text.to_owned(),
    }
}

impl Scanner<'_> {
    /// A string whose quote stands at the current byte; its lexeme begins at `start` (before an `N`).
    pub(super) fn text(&mut self, start: usize) -> Result<(), Refusal> {
        let quote = self.peek(0).unwrap_or(b'\'');
        let end = self.quoted_end(self.at, quote)?;
        self.push_to(Kind::Text, start, end);
        Ok(())
    }

    /// Does this byte quote names in the session's mode?
    pub(super) fn quotes_names(&self, quote: u8) -> bool {
        quote == b'`' || (quote == b'"' && self.mode.ansi_quotes)
    }

    /// A name in these quotes. An empty one is an alias that nobody wrote; with a NUL it is none, and with the prefix of a
    /// file's name it is another one.
    pub(super) fn quoted_name(&mut self, quote: u8) -> Result<(), Refusal> {
        let start = self.at;
        let end = self.quoted_end(start, quote)?;
        let inside = self.bytes.get(start.saturating_add(1)..end.saturating_sub(1)).unwrap_or_default();
        if inside.contains(&0) {
            return Err(self.refuse(Reason::Character, "a quoted name that holds a NUL", start));
        }
        if names::is_of_a_file(self.source.get(start.saturating_add(1)..end).unwrap_or_default()) {
            let what = "a name that begins with #mysql50#, which servers may read as the name behind it; write that one";
            return Err(self.refuse(Reason::Ambiguous, what, start));
        }
        self.push_to(Kind::Quoted, start, end);
        Ok(())
    }

    /// Behind the closing quote of what opens at `open`.
    pub(super) fn quoted_end(&self, open: usize, quote: u8) -> Result<usize, Refusal> {
        let name = self.quotes_names(quote);
        let escapes = !name && !self.mode.no_backslash_escapes;
        let mut at = open.saturating_add(1);
        while let Some(byte) = self.byte(at) {
            let doubled = byte == quote && self.byte(at.saturating_add(1)) == Some(quote);
            let width = match byte {
                b'\\' if escapes => 2,
                _ if doubled => 2,
                _ if byte == quote => return Ok(at.saturating_add(1)),
                _ => 1,
            };
            at = at.saturating_add(width);
        }
        let what = if name { "a quoted name does not end" } else { "a string does not end" };
        Err(self.refuse(Reason::Unterminated, what, open))
    }

    /// `x'..'` or `b'..'` from `start`, with a digit count that is a multiple of `group`.
    pub(super) fn binary_quoted(
        &mut self,
        start: usize,
        digit: fn(u8) -> bool,
        group: usize,
    ) -> Result<(), Refusal> {
        let open = start.saturating_add(2);
        let rest = self.bytes.get(open..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| digit(**byte)).count();
        let close = open.saturating_add(count);
        let whole = count.checked_rem(group) == Some(0);
        if self.byte(close) != Some(b'\'') || !whole {
            return Err(self.refuse(Reason::Syntax, "a hex or bit string with other digits in it", start));
        }
        self.push_to(Kind::Binary, start, close.saturating_add(1));
        Ok(())
    }
}
