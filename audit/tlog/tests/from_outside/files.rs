//! Files of bytes: bundles and tiles.

use proptest::prelude::*;
use tlog::{Bundle, Hash, Holds, Place, Tile, TileName, WIDTH};

use super::change::{changed, changes};
use super::config;
use super::texts::tile_name;

/// Reads the bytes as this file, whichever it is: what is accepted is written as it came.
fn reads(name: TileName, bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(bundle) = Bundle::parse(name, bytes) {
        prop_assert!(name.holds == Holds::Entries && bundle.entries().len() == usize::from(name.width));
        let mut again = Vec::new();
        bundle.entries().iter().for_each(|entry| Bundle::put(entry, &mut again).unwrap());
        prop_assert_eq!(again, bytes);
    }
    if let Ok(tile) = Tile::parse(name, bytes) {
        prop_assert!(name.holds != Holds::Entries && tile.hashes().len() == usize::from(name.width));
        prop_assert_eq!(Tile::bytes(tile.hashes()), bytes);
        prop_assert_eq!(tile.root().is_some(), name.width == WIDTH);
    }
    Ok(())
}

fn bundle(width: u16) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), usize::from(width)).prop_map(|entries| {
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| Bundle::put(entry, &mut bytes).unwrap());
        bytes
    })
}

fn tile(width: u16) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), usize::from(width) * Hash::LEN)
}

/// The name of a file, and good bytes for it.
fn file() -> impl Strategy<Value = (TileName, Vec<u8>)> {
    tile_name().prop_flat_map(|name| {
        let bytes = match name.holds {
            Holds::Entries => bundle(name.width).boxed(),
            Holds::Hashes(_) => tile(name.width).boxed(),
        };
        (Just(name), bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..config() })]

    #[test]
    fn every_good_file_is_read((name, bytes) in file()) {
        let is_bundle = Bundle::parse(name, &bytes).is_ok();
        prop_assert!(is_bundle != Tile::parse(name, &bytes).is_ok(), "{} is one or the other", name);
        reads(name, &bytes)?;
    }

    #[test]
    fn a_good_file_that_was_changed_panics_nowhere_and_is_written_the_same_again(
        (name, bytes) in file(), changes in changes(), other in tile_name(),
    ) {
        let bytes = changed(&bytes, &changes);
        reads(name, &bytes)?;
        reads(other, &bytes)?;
    }

    #[test]
    fn any_bytes_panic_nowhere(name in tile_name(), bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        reads(name, &bytes)?;
    }

    #[test]
    fn no_place_is_found_in_a_tile_that_is_not_its_own(
        (name, bytes) in file(), level: u8, index: u64, size: u64,
    ) {
        let place = Place { level, index };
        let Ok(tile) = Tile::parse(name, &bytes) else { return Ok(()) };
        if tile.node(place).is_some() {
            let own = TileName::above(place, u64::MAX).unwrap();
            prop_assert_eq!(own.whole(), name.whole());
        }
        if let Some(own) = TileName::above(place, size) {
            prop_assert_eq!(TileName::in_tree(own.holds, own.index, size), Some(own));
        }
    }
}
