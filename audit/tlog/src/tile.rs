//! Tiles: up to 256 neighbouring hashes of one level in one file, and the names of such files. Source: C2SP tlog-tiles.

use std::fmt;
use std::str::FromStr;

use crate::decimal;
use crate::hash::Hash;
use crate::place::Place;

/// How many hashes, or entries, a whole tile or bundle has.
pub const WIDTH: u16 = 256;

/// Levels of the tree between two levels of tiles.
const HEIGHT: u8 = 8;

/// The highest level of tiles that a name may have.
const HIGHEST: u8 = 63;

/// What a file of the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holds {
    /// Hashes of this level of tiles, 0 to 63: each above 256 to the power of that many leaves.
    Hashes(u8),
    /// The entries themselves.
    Entries,
}

/// A file of the log: its path is the text, such as `tile/0/x001/234.p/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileName {
    /// What it holds.
    pub holds: Holds,
    /// Its number, from 0.
    pub index: u64,
    /// How many it holds, 1 to 256. A file with fewer than 256 is partial.
    pub width: u16,
}

/// What is no name of a tile or bundle, or not the one text for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no path of a tile or an entry bundle")]
pub struct BadTileName(String);

/// A file that is not the tile that its name says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} has {found} bytes, and its name says {}", .name.bytes())]
pub struct BadTile {
    name: TileName,
    found: usize,
}

impl BadTile {
    /// The file.
    pub fn name(&self) -> TileName {
        self.name
    }
}

impl TileName {
    /// The file with this number in a tree of `size` leaves, as wide as that tree makes it; `None`, where it would be empty.
    pub fn in_tree(holds: Holds, index: u64, size: u64) -> Option<Self> {
        let level = match holds {
            Holds::Hashes(level) => level,
            Holds::Entries => 0,
        };
        let all = size.checked_shr(u32::from(level.checked_mul(HEIGHT)?)).unwrap_or(0);
        let before = index.checked_mul(u64::from(WIDTH))?;
        let left = all.checked_sub(before)?;
        let width = u16::try_from(left).unwrap_or(WIDTH).min(WIDTH);
        (width > 0).then_some(Self { holds, index, width })
    }

    /// The tile from whose hashes that of `place` follows, in a tree of `size` leaves; `None`, where the tree has no such node.
    pub fn above(place: Place, size: u64) -> Option<Self> {
        let Place { level, index } = place;
        // How many levels the node stands above the hashes of its tile.
        let rises = level.checked_rem(HEIGHT)?;
        let in_tile = HEIGHT.checked_sub(rises)?;
        let holds = Holds::Hashes(level.checked_div(HEIGHT)?);
        let tile = Self::in_tree(holds, index.checked_shr(u32::from(in_tile))?, size)?;
        let below = hashes_below(place)?;
        (below.end <= usize::from(tile.width)).then_some(tile)
    }

    /// Every file of hashes and entries that a tree of `size` leaves has, as its checkpoint needs them.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        let kinds = (0..HEIGHT).map(Holds::Hashes).chain([Holds::Entries]);
        kinds.flat_map(move |holds| (0..).map_while(move |index| Self::in_tree(holds, index, size)))
    }

    /// The same file once it is whole.
    pub fn whole(self) -> Self {
        Self { width: WIDTH, ..self }
    }

    /// How many bytes the hashes of such a tile take.
    fn bytes(&self) -> usize {
        usize::from(self.width).saturating_mul(Hash::LEN)
    }
}

impl fmt::Display for TileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.holds {
            Holds::Hashes(level) => write!(f, "tile/{level}/")?,
            Holds::Entries => f.write_str("tile/entries/")?,
        }
        let digits = format!("{:03}", self.index);
        let digits = format!("{:0>width$}", digits, width = digits.len().next_multiple_of(3));
        let (most, last) = digits.split_at(digits.len().saturating_sub(3));
        for group in most.as_bytes().chunks(3) {
            write!(f, "x{}/", String::from_utf8_lossy(group))?;
        }
        f.write_str(last)?;
        if self.width < WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for TileName {
    type Err = BadTileName;

    fn from_str(path: &str) -> Result<Self, BadTileName> {
        let found = loosely(path).filter(|name| name.to_string() == path);
        found.ok_or_else(|| BadTileName(path.to_owned()))
    }
}

