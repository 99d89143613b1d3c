//! The outline of a text before it is parsed: its size, its parentheses and where queries stand in them.
//! It refuses what is too large or too deep, and what no grammar allows, so that the parser never meets it.

use crate::mysql::text::lexer::{Kind, Lexed};
use crate::refusal::{Reason, Refusal};
use std::collections::BTreeSet;
use std::ops::Range;

/// The longest text that is read, in bytes.
pub(crate) const MOST_BYTES: usize = 1 << 20;
/// The most lexemes.
const MOST_LEXEMES: usize = 250_000;
/// The deepest nesting of parentheses.
const MOST_NESTING: usize = 120;
/// The most operators, joins and set operations in all.
const MOST_OPERATORS: usize = 50_000;

/// Words that make the tree one level deeper or one element longer.
const OPERATOR_WORDS: &[&str] = &[
    "AND",
    "OR",
    "XOR",
    "NOT",
    "IN",
    "IS",
    "LIKE",
    "RLIKE",
    "REGEXP",
    "BETWEEN",
    "DIV",
    "MOD",
    "COLLATE",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "JOIN",
    "STRAIGHT_JOIN",
    "CASE",
    "WHEN",
    "INTERVAL",
    "BINARY",
    "MEMBER",
    "SELECT",
];

/// The outline of a text or a part of one.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// For each opening parenthesis its closing one.
    closes: Vec<(usize, usize)>,
    /// Opening parentheses that hold a query, possibly in more parentheses.
    pub(crate) query_parens: BTreeSet<usize>,
    /// The deepest nesting.
    pub(crate) nesting: usize,
    /// Operators, joins and set operations.
    pub(crate) operators: usize,
    /// Joins alone.
    pub(crate) joins: usize,
}

impl Shape {
    /// The closing parenthesis of an opening one.
    pub(crate) fn close_of(&self, open: usize) -> Option<usize> {
        let found = self.closes.binary_search_by_key(&open, |(open, _)| *open).ok()?;
        self.closes.get(found).map(|(_, close)| *close)
    }
}

/// Takes the outline of the lexemes in `range`.
///
/// # Errors
/// Too many lexemes, operators or levels; parentheses that don't match; periods and introducers out of place.
pub(crate) fn outline(lexed: &Lexed<'_>, range: Range<usize>) -> Result<Shape, Refusal> {
    if range.len() > MOST_LEXEMES {
        return Err(Refusal::new(Reason::TooLarge, format!("more than {MOST_LEXEMES} words and signs")));
    }
    let mut shape = Shape::default();
    let mut open = Vec::new();
    for index in range.clone() {
        check_order(lexed, index, &range)?;
        match lexed.kind(index) {
            Some(Kind::Symbol("(")) => {
                open.push(index);
                shape.nesting = shape.nesting.max(open.len());
                if open.len() > MOST_NESTING {
                    let what = format!("parentheses nested deeper than {MOST_NESTING} levels");
                    return Err(Refusal::new(Reason::TooLarge, what).at(lexed.place(index)));
                }
            }
            Some(Kind::Symbol(")")) => match open.pop() {
                Some(opening) => shape.closes.push((opening, index)),
                None => return Err(unmatched(lexed, index)),
            },
            Some(Kind::Symbol("," | ".")) => {}
            Some(Kind::Symbol(_)) => shape.operators = shape.operators.saturating_add(1),
            Some(Kind::Word { exempt: false }) => count_word(&mut shape, lexed.text(index)),
            _ => {}
        }
    }
    if let Some(index) = open.pop() {
        return Err(unmatched(lexed, index));
    }
    if shape.operators > MOST_OPERATORS {
        return Err(Refusal::new(Reason::TooLarge, format!("more than {MOST_OPERATORS} operators")));
    }
    shape.closes.sort_unstable();
    shape.query_parens = query_parens(lexed, &shape);
    Ok(shape)
}

fn count_word(shape: &mut Shape, word: &str) {
    if OPERATOR_WORDS.iter().any(|operator| word.eq_ignore_ascii_case(operator)) {
        shape.operators = shape.operators.saturating_add(1);
    }
    if word.eq_ignore_ascii_case("JOIN") || word.eq_ignore_ascii_case("STRAIGHT_JOIN") {
        shape.joins = shape.joins.saturating_add(1);
    }
}

fn unmatched(lexed: &Lexed<'_>, index: usize) -> Refusal {
    Refusal::new(Reason::Syntax, "a parenthesis without its partner").at(lexed.place(index))
}

/// A period stands between names, an introducer before a literal.
fn check_order(lexed: &Lexed<'_>, index: usize, range: &Range<usize>) -> Result<(), Refusal> {
    let inside = |other: usize| if range.contains(&other) { lexed.kind(other) } else { None };
    let next = inside(index.saturating_add(1));
    let good = match lexed.kind(index) {
        Some(Kind::Symbol(".")) => {
            let before = index.checked_sub(1).and_then(inside);
            matches!(before, Some(Kind::Word { .. } | Kind::Quoted))
                && matches!(next, Some(Kind::Word { .. } | Kind::Quoted | Kind::Symbol("*")))
        }
        Some(Kind::Introducer) => matches!(next, Some(Kind::Text | Kind::Binary)),
        _ => true,
    };
    if good {
        return Ok(());
    }
    let what = "a period or a character set's name that does not stand where one can";
    Err(Refusal::new(Reason::Syntax, what).at(lexed.place(index)))
}

/// An opening parenthesis holds a query when a query's first word follows it, or another such parenthesis that is
/// followed by a set operation, a clause of the whole query, or nothing.
fn query_parens(lexed: &Lexed<'_>, shape: &Shape) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for (open, _) in shape.closes.iter().rev() {
        let first = open.saturating_add(1);
        let begins = ["SELECT", "WITH", "TABLE", "VALUES"].iter().any(|word| lexed.is_word(first, word));
        let wraps = found.contains(&first)
            && shape.close_of(first).is_some_and(|close| {
                let after = close.saturating_add(1);
                const FOLLOWERS: &[&str] =
                    &["UNION", "EXCEPT", "INTERSECT", "ORDER", "LIMIT", "OFFSET", "FETCH"];
                lexed.is_symbol(after, ")") || FOLLOWERS.iter().any(|word| lexed.is_word(after, word))
            });
        if begins || wraps {
            found.insert(*open);
        }
    }
    found
}
