//! Signed notes: a text, and under it who signed it. Source: C2SP signed-note.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::key::{KeyId, KeyName, VerifierKey};

/// The most bytes of a note. Signatures of later algorithms have some five thousand.
const LONGEST: usize = 1 << 20;

/// The most signatures of one note; the specification asks for 16.
const MOST_SIGNATURES: usize = 100;

/// What a line of a signature begins with.
const DASH: &str = "\u{2014} ";

/// A text and its signatures, none of which is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// One line under a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: KeyName,
    /// Its id.
    pub key: KeyId,
    /// What the algorithm of that key makes of the text.
    pub bytes: Vec<u8>,
}

/// What is no signed note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    /// More than 1 MiB.
    #[error("a note has 1 MiB at most")]
    TooLong,
    /// A control character.
    #[error("a note has no control characters but line feeds")]
    Control,
    /// A text does not end with a line feed, or nothing is under it.
    #[error("a note is a text, an empty line, and one line or more of signatures")]
    Form,
    /// A line under the text.
    #[error("line {0} under the text is no signature: a dash (U+2014), a name, and base64")]
    Signature(usize),
    /// More than a hundred.
    #[error("a note has 100 signatures at most")]
    TooMany,
}

/// Why a note is signed by nobody who is trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// No key that is known signed it.
    #[error("nobody who is known signed it")]
    Nobody,
    /// A signature that says that it is of a known key, and is not.
    #[error("the signature of {0} is wrong")]
    Wrong(KeyName),
}

/// A signature that is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<'k> {
    /// Whose.
    pub key: &'k VerifierKey,
    /// When, in seconds since 1970, as a witness says; a log does not.
    pub time: Option<u64>,
}

impl Note {
    /// A note without signatures yet. The text has lines, each ended by a line feed, and no other control characters.
    pub fn new(text: String) -> Result<Self, BadNote> {
        if text.len() > LONGEST {
            return Err(BadNote::TooLong);
        }
        if has_control(&text) {
            return Err(BadNote::Control);
        }
        if text.ends_with('\n') { Ok(Self { text, signatures: Vec::new() }) } else { Err(BadNote::Form) }
    }

    /// The text, with its last line feed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands under it, verified or not.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature, or puts it in the place of an earlier one of the same key.
    pub fn add(&mut self, signature: Signature) {
        self.signatures.retain(|other| (&other.name, other.key) != (&signature.name, signature.key));
        self.signatures.push(signature);
    }

