//! Bytes that are no UTF-8. Drivers write the bytes of a binary parameter as they are into `'..'` or `_binary '..'`; in
//! anything but a string that is a value they are refused. For the steps of the gate each has a stand-in, and what is
//! forwarded has the byte that came.
//!
//! This is sound because to both servers, under utf8mb4, a byte beyond ASCII in a string is never a quote or a backslash,
//! nor part of a character that has one in it, be it valid or not (`get_text` in `sql/sql_lex.cc`). A string that is a
//! name is another matter: MySQL cuts an alias at such a byte.

use std::borrow::Cow;

use crate::mysql::text::lexer::{self, Kind, Lexed};
use crate::refusal::{Reason, Refusal};

/// Behind these a string is a value: an alias has a word, a name, a literal or a closing parenthesis before it.
const BEFORE_VALUES: [&str; 10] = ["=", "<=>", "<>", "!=", "<", "<=", ">", ">=", "(", ","];

/// What the steps of the gate see instead: a control character, so that no name is like it.
const STAND_IN: char = '\x1a';

/// A text with stand-ins, of the same length.
pub(crate) struct Stray<'a> {
    original: &'a [u8],
    readable: Cow<'a, str>,
}

impl<'a> Stray<'a> {
    /// Puts them in.
    pub(crate) fn replaced(original: &'a [u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(original) {
            return Self { original, readable: Cow::Borrowed(text) };
        }
        let mut readable = String::with_capacity(original.len());
        for chunk in original.utf8_chunks() {
            readable.push_str(chunk.valid());
            readable.extend(chunk.invalid().iter().map(|_| STAND_IN));
        }
        Self { original, readable: Cow::Owned(readable) }
    }

    /// The text with stand-ins.
    pub(crate) fn readable(&self) -> &str {
        &self.readable
    }

    /// Why a text with such bytes is refused that the lexer refuses, too; else what the lexer says.
    pub(crate) fn or(&self, lexers: Refusal) -> Refusal {
        self.offsets().next().map_or(lexers, |first| self.refusal(first))
    }

    /// Looks whether there are none.
    ///
    /// # Errors
    /// The first.
    pub(crate) fn are_none(&self) -> Result<(), Refusal> {
        self.offsets().next().map_or(Ok(()), |first| Err(self.refusal(first)))
    }

    /// Looks whether each of them is in a string that is a value.
    ///
    /// # Errors
    /// The first that is not.
    pub(crate) fn are_in_values(&self, lexed: &Lexed<'_>) -> Result<(), Refusal> {
        let mut index = 0_usize;
        for offset in self.offsets() {
            while lexed.lexemes.get(index).is_some_and(|lexeme| lexeme.end <= offset) {
                index = index.saturating_add(1);
            }
            let inside = lexed.lexemes.get(index).is_some_and(|lexeme| lexeme.start < offset);
            if !inside || !is_value(lexed, index) {
                return Err(self.refusal(offset));
            }
        }
        Ok(())
    }

    /// Puts the bytes that came into a text of the same length.
    pub(crate) fn restored(&self, mut forwarded: Vec<u8>) -> Vec<u8> {
        for offset in self.offsets() {
            if let (Some(stand_in), Some(byte)) = (forwarded.get_mut(offset), self.original.get(offset)) {
                *stand_in = *byte;
            }
        }
        forwarded
    }

    fn offsets(&self) -> impl Iterator<Item = usize> {
        // A text without any is not looked through.
        let readable = if let Cow::Owned(readable) = &self.readable { readable.as_bytes() } else { &[] };
        let pairs = self.original.iter().zip(readable).enumerate();
        pairs.filter(|(_, (came, read))| came != read).map(|(offset, _)| offset)
    }

    fn refusal(&self, offset: usize) -> Refusal {
        let what =
            "the text is not UTF-8; use a utf8mb4 connection, and write bytes as x'..' or _binary '..'";
        Refusal::new(Reason::Character, what).at(lexer::place_of(self.original, offset))
    }
}

/// A string directly behind `_binary` or a sign that a value follows.
fn is_value(lexed: &Lexed<'_>, index: usize) -> bool {
    let value_follows = index.checked_sub(1).is_some_and(|before| match lexed.kind(before) {
        Some(Kind::Introducer) => lexed.text(before).eq_ignore_ascii_case("_binary"),
        Some(Kind::Symbol(symbol)) => BEFORE_VALUES.contains(&symbol),
        _ => false,
    });
    value_follows && lexed.kind(index) == Some(Kind::Text)
}

