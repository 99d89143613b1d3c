//! One query through parser, walker, accounting and policy. Used for queries alone and for queries inside `EXPLAIN`
//! and `SET`.

use crate::accounting;
use crate::facts::Facts;
use crate::lexer::{Kind, Lexed};
use crate::parse::{self, Lead};
use crate::phrases;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::shape;
use crate::walk::Walker;
use std::ops::Range;

/// A text's stack need grows with its operators; up to this many, and this nesting, any thread has enough.
const FLAT: (usize, usize) = (400, 12);
/// The stack for everything else, and per operator: dropping a chain of operators recurses once for each.
const DEEP_STACK_BYTES: usize = 8 << 20;
const STACK_BYTES_PER_OPERATOR: usize = 2 << 10;

/// Does a query begin at this lexeme?
pub(crate) fn begins(lexed: &Lexed<'_>, index: usize) -> bool {
    lexed.is_symbol(index, "(")
        || ["SELECT", "WITH", "TABLE", "VALUES"].iter().any(|word| lexed.is_word(index, word))
}

/// Decides the lexemes in `range` as one query.
///
/// # Errors
/// Anything that is not a reading query made of what the gate knows.
pub(crate) fn decide(lexed: &Lexed<'_>, range: Range<usize>, policy: &Policy<'_>) -> Result<Facts, Refusal> {
    decide_as(lexed, range, Lead::None, policy)
}

/// Decides the lexemes in `range` as one expression: as the query that selects it.
///
/// # Errors
/// As for a query.
pub(crate) fn decide_expression(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    policy: &Policy<'_>,
) -> Result<Facts, Refusal> {
    decide_as(lexed, range, Lead::Select, policy)
}

fn decide_as(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    lead: Lead,
    policy: &Policy<'_>,
) -> Result<Facts, Refusal> {
    phrases::check(lexed, range.clone())?;
    let shape = shape::outline(lexed, range.clone())?;
    let (operators, nesting) = FLAT;
    let parameters = range.clone().filter(|index| lexed.kind(*index) == Some(Kind::Parameter)).count();
    let run = || {
        let parsed = parse::query(lexed, range.clone(), lead, &shape, policy.server.flavour)?;
        let mut walker = Walker::new(lexed, policy.server.flavour);
        walker.query(&parsed.query)?;
        walker.note_columns(&parsed.noted);
        let findings = walker.into_findings();
        accounting::check(lexed, range.clone(), &findings.roles, policy.server.flavour)?;
        policy.judge(&findings, lexed)
    };
    let facts = if shape.operators <= operators && shape.nesting <= nesting {
        run()
    } else {
        let more = shape.operators.saturating_mul(STACK_BYTES_PER_OPERATOR);
        let need = DEEP_STACK_BYTES.saturating_add(more);
        stacker::maybe_grow(need, need, run)
    }?;
    Ok(Facts { parameters, ..facts })
}
