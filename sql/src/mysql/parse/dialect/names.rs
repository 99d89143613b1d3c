//! Names that are no table's and no column's: units of time, character sets, collations.

use super::prefix::{ident, next_word};
use sqlparser::ast::Ident;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// The words of `INTERVAL` and `EXTRACT`.
const UNITS: &[&str] = &[
    "MICROSECOND",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "WEEK",
    "MONTH",
    "QUARTER",
    "YEAR",
    "SECOND_MICROSECOND",
    "MINUTE_MICROSECOND",
    "MINUTE_SECOND",
    "HOUR_MICROSECOND",
    "HOUR_SECOND",
    "HOUR_MINUTE",
    "DAY_MICROSECOND",
    "DAY_SECOND",
    "DAY_MINUTE",
    "DAY_HOUR",
    "YEAR_MONTH",
];

/// A unit of time, also with `SQL_TSI_` before it.
pub(super) fn unit(parser: &mut Parser) -> Result<Ident, ParserError> {
    let found = next_word(parser).filter(|next| {
        UNITS
            .iter()
            .any(|unit| next.is(unit) || next.word.value.to_ascii_uppercase() == format!("SQL_TSI_{unit}"))
    });
    match found {
        Some(next) => {
            parser.advance_token();
            Ok(ident(&next.word, next.span))
        }
        None => parser.expected_ref("a unit of time", parser.peek_token_ref()),
    }
}

/// The next word, whatever it is: a character set or a collation.
pub(super) fn any_word(parser: &mut Parser) -> Result<Ident, ParserError> {
    match next_word(parser) {
        Some(next) => {
            parser.advance_token();
            Ok(ident(&next.word, next.span))
        }
        None => parser.expected_ref("a name", parser.peek_token_ref()),
    }
}

/// The name of a character set or a collation: a word, or a string, which needs no accounting.
pub(super) fn charset(parser: &mut Parser) -> Result<Option<Ident>, ParserError> {
    if matches!(parser.peek_token_ref().token, Token::SingleQuotedString(_)) {
        parser.advance_token();
        return Ok(None);
    }
    any_word(parser).map(Some)
}
