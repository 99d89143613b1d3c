//! The nodes of a tree of one size: read from its tiles, or computed from the entries of a bundle.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tlog::{BadTile, Checkpoint, Hash, NoProof, Place, Tile, TileName, inclusion, verify_inclusion};

use crate::files::Files;
use crate::source::Source;
use crate::verify::{Unreadable, entries_before, range};

/// Why the files prove nothing of an entry.
#[derive(Debug, thiserror::Error)]
pub enum Unproved<E> {
    /// A file could not be read.
    #[error(transparent)]
    Unreadable(Unreadable<E>),
    /// The tree is smaller.
    #[error("the checkpoint is of {size} entries, and there is no entry {index} among them")]
    NoEntry {
        /// Which entry.
        index: u64,
        /// How many there are.
        size: u64,
    },
    /// A file is not there.
    #[error("the log has no file {0}, which its checkpoint needs")]
    Missing(String),
    /// A file is not what its name says.
    #[error("the log's file {path} is damaged or altered ({why})")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with its bytes.
        why: String,
    },
    /// They lead to another root.
    #[error(
        "the entries from {from} on are not those that the checkpoint signs: they or their hashes were altered"
    )]
    Differs {
        /// The first of the bundle.
        from: u64,
    },
}

/// The nodes of a tree of one size. Each tile is read once.
pub(crate) struct Nodes {
    size: u64,
    tiles: HashMap<TileName, Tile>,
}

type Proved<T, S> = Result<T, Unproved<<S as Source>::Error>>;

impl Nodes {
    pub(crate) fn of(size: u64) -> Self {
        Self { size, tiles: HashMap::new() }
    }

    /// The hash at this place, by the tile that has it.
    pub(crate) fn node<S: Source>(&mut self, files: &Files<'_, S>, place: Place) -> Proved<Hash, S> {
        let (index, size) = (place.index.checked_shl(place.level.into()).unwrap_or(u64::MAX), self.size);
        let name = TileName::above(place, size).ok_or(Unproved::NoEntry { index, size })?;
        let tile = match self.tiles.entry(name) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(unread) => {
                let found = files.file(name).map_err(Unproved::Unreadable)?;
                let found = found.ok_or_else(|| Unproved::Missing(name.to_string()))?;
                let damaged =
                    |error: BadTile| Unproved::Damaged { path: name.to_string(), why: error.to_string() };
                unread.insert(found.tile().map_err(damaged)?)
            }
        };
        tile.node(place).ok_or_else(|| Unproved::Missing(name.to_string()))
    }

    /// The way of one entry to the root.
    pub(crate) fn way<S: Source>(&mut self, files: &Files<'_, S>, index: u64) -> Proved<Vec<Hash>, S> {
        let size = self.size;
        inclusion(index, size, |place| self.node(files, place)).map_err(of_no_proof)
    }

    /// That these are the leaves of this bundle in the tree of the checkpoint, whose size is the tree's. The way of the bundle's first leaf
    /// goes past all others of the bundle; what is beside it there is computed from the leaves, and only what is outside is read.
    pub(crate) fn proves<S: Source>(
        &mut self,
        files: &Files<'_, S>,
        block: u64,
        leaves: &[Hash],
        checkpoint: &Checkpoint,
    ) -> Proved<(), S> {
        let (start, size) = (entries_before(block), self.size);
        let differs = Unproved::Differs { from: start };
        let Some(first) = leaves.first() else { return Err(differs) };
        let own = |place: Place| {
            let from = place.index.checked_shl(place.level.into())?.checked_sub(start)?;
            let (from, count) = (usize::try_from(from).ok()?, 1_usize.checked_shl(place.level.into())?);
            Some(range(leaves.get(from..from.checked_add(count)?)?).root())
        };
        let node = |place| own(place).map_or_else(|| self.node(files, place), Ok);
        let way = inclusion(start, size, node).map_err(of_no_proof)?;
        let proved = verify_inclusion((start, *first), (checkpoint.size, checkpoint.root), &way);
        proved.map_err(|_| differs)
    }
}

pub(crate) fn of_no_proof<E>(error: NoProof<Unproved<E>>) -> Unproved<E> {
    match error {
        NoProof::Node(unproved) => unproved,
        NoProof::OutOfTree { what: index, size } => Unproved::NoEntry { index, size },
    }
}
