//! Operators and punctuation of the rewriter.

use super::{Clause, Level, Rewriter};
use crate::refusal::{Reason, Refusal};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

impl Rewriter<'_> {
    pub(super) fn symbol(&mut self, index: usize, symbol: &'static str) -> Result<(), Refusal> {
        match symbol {
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
        let in_from = level.clause == Clause::From;
        let after_table_word =
            ["FROM", "JOIN", "STRAIGHT_JOIN"].iter().any(|word| self.lexed.is_word(before, word));
        let continues = self.lexed.is_symbol(before, ",") || self.lexed.is_word(before, "OJ");
        let doubled = level.tables && self.lexed.is_symbol(before, "(");
        let tables = in_from
            && (after_table_word || continues || doubled)
            && !self.shape.query_parens.contains(&index);
        let clause = if tables { Clause::From } else { Clause::Other };
        self.levels.push(Level { clause, tables });
        self.emit(index, Token::LParen)
    }

    fn close(&mut self, index: usize) -> Result<(), Refusal> {
        if self.levels.len() > 1 {
            self.levels.pop();
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
            if level.clause == Clause::On {
                level.clause = Clause::From;
            }
            if level.tables && level.clause == Clause::From {
                self.emit_keyword(index, "CROSS", Keyword::CROSS)?;
                return self.emit_keyword(index, "JOIN", Keyword::JOIN);
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
