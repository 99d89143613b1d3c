//! Runs the crate's parser over our tokens and turns its errors into refusals. Of it `parse_query` is used; what it takes for other
//! statements only says how much of a refused text goes on record.

pub(crate) mod dialect;
pub(crate) mod rewrite;

use crate::mysql::parse::dialect::ServerDialect;
use crate::mysql::server::Server;
use crate::mysql::text::caps::Shape;
use crate::mysql::text::lexer::Lexed;
use crate::refusal::{Reason, Refusal, shown};
use sqlparser::ast::{Query, Statement};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError, ParserOptions};
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use std::ops::Range;

/// The parser's own limit. The nesting cap is met before it.
pub(crate) const RECURSION_LIMIT: usize = 250;

/// With more joins than this a text is not tried a second time with nested joins.
const MOST_NESTED_JOINS: usize = 40;

/// What the parser sees before the lexemes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead {
    /// Nothing: they are a query.
    None,
    /// `SELECT`: they are an expression.
    Select,
}

/// A parsed query.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The tree.
    pub(crate) query: Box<Query>,
    /// Lexemes that are names of columns in a clause that the parser was not shown.
    pub(crate) noted: Vec<usize>,
    /// Runs of lexemes in lists of plain values that it was not shown.
    pub(crate) values: Vec<Range<usize>>,
}

/// Parses the lexemes in `range` as one query.
///
/// # Errors
/// The parser can't read it, or something is left over.
pub(crate) fn query(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    lead: Lead,
    shape: &Shape,
    server: Server,
) -> Result<Parsed, Refusal> {
    let parsed = attempt(lexed, range.clone(), shape, Attempt { server, flat_joins: true, lead });
    match parsed {
        // `a JOIN b JOIN c ON .. ON ..` is read with nested joins only.
        Err(refusal)
            if refusal.reason == Reason::Syntax && (2..=MOST_NESTED_JOINS).contains(&shape.joins) =>
        {
            attempt(lexed, range, shape, Attempt { server, flat_joins: false, lead }).map_err(|_| refusal)
        }
        parsed => parsed,
    }
}

/// Are the lexemes in `range`, to the last, one statement that reads or changes rows? The parser takes for one more than servers do.
pub(crate) fn is_about_data(lexed: &Lexed<'_>, range: Range<usize>, shape: &Shape, server: Server) -> bool {
    let Ok(rewrite::Rewritten { mut tokens, .. }) = rewrite::tokens(lexed, range, shape, server) else {
        return false;
    };
    tokens.iter_mut().for_each(tell_of_changes);
    let dialect = ServerDialect::new(server, joins(&tokens) > MOST_NESTED_JOINS, shape.query_parens.clone());
    let mut parser = parser(&dialect, tokens);
    let about_data = matches!(
        parser.parse_statement(),
        Ok(Statement::Query(_) | Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_))
    );
    about_data && parser.peek_token_ref().token == Token::EOF
}

/// Tells the parser of a word of statements that change rows: to the gate it has no meaning.
fn tell_of_changes(token: &mut TokenWithSpan) {
    const CHANGES: [&str; 7] = ["DELETE", "DUPLICATE", "INSERT", "INTO", "REPLACE", "SET", "UPDATE"];
    if let Token::Word(Word { value, quote_style: None, keyword: Keyword::NoKeyword }) = &token.token
        && CHANGES.iter().any(|word| value.eq_ignore_ascii_case(word))
    {
        token.token = Token::make_word(value, None);
    }
}

fn parser(dialect: &ServerDialect, tokens: Vec<TokenWithSpan>) -> Parser<'_> {
    let options = ParserOptions::new().with_trailing_commas(false).with_unescape(false);
    Parser::new(dialect)
        .with_recursion_limit(RECURSION_LIMIT)
        .with_options(options)
        .with_tokens_with_locations(tokens)
}

/// How to read the text this time.
#[derive(Clone, Copy)]
struct Attempt {
    server: Server,
    flat_joins: bool,
    lead: Lead,
}

fn attempt(lexed: &Lexed<'_>, range: Range<usize>, shape: &Shape, how: Attempt) -> Result<Parsed, Refusal> {
    let end = range.end;
    let rewrite::Rewritten { mut tokens, noted, values } =
        rewrite::tokens(lexed, range.clone(), shape, how.server)?;
    if !how.flat_joins && joins(&tokens) > MOST_NESTED_JOINS {
        let what = "too many tables for joins whose conditions stand behind other joins";
        return Err(Refusal::new(Reason::TooLarge, what));
    }
    if how.lead == Lead::Select {
        tokens.insert(0, rewrite::select_token(range.start));
    }
    let dialect = ServerDialect::new(how.server, how.flat_joins, shape.query_parens.clone());
    let mut parser = parser(&dialect, tokens);
    let query = parser.parse_query().map_err(|error| refusal_of(lexed, end, &error))?;
    let left_over = parser.peek_token_ref();
    if left_over.token == Token::EOF {
        return Ok(Parsed { query, noted, values });
    }
    Err(cannot_read(lexed, crate::mysql::parse::dialect::index_of(left_over.span)))
}

/// Joins for the parser: those that stand for commas between tables too.
fn joins(tokens: &[TokenWithSpan]) -> usize {
    let is_join = |token: &&TokenWithSpan| matches!(&token.token, Token::Word(word) if matches!(word.keyword, Keyword::JOIN | Keyword::STRAIGHT_JOIN));
    tokens.iter().filter(is_join).count()
}

fn refusal_of(lexed: &Lexed<'_>, end: usize, error: &ParserError) -> Refusal {
    match error {
        ParserError::RecursionLimitExceeded => {
            Refusal::new(Reason::TooLarge, "the statement is nested too deeply")
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
            cannot_read(lexed, lexeme_in(text).unwrap_or(end))
        }
    }
}

/// The parser says "at Line: n"; our tokens carry their lexeme's index there.
fn lexeme_in(message: &str) -> Option<usize> {
    let (_, rest) = message.rsplit_once("Line: ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse::<usize>().ok()?.checked_sub(1)
}

/// Says where reading stopped, naming the word there when it is one.
pub(crate) fn cannot_read(lexed: &Lexed<'_>, index: usize) -> Refusal {
    let what = match lexed.kind(index) {
        Some(crate::mysql::text::lexer::Kind::Word { .. }) => {
            let word = shown(lexed.text(index));
            format!("cannot read the statement from \"{word}\" on")
        }
        Some(_) => "cannot read the statement from here on".to_owned(),
        None => "the statement ends too early".to_owned(),
    };
    Refusal::new(Reason::Syntax, what).at(lexed.place(index))
}
