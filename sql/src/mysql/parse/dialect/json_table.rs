//! `JSON_TABLE(doc, path COLUMNS (..))`, read as a call whose column names and types are markers.

use super::names::any_word;
use super::prefix::{Next, Parsed, expect_word, ident, next_word, take_word};
use super::types::type_words;
use super::{ServerDialect, call};
use sqlparser::ast::{Expr, Ident};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Columns may nest this deep.
const DEEPEST: usize = 32;

/// From the word `JSON_TABLE`.
pub(super) fn parse(_: &ServerDialect, parser: &mut Parser, next: &Next) -> Parsed {
    parser.advance_token();
    parser.expect_token(&Token::LParen)?;
    let mut arguments = vec![parser.parse_expr()?];
    parser.expect_token(&Token::Comma)?;
    arguments.push(parser.parse_expr()?);
    let mut markers = Vec::new();
    columns(parser, &mut arguments, &mut markers, DEEPEST)?;
    parser.expect_token(&Token::RParen)?;
    Ok(call::with_markers(next, arguments, markers))
}

/// `COLUMNS (column, ..)`.
fn columns(
    parser: &mut Parser,
    arguments: &mut Vec<Expr>,
    markers: &mut Vec<Ident>,
    deepest: usize,
) -> Result<(), ParserError> {
    marker(parser, markers, "COLUMNS")?;
    let Some(deeper) = deepest.checked_sub(1) else {
        return Err(ParserError::RecursionLimitExceeded);
    };
    parser.expect_token(&Token::LParen)?;
    parser.parse_comma_separated(|parser| column(parser, arguments, markers, deeper))?;
    parser.expect_token(&Token::RParen)?;
    Ok(())
}

/// `name FOR ORDINALITY`, `name type [EXISTS] PATH '..' ..`, `NESTED [PATH] '..' COLUMNS (..)`.
fn column(
    parser: &mut Parser,
    arguments: &mut Vec<Expr>,
    markers: &mut Vec<Ident>,
    deeper: usize,
) -> Result<(), ParserError> {
    let nested = next_word(parser).filter(|next| next.is("NESTED"));
    let path_follows = matches!(&parser.peek_nth_token_ref(1).token, Token::SingleQuotedString(_))
        || matches!(&parser.peek_nth_token_ref(1).token,
            Token::Word(word) if word.value.eq_ignore_ascii_case("PATH"));
    if let Some(nested) = nested.filter(|_| path_follows) {
        parser.advance_token();
        markers.push(ident(&nested.word, nested.span));
        if let Some(path) = next_word(parser) {
            parser.advance_token();
            markers.push(ident(&path.word, path.span));
        }
        arguments.push(parser.parse_expr()?);
        return columns(parser, arguments, markers, deeper);
    }
    markers.push(any_word(parser)?);
    if take_word(parser, "FOR") {
        return marker(parser, markers, "ORDINALITY");
    }
    markers.extend(type_words(parser)?);
    take_word(parser, "EXISTS");
    marker(parser, markers, "PATH")?;
    arguments.push(parser.parse_expr()?);
    on_empty_and_error(parser, arguments, markers)
}

/// `{NULL | ERROR | DEFAULT x} ON {EMPTY | ERROR}`, twice at most.
pub(super) fn on_empty_and_error(
    parser: &mut Parser,
    arguments: &mut Vec<Expr>,
    markers: &mut Vec<Ident>,
) -> Result<(), ParserError> {
    for _ in 0..2 {
        if take_word(parser, "DEFAULT") {
            arguments.push(parser.parse_expr()?);
        } else if let Some(error) = next_word(parser).filter(|next| next.is("ERROR")) {
            parser.advance_token();
            markers.push(ident(&error.word, error.span));
        } else if !take_word(parser, "NULL") {
            return Ok(());
        }
        expect_word(parser, "ON")?;
        let on = any_word(parser)?;
        if !["EMPTY", "ERROR"].iter().any(|word| on.value.eq_ignore_ascii_case(word)) {
            return parser.expected_ref("EMPTY or ERROR", parser.peek_token_ref());
        }
        markers.push(on);
    }
    Ok(())
}

fn marker(parser: &mut Parser, markers: &mut Vec<Ident>, keyword: &str) -> Result<(), ParserError> {
    match next_word(parser).filter(|next| next.is(keyword)) {
        Some(next) => {
            parser.advance_token();
            markers.push(ident(&next.word, next.span));
            Ok(())
        }
        None => parser.expected_ref(keyword, parser.peek_token_ref()),
    }
}
