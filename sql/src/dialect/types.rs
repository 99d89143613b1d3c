//! The types of `CAST`, `CONVERT`, `JSON_VALUE` and `JSON_TABLE`: words only, no expressions but plain numbers.

use super::prefix::{Next, ident, next_word, take_word};
use super::special::{charset as charset_name, unit};
use sqlparser::ast::Ident;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Words that a type begins with.
#[rustfmt::skip]
const TYPES: &[&str] = &[
    "CHAR", "CHARACTER", "VARCHAR", "NCHAR", "NVARCHAR", "NATIONAL", "BINARY", "VARBINARY", "SIGNED", "UNSIGNED",
    "INTEGER", "INT", "BIGINT", "MEDIUMINT", "SMALLINT", "TINYINT", "DECIMAL", "DEC", "NUMERIC", "FIXED", "DOUBLE",
    "FLOAT", "REAL", "BIT", "BOOL", "BOOLEAN", "DATE", "TIME", "DATETIME", "TIMESTAMP", "YEAR", "JSON", "TEXT",
    "TINYTEXT", "MEDIUMTEXT", "LONGTEXT", "BLOB", "TINYBLOB", "MEDIUMBLOB", "LONGBLOB", "UUID", "INET4", "INET6",
    "GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON",
    "GEOMETRYCOLLECTION", "GEOMCOLLECTION", "VECTOR",
];

/// Words that may follow a type's first word.
const ATTRIBUTES: &[&str] = &[
    "SIGNED",
    "UNSIGNED",
    "ZEROFILL",
    "INTEGER",
    "INT",
    "PRECISION",
    "CHAR",
    "VARCHAR",
    "VARYING",
    "ASCII",
    "UNICODE",
    "BINARY",
    "BYTE",
    "ARRAY",
];

/// Reads a type and returns its words.
pub(super) fn type_words(parser: &mut Parser) -> Result<Vec<Ident>, ParserError> {
    if let Some(interval) = next_word(parser).filter(|next| next.is("INTERVAL")) {
        return interval_words(parser, &interval);
    }
    let Some(first) = next_word(parser).filter(|next| TYPES.iter().any(|word| next.is(word))) else {
        return parser.expected_ref("a type", parser.peek_token_ref());
    };
    parser.advance_token();
    let mut words = vec![ident(&first.word, first.span)];
    attributes(parser, &mut words);
    precision(parser)?;
    attributes(parser, &mut words);
    loop {
        let charset = next_word(parser).filter(|next| next.is("CHARSET") || next.is("CHARACTER"));
        if let Some(next) = charset {
            parser.advance_token();
            words.push(ident(&next.word, next.span));
            if next.is("CHARACTER") {
                super::prefix::expect_word(parser, "SET")?;
            }
            words.extend(charset_name(parser)?);
        } else if take_word(parser, "COLLATE") {
            words.extend(charset_name(parser)?);
        } else {
            break;
        }
        attributes(parser, &mut words);
    }
    Ok(words)
}

/// `(n)`, `(n, m)`, or nothing.
fn precision(parser: &mut Parser) -> Result<(), ParserError> {
    if parser.consume_token(&Token::LParen) {
        parser.parse_comma_separated(|parser| match parser.next_token().token {
            Token::Number(..) => Ok(()),
            _ => parser.expected_ref("a number", parser.peek_token_ref()),
        })?;
        parser.expect_token(&Token::RParen)?;
    }
    Ok(())
}

/// MariaDB's `INTERVAL DAY(n) TO SECOND(n)`, `INTERVAL DAY_SECOND(n)`.
fn interval_words(parser: &mut Parser, first: &Next) -> Result<Vec<Ident>, ParserError> {
    parser.advance_token();
    let mut words = vec![ident(&first.word, first.span), unit(parser)?];
    precision(parser)?;
    if take_word(parser, "TO") {
        words.push(unit(parser)?);
        precision(parser)?;
    }
    Ok(words)
}

fn attributes(parser: &mut Parser, words: &mut Vec<Ident>) {
    while let Some(next) = next_word(parser).filter(|next| ATTRIBUTES.iter().any(|word| next.is(word))) {
        parser.advance_token();
        words.push(ident(&next.word, next.span));
    }
}
