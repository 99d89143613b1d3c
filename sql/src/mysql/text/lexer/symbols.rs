//! Operators and punctuation. A character that MySQL's grammar doesn't use is refused.

use super::{Kind, Scanner};
use crate::refusal::{Reason, Refusal};

/// Longest first, so that `<=>` is not read as `<=` and `>`.
const SYMBOLS: &[&str] = &[
    "->>", "<=>", "->", ":=", "<=", ">=", "<>", "!=", "<<", ">>", "||", "&&", ",", "(", ")", ";", "=", "<",
    ">", "+", "-", "*", "/", "%", "|", "&", "^", "~", "!", "{", "}",
];

impl Scanner<'_> {
    /// The longest symbol from here.
    pub(super) fn symbol(&mut self) -> Result<(), Refusal> {
        if self.closes_version_comment() {
            return Ok(());
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match SYMBOLS.iter().find(|symbol| rest.starts_with(symbol.as_bytes())) {
            Some(symbol) => {
                self.push(Kind::Symbol(symbol), symbol.len());
                Ok(())
            }
            None => Err(self.refuse(Reason::Character, "a character that SQL does not use here", self.at)),
        }
    }
}
