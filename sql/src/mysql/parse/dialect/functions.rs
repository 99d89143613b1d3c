//! Functions whose arguments have a grammar of their own. Each keeps every expression and every word it reads.

use super::names::{any_word, charset, unit};
use super::prefix::{Next, Parsed, expect_word, ident, next_word, take_word};
use super::types::type_words;
use super::{ServerDialect, call, json_table};
use sqlparser::ast::Expr;
use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

type Special = fn(&ServerDialect, &mut Parser, &Next) -> Parsed;

/// The parser of a function with a grammar of its own, by its name in upper case.
pub(super) fn parser_of(upper: &str) -> Option<Special> {
    Some(match upper {
        "CAST" => cast,
        "CONVERT" => convert,
        "CHAR" => char_using,
        "TRIM" | "TRIM_ORACLE" => trim,
        "EXTRACT" => extract,
        "SUBSTRING" | "SUBSTR" | "MID" => substring,
        "POSITION" => position,
        "WEIGHT_STRING" => weight_string,
        "JSON_VALUE" => json_value,
        "JSON_TABLE" => json_table::parse,
        "COLUMN_CREATE" | "COLUMN_ADD" | "COLUMN_GET" => dynamic_columns,
        _ => return None,
    })
}

/// Past the function's name and its opening parenthesis.
fn open(parser: &mut Parser) -> Result<(), ParserError> {
    parser.advance_token();
    parser.expect_token(&Token::LParen)?;
    Ok(())
}

fn close(parser: &mut Parser) -> Result<(), ParserError> {
    parser.expect_token(&Token::RParen)?;
    Ok(())
}

/// `BINARY x`: binds as tightly as a sign.
pub(super) fn binary(dialect: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    parser.advance_token();
    let value = parser.parse_subexpr(dialect.prec_value(Precedence::MulDivModOp))?;
    Ok(call::with_markers(next, vec![value], Vec::new()))
}

/// `DATE '..'`, `TIME '..'`, `TIMESTAMP '..'`.
pub(super) fn temporal(parser: &mut Parser, next: &Next) -> Parsed {
    parser.advance_token();
    let value = parser.parse_value()?;
    Ok(call::escape(next, Expr::Value(value)))
}

/// `MATCH (a, b) AGAINST (x IN BOOLEAN MODE)`, also without the first parentheses.
pub(super) fn full_text(dialect: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    parser.advance_token();
    let parentheses = parser.consume_token(&Token::LParen);
    let mut arguments = parser.parse_comma_separated(|parser| call::name_or_call(parser))?;
    if parentheses {
        close(parser)?;
    }
    let Some(against) = next_word(parser).filter(|word| word.is("AGAINST")) else {
        return parser.expected_ref("AGAINST", parser.peek_token_ref());
    };
    let mut markers = vec![ident(&against.word, against.span)];
    open(parser)?;
    arguments.push(parser.parse_subexpr(dialect.prec_value(Precedence::Between))?);
    const MODES: &[&str] = &["IN", "NATURAL", "LANGUAGE", "BOOLEAN", "MODE", "WITH", "QUERY", "EXPANSION"];
    while let Some(word) = next_word(parser).filter(|word| MODES.iter().any(|mode| word.is(mode))) {
        parser.advance_token();
        markers.push(ident(&word.word, word.span));
    }
    close(parser)?;
    Ok(call::with_markers(next, arguments, markers))
}

/// `CAST(x AS type)`, `CAST(x AT TIME ZONE z AS type)`.
fn cast(_: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    open(parser)?;
    let mut arguments = vec![parser.parse_expr()?];
    let mut markers = Vec::new();
    if let Some(at) = next_word(parser).filter(|word| word.is("AT")) {
        parser.advance_token();
        markers.push(ident(&at.word, at.span));
        for keyword in ["TIME", "ZONE"] {
            let word = any_word(parser)?;
            if !word.value.eq_ignore_ascii_case(keyword) {
                return parser.expected_ref(keyword, parser.peek_token_ref());
            }
            markers.push(word);
        }
        take_word(parser, "INTERVAL");
        arguments.push(parser.parse_expr()?);
    }
    expect_word(parser, "AS")?;
    markers.extend(type_words(parser)?);
    close(parser)?;
    Ok(call::with_markers(next, arguments, markers))
}

/// `CONVERT(x, type)`, `CONVERT(x USING charset)`.
fn convert(_: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    open(parser)?;
    let value = parser.parse_expr()?;
    let markers = if take_word(parser, "USING") {
        charset(parser)?.into_iter().collect()
    } else {
        parser.expect_token(&Token::Comma)?;
        type_words(parser)?
    };
    close(parser)?;
    Ok(call::with_markers(next, vec![value], markers))
}

