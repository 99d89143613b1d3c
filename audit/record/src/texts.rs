//! The texts of up to 256 records in one file beside the tree, in the geometry of the entry bundles: `texts/<N>[.p/<W>]` goes with
//! `tile/entries/<N>[.p/<W>]`.
//!
//! For each entry of the bundle, in order: a length (u32, big-endian), and so many bytes of salt and payload. Length 0 says that there is
//! no text here: the record has none, or it was erased, or it was not opened for this copy.

use tlog::{Holds, TileName};

use crate::text::Salt;

/// The most bytes of a salt and its payload.
pub const LONGEST: usize = 4 << 20;

/// A text that no file takes: longer than 4 MiB, or shorter than a salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a text of {0} bytes: a salt has 32 of them, and 4194304 is the most")]
pub struct BadText(usize);

/// A file that does not hold the texts that its name says. No error repeats any of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTexts {
    /// The name is not that of an entry bundle.
    #[error("{0} is no entry bundle")]
    NoBundle(TileName),
    /// It ends within a text, or a length is none.
    #[error("the texts of {name} are torn at entry {entry}")]
    Torn {
        /// The bundle.
        name: TileName,
        /// The number of the entry within the bundle, from 0.
        entry: usize,
    },
    /// It has too few entries, or too many.
    #[error("the texts of {name} are for {found} entries")]
    Width {
        /// The bundle.
        name: TileName,
        /// For how many.
        found: usize,
    },
}

/// The texts of one bundle's entries, in order; `None`, where there is none.
#[derive(Clone, PartialEq, Eq)]
pub struct Texts<'a> {
    texts: Vec<Option<&'a [u8]>>,
}

impl<'a> Texts<'a> {
    /// The path of the file that goes with an entry bundle.
    pub fn path(bundle: TileName) -> Option<String> {
        let place = bundle.to_string();
        place.strip_prefix("tile/entries/").map(|place| format!("texts/{place}"))
    }

    /// From the file's bytes: as many texts as the bundle's name says, and nothing else.
    pub fn parse(bundle: TileName, bytes: &'a [u8]) -> Result<Self, BadTexts> {
        let name = bundle;
        if name.holds != Holds::Entries {
            return Err(BadTexts::NoBundle(name));
        }
        let (mut rest, mut texts) = (bytes, Vec::with_capacity(usize::from(name.width)));
        while !rest.is_empty() {
            let torn = BadTexts::Torn { name, entry: texts.len() };
            if texts.len() >= usize::from(name.width) {
                return Err(BadTexts::Width { name, found: texts.len().saturating_add(1) });
            }
            let (length, after) = rest.split_first_chunk().ok_or_else(|| torn.clone())?;
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let (text, after) = after.split_at_checked(length).ok_or_else(|| torn.clone())?;
            let text = (!text.is_empty()).then_some(text);
            if !text.is_none_or(|text| Self::takes(text.len())) {
                return Err(torn);
            }
            texts.push(text);
            rest = after;
        }
        if texts.len() != usize::from(name.width) {
            return Err(BadTexts::Width { name, found: texts.len() });
        }
        Ok(Self { texts })
    }

    /// The texts: salt and payload, as [`crate::Payload::decode`] takes them.
    pub fn texts(&self) -> &[Option<&'a [u8]>] {
        &self.texts
    }

    /// Whether there can be a text of so many bytes.
    pub fn takes(length: usize) -> bool {
        (Salt::LEN..=LONGEST).contains(&length)
    }

    /// Adds the text of the next entry to a file's bytes, or that there is none.
    pub fn put(text: Option<&[u8]>, file: &mut Vec<u8>) -> Result<(), BadText> {
        let text = match text {
            Some(text) if !Self::takes(text.len()) => return Err(BadText(text.len())),
            Some(text) => text,
            None => &[],
        };
        let length = u32::try_from(text.len()).map_err(|_| BadText(text.len()))?;
        file.extend_from_slice(&length.to_be_bytes());
        file.extend_from_slice(text);
        Ok(())
    }
}

impl std::fmt::Debug for Texts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").field("entries", &self.texts.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(width: u16) -> TileName {
        TileName { holds: Holds::Entries, index: 1_234_067, width }
    }

    #[test]
    fn a_file_of_texts_stands_where_its_bundle_stands() {
        assert_eq!(Texts::path(name(256)).unwrap(), "texts/x001/x234/067");
        assert_eq!(Texts::path(name(17)).unwrap(), "texts/x001/x234/067.p/17");
        assert_eq!(Texts::path(TileName { holds: Holds::Hashes(0), ..name(17) }), None);
    }

    #[test]
    fn what_is_no_file_of_that_bundle_is_refused() {
        let text = [7; 33];
        let mut file = Vec::new();
        Texts::put(Some(&text), &mut file).unwrap();
        Texts::put(None, &mut file).unwrap();
        assert_eq!(Texts::parse(name(2), &file).unwrap().texts(), [Some(text.as_slice()), None]);
        assert_eq!(Texts::parse(name(1), &file), Err(BadTexts::Width { name: name(1), found: 2 }));
        assert_eq!(Texts::parse(name(3), &file), Err(BadTexts::Width { name: name(3), found: 2 }));
        for (length, entry) in [(1, 0), (36, 0), (38, 1), (40, 1)] {
            let torn = Err(BadTexts::Torn { name: name(2), entry });
            assert_eq!(Texts::parse(name(2), &file[..length]), torn, "{length}");
        }
        let tile = TileName { holds: Holds::Hashes(0), ..name(2) };
        assert_eq!(Texts::parse(tile, &file), Err(BadTexts::NoBundle(tile)));
    }

    #[test]
    fn a_text_has_a_salt_and_4_mib_at_most() {
        let mut file = Vec::new();
        let longest = vec![7; LONGEST];
        Texts::put(Some(&longest), &mut file).unwrap();
        assert_eq!(Texts::parse(name(1), &file).unwrap().texts(), [Some(longest.as_slice())]);
        for length in [0, 1, 31, LONGEST + 1] {
            let text = vec![7; length];
            assert_eq!(Texts::put(Some(&text), &mut file), Err(BadText(length)));
            let by_hand = [&u32::try_from(length).unwrap().to_be_bytes(), text.as_slice()].concat();
            assert_eq!(Texts::parse(name(1), &by_hand).is_ok(), length == 0, "{length}");
        }
        assert_eq!(file.len(), LONGEST + 4, "nothing was added");
    }

    proptest! {
        #[test]
        fn what_was_put_is_found_and_there_is_one_form(
            texts in prop::collection::vec(
                prop::option::of(prop::collection::vec(any::<u8>(), 32..80)), 1..=256,
            ),
        ) {
            let mut file = Vec::new();
            for text in &texts {
                Texts::put(text.as_deref(), &mut file).unwrap();
            }
            let width = u16::try_from(texts.len()).unwrap();
            let parsed = Texts::parse(name(width), &file).unwrap();
            prop_assert!(parsed.texts().iter().copied().eq(texts.iter().map(Option::as_deref)));
        }

        #[test]
        fn nothing_that_comes_from_outside_panics(bytes: Vec<u8>, width in 1_u16..=256) {
            if let Ok(parsed) = Texts::parse(name(width), &bytes) {
                let mut again = Vec::new();
                parsed.texts().iter().for_each(|text| Texts::put(*text, &mut again).unwrap());
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
