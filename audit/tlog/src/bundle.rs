//! Entry bundles: up to 256 entries in one file, each behind its length. Source: C2SP tlog-tiles, "Log entries".

use crate::tile::{Holds, TileName};

/// The most bytes of one entry: its length is a number of two bytes.
pub const LONGEST_ENTRY: usize = 65_535;

/// An entry that no bundle can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry of {0} bytes: 65535 is the most")]
pub struct EntryTooLong(usize);

/// A file that is not the bundle that its name says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBundle {
    /// The name is that of a tile.
    #[error("{0} is no entry bundle")]
    NoBundle(TileName),
    /// It ends within an entry.
    #[error("{name} ends within entry {entry}")]
    Torn {
        /// The file.
        name: TileName,
        /// The number of that entry within the file, from 0.
        entry: usize,
    },
    /// It has too few entries, or too many.
    #[error("{name} has {found} entries")]
    Width {
        /// The file.
        name: TileName,
        /// How many it has.
        found: usize,
    },
}

impl BadBundle {
    /// The file.
    pub fn name(&self) -> TileName {
        match self {
            Self::NoBundle(name) | Self::Torn { name, .. } | Self::Width { name, .. } => *name,
        }
    }
}

/// The entries of one bundle, in order, as they stand in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle<'a> {
    entries: Vec<&'a [u8]>,
}

impl<'a> Bundle<'a> {
    /// From the file's bytes: as many entries as its name says, and nothing else.
    pub fn parse(name: TileName, bytes: &'a [u8]) -> Result<Self, BadBundle> {
        if name.holds != Holds::Entries {
            return Err(BadBundle::NoBundle(name));
        }
        let (mut rest, mut entries) = (bytes, Vec::with_capacity(usize::from(name.width)));
        while !rest.is_empty() {
            let torn = BadBundle::Torn { name, entry: entries.len() };
            let (length, after) = rest.split_first_chunk().ok_or_else(|| torn.clone())?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, after) = after.split_at_checked(length).ok_or(torn)?;
            entries.push(entry);
            rest = after;
        }
        if entries.len() != usize::from(name.width) {
            return Err(BadBundle::Width { name, found: entries.len() });
        }
        Ok(Self { entries })
    }

    /// The entries.
    pub fn entries(&self) -> &[&'a [u8]] {
        &self.entries
    }

    /// Adds one entry to the bytes of a bundle.
    pub fn put(entry: &[u8], bundle: &mut Vec<u8>) -> Result<(), EntryTooLong> {
        let length = u16::try_from(entry.len()).map_err(|_| EntryTooLong(entry.len()))?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(width: u16) -> TileName {
        TileName { holds: Holds::Entries, index: 0, width }
    }

    #[test]
    fn the_longest_entry_fits_and_one_byte_more_does_not() {
        let (mut bytes, entry) = (Vec::new(), vec![7; LONGEST_ENTRY]);
        Bundle::put(&entry, &mut bytes).unwrap();
        assert_eq!(Bundle::parse(name(1), &bytes).unwrap().entries(), [entry.as_slice()]);
        let longer = vec![7; LONGEST_ENTRY + 1];
        assert_eq!(Bundle::put(&longer, &mut bytes), Err(EntryTooLong(LONGEST_ENTRY + 1)));
        assert_eq!(bytes.len(), LONGEST_ENTRY + 2, "nothing was added");
    }

    #[test]
    fn a_bundle_of_another_width_or_a_tile_is_refused() {
        let bytes = [0, 1, b'a', 0, 0];
        assert_eq!(Bundle::parse(name(2), &bytes).unwrap().entries(), [b"a".as_slice(), b""]);
        assert_eq!(Bundle::parse(name(1), &bytes), Err(BadBundle::Width { name: name(1), found: 2 }));
        assert_eq!(Bundle::parse(name(3), &bytes), Err(BadBundle::Width { name: name(3), found: 2 }));
        for (length, entry) in [(1, 0), (2, 0), (4, 1)] {
            let torn = Err(BadBundle::Torn { name: name(2), entry });
            assert_eq!(Bundle::parse(name(2), &bytes[..length]), torn);
        }
        let tile = TileName { holds: Holds::Hashes(0), index: 0, width: 2 };
        assert_eq!(Bundle::parse(tile, &bytes), Err(BadBundle::NoBundle(tile)));
    }

    proptest! {
        #[test]
        fn what_was_put_is_found_and_there_is_one_form(
            entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..=256),
        ) {
            let mut bytes = Vec::new();
            for entry in &entries {
                Bundle::put(entry, &mut bytes).unwrap();
            }
            let width = u16::try_from(entries.len()).unwrap();
            let bundle = Bundle::parse(name(width), &bytes).unwrap();
            prop_assert!(bundle.entries().iter().eq(entries.iter()));
        }

        #[test]
        fn nothing_that_comes_from_outside_panics(bytes: Vec<u8>, width in 1_u16..=256) {
            if let Ok(bundle) = Bundle::parse(name(width), &bytes) {
                let mut again = Vec::new();
                bundle.entries().iter().for_each(|entry| Bundle::put(entry, &mut again).unwrap());
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
