//! A text of several statements, cut at its semicolons as the servers cut it. It judges none of them.
//!
//! Seen on MariaDB 10.11 and MySQL 9.7: white space and semicolons at the text's end are nothing; a statement of comments alone is
//! one more, answered with OK, but only at the end; a semicolon inside a version comment ends the statement in the middle of it.
//! Where a server would run the statements before an empty one, the whole text is refused here.

use std::ops::Range;

use crate::mysql::text::lexer::{Lexed, is_space};
use crate::refusal::{Reason, Refusal};

/// The most statements in one text.
pub(crate) const MOST_STATEMENTS: usize = 1_000;

/// Where the statements of a text stand, without their semicolons and the white space around them; none in an empty text.
///
/// # Errors
/// An empty statement before another one, or more of them than a text may have.
pub(crate) fn statements(lexed: &Lexed<'_>) -> Result<Vec<Range<usize>>, Refusal> {
    let text = lexed.source().as_bytes();
    let nothing = |byte: &u8| is_space(*byte) || *byte == b';';
    let end = text.iter().rposition(|byte| !nothing(byte)).map_or(0, |last| last.saturating_add(1));
    let (mut found, mut begin, mut lexemes) = (Vec::new(), 0, 0_usize);
    for (index, lexeme) in lexed.lexemes.iter().enumerate().take_while(|(_, lexeme)| lexeme.start < end) {
        if !lexed.is_symbol(index, ";") {
            lexemes = lexemes.saturating_add(1);
            continue;
        }
        let number = found.len().saturating_add(1);
        if lexemes == 0 {
            let what = format!("statement {number}: there is no statement before this semicolon");
            return Err(Refusal::new(Reason::Empty, what).at(lexed.place(index)));
        }
        if number >= MOST_STATEMENTS {
            let what = format!("more than {MOST_STATEMENTS} statements in a text; send it in parts");
            return Err(Refusal::new(Reason::TooLarge, what).at(lexed.place(index)));
        }
        found.push(trimmed(text, begin..lexeme.start));
        (begin, lexemes) = (lexeme.end, 0);
    }
    let last = trimmed(text, begin..end);
    if !last.is_empty() {
        found.push(last);
    }
    Ok(found)
}

/// The same range without the white space at its ends.
fn trimmed(text: &[u8], range: Range<usize>) -> Range<usize> {
    let inside = text.get(range.clone()).unwrap_or_default();
    let Some(first) = inside.iter().position(|byte| !is_space(*byte)) else { return range.end..range.end };
    let last = inside.iter().rposition(|byte| !is_space(*byte)).unwrap_or(first);
    range.start.saturating_add(first)..range.start.saturating_add(last).saturating_add(1)
}
