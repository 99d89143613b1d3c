//! Operators and punctuation. A character that MySQL's grammar doesn't use is refused.

use super::{Kind, Scanner};
use crate::refusal::{Reason, Refusal};

/// All of them, longest first, so that `<=>` is not read as `<=` and `>`. The period alone is read elsewhere.
pub(super) const SYMBOLS: &[&str] = &[
    "->>", "<=>", "->", ":=", "<=", ">=", "<>", "!=", "<<", ">>", "||", "&&", ",", "(", ")", ";", "=", "<",
    ">", "+", "-", "*", "/", "%", "|", "&", "^", "~", "!", "{", "}", ".",
];

impl Scanner<'_> {
    /// The longest symbol from here.
    pub(super) fn symbol(&mut self) -> Result<(), Refusal> {
        if self.closes_version_comment() {
            return Ok(());
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match SYMBOLS.iter().find(|symbol| rest.starts_with(symbol.as_bytes())) {
            Some(symbol) if *symbol != "." => {
                self.push(Kind::Symbol(symbol), symbol.len());
                Ok(())
            }
            Some(_) | None => {
                Err(self.refuse(Reason::Character, "a character that SQL does not use here", self.at))
            }
        }
    }
}
