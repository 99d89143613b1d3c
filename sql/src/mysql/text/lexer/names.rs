//! Words and variables. Knows which bytes a name is made of, nothing of reserved words.

use super::charsets::is_charset;
use super::{Kind, Scanner};
use crate::mysql::server::Flavour;
use crate::refusal::{Reason, Refusal};

/// Bytes of an unquoted name. Bytes beyond ASCII are checked as characters by [`Scanner::word_end`].
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Characters that look like nothing or like white space, though servers read them as part of a name.
fn is_unusual(character: char) -> bool {
    !character.is_ascii()
        && (character.is_whitespace()
            || character.is_control()
            || matches!(character,
                '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}' | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'))
}

impl Scanner<'_> {
    /// A keyword, a name, an introducer, or the `x`, `b`, `n` before a quote.
    pub(super) fn word(&mut self) -> Result<(), Refusal> {
        let start = self.at;
        let after_period = self.directly_after_period();
        let end = self.word_end(start)?;
        let text = self.source.get(start..end).unwrap_or("");
        // MySQL 9 reads $tag$ .. $tag$ as a string; with one dollar sign alone it is a name there too.
        let tag = text.strip_prefix('$').is_some_and(|rest| rest.contains('$'));
        if tag && self.server.flavour == Flavour::MySql && !after_period {
            let what = "a name with dollar signs at its beginning and behind; put it in backticks";
            return Err(self.refuse(Reason::Ambiguous, what, start));
        }
        let before_period =
            self.byte(end) == Some(b'.') && self.byte(end.saturating_add(1)).is_some_and(is_name_byte);
        let exempt = after_period || before_period;
        if !exempt && self.byte(end) == Some(b'\'') {
            match text {
                "x" | "X" => return self.binary_quoted(start, |byte| byte.is_ascii_hexdigit(), 2),
                "b" | "B" => return self.binary_quoted(start, |byte| matches!(byte, b'0' | b'1'), 1),
                "n" | "N" => {
                    self.at = end;
                    return self.text(start);
                }
                _ => {}
            }
        }
        let introducer = !exempt && text.strip_prefix('_').is_some_and(is_charset);
        let kind = if introducer { Kind::Introducer } else { Kind::Word { exempt } };
        self.push_to(kind, start, end);
        Ok(())
    }

    /// Where the name that begins at `start` ends. Refuses white space and invisible characters beyond ASCII.
    pub(super) fn word_end(&self, start: usize) -> Result<usize, Refusal> {
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| is_name_byte(**byte)).count();
        self.plainly_to(start, start.saturating_add(length))
    }

    /// `end`, unless white space or an invisible character beyond ASCII stands before it.
    fn plainly_to(&self, start: usize, end: usize) -> Result<usize, Refusal> {
        let text = self.source.get(start..end).unwrap_or("");
        if text.is_ascii() {
            return Ok(end);
        }
        match text.char_indices().find(|(_, character)| is_unusual(*character)) {
            Some((offset, _)) => {
                let what = "white space or an invisible character that is not ASCII, outside quotes";
                Err(self.refuse(Reason::Character, what, start.saturating_add(offset)))
            }
            None => Ok(end),
        }
    }

    /// `@x`, `@'x'`, `@@x`, `@@session.x`.
    pub(super) fn variable(&mut self) -> Result<(), Refusal> {
        let start = self.at;
        if self.peek(1) == Some(b'@') {
            let end = self.system_variable_end(start)?;
            self.push_to(Kind::SystemVariable, start, end);
            return Ok(());
        }
        let name = start.saturating_add(1);
        let end = match self.byte(name) {
            Some(quote @ (b'\'' | b'"' | b'`')) => self.quoted_end(name, quote)?,
            _ => {
                let rest = self.bytes.get(name..).unwrap_or_default();
                let part = |byte: &&u8| is_name_byte(**byte) || **byte == b'.';
                let end = name.saturating_add(rest.iter().take_while(part).count());
                if end == name {
                    let what = "an @ without a name; write @name or @'name'";
                    return Err(self.refuse(Reason::Character, what, start));
                }
                self.plainly_to(name, end)?
            }
        };
        self.push_to(Kind::UserVariable, start, end);
        Ok(())
    }

    /// `@@` and one to three names with periods between, no white space. A name may be in backticks.
    fn system_variable_end(&self, start: usize) -> Result<usize, Refusal> {
        let mut end = start.saturating_add(2);
        for _ in 0..3 {
            let name = end;
            let (from, to) = if self.byte(name) == Some(b'`') {
                end = self.quoted_end(name, b'`')?;
                (name.saturating_add(1), end.saturating_sub(1))
            } else {
                end = self.word_end(name)?;
                (name, end)
            };
            // Names of variables have no other characters: with a period or a backtick inside, parts could be mixed up.
            let plain = self.source.get(from..to).is_some_and(|text| {
                !text.is_empty() && text.bytes().all(|byte| byte.is_ascii() && is_name_byte(byte))
            });
            if !plain {
                let what = "an @@ without a plain name; write @@name or @@session.name";
                return Err(self.refuse(Reason::Character, what, start));
            }
            if self.byte(end) != Some(b'.') {
                return Ok(end);
            }
            end = end.saturating_add(1);
        }
        Err(self.refuse(Reason::Character, "a system variable with too many parts", start))
    }
}
