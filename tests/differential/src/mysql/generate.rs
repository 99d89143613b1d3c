//! Texts for the gate: of the grammar, of the gate's own corpora, and mutations of both.

use crate::mysql::fragments::{CANARY_FUNCTIONS, DANGEROUS, HIDING, WRITING};
use crate::mysql::grammar;
use crate::mysql::random::Random;

/// Makes texts without end; the same seed makes the same.
pub struct Generator {
    random: Random,
    allowed: Vec<&'static str>,
    refused: Vec<&'static str>,
}

impl Generator {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        let allowed = lines(include_str!("../../../../sql/tests/mysql/corpus/allowed.txt")).collect();
        let refused = lines(include_str!("../../../../sql/tests/mysql/corpus/refused.txt"))
            .filter_map(|line| line.split_once(" | ").map(|(_, text)| text))
            .collect();
        Self { random: Random::new(seed), allowed, refused }
    }

    /// How many texts.
    pub fn texts(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.text()).collect()
    }

    /// The next text.
    pub fn text(&mut self) -> Vec<u8> {
        let base = self.base();
        let mut pieces = split(&base);
        let mutations = [0, 0, 0, 1, 1, 1, 2, 2, 3, 5][self.random.below(10)];
        for _ in 0..mutations {
            self.mutate(&mut pieces);
        }
        let mut bytes = pieces.concat().into_bytes();
        if self.random.one_in(50) && !bytes.is_empty() {
            let at = self.random.below(bytes.len());
            bytes[at] = [0x00, 0x27, 0x5c, 0x60, 0x80, 0xbf, 0xc0, 0xff][self.random.below(8)];
        }
        bytes
    }

    fn base(&mut self) -> String {
        match self.random.below(20) {
            0..=8 => grammar::query(&mut self.random, 0),
            9..=10 => grammar::session(&mut self.random),
            11..=15 => self.random.pick(&self.allowed).to_owned(),
            16..=17 => self.random.pick(&self.refused).to_owned(),
            _ => self.random.pick(WRITING).to_owned(),
        }
    }

    fn mutate(&mut self, pieces: &mut Vec<String>) {
        let at = self.random.below(pieces.len() + 1);
        let there = at.min(pieces.len().saturating_sub(1));
        match self.random.below(13) {
            0..=2 => pieces.insert(at, self.random.pick(DANGEROUS).to_owned()),
            3..=4 => pieces.insert(at, self.random.pick(HIDING).to_owned()),
            5 if !pieces.is_empty() => drop(pieces.remove(there)),
            6 if !pieces.is_empty() => pieces.insert(at, pieces[there].clone()),
            7 if !pieces.is_empty() => {
                let other = self.random.below(pieces.len());
                pieces.swap(there, other);
            }
            8 => self.splice(pieces, at),
            9 => self.hide(pieces, at),
            10 if !pieces.is_empty() => self.disguise(&mut pieces[there]),
            11 => pieces.insert(at, format!(";{}", self.random.pick(WRITING))),
            _ => {
                let name = self.random.pick(CANARY_FUNCTIONS);
                let space = self.random.pick(&["", "", " ", "/**/", "\n", "/*!50000 */", "-- \n"]);
                pieces.insert(at, format!(" {name}{space}(1) "));
            }
        }
    }

    /// Goes on as another text does.
    fn splice(&mut self, pieces: &mut Vec<String>, at: usize) {
        let other = split(&self.base());
        let from = self.random.below(other.len() + 1);
        pieces.truncate(at);
        pieces.push(" ".into());
        pieces.extend_from_slice(&other[from.min(other.len())..]);
    }

    /// Puts something that changes into a comment that may be none.
    fn hide(&mut self, pieces: &mut Vec<String>, at: usize) {
        let inner = if self.random.one_in(2) { DANGEROUS } else { WRITING };
        let inner = self.random.pick(inner);
        let forms = [
            "/*!?*/",
            "/*!50000 ?*/",
            "/*!99999 ?*/",
            "/*!999999 ?*/",
            "/*M!?*/",
            "/*M!100100 ?*/",
            "/*M!999999?*/",
            "/*?*/",
            "/*!50000/**/?*/",
            "/*/**/?*/",
            "/*!99999 /* */ ?*/",
            "-- \n?",
            "--\u{1}?\n",
            "--?\n",
            "#?\n",
            "# \n?",
            "/*!080400?*/",
            "/*!100000 ? */",
            "/*! ? -- */ \n",
            "'/*'?'*/'",
            "/*\\*/?/*\\*/",
            "'\\'?'",
            "\"\\\"?\"",
            "`\\`?`",
            "/*+ ? */",
            "/*!?",
            "*/?/*",
            "/*!1?*/",
            "/*!110?*/",
        ];
        let text = self.random.pick(&forms).replace('?', inner);
        pieces.insert(at, text);
    }

    /// The same word, written otherwise.
    fn disguise(&mut self, piece: &mut String) {
        *piece = match self.random.below(7) {
            0 => piece.to_uppercase(),
            1 => piece.to_lowercase(),
            2 => format!("`{piece}`"),
            3 => format!("'{piece}'"),
            4 => format!("/*!{piece}*/"),
            5 => format!("\"{piece}\""),
            _ => piece.replace(
                ' ',
                self.random.pick(&["\n", "\t", "/**/", "\r\n", "\u{c}", "\u{b}", "  ", "-- x\n", "#\n"]),
            ),
        };
    }
}

/// The statements of a corpus, for whichever server.
fn lines(corpus: &'static str) -> impl Iterator<Item = &'static str> {
    let lines = corpus.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("# "));
    lines.map(|line| line.strip_prefix("mysql> ").or(line.strip_prefix("mariadb> ")).unwrap_or(line))
}

/// Splits roughly as SQL does: words, white space, single signs.
fn split(text: &str) -> Vec<String> {
    #[derive(PartialEq)]
    enum Class {
        Word,
        Space,
        Sign,
    }
    let class = |character: char| match character {
        c if c.is_alphanumeric() || c == '_' => Class::Word,
        c if c.is_whitespace() => Class::Space,
        _ => Class::Sign,
    };
    let mut pieces: Vec<String> = Vec::new();
    let mut last = Class::Sign;
    for character in text.chars() {
        let now = class(character);
        match pieces.last_mut() {
            Some(piece) if now != Class::Sign && now == last => piece.push(character),
            _ => pieces.push(character.to_string()),
        }
        last = now;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_makes_the_same_texts() {
        assert_eq!(Generator::new(7).texts(200), Generator::new(7).texts(200));
        assert_ne!(Generator::new(7).texts(200), Generator::new(8).texts(200));
    }

    #[test]
    fn splitting_loses_nothing() {
        let text = "SELECT 'it''s',a_1 FROM  `t` -- x\n";
        assert_eq!(split(text).concat(), text);
        assert_eq!(split("ab  c,,"), ["ab", "  ", "c", ",", ","]);
    }
}
