//! Long lists of plain values, `IN (1, 2, ..)` and `VALUES (1, 'a'), (2, 'b'), ..`: the parser is shown a few of them. In a tree
//! each would take some hundred bytes, and to the gate the hundredth value says what the first one did: nothing. What is
//! left out is held to be values and nothing else once more, by the accounting.

use super::Rewriter;
use crate::mysql::text::lexer::{Kind, Lexed};

/// How many in a row the parser is shown: with the one before them enough that no list becomes a single value.
const SHOWN: usize = 2;

impl Rewriter<'_> {
    /// At a comma in the list of an `IN`: how many values follow it, and which of them are left out.
    pub(super) fn shorten_list(&mut self, comma: usize) {
        if self.left_out.is_some() {
            return;
        }
        let (mut at, mut count, mut shown) = (comma, 0_usize, comma);
        while self.lexed.is_symbol(at, ",")
            && let Some(end) = item_end(self.lexed, at.saturating_add(1))
        {
            at = end;
            count = count.saturating_add(1);
            if count == SHOWN {
                shown = end;
            }
        }
        if count > SHOWN {
            self.left_out = Some(shown..at);
        }
    }

    /// At the word `VALUES` of a query: the same for its rows. The first one shows how many columns there are.
    pub(super) fn shorten_rows(&mut self, word: usize) {
        if self.left_out.is_some() || !self.begins_a_query(word) {
            return;
        }
        let (mut at, mut count, mut shown) = (word.saturating_add(1), 0_usize, 0_usize);
        while let Some(end) = row_end(self.lexed, at) {
            count = count.saturating_add(1);
            if count == SHOWN {
                shown = end;
            }
            if count > SHOWN {
                self.left_out = Some(shown..end);
            }
            if !self.lexed.is_symbol(end, ",") {
                return;
            }
            at = end.saturating_add(1);
        }
    }

    /// Does a query begin with the word at `index`, so that it is no function of that name?
    fn begins_a_query(&self, index: usize) -> bool {
        let Some(before) = index.checked_sub(1).filter(|before| *before >= self.first) else { return true };
        let sets =
            |at: usize| ["UNION", "EXCEPT", "INTERSECT"].iter().any(|word| self.lexed.is_word(at, word));
        let quantified = self.lexed.is_word(before, "ALL") || self.lexed.is_word(before, "DISTINCT");
        self.shape.query_parens.contains(&before)
            || sets(before)
            || (quantified && before.checked_sub(1).is_some_and(sets))
    }
}

/// Where an item of a list ends that is a value or a row of values, when a comma or the list's end is behind it.
fn item_end(lexed: &Lexed<'_>, at: usize) -> Option<usize> {
    let end = row_end(lexed, at).or_else(|| value_end(lexed, at))?;
    (lexed.is_symbol(end, ",") || lexed.is_symbol(end, ")")).then_some(end)
}

/// `(1, 'a')`, `ROW(1, 'a')`.
fn row_end(lexed: &Lexed<'_>, at: usize) -> Option<usize> {
    let open = if lexed.is_word(at, "ROW") { at.saturating_add(1) } else { at };
    if !lexed.is_symbol(open, "(") {
        return None;
    }
    let mut at = open;
    loop {
        let end = value_end(lexed, at.saturating_add(1))?;
        if lexed.is_symbol(end, ")") {
            return Some(end.saturating_add(1));
        }
        if !lexed.is_symbol(end, ",") {
            return None;
        }
        at = end;
    }
}

/// One plain value, a sign before a number included.
fn value_end(lexed: &Lexed<'_>, at: usize) -> Option<usize> {
    let next = at.saturating_add(1);
    let one = match lexed.kind(at)? {
        Kind::Number | Kind::Text | Kind::Binary | Kind::Parameter | Kind::Null => true,
        Kind::Word { exempt: false } => is_value_word(lexed, at),
        Kind::Symbol("-" | "+") if lexed.kind(next) == Some(Kind::Number) => return next.checked_add(1),
        Kind::Introducer if matches!(lexed.kind(next), Some(Kind::Text | Kind::Binary)) => {
            return next.checked_add(1);
        }
        _ => false,
    };
    one.then_some(next)
}

/// `NULL`, `TRUE`, `FALSE`.
fn is_value_word(lexed: &Lexed<'_>, at: usize) -> bool {
    ["NULL", "TRUE", "FALSE"].iter().any(|word| lexed.is_word(at, word))
}
