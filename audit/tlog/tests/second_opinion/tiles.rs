//! Tiles, and the names of their files.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tlog::{Hash, Holds, TileName, WIDTH};
use tlog_tiles::{TileHashReader, TileReader, check_record, prove_record, tree_hash};

use super::log::Log;

/// Their name of the same file.
fn theirs(name: TileName) -> tlog_tiles::Tile {
    let width = u32::from(name.width);
    match name.holds {
        Holds::Hashes(level) => tlog_tiles::Tile::new(8, level, name.index, width, false),
        Holds::Entries => tlog_tiles::Tile::new(8, 0, name.index, width, true),
    }
}

/// Their paths are those of the Go checksum database: the height of tiles comes first, and entries are data.
fn path(tile: &tlog_tiles::Tile) -> String {
    let path = tile.path();
    let path = path.strip_prefix("tile/8/").unwrap();
    match path.strip_prefix("data/") {
        Some(rest) => format!("tile/entries/{rest}"),
        None => format!("tile/{path}"),
    }
}

#[test]
fn trees_of_any_size_have_the_same_tiles() {
    let sizes = (0..=3_000).chain([65_535, 65_536, 65_537, 70_000, (1 << 24) - 1, 1 << 24]);
    for size in sizes {
        let is_tile = |name: &TileName| name.holds != Holds::Entries;
        let our = TileName::all(size).filter(is_tile).map(|name| name.to_string());
        let their = tlog_tiles::Tile::new_tiles(8, 0, size);
        assert!(our.eq(their.iter().map(path)), "{size} leaves");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_file_has_one_path_for_both(
        holds in prop_oneof![(0_u8..64).prop_map(Holds::Hashes), Just(Holds::Entries)],
        index in prop_oneof![any::<u64>(), 0_u64..3_000_000],
        width in 1..=WIDTH,
    ) {
        let name = TileName { holds, index, width };
        prop_assert_eq!(name.to_string(), path(&theirs(name)));
        let read = tlog_tiles::Tile::from_path(&theirs(name).path());
        prop_assert_eq!(read.unwrap(), theirs(name));
    }
}

/// Our files, as their reader asks for them.
struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    fn of(log: &Log, size: u64) -> Self {
        Self(TileName::all(size).map(|name| (name.to_string(), log.file(name))).collect())
    }
}

impl TileReader for Files {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let file = |tile| self.0.get(&path(tile)).cloned().ok_or(tlog_tiles::Error::InvalidTile);
        tiles.iter().map(file).collect()
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

/// Whether their reader finds this entry in our files, and the root above it.
fn found(
    files: &Files,
    index: u64,
    (size, root): (u64, Hash),
    entry: &[u8],
) -> Result<(), tlog_tiles::Error> {
    let root = tlog_tiles::Hash(root.0);
    let reader = TileHashReader::new(size, root, files);
    assert!(tree_hash(size, &reader)? == root);
    let proof = prove_record(size, index, &reader)?;
    check_record(&proof, size, root, index, tlog_tiles::record_hash(entry))
}

#[test]
fn their_reader_of_tiles_trusts_ours_and_none_that_was_changed() {
    let log = Log::of_size(1_000);
    for size in [1, 255, 256, 257, 700, 1_000] {
        let (mut files, tree) = (Files::of(&log, size), (size, log.root(size)));
        for index in (0..size).step_by(23).chain([size - 1]) {
            let entry = &log.entries[usize::try_from(index).unwrap()];
            found(&files, index, tree, entry).unwrap_or_else(|error| panic!("{index} in {size}: {error}"));
        }
        let last = size - 1;
        let entry = &log.entries[usize::try_from(last).unwrap()];
        let lowest = TileName::in_tree(Holds::Hashes(0), last / 256, size).unwrap();
        files.0.get_mut(&lowest.to_string()).unwrap()[31] ^= 1;
        assert!(found(&files, last, tree, entry).is_err(), "{lowest} was changed");
    }
}
