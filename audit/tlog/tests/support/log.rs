//! A log in memory, made by our crate alone: every node, the root at every size, every file that it publishes.

use std::collections::HashMap;
use std::convert::Infallible;

use tlog::{Bundle, Hash, Holds, Place, Range, Tile, TileName, WIDTH};

/// A log that has grown from nothing, entry by entry.
pub struct Log {
    /// What it holds.
    pub entries: Vec<Vec<u8>>,
    nodes: HashMap<Place, Hash>,
    roots: Vec<Hash>,
}

impl Log {
    /// One of these entries.
    pub fn new(entries: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut range = Range::default();
        let mut log = Self { entries: Vec::new(), nodes: HashMap::new(), roots: vec![range.root()] };
        for entry in entries {
            range.push(Hash::of_leaf(&entry), |place, hash| _ = log.nodes.insert(place, hash)).unwrap();
            log.roots.push(range.root());
            log.entries.push(entry);
        }
        log
    }

    /// One of so many entries, each of them another.
    pub fn of_size(size: u64) -> Self {
        Self::new((0..size).map(|number| format!("entry {number}").into_bytes()))
    }

    /// The root that it had at this size.
    pub fn root(&self, size: u64) -> Hash {
        self.roots[usize::try_from(size).unwrap()]
    }

    /// The hash at this place.
    pub fn node(&self, place: Place) -> Hash {
        self.nodes[&place]
    }

    /// The proof that the entry of this number was in it at this size.
    pub fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        tlog::inclusion(index, size, |place| Ok::<_, Infallible>(self.node(place))).unwrap()
    }

    /// The proof that it grew from the one size to the other.
    pub fn consistency(&self, old: u64, new: u64) -> Vec<Hash> {
        tlog::consistency(old, new, |place| Ok::<_, Infallible>(self.node(place))).unwrap()
    }

    /// The bytes of one of its files.
    pub fn file(&self, name: TileName) -> Vec<u8> {
        let first = name.index * u64::from(WIDTH);
        let numbers = first..first + u64::from(name.width);
        match name.holds {
            Holds::Hashes(level) => {
                let place = |index| Place { level: level * 8, index };
                Tile::bytes(&numbers.map(|index| self.node(place(index))).collect::<Vec<_>>())
            }
            Holds::Entries => {
                let mut bytes = Vec::new();
                for number in numbers {
                    let entry = &self.entries[usize::try_from(number).unwrap()];
                    Bundle::put(entry, &mut bytes).unwrap();
                }
                bytes
            }
        }
    }
}