/// `CHAR(a, b USING charset)`.
fn char_using(_: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    open(parser)?;
    let arguments = parser.parse_comma_separated(Parser::parse_expr)?;
    let using = if take_word(parser, "USING") { charset(parser)? } else { None };
    let markers = using.into_iter().collect();
    close(parser)?;
    Ok(call::with_markers(next, arguments, markers))
}

/// `TRIM([BOTH | LEADING | TRAILING] [x] FROM y)`, `TRIM(y)`.
fn trim(_: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    open(parser)?;
    let _ = take_word(parser, "BOTH") || take_word(parser, "LEADING") || take_word(parser, "TRAILING");
    let mut arguments = Vec::new();
    if !take_word(parser, "FROM") {
        arguments.push(parser.parse_expr()?);
        if take_word(parser, "FROM") {
            arguments.push(parser.parse_expr()?);
        }
    } else {
        arguments.push(parser.parse_expr()?);
    }
    if parser.consume_token(&Token::Comma) {
        arguments.push(parser.parse_expr()?);
    }
    close(parser)?;
    Ok(call::plain(next, arguments))
}

/// `EXTRACT(unit FROM x)`.
fn extract(_: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    open(parser)?;
    let unit = unit(parser)?;
    expect_word(parser, "FROM")?;
    let value = parser.parse_expr()?;
    close(parser)?;
    Ok(call::with_markers(next, vec![value], vec![unit]))
}

/// `SUBSTRING(x, n, m)`, `SUBSTRING(x FROM n FOR m)`.
fn substring(_: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    open(parser)?;
    let mut arguments = parser.parse_comma_separated(Parser::parse_expr)?;
    for keyword in ["FROM", "FOR"] {
        if take_word(parser, keyword) {
            arguments.push(parser.parse_expr()?);
        }
    }
    close(parser)?;
    Ok(call::plain(next, arguments))
}

/// `POSITION(x IN y)`.
fn position(dialect: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    open(parser)?;
    let needle = parser.parse_subexpr(dialect.prec_value(Precedence::Between))?;
    expect_word(parser, "IN")?;
    let haystack = parser.parse_expr()?;
    close(parser)?;
    Ok(call::plain(next, vec![needle, haystack]))
}

/// `WEIGHT_STRING(x AS CHAR(n))`, `WEIGHT_STRING(x, n, m, flags)`, and MariaDB's `LEVEL` list.
fn weight_string(_: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    open(parser)?;
    let mut arguments = parser.parse_comma_separated(Parser::parse_expr)?;
    let mut markers = Vec::new();
    if take_word(parser, "AS") {
        markers.extend(type_words(parser)?);
    }
    if let Some(level) = next_word(parser).filter(|word| word.is("LEVEL")) {
        parser.advance_token();
        markers.push(ident(&level.word, level.span));
        arguments.extend(parser.parse_comma_separated(|parser| {
            let value = parser.parse_expr()?;
            let _ = take_word(parser, "ASC") || take_word(parser, "DESC");
            if let Some(reverse) = next_word(parser).filter(|word| word.is("REVERSE")) {
                parser.advance_token();
                markers.push(ident(&reverse.word, reverse.span));
            }
            Ok(value)
        })?);
    }
    close(parser)?;
    Ok(call::with_markers(next, arguments, markers))
}

/// `JSON_VALUE(doc, path RETURNING type .. ON EMPTY .. ON ERROR)`.
fn json_value(_: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    open(parser)?;
    let mut arguments = parser.parse_comma_separated(Parser::parse_expr)?;
    let mut markers = Vec::new();
    if let Some(returning) = next_word(parser).filter(|word| word.is("RETURNING")) {
        parser.advance_token();
        markers.push(ident(&returning.word, returning.span));
        markers.extend(type_words(parser)?);
    }
    json_table::on_empty_and_error(parser, &mut arguments, &mut markers)?;
    close(parser)?;
    Ok(call::with_markers(next, arguments, markers))
}

/// `COLUMN_CREATE('a', x AS type, ..)` and its kin: any argument may say its type.
fn dynamic_columns(_: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    open(parser)?;
    let mut markers = Vec::new();
    let arguments = parser.parse_comma_separated(|parser| {
        let value = parser.parse_expr()?;
        if take_word(parser, "AS") {
            markers.extend(type_words(parser)?);
        }
        Ok(value)
    })?;
    close(parser)?;
    Ok(call::with_markers(next, arguments, markers))
}
