//! Numbers, and names that begin with a digit. `1e1from` and `1.e(` are read differently by servers: refused.

use super::names::is_name_byte;
use super::{Kind, Scanner};
use crate::refusal::{Reason, Refusal};

impl Scanner<'_> {
    /// From a digit: a number, `0x..`, `0b..`, or a name such as `1st`.
    pub(super) fn number_or_name(&mut self) -> Result<(), Refusal> {
        if self.directly_after_period() {
            return self.word();
        }
        let start = self.at;
        let end = self.name_bytes_end(start);
        let run = self.source.get(start..end).unwrap_or("");
        let exponent = self.exponent_end(self.digits_end(start));
        if let Some(end) = exponent {
            return self.number(start, end);
        }
        if run.bytes().all(|byte| byte.is_ascii_digit()) {
            let end = if self.byte(end) == Some(b'.') { self.fraction_end(end)? } else { end };
            return self.number(start, end);
        }
        let hex =
            run.strip_prefix("0x").is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_hexdigit()));
        let bits = run
            .strip_prefix("0b")
            .is_some_and(|d| !d.is_empty() && d.bytes().all(|b| matches!(b, b'0' | b'1')));
        if hex || bits {
            self.push_to(Kind::Binary, start, end);
            return Ok(());
        }
        let exponent = run.strip_suffix(['e', 'E']).is_some_and(|d| d.bytes().all(|b| b.is_ascii_digit()));
        let glued_sign = exponent && matches!(self.byte(end), Some(b'+' | b'-'));
        if glued_sign {
            return Err(self.refuse(Reason::Ambiguous, "a number whose exponent has no digits", start));
        }
        self.word()
    }

    /// A period: of a name, or of a number such as `.5`.
    pub(super) fn period(&mut self) -> Result<(), Refusal> {
        let digit = self.peek(1).is_some_and(|byte| byte.is_ascii_digit());
        if !digit {
            self.push(Kind::Symbol("."), 1);
            return Ok(());
        }
        let glued = self.lexemes.last().filter(|last| last.end == self.at).map(|last| last.kind);
        match glued {
            Some(Kind::Word { .. }) => {
                self.push(Kind::Symbol("."), 1);
                Ok(())
            }
            None | Some(Kind::Symbol(_)) => {
                let start = self.at;
                let end = self.fraction_end(start)?;
                self.number(start, end)
            }
            Some(_) => {
                let what = "a period and digits directly after something else; add a space or quotes";
                Err(self.refuse(Reason::Ambiguous, what, self.at))
            }
        }
    }

    /// Adds a number unless a name is glued to it.
    fn number(&mut self, start: usize, end: usize) -> Result<(), Refusal> {
        if self.byte(end).is_some_and(|byte| is_name_byte(byte) || byte == b'.') {
            let what = "a number with a name glued to it; add a space between them";
            return Err(self.refuse(Reason::Ambiguous, what, start));
        }
        self.push_to(Kind::Number, start, end);
        Ok(())
    }

    /// Behind `.`, digits and an exponent, from the period at `period`.
    fn fraction_end(&self, period: usize) -> Result<usize, Refusal> {
        let end = self.digits_end(period.saturating_add(1));
        if !matches!(self.byte(end), Some(b'e' | b'E')) {
            return Ok(end);
        }
        self.exponent_end(end)
            .ok_or_else(|| self.refuse(Reason::Ambiguous, "a number whose exponent has no digits", period))
    }

    /// Behind `e`, a sign and digits, if all that stands at `at`.
    fn exponent_end(&self, at: usize) -> Option<usize> {
        if !matches!(self.byte(at), Some(b'e' | b'E')) {
            return None;
        }
        let sign = at.saturating_add(1);
        let digits = match self.byte(sign) {
            Some(b'+' | b'-') => sign.saturating_add(1),
            _ => sign,
        };
        let end = self.digits_end(digits);
        (end > digits).then_some(end)
    }

    fn digits_end(&self, at: usize) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        at.saturating_add(rest.iter().take_while(|byte| byte.is_ascii_digit()).count())
    }

    fn name_bytes_end(&self, at: usize) -> usize {
        let rest = self.bytes.get(at..).unwrap_or_default();
        at.saturating_add(rest.iter().take_while(|byte| is_name_byte(**byte)).count())
    }
}
