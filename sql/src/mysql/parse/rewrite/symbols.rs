//! Operators and punctuation of the rewriter.

use super::{Clause, Level, Rewriter};
use crate::refusal::{Reason, Refusal};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

impl Rewriter<'_> {
    pub(super) fn symbol(&mut self, index: usize, symbol: &'static str) -> Result<(), Refusal> {
        match symbol {
            "(" if self.is_empty_set(index) => {
                self.at = index.saturating_add(2);
                self.emit(index, Token::Number("0".to_owned(), false))
            }
            "(" => self.open(index),
            ")" => self.close(index),
            "," => self.comma(index),
            "{" => {
                let outer_join = self.lexed.is_word(index.saturating_add(1), "OJ");
                self.braces.push(outer_join);
                if outer_join {
                    self.at = index.saturating_add(2);
                    return Ok(());
                }
                self.emit(index, Token::LBrace)
            }
            "}" => match self.braces.pop() {
                Some(true) => Ok(()),
                _ => self.emit(index, Token::RBrace),
            },
            other => match token_of(other) {
                Some(token) => self.emit(index, token),
                None => {
                    let what = "a sign that queries do not use";
                    Err(Refusal::new(Reason::Syntax, what).at(self.lexed.place(index)))
                }
            },
        }
    }

    fn open(&mut self, index: usize) -> Result<(), Refusal> {
        let level = self.levels.last().copied().unwrap_or(super::TOP);
        let before = index.saturating_sub(1);
        let is = |word: &str| self.lexed.is_word(before, word);
        let hint = is("JOIN") && self.lexed.is_word(before.saturating_sub(1), "FOR");
        let after_table_word = (is("FROM") || is("JOIN") || is("STRAIGHT_JOIN")) && !hint;
        let continues = self.lexed.is_symbol(before, ",") || is("OJ");
        let doubled = level.tables && self.lexed.is_symbol(before, "(");
        let holds_query = self.shape.query_parens.contains(&index);
        let tables =
            level.clause == Clause::From && (after_table_word || continues || doubled) && !holds_query;
        let quantified = (is("ANY") || is("ALL") || is("SOME")) && holds_query;
        let values = is("IN") && !holds_query;
        let list_of_queries = values && self.shape.query_parens.contains(&index.saturating_add(1));
        let clause = if tables { Clause::From } else { Clause::Other };
        self.levels.push(Level { clause, tables, query: holds_query, values });
        self.emit(index, Token::LParen)?;
        if list_of_queries {
            // `IN ((SELECT 1), 2)`: with a sign before it, the parser does not take the first query for the whole.
            self.emit(index, Token::Plus)?;
        }
        if quantified && !self.begins_plain_query(index) {
            // `= ANY (VALUES (1))`: the parser knows a query by its first word only, and another one by its parentheses.
            self.emit(index, Token::LParen)?;
            self.extra_closes.extend(self.shape.close_of(index));
        }
        Ok(())
    }

    /// Does `SELECT` or `WITH` follow the parenthesis?
    fn begins_plain_query(&self, index: usize) -> bool {
        let next = index.saturating_add(1);
        self.lexed.is_word(next, "SELECT") || self.lexed.is_word(next, "WITH")
    }

    fn close(&mut self, index: usize) -> Result<(), Refusal> {
        let closed = if self.levels.len() > 1 { self.levels.pop() } else { None };
        if closed.is_some_and(|level| level.query) && self.clause() == Clause::From {
            self.derived = Some(index);
        }
        self.emit(index, Token::RParen)?;
        if self.extra_closes.contains(&index) {
            self.emit(index, Token::RParen)?;
        }
        Ok(())
    }

    /// `FROM (a, b)`: the parser knows commas between table references at the top only.
    fn comma(&mut self, index: usize) -> Result<(), Refusal> {
        if let Some(level) = self.levels.last_mut() {
            let values = level.values;
            if level.clause == Clause::On {
                level.clause = Clause::From;
            }
            if level.tables && level.clause == Clause::From {
                self.emit_keyword(index, "CROSS", Keyword::CROSS)?;
                return self.emit_keyword(index, "JOIN", Keyword::JOIN);
            }
            if values {
                self.shorten_list(index);
            }
        }
        self.emit(index, Token::Comma)
    }
}

/// The parser's token for a symbol that needs no rewriting.
fn token_of(symbol: &str) -> Option<Token> {
    Some(match symbol {
        "." => Token::Period,
        "*" => Token::Mul,
        "=" => Token::Eq,
        "<" => Token::Lt,
        ">" => Token::Gt,
        "<=" => Token::LtEq,
        ">=" => Token::GtEq,
        "<>" | "!=" => Token::Neq,
        "<=>" => Token::Spaceship,
        "+" => Token::Plus,
        "-" => Token::Minus,
        "/" => Token::Div,
        "%" => Token::Mod,
        "|" => Token::Pipe,
        "||" => Token::StringConcat,
        "&" => Token::Ampersand,
        "&&" => Token::Overlap,
        "^" => Token::Caret,
        "~" => Token::Tilde,
        "!" => Token::ExclamationMark,
        "<<" => Token::ShiftLeft,
        ">>" => Token::ShiftRight,
        "->" => Token::Arrow,
        "->>" => Token::LongArrow,
        _ => return None,
    })
}
