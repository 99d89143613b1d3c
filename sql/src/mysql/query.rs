//! One query through parser, walker, accounting and policy. Used for queries alone and for queries inside `EXPLAIN`
//! and `SET`.

use crate::facts::Facts;
use crate::mysql::accounting;
use crate::mysql::columns::context::Context;
use crate::mysql::columns::scope::Output;
use crate::mysql::judge::policy::Policy;
use crate::mysql::parse::{self, Lead, Parsed};
use crate::mysql::server::Server;
use crate::mysql::session::SqlMode;
use crate::mysql::text::caps::{self, Shape};
use crate::mysql::text::lexer::{self, Kind, Lexed};
use crate::mysql::text::phrases;
use crate::mysql::walk::{Tracer, Walker};
use crate::refusal::{Reason, Refusal};
use std::ops::Range;

/// What a text needs of the stack: a base, and more for each level of parentheses and for each operator. The parser recurses
/// through large frames (in a debug build 100 KiB and more from one level to the next, more than its own protection
/// keeps in reserve); words such as CASE and NOT recurse too, up to the parser's limit; and dropping a chain of
/// operators recurses once for each. Only what is used of a stack is ever backed by memory.
const BASE_STACK_BYTES: usize = 1 << 20;
const STACK_BYTES_PER_LEVEL: usize = 512 << 10;
const STACK_BYTES_PER_RECURSION: usize = 32 << 10;
const STACK_BYTES_PER_OPERATOR: usize = 2 << 10;

fn stack_bytes(shape: &Shape) -> usize {
    let levels = shape.nesting.saturating_mul(STACK_BYTES_PER_LEVEL);
    let recursions = shape.operators.min(parse::RECURSION_LIMIT).saturating_mul(STACK_BYTES_PER_RECURSION);
    let operators = shape.operators.saturating_mul(STACK_BYTES_PER_OPERATOR);
    BASE_STACK_BYTES.saturating_add(levels).saturating_add(recursions).saturating_add(operators)
}

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

/// Decides the lexemes in `range` as one expression outside a query: in `SET` and `SHOW`.
///
/// A query in it may not read tables: both servers lock the rows that it reads, as `LOCK IN SHARE MODE` does, whenever
/// the statement is another one than a query; in a transaction that is read only too. The server's own views of itself
/// have no rows that could be locked. (Measured on both.)
///
/// # Errors
/// As for a query, and a table in it.
pub(crate) fn decide_expression(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    policy: &Policy<'_>,
) -> Result<Facts, Refusal> {
    let start = range.start;
    let facts = decide_as(lexed, range, Lead::Select, policy)?;
    if facts.tables.iter().all(|table| is_without_rows(table.schema.as_deref())) {
        return Ok(facts);
    }
    let what = "a query inside SET or SHOW locks the rows that it reads; send it as a statement of its own";
    Err(Refusal::new(Reason::Clause, what).at(lexed.place(start)))
}

/// Does this schema hold no rows of its own?
fn is_without_rows(schema: Option<&str>) -> bool {
    schema.is_some_and(|schema| {
        ["information_schema", "performance_schema"].iter().any(|name| schema.eq_ignore_ascii_case(name))
    })
}

fn decide_as(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    lead: Lead,
    policy: &Policy<'_>,
) -> Result<Facts, Refusal> {
    phrases::check(lexed, range.clone())?;
    let shape = caps::outline(lexed, range.clone())?;
    let parameters = range.clone().filter(|index| lexed.kind(*index) == Some(Kind::Parameter)).count();
    let run = || {
        let parsed = parse::query(lexed, range.clone(), lead, &shape, policy.server)?;
        let tracer = policy.columns.map(|context| Tracer::new(context, policy.default_schema));
        let tracer = if lead == Lead::Select { tracer.map(Tracer::among_unknown) } else { tracer };
        let mut walker = Walker::new(lexed, policy.server).tracing(tracer);
        walker.query(&parsed.query)?;
        walker.note_columns(&parsed.noted);
        note_output(policy, walker.take_output(), &parsed)?;
        let findings = walker.into_findings();
        accounting::check(lexed, range.clone(), &findings.roles, policy.server)?;
        accounting::check_values(lexed, &parsed.values)?;
        policy.judge(&findings, lexed)
    };
    let need = stack_bytes(&shape);
    let facts = stacker::maybe_grow(need, need, run)?;
    Ok(Facts { parameters, ..facts })
}

/// Are these lexemes, to the last, one statement that reads or changes rows?
pub(crate) fn is_about_data(lexed: &Lexed<'_>, range: Range<usize>, server: Server) -> bool {
    let Ok(shape) = caps::outline(lexed, range.clone()) else { return false };
    let need = stack_bytes(&shape);
    stacker::maybe_grow(need, need, || parse::is_about_data(lexed, range, &shape, server))
}

/// For the trace of columns: the query's result.
fn note_output(policy: &Policy<'_>, output: Option<Output>, parsed: &Parsed) -> Result<(), Refusal> {
    let Some((context, output)) = policy.columns.zip(output) else { return Ok(()) };
    context.note_output(output);
    if context.is_ruled() && !parsed.noted.is_empty() {
        return Err(Refusal::new(
            Reason::Column,
            "CYCLE compares columns, and masked ones may be among them",
        ));
    }
    Ok(())
}

/// How the text of a view is read. Servers keep it in a form of their own: names in backticks, strings in `'..'` with
/// backslashes. To a session with `ANSI_QUOTES` some may tell it with names in `".."`, and a string never is.
const CANONICAL: SqlMode = SqlMode { ansi_quotes: true, ignore_space: false, no_backslash_escapes: false };

/// The columns of a view, from its text.
///
/// # Errors
/// The text can't be read, or which columns it reads can't be told.
pub(crate) fn trace_view(text: &str, server: Server, context: &Context<'_>) -> Result<Output, Refusal> {
    let lexed = lexer::lex(text.as_bytes(), server, CANONICAL)?;
    let range = 0..lexed.len();
    let shape = caps::outline(&lexed, range.clone())?;
    let run = || {
        let parsed = parse::query(&lexed, range.clone(), Lead::None, &shape, server)?;
        let mut walker = Walker::new(&lexed, server).tracing(Some(Tracer::of_view(context)));
        walker.query(&parsed.query)?;
        walker.note_columns(&parsed.noted);
        let output = walker.take_output().unwrap_or_default();
        accounting::check(&lexed, range.clone(), &walker.into_findings().roles, server)?;
        accounting::check_values(&lexed, &parsed.values)?;
        Ok(output)
    };
    let need = stack_bytes(&shape);
    stacker::maybe_grow(need, need, run)
}