#[cfg(test)]
mod tests {
    use crate::Reason;
    use crate::mysql::{Flavour, Gate, Server, Verdict, Version};
    use access::Allowances;

    const SERVERS: [Server; 2] = [
        Server { flavour: Flavour::MySql, version: Version { major: 8, minor: 4, patch: 3 } },
        Server { flavour: Flavour::MariaDb, version: Version { major: 10, minor: 11, patch: 6 } },
    ];

    fn verdicts(text: &[u8]) -> [Verdict; 2] {
        SERVERS.map(|server| Gate::new(server, Allowances::default()).decide(text, Some("shop")))
    }

    #[test]
    fn bytes_in_a_value_are_forwarded_as_they_came() {
        for text in [
            b"SELECT id FROM t WHERE a = _binary'\xff\\'\xc3'".as_slice(),
            b"SELECT _BINARY '\xe2\x82', '\xe2\x82\xac', _binary\"\x1a\xf0\x9f''\xed\xa0\x80\", 'plain'",
            b"SELECT id FROM t WHERE a = '\\0\xff\\'\xc3' AND b IN ('\xfe', \"\xed\xa0\x80\")",
            b"SELECT _binary '\\\xff\xfe' FROM t WHERE b IN (_binary'\x80', _binary'\\0')",
        ] {
            for verdict in verdicts(text) {
                let Verdict::Forward(permit) = verdict else { panic!("{verdict:?}") };
                assert_eq!(permit.forwarded(), text);
            }
        }
        let [verdict, _] = verdicts(b"SELECT /* a */ _binary'\xff' /* b */");
        let Verdict::Forward(permit) = verdict else { panic!("{verdict:?}") };
        assert_eq!(permit.forwarded(), b"SELECT /*   */ _binary'\xff' /*   */");
    }

    #[test]
    fn bytes_anywhere_else_are_refused_where_they_stand() {
        for (text, column) in [
            (b"SELECT 'a\xff'".as_slice(), 10),
            (b"SELECT _latin1'a\xff'", 17),
            (b"SELECT _utf8mb4'a\xff'", 18),
            (b"SELECT _binary'a' 'b\xff'", 21),
            (b"SELECT _binary'a', b\xff", 21),
            (b"SELECT `b\xff`, _binary'\xff'", 10),
            (b"SELECT _binary'\xff' AS 'a\xff'", 24),
            (b"SELECT a._binary'\xff'", 18),
            (b"SELECT a 'b\xff' FROM t", 12),
            (b"SELECT COUNT(*) 'b\xff'", 19),
            (b"SELECT 'a' 'b\xff'", 14),
            (b"SELECT ?'b\xff'", 11),
            (b"SELECT `a`'b\xff'", 13),
            (b"SELECT * FROM (SELECT 1 AS 'b\xff') d", 30),
            (b"SELECT N'a\xff'", 11),
            (b"SET @x = '\xff'", 11),
            (b"\xff", 1),
            (b"SELECT _binary'\xff", 16),
        ] {
            for verdict in verdicts(text) {
                let Verdict::Refuse(refusal) = verdict else { panic!("{text:?} passed") };
                assert_eq!(
                    (refusal.reason, refusal.place().map(|p| p.column)),
                    (Reason::Character, Some(column))
                );
            }
        }
    }

    #[test]
    fn what_stands_beside_the_bytes_is_read_as_ever() {
        for text in [
            b"SELECT _binary'\xff'; DELETE FROM t".as_slice(),
            b"SELECT _binary'\xc3' INTO OUTFILE '/tmp/x'",
            b"SELECT _binary'\xc3\\\\' FROM t FOR UPDATE",
            b"SELECT _binary'\xf0' , SLEEP(1)",
            b"SELECT 1 FROM t WHERE a IN ('\xf0', '\xe2\x82') FOR UPDATE",
            b"DELETE FROM t WHERE a = _binary'\xff'",
            b"SELECT _binary'\xff' /* \xff */",
            b"SELECT _binary'\xff' -- \xff",
        ] {
            for verdict in verdicts(text) {
                assert!(matches!(verdict, Verdict::Refuse(_)), "{text:?} passed");
            }
        }
    }
}
