//! What a word, a value, a brace or a parenthesis at the beginning of an expression means. Signs are left to the crate.

use super::{ServerDialect, call, functions, names};
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{CaseWhen, Expr, Ident, Interval, UnaryOperator, Value};
use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token, Word};

/// The result of parsing one expression prefix.
pub(super) type Parsed = Result<Expr, ParserError>;

/// A word that stands next, with its span.
pub(super) struct Next {
    pub(super) word: Word,
    pub(super) span: Span,
    upper: Upper,
}

/// A word in upper case, on the stack; nothing, when it is longer than any word of the grammar and any function's name.
struct Upper {
    bytes: [u8; LONGEST],
    length: usize,
}

const LONGEST: usize = 40;

impl Upper {
    fn of(word: &str) -> Self {
        let (mut bytes, mut length) = ([0; LONGEST], 0);
        if let Some(room) = bytes.get_mut(..word.len()) {
            room.copy_from_slice(word.as_bytes());
            room.make_ascii_uppercase();
            length = word.len();
        }
        Self { bytes, length }
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl Next {
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.word.quote_style.is_none() && self.word.value.eq_ignore_ascii_case(keyword)
    }
}

/// The word that stands next, if it is one.
pub(super) fn next_word(parser: &Parser) -> Option<Next> {
    let token = parser.peek_token_ref();
    match &token.token {
        Token::Word(word) => {
            let upper = Upper::of(&word.value);
            Some(Next { word: word.clone(), span: token.span, upper })
        }
        _ => None,
    }
}

/// Goes past the given unquoted word if it stands next.
pub(super) fn take_word(parser: &mut Parser, keyword: &str) -> bool {
    let found = matches!(&parser.peek_token_ref().token,
        Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(keyword));
    if found {
        parser.advance_token();
    }
    found
}

/// Goes past the given word, which must stand next.
pub(super) fn expect_word(parser: &mut Parser, keyword: &str) -> Result<(), ParserError> {
    if take_word(parser, keyword) { Ok(()) } else { parser.expected_ref(keyword, parser.peek_token_ref()) }
}

/// Parses an expression that begins with a word, a value, a brace or a parenthesis; `None` leaves it to the crate.
pub(super) fn parse(dialect: &ServerDialect, parser: &mut Parser) -> Result<Option<Expr>, ParserError> {
    let token = parser.peek_token_ref();
    match &token.token {
        Token::LParen => {
            let index = index_of(token.span);
            if !dialect.query_parens.contains(&index) {
                return Ok(None);
            }
            parser.advance_token();
            let query = parser.parse_query()?;
            parser.expect_token(&Token::RParen)?;
            Ok(Some(Expr::Subquery(query)))
        }
        Token::LBrace => escape(parser).map(Some),
        Token::Word(_) => match next_word(parser) {
            Some(next) => word(dialect, parser, &next).map(Some),
            None => Ok(None),
        },
        // The crate would first try each of them as the name of a type, and write an error for it.
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::HexStringLiteral(_)
        | Token::Placeholder(_) => parser.parse_value().map(|value| Some(Expr::Value(value))),
        _ => Ok(None),
    }
}

/// The index of the lexeme that a span stands for.
pub(crate) fn index_of(span: Span) -> usize {
    usize::try_from(span.start.line).unwrap_or(usize::MAX).saturating_sub(1)
}

/// `{d '..'}`, `{t '..'}`, `{ts '..'}`, `{fn ..}`: the braces mean nothing but their content, with any other word too. With
/// a parenthesis behind it another word would look like a call, which it is not.
fn escape(parser: &mut Parser) -> Parsed {
    parser.expect_token(&Token::LBrace)?;
    let opens = parser.peek_nth_token_ref(1).token == Token::LParen;
    const KINDS: &[&str] = &["D", "T", "TS", "FN", "DATE", "TIME", "TIMESTAMP"];
    let Some(kind) = next_word(parser).filter(|next| !opens || KINDS.iter().any(|kind| next.is(kind))) else {
        return parser.expected_ref("d, t, ts or fn", parser.peek_token_ref());
    };
    parser.advance_token();
    let inner = parser.parse_expr()?;
    parser.expect_token(&Token::RBrace)?;
    Ok(call::escape(&kind, inner))
}

fn word(dialect: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    let opens = parser.peek_nth_token_ref(1).token == Token::LParen;
    let dotted = parser.peek_nth_token_ref(1).token == Token::Period;
    if next.word.quote_style.is_some() || dotted || next.word.value.starts_with('@') {
        return call::name_or_call(parser);
    }
    match next.upper.as_str() {
        "NULL" => literal(parser, Value::Null),
        "TRUE" => literal(parser, Value::Boolean(true)),
        "FALSE" => literal(parser, Value::Boolean(false)),
        "CASE" => case(parser),
        "NOT" => unary(dialect, parser, UnaryOperator::Not, Precedence::UnaryNot),
        "EXISTS" => exists(parser),
        "INTERVAL" => interval(parser, next),
        "BINARY" => functions::binary(dialect, parser, next),
        "MATCH" => functions::full_text(dialect, parser, next),
        "DATE" | "TIME" | "TIMESTAMP" if literal_follows(parser) => functions::temporal(parser, next),
        "CURRENT_DATE" | "CURRENT_TIME" | "CURRENT_TIMESTAMP" | "CURRENT_USER" | "CURRENT_ROLE"
        | "LOCALTIME" | "LOCALTIMESTAMP" | "UTC_DATE" | "UTC_TIME" | "UTC_TIMESTAMP"
            if !opens =>
        {
            call::without_parentheses(parser, next)
        }
        "NEXT" | "PREVIOUS" if value_for_follows(parser) => {
            parser.expected_ref("something else than a sequence's value", parser.peek_token_ref())
        }
        upper if opens => match functions::parser_of(upper) {
            Some(parse) => parse(dialect, parser, next),
            None => call::name_or_call_unless_syntax(dialect, parser, next),
        },
        upper if dialect.is_reserved(upper) => parser.expected_ref("an expression", parser.peek_token_ref()),
        _ => call::name_or_call(parser),
    }
}

fn literal(parser: &mut Parser, value: Value) -> Parsed {
    let span = parser.next_token().span;
    Ok(Expr::Value(value.with_span(span)))
}

fn literal_follows(parser: &Parser) -> bool {
    matches!(parser.peek_nth_token_ref(1).token, Token::SingleQuotedString(_))
}

fn value_for_follows(parser: &Parser) -> bool {
    matches!(&parser.peek_nth_token_ref(1).token,
        Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("VALUE"))
}

fn unary(dialect: &ServerDialect, parser: &mut Parser, op: UnaryOperator, precedence: Precedence) -> Parsed {
    parser.advance_token();
    let expr = Box::new(parser.parse_subexpr(dialect.prec_value(precedence))?);
    Ok(Expr::UnaryOp { op, expr })
}

fn exists(parser: &mut Parser) -> Parsed {
    parser.advance_token();
    parser.expect_token(&Token::LParen)?;
    let subquery = parser.parse_query()?;
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Exists { subquery, negated: false })
}

