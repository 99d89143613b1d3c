//! Clauses of the servers that the parser lacks or knows in one form only.

use super::{Clause, Rewriter};
use crate::mysql::text::lexer::Kind;
use crate::refusal::{Reason, Refusal};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

impl Rewriter<'_> {
    /// `LIMIT .. ROWS EXAMINED n`: a bound on work, without a name in it.
    pub(super) fn rows_examined(&mut self, index: usize) -> Result<(), Refusal> {
        self.at = index.saturating_add(2);
        let count = matches!(self.lexed.kind(self.at), Some(Kind::Number | Kind::Parameter));
        if !count {
            let what = "ROWS EXAMINED without a number";
            return Err(Refusal::new(Reason::Syntax, what).at(self.lexed.place(index)));
        }
        let alone = index.checked_sub(1).is_some_and(|before| self.lexed.is_word(before, "LIMIT"));
        if !alone {
            self.at = self.at.saturating_add(1);
        }
        Ok(())
    }

    /// `FOR SYSTEM_TIME ..` in its four forms to the one that the parser knows.
    pub(super) fn system_time(&mut self, index: usize) -> Result<(), Refusal> {
        let form = index.saturating_add(2);
        self.at = form.saturating_add(1);
        if self.lexed.is_word(form, "ALL") {
            return Ok(());
        }
        let as_of = self.lexed.is_word(form, "AS") && self.lexed.is_word(self.at, "OF");
        let from = self.lexed.is_word(form, "FROM");
        if !(as_of || from || self.lexed.is_word(form, "BETWEEN")) {
            let what = "FOR SYSTEM_TIME without AS OF, BETWEEN, FROM or ALL";
            return Err(Refusal::new(Reason::Syntax, what).at(self.lexed.place(index)));
        }
        if self.derived.is_some() && self.derived == index.checked_sub(1) {
            // The parser knows times for names of tables only: a derived table's time becomes that of one more table,
            // called by a reserved word, which the walker does not look up.
            self.emit_keyword(index, "CROSS", Keyword::CROSS)?;
            self.emit_keyword(index, "JOIN", Keyword::JOIN)?;
            self.emit_plain(index)?;
        }
        for (text, keyword) in [
            ("FOR", Keyword::FOR),
            ("SYSTEM_TIME", Keyword::SYSTEM_TIME),
            ("AS", Keyword::AS),
            ("OF", Keyword::OF),
        ] {
            self.emit_keyword(index, text, keyword)?;
        }
        if as_of {
            self.at = self.at.saturating_add(1);
            self.skip_time_qualifier();
            return Ok(());
        }
        self.time_ranges.push((self.levels.len(), from));
        self.skip_time_qualifier();
        self.emit(index, Token::Number("0".to_owned(), false))?;
        self.emit_keyword(index, "BETWEEN", Keyword::BETWEEN)
    }

    /// `TIMESTAMP` or `TRANSACTION` before a point in time, unless it begins a literal or a call.
    pub(super) fn skip_time_qualifier(&mut self) {
        let after = self.at.saturating_add(1);
        let qualified = ["TIMESTAMP", "TRANSACTION"].iter().any(|word| self.lexed.is_word(self.at, word));
        let literal = self.lexed.kind(after) == Some(Kind::Text) && self.lexed.is_word(self.at, "TIMESTAMP");
        if qualified && !literal && !self.lexed.is_symbol(after, "(") {
            self.at = after;
        }
    }

    /// Leaves `ROLLUP`, `CUBE` or `GROUPING SETS` out before its parenthesis, whose expressions are read as a list. Says
    /// whether it did.
    pub(super) fn grouping(&mut self, index: usize) -> bool {
        let next = index.saturating_add(1);
        let sets = self.lexed.is_word(index, "GROUPING");
        if sets && !self.lexed.is_word(next, "SETS") {
            return false;
        }
        let list = if sets { next.saturating_add(1) } else { next };
        let found = self.clause() == Clause::Group && self.lexed.is_symbol(list, "(");
        if found {
            self.at = list;
        }
        if found && sets {
            self.sets_end = self.shape.close_of(list).unwrap_or_default();
        }
        found
    }

    /// The empty set `()` in a list of grouping sets?
    pub(super) fn is_empty_set(&self, index: usize) -> bool {
        let before = index.saturating_sub(1);
        index < self.sets_end
            && self.lexed.is_symbol(index.saturating_add(1), ")")
            && (self.lexed.is_symbol(before, "(") || self.lexed.is_symbol(before, ","))
    }

    /// `EXCLUDE NO OTHERS` behind a window's frame: the default, and the one form that a server executes.
    pub(super) fn is_no_exclusion(&self, index: usize) -> bool {
        let before = index.checked_sub(1);
        let frame = ["PRECEDING", "FOLLOWING", "ROW"]
            .iter()
            .any(|word| before.is_some_and(|before| self.lexed.is_word(before, word)));
        frame
            && self.lexed.is_word(index.saturating_add(1), "NO")
            && self.lexed.is_word(index.saturating_add(2), "OTHERS")
    }

    /// `) CYCLE a, b RESTRICT` behind a common table expression?
    pub(super) fn is_cycle(&self, index: usize) -> bool {
        let closed = index.checked_sub(1).is_some_and(|before| self.lexed.is_symbol(before, ")"));
        closed && self.cycle_columns(index).is_some()
    }

    /// The columns of `CYCLE`, when nothing but names and commas stand before `RESTRICT`.
    fn cycle_columns(&self, index: usize) -> Option<Vec<usize>> {
        let mut columns = Vec::new();
        let mut at = index.saturating_add(1);
        loop {
            let name = matches!(self.lexed.kind(at), Some(Kind::Word { .. } | Kind::Quoted));
            if !name || self.lexed.is_word(at, "RESTRICT") {
                return None;
            }
            columns.push(at);
            let after = at.saturating_add(1);
            if self.lexed.is_word(after, "RESTRICT") {
                return Some(columns);
            }
            if !self.lexed.is_symbol(after, ",") {
                return None;
            }
            at = after.saturating_add(1);
        }
    }

    /// Leaves the clause out and notes its columns.
    pub(super) fn cycle(&mut self, index: usize) -> Result<(), Refusal> {
        let columns = self.cycle_columns(index).unwrap_or_default();
        let last = columns.last().copied().unwrap_or(index);
        self.noted.extend(columns);
        self.at = last.saturating_add(2);
        Ok(())
    }
}
