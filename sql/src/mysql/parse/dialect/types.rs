//! The types of `CAST`, `CONVERT`, `JSON_VALUE` and `JSON_TABLE`: words only, no expressions but plain numbers.

use super::names::{charset as charset_name, unit};
use super::prefix::{Next, ident, next_word, take_word};
use sqlparser::ast::Ident;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// Words that a type begins with.
#[rustfmt::skip]
const TYPES: &[&str] = &[
    "CHAR", "CHARACTER", "VARCHAR", "VARCHARACTER", "NCHAR", "NVARCHAR", "NATIONAL", "BINARY", "VARBINARY",
    "SIGNED", "UNSIGNED", "INTEGER", "INT", "BIGINT", "MEDIUMINT", "SMALLINT", "TINYINT", "DECIMAL", "DEC",
    "NUMERIC", "FIXED", "DOUBLE", "FLOAT", "REAL", "BIT", "BOOL", "BOOLEAN", "DATE", "TIME", "DATETIME",
    "TIMESTAMP", "YEAR", "JSON", "TEXT", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT", "BLOB", "TINYBLOB", "MEDIUMBLOB",
    "LONGBLOB", "UUID", "INET4", "INET6", "GEOMETRY", "POINT", "LINESTRING", "POLYGON", "MULTIPOINT",
    "MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION", "GEOMCOLLECTION", "VECTOR", "INT1", "INT2", "INT3",
    "INT4", "INT8", "MIDDLEINT", "FLOAT4", "FLOAT8", "LONG", "ENUM", "SET", "SERIAL",
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
    "CHARACTER",
    "VARCHAR",
    "VARCHARACTER",
    "VARBINARY",
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
        let charset = next_word(parser).filter(|next| next.is("CHARSET") || set_follows(parser));
        if let Some(next) = charset {
            parser.advance_token();
            words.push(ident(&next.word, next.span));
            take_word(parser, "SET");
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

/// Does `CHARACTER SET` or `CHAR SET` stand next, and not a word of a type?
fn set_follows(parser: &Parser) -> bool {
    let char = next_word(parser).is_some_and(|next| next.is("CHARACTER") || next.is("CHAR"));
    char && matches!(&parser.peek_nth_token_ref(1).token,
        Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("SET"))
}

/// `(n)`, `(n, m)`, the strings of `ENUM` and `SET`, or nothing.
fn precision(parser: &mut Parser) -> Result<(), ParserError> {
    if parser.consume_token(&Token::LParen) {
        parser.parse_comma_separated(|parser| match parser.next_token().token {
            Token::Number(..) | Token::SingleQuotedString(_) => Ok(()),
            _ => parser.expected_ref("a number or a string", parser.peek_token_ref()),
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
        if set_follows(parser) {
            return;
        }
        parser.advance_token();
        words.push(ident(&next.word, next.span));
    }
}