/// `CASE [x] WHEN .. THEN .. [ELSE ..] END`.
fn case(parser: &mut Parser) -> Parsed {
    let case_token = AttachedToken(parser.next_token());
    let operand = match next_word(parser) {
        Some(next) if next.is("WHEN") => None,
        _ => Some(Box::new(parser.parse_expr()?)),
    };
    let mut conditions = Vec::new();
    while take_word(parser, "WHEN") {
        let condition = parser.parse_expr()?;
        expect_word(parser, "THEN")?;
        let result = parser.parse_expr()?;
        conditions.push(CaseWhen { condition, result });
    }
    let else_result = if take_word(parser, "ELSE") { Some(Box::new(parser.parse_expr()?)) } else { None };
    let end_token = AttachedToken(parser.peek_token_ref().clone());
    expect_word(parser, "END")?;
    Ok(Expr::Case { case_token, end_token, operand, conditions, else_result })
}

/// `INTERVAL x unit`, or the function `INTERVAL(a, b, ..)`.
fn interval(parser: &mut Parser, next: &Next) -> Parsed {
    parser.advance_token();
    let value = if parser.peek_token_ref().token == Token::LParen {
        match parser.parse_prefix()? {
            Expr::Tuple(arguments) => return Ok(call::plain(next, arguments)),
            first => operators_behind(parser, first)?,
        }
    } else {
        parser.parse_expr()?
    };
    let unit = names::unit(parser)?;
    Ok(call::with_markers(next, vec![interval_of(value)], vec![unit]))
}

/// `(a) + 1`: the rest of an expression whose first operand is there already.
fn operators_behind(parser: &mut Parser, first: Expr) -> Parsed {
    let mut expression = first;
    loop {
        let precedence = parser.get_next_precedence()?;
        if precedence == 0 {
            return Ok(expression);
        }
        expression = parser.parse_infix(expression, precedence)?;
    }
}

fn interval_of(value: Expr) -> Expr {
    Expr::Interval(Interval {
        value: Box::new(value),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })
}

/// A name as the parser's tree holds it.
pub(super) fn ident(word: &Word, span: Span) -> Ident {
    Ident { value: word.value.clone(), quote_style: word.quote_style, span }
}
