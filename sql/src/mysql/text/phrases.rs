//! Phrases that no reading query needs, found among the lexemes before parsing, so that the refusal can name them.
//! The walker refuses the same things again from the tree; this file is for the message, not for safety alone.

use crate::mysql::text::lexer::Lexed;
use crate::refusal::{Reason, Refusal};
use std::ops::Range;

/// Refuses `INTO`, locking reads, assignments, `PROCEDURE` and sequences anywhere in a query.
pub(crate) fn check(lexed: &Lexed<'_>, range: Range<usize>) -> Result<(), Refusal> {
    for index in range {
        if let Some(what) = refused_at(lexed, index) {
            return Err(Refusal::new(Reason::Clause, what).at(lexed.place(index)));
        }
    }
    Ok(())
}

fn refused_at(lexed: &Lexed<'_>, index: usize) -> Option<&'static str> {
    let next = index.saturating_add(1);
    let word = |text: &str| lexed.is_word(index, text);
    let follows = |text: &str| lexed.is_word(next, text);
    if lexed.is_symbol(index, ":=") {
        return Some(
            "an assignment with := in a query; for row numbers and running sums use a window function (ROW_NUMBER() OVER ..), else SET @name = .. as its own statement",
        );
    }
    if word("INTO") {
        return Some("INTO writes to a file or to variables; leave it out, rows come back without it");
    }
    if word("FOR") && (follows("UPDATE") || follows("SHARE")) {
        return Some("a locking read (FOR UPDATE, FOR SHARE); leave the lock out");
    }
    if word("LOCK") && follows("IN") {
        return Some("a locking read (LOCK IN SHARE MODE); leave the lock out");
    }
    if word("PROCEDURE") {
        return Some("PROCEDURE is not for reading; leave it out");
    }
    if (word("NEXT") || word("PREVIOUS")) && follows("VALUE") && lexed.is_word(next.saturating_add(1), "FOR")
    {
        return Some("a sequence's value; taking one changes the sequence");
    }
    None
}
