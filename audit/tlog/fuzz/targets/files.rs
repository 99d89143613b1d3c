//! Bundles and tiles of any name, on any bytes: what is accepted is written as it came. The first bytes make the name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tlog::{Bundle, Holds, Place, Tile, TileName, WIDTH};

fuzz_target!(|input: (u8, u8, u64, &[u8])| {
    let (kind, width, index, bytes) = input;
    let holds = if kind < 64 { Holds::Hashes(kind) } else { Holds::Entries };
    let name = TileName { holds, index, width: if width == 0 { WIDTH } else { u16::from(width) } };
    assert_eq!(name.to_string().parse(), Ok(name));
    if let Ok(bundle) = Bundle::parse(name, bytes) {
        let mut again = Vec::new();
        bundle.entries().iter().for_each(|entry| Bundle::put(entry, &mut again).unwrap());
        assert_eq!(again, bytes);
    }
    if let Ok(tile) = Tile::parse(name, bytes) {
        assert_eq!(Tile::bytes(tile.hashes()), bytes);
        tile.node(Place { level: kind, index });
    }
});