/// A name whose own text may differ.
fn loosely(path: &str) -> Option<TileName> {
    let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let holds = match kind {
        "entries" => Holds::Entries,
        level => {
            let level = u8::try_from(decimal::parse(level)?).ok().filter(|level| *level <= HIGHEST);
            Holds::Hashes(level?)
        }
    };
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, u16::try_from(decimal::parse(width)?).ok()?),
        None => (rest, WIDTH),
    };
    if !(1..=WIDTH).contains(&width) {
        return None;
    }
    let digits: String = index.chars().filter(char::is_ascii_digit).collect();
    Some(TileName { holds, index: digits.parse().ok()?, width })
}

/// The hashes of a tile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    name: TileName,
    hashes: Vec<Hash>,
}

impl Tile {
    /// From the file's bytes: as many hashes as its name says, and nothing else.
    pub fn parse(name: TileName, bytes: &[u8]) -> Result<Self, BadTile> {
        let (hashes, rest) = bytes.as_chunks();
        if !rest.is_empty() || hashes.len() != usize::from(name.width) || name.holds == Holds::Entries {
            return Err(BadTile { name, found: bytes.len() });
        }
        Ok(Self { name, hashes: hashes.iter().copied().map(Hash).collect() })
    }

    /// The file's bytes.
    pub fn bytes(hashes: &[Hash]) -> Vec<u8> {
        hashes.iter().flat_map(|hash| hash.0).collect()
    }

    /// The hashes, from left to right.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The hash at a place whose tile this is: see [`TileName::above`].
    pub fn node(&self, place: Place) -> Option<Hash> {
        if TileName::above(place, u64::MAX).map(TileName::whole) != Some(self.name.whole()) {
            return None;
        }
        Some(above(self.hashes.get(hashes_below(place)?)?))
    }

    /// The hash above all of a whole tile: it stands in a tile one level higher.
    pub fn root(&self) -> Option<Hash> {
        (self.name.width == WIDTH).then(|| above(&self.hashes))
    }
}

/// Which hashes of its tile a node stands above.
fn hashes_below(place: Place) -> Option<std::ops::Range<usize>> {
    let rises = u32::from(place.level.checked_rem(HEIGHT)?);
    let count = 1_usize.checked_shl(rises)?;
    let nodes = u64::from(WIDTH).checked_shr(rises)?;
    let number = usize::try_from(place.index.checked_rem(nodes)?).ok()?;
    let start = number.checked_mul(count)?;
    Some(start..start.checked_add(count)?)
}

