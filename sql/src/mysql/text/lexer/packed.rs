//! Lexemes as they are kept: twelve bytes each, for a text has hundreds of thousands of them within its bounds.

use super::symbols::SYMBOLS;
use super::{Kind, Lexeme};

/// The lexemes of a text, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lexemes(Vec<Packed>);

/// One of them. A text is far shorter than 4 GiB; of a longer one the places would be wrong, and `text` empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Packed {
    start: u32,
    end: u32,
    /// A kind without a text of its own, or [`FIRST_SYMBOL`] and the symbol's place in [`SYMBOLS`].
    code: u8,
}

/// The kinds that are no symbols; a kind's code is its place here.
const PLAIN: [Kind; FIRST_SYMBOL] = [
    Kind::Word { exempt: false },
    Kind::Word { exempt: true },
    Kind::Quoted,
    Kind::UserVariable,
    Kind::SystemVariable,
    Kind::Text,
    Kind::Introducer,
    Kind::Binary,
    Kind::Number,
    Kind::Parameter,
    Kind::Null,
];

const FIRST_SYMBOL: usize = 11;

/// The code of what is none of these: a symbol that no grammar has.
const NO_SYMBOL: u8 = u8::MAX;

impl Lexemes {
    /// None yet, and room for `lexemes`.
    pub(super) fn with_room(lexemes: usize) -> Self {
        Self(Vec::with_capacity(lexemes))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The lexeme at `index`, if there is one.
    pub(crate) fn get(&self, index: usize) -> Option<Lexeme> {
        self.0.get(index).copied().map(unpacked)
    }

    /// The last lexeme.
    pub(crate) fn last(&self) -> Option<Lexeme> {
        self.0.last().copied().map(unpacked)
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Lexeme> + '_ {
        self.0.iter().copied().map(unpacked)
    }

    /// Adds one.
    pub(super) fn push(&mut self, lexeme: Lexeme) {
        let Lexeme { kind, start, end } = lexeme;
        let place = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        self.0.push(Packed { start: place(start), end: place(end), code: code_of(kind) });
    }
}

fn unpacked(packed: Packed) -> Lexeme {
    let Packed { start, end, code } = packed;
    let code = usize::from(code);
    let kind = match PLAIN.get(code) {
        Some(kind) => *kind,
        None => {
            let symbol = code.checked_sub(FIRST_SYMBOL).and_then(|place| SYMBOLS.get(place));
            Kind::Symbol(symbol.copied().unwrap_or_default())
        }
    };
    let offset = |place: u32| usize::try_from(place).unwrap_or(usize::MAX);
    Lexeme { kind, start: offset(start), end: offset(end) }
}

fn code_of(kind: Kind) -> u8 {
    let place = match kind {
        Kind::Symbol(symbol) => {
            let place = SYMBOLS.iter().position(|known| *known == symbol);
            place.and_then(|place| place.checked_add(FIRST_SYMBOL))
        }
        Kind::Word { .. }
        | Kind::Quoted
        | Kind::UserVariable
        | Kind::SystemVariable
        | Kind::Text
        | Kind::Introducer
        | Kind::Binary
        | Kind::Number
        | Kind::Parameter
        | Kind::Null => PLAIN.iter().position(|known| *known == kind),
    };
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or(NO_SYMBOL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_comes_out_as_it_went_in() {
        let mut lexemes = Lexemes::default();
        let symbols = SYMBOLS.iter().map(|symbol| Kind::Symbol(symbol));
        let kinds: Vec<Kind> = PLAIN.into_iter().chain(symbols).collect();
        for (start, kind) in kinds.iter().enumerate() {
            lexemes.push(Lexeme { kind: *kind, start, end: start + 3 });
        }
        for (start, lexeme) in lexemes.iter().enumerate() {
            assert_eq!(lexeme, Lexeme { kind: kinds[start], start, end: start + 3 });
        }
        assert_eq!(lexemes.len(), kinds.len());
    }

    #[test]
    fn a_symbol_that_is_none_is_one_that_no_grammar_has() {
        let mut lexemes = Lexemes::default();
        lexemes.push(Lexeme { kind: Kind::Symbol("::"), start: 0, end: 2 });
        assert_eq!(lexemes.last().map(|lexeme| lexeme.kind), Some(Kind::Symbol("")));
    }
}