    /// Which of these keys signed it: one at least, and no signature under a known name and id is wrong. Others are left alone.
    pub fn verify<'k>(&self, keys: &'k [VerifierKey]) -> Result<Vec<Verified<'k>>, Unsigned> {
        let mut right: Vec<Verified<'k>> = Vec::new();
        for Signature { name, key, bytes } in &self.signatures {
            let Some(known) = keys.iter().find(|known| known.name() == name && known.id() == *key) else {
                continue;
            };
            let time = known.verify(&self.text, bytes).map_err(|_| Unsigned::Wrong(name.clone()))?;
            if right.iter().all(|verified| verified.key != known) {
                right.push(Verified { key: known, time });
            }
        }
        if right.is_empty() { Err(Unsigned::Nobody) } else { Ok(right) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key.0, self.bytes.as_slice()].concat();
        write!(f, "{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

impl FromStr for Note {
    type Err = BadNote;

    fn from_str(note: &str) -> Result<Self, BadNote> {
        if note.len() > LONGEST {
            return Err(BadNote::TooLong);
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(BadNote::Form)?;
        let mut parsed = Self::new(format!("{text}\n"))?;
        let lines = signatures.strip_suffix('\n').ok_or(BadNote::Form)?;
        if has_control(lines) {
            return Err(BadNote::Control);
        }
        for (number, line) in (1..).zip(lines.split('\n')) {
            if number > MOST_SIGNATURES {
                return Err(BadNote::TooMany);
            }
            parsed.signatures.push(signature(line).ok_or(BadNote::Signature(number))?);
        }
        Ok(parsed)
    }
}

fn signature(line: &str) -> Option<Signature> {
    let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = STANDARD.decode(bytes).ok()?;
    let (key, bytes) = bytes.split_first_chunk()?;
    if bytes.is_empty() {
        return None;
    }
    Some(Signature { name: name.parse().ok()?, key: KeyId(*key), bytes: bytes.to_vec() })
}

fn has_control(text: &str) -> bool {
    text.bytes().any(|byte| byte < b' ' && byte != b'\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::{Algorithm, Signer};

    fn signer(name: &str) -> Signer {
        Signer::new(name.parse().unwrap(), Algorithm::Ed25519, &[7; 32]).unwrap()
    }

    fn signed(by: &[&Signer]) -> Note {
        let mut note = Note::new("first\n\nthird\n".to_owned()).unwrap();
        by.iter().for_each(|signer| note.add(signer.sign("first\n\nthird\n", 0)));
        note
    }

    #[test]
    fn a_note_has_one_text() {
        let (one, two) = (signer("one.example.com"), signer("two.example.com"));
        let note = signed(&[&one, &two]);
        let text = note.to_string();
        assert_eq!(text.parse(), Ok(note.clone()));
        assert_eq!(note.text(), "first\n\nthird\n");
        for (bad, error) in [
            (String::new(), BadNote::Form),
            ("first\n".to_owned(), BadNote::Form),
            ("first\n\n".to_owned(), BadNote::Form),
            ("first\n\n\n".to_owned(), BadNote::Form),
            ("first\n\n\n\u{2014} a AAAAAAA=".to_owned(), BadNote::Form),
            (text.trim_end().to_owned(), BadNote::Form),
            (format!("{text}\n"), BadNote::Form),
            (text.replace("third", "thi\trd"), BadNote::Control),
            (text.replace("\n", "\r\n"), BadNote::Form),
            (text.replace("\u{2014} two", "\u{2013} two"), BadNote::Signature(2)),
            (text.replace("\u{2014} two", "\u{2014}  two"), BadNote::Signature(2)),
            (text.replace("two.example.com", "two+example"), BadNote::Signature(2)),
            ("first\n\n\u{2014} a AAAAAA==\n".to_owned(), BadNote::Signature(1)),
            ("first\n\n\u{2014} a AAAAAAA=\u{7}\n".to_owned(), BadNote::Control),
            (format!("first\n\n{}", "\u{2014} a AAAAAAA=\n".repeat(101)), BadNote::TooMany),
            ("a".repeat(LONGEST + 1), BadNote::TooLong),
        ] {
            assert_eq!(bad.parse::<Note>(), Err(error), "{bad:?}");
        }
        assert!(format!("first\n\n{}", "\u{2014} a AAAAAAA=\n".repeat(100)).parse::<Note>().is_ok());
    }

    /// The example of the specification.
    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let text = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
            \u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
        let note: Note = text.parse().unwrap();
        assert_eq!(note.signatures()[0].name.as_str(), "quasimodo.example/salvatore");
        assert_eq!(note.signatures()[0].bytes.len(), 64);
        assert_eq!(note.to_string(), text);
    }

    #[test]
    fn one_known_signature_is_enough_and_a_wrong_one_spoils_all() {
        let (one, two) = (signer("one.example.com"), signer("two.example.com"));
        let (first, second) = (one.verifier().clone(), two.verifier().clone());
        let both = [first.clone(), second.clone()];
        let note = signed(&[&one, &two]);
        let names = |note: &Note, keys: &[VerifierKey]| {
            note.verify(keys).map(|found| found.iter().map(|right| right.key.name().to_string()).collect())
        };
        assert_eq!(names(&note, &both), Ok(vec!["one.example.com".to_owned(), "two.example.com".to_owned()]));
        assert_eq!(names(&note, &both[1..]), Ok(vec!["two.example.com".to_owned()]));
        assert_eq!(names(&note, &[]), Err(Unsigned::Nobody));
        let other_key = Signer::new(first.name().clone(), Algorithm::Ed25519, &[8; 32]).unwrap();
        assert_eq!(names(&note, &[other_key.verifier().clone()]), Err(Unsigned::Nobody), "the id differs");
        let mut spoiled = note.clone();
        spoiled.signatures[0].bytes[9] ^= 1;
        assert_eq!(names(&spoiled, &both), Err(Unsigned::Wrong(first.name().clone())));
        assert_eq!(names(&spoiled, &both[1..]), Ok(vec!["two.example.com".to_owned()]), "nobody knows it");
        let mut of_another_text = note.clone();
        of_another_text.text = "other\n".to_owned();
        assert_eq!(names(&of_another_text, &both), Err(Unsigned::Wrong(first.name().clone())));
        let mut twice = note;
        twice.signatures.push(twice.signatures[0].clone());
        assert_eq!(names(&twice, &both[..1]), Ok(vec!["one.example.com".to_owned()]));
    }

    #[test]
    fn a_later_signature_of_a_key_replaces_its_earlier_one() {
        let witness = Signer::new("w".parse().unwrap(), Algorithm::Cosignature, &[7; 32]).unwrap();
        let mut note = Note::new("text\n".to_owned()).unwrap();
        note.add(witness.sign("text\n", 1));
        note.add(witness.sign("text\n", 2));
        let keys = [witness.verifier().clone()];
        assert_eq!(note.verify(&keys).unwrap(), [Verified { key: &keys[0], time: Some(2) }]);
        assert_eq!(note.signatures().len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_from_outside_panics(note in "[a\n\u{2014} +=A]{0,40}|.{0,40}") {
            if let Ok(parsed) = note.parse::<Note>() {
                prop_assert_eq!(parsed.to_string(), note);
            }
        }
    }
}