/// The hash above a power of two of hashes.
fn above(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Hash::of_nothing(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len().div_ceil(2));
            Hash::of_node(&above(left), &above(right))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::range::Range;

    fn hashes(level: u8, index: u64, width: u16) -> TileName {
        TileName { holds: Holds::Hashes(level), index, width }
    }

    #[test]
    fn names_are_those_of_the_specification() {
        let bundle = |index, width| TileName { holds: Holds::Entries, index, width };
        for (name, path) in [
            (hashes(0, 0, 256), "tile/0/000"),
            (hashes(0, 0, 1), "tile/0/000.p/1"),
            (hashes(3, 999, 255), "tile/3/999.p/255"),
            (hashes(63, 1000, 256), "tile/63/x001/000"),
            (bundle(1_234_067, 256), "tile/entries/x001/x234/067"),
            (bundle(1_234_067, 17), "tile/entries/x001/x234/067.p/17"),
            (bundle(u64::MAX, 256), "tile/entries/x018/x446/x744/x073/x709/x551/615"),
        ] {
            assert_eq!(name.to_string(), path);
            assert_eq!(path.parse(), Ok(name));
        }
        for path in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/00/000",
            "tile/64/000",
            "tile/-1/000",
            "tile/a/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/001/000",
            "tile/0/x000/000",
            "tile/0/x1/000",
            "tile/0/x001",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
            "tile/0/000.p/1.p/1",
            "/tile/0/000",
            "tile/0/000/",
            "tile/0/x001/../000",
            "tile/0/000\n",
            "tile/entries/x999/x999/x999/x999/x999/x999/999",
            "tile/0/０００",
            "tile/data/000",
        ] {
            assert_eq!(path.parse::<TileName>(), Err(BadTileName(path.to_owned())), "{path:?}");
        }
    }

    /// The example of the specification: 70,000 leaves.
    #[test]
    fn a_tree_has_the_tiles_of_the_specification() {
        let all: Vec<TileName> = TileName::all(70_000).collect();
        let of = |holds| all.iter().filter(|name| name.holds == holds).collect::<Vec<_>>();
        let level_0 = of(Holds::Hashes(0));
        assert_eq!(level_0.len(), 274);
        assert_eq!(*level_0[273], hashes(0, 273, 112));
        assert!(level_0[..273].iter().all(|name| name.width == WIDTH));
        assert_eq!(of(Holds::Hashes(1)), [&hashes(1, 0, 256), &hashes(1, 1, 17)]);
        assert_eq!(of(Holds::Hashes(2)), [&hashes(2, 0, 1)]);
        assert_eq!(of(Holds::Entries).len(), 274);
        assert_eq!(all.len(), 274 + 2 + 1 + 274);
        assert_eq!(TileName::all(0).count(), 0);
        let of_256: Vec<String> = TileName::all(256).map(|name| name.to_string()).collect();
        assert_eq!(of_256, ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]);
    }

    #[test]
    fn every_node_of_a_tree_follows_from_its_tile() {
        let size = 70_000_u64;
        let (mut range, mut nodes) = (Range::default(), Vec::new());
        for number in 0..size {
            range
                .push(Hash::of_leaf(&number.to_be_bytes()), |place, hash| nodes.push((place, hash)))
                .unwrap();
        }
        let by_place: HashMap<Place, Hash> = nodes.iter().copied().collect();
        let tiles: HashMap<TileName, Tile> = TileName::all(size)
            .filter_map(|name| {
                let Holds::Hashes(level) = name.holds else { return None };
                let first = name.index * u64::from(WIDTH);
                let place = |index| Place { level: level * HEIGHT, index };
                let hashes: Vec<Hash> =
                    (first..first + u64::from(name.width)).map(|index| by_place[&place(index)]).collect();
                Some((name, Tile::parse(name, &Tile::bytes(&hashes)).unwrap()))
            })
            .collect();
        for (place, hash) in &nodes {
            let tile = &tiles[&TileName::above(*place, size).unwrap()];
            assert_eq!(tile.node(*place), Some(*hash), "{place:?}");
        }
        assert_eq!(tiles[&hashes(0, 5, 256)].root(), Some(by_place[&Place { level: 8, index: 5 }]));
        assert_eq!(tiles[&hashes(0, 273, 112)].root(), None);
        // A node that is not there yet.
        assert_eq!(TileName::above(Place { level: 0, index: size }, size), None);
        assert_eq!(TileName::above(Place { level: 17, index: 0 }, size), None);
        let elsewhere = Place { level: 0, index: 256 };
        assert_eq!(tiles[&hashes(0, 0, 256)].node(elsewhere), None);
        assert_eq!(tiles[&hashes(0, 273, 112)].node(Place { level: 0, index: 273 * 256 + 112 }), None);
    }

    #[test]
    fn a_file_of_another_length_is_not_that_tile() {
        let name = hashes(0, 0, 2);
        assert!(Tile::parse(name, &[7; 64]).is_ok());
        for length in [0, 32, 63, 65, 96] {
            let error = Tile::parse(name, &vec![7; length]).unwrap_err();
            assert_eq!(error.to_string(), format!("tile/0/000.p/2 has {length} bytes, and its name says 64"));
        }
    }

    #[test]
    fn no_place_or_size_panics() {
        for size in [0, 1, 255, 256, 257, u64::MAX] {
            for level in 0..=255 {
                for index in [0, 1, 255, 256, u64::MAX] {
                    let place = Place { level, index };
                    let Some(name) = TileName::above(place, size) else { continue };
                    let hashes = vec![Hash::of_nothing(); usize::from(name.width)];
                    assert!(Tile::parse(name, &Tile::bytes(&hashes)).unwrap().node(place).is_some());
                }
            }
        }
    }
}
