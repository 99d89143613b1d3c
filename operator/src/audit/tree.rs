//! What is proved of the audit log's tree: that it has grown out of an older one, and that a record is in it. Its files may say what they
//! like: what counts is that they lead to the root of its checkpoint.

use std::collections::HashMap;

use tlog::{
    Checkpoint, Hash, Holds, NoProof, Place, Tile, TileName, WIDTH, consistency, inclusion, verify_inclusion,
};

use super::streams::{CannotAsk, Log};

/// Why nothing is proved.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The log.
    #[error("cannot read the audit log")]
    Log(#[from] CannotAsk),
    /// What it answered is not what it signed.
    #[error("the audit log's files are not those of its checkpoint: {0}")]
    Files(&'static str),
}

/// Where a leaf stands, as the files say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// At this index.
    At(u64),
    /// Nowhere below this one.
    NoneBelow(u64),
}

/// The tree of a checkpoint, of which each tile is read once.
pub struct Tree<'a, L> {
    log: &'a L,
    of: &'a Checkpoint,
    tiles: HashMap<TileName, Tile>,
}

impl<'a, L: Log> Tree<'a, L> {
    /// Of which nothing is read.
    pub fn of(log: &'a L, checkpoint: &'a Checkpoint) -> Self {
        Self { log, of: checkpoint, tiles: HashMap::new() }
    }

    /// The proof that it has grown out of a tree of that size.
    pub async fn growth(&mut self, old: u64) -> Result<Vec<Hash>, Unread> {
        let new = self.of.size;
        self.proof(|node| consistency(old, new, node)).await
    }

    /// Whether it has this leaf at that index.
    pub async fn has(&mut self, index: u64, leaf: Hash) -> Result<bool, Unread> {
        let Checkpoint { size, root, .. } = *self.of;
        let way = self.proof(|node| inclusion(index, size, node)).await?;
        Ok(verify_inclusion((index, leaf), (size, root), &way).is_ok())
    }

    /// Looks for this leaf from that index on, in so many tiles at the most.
    pub async fn find(&mut self, leaf: Hash, from: u64, most: u64) -> Result<Sighting, Unread> {
        let width = u64::from(WIDTH);
        let first = from.checked_div(width).unwrap_or_default();
        let last = self.of.size.div_ceil(width).min(first.saturating_add(most));
        for number in first..last {
            let name = TileName::in_tree(Holds::Hashes(0), number, self.of.size);
            let name = name.ok_or(Unread::Files("a tile without hashes"))?;
            let tile = self.read(name).await?;
            let mut places = tile.hashes().iter().zip(number.saturating_mul(width)..);
            if let Some((_, index)) = places.find(|(hash, index)| **hash == leaf && *index >= from) {
                self.tiles.insert(name, tile);
                return Ok(Sighting::At(index));
            }
        }
        Ok(Sighting::NoneBelow(last.saturating_mul(width).min(self.of.size)))
    }

    /// A proof: which nodes it takes, then those nodes out of their tiles.
    async fn proof(
        &mut self,
        make: impl Fn(&mut dyn FnMut(Place) -> Result<Hash, Unread>) -> Result<Vec<Hash>, NoProof<Unread>>,
    ) -> Result<Vec<Hash>, Unread> {
        let size = self.of.size;
        let mut wanted = Vec::new();
        let note = &mut |place| {
            wanted.push(place);
            Ok(Hash::of_nothing())
        };
        make(note).map_err(unread)?;
        for place in wanted {
            let name = TileName::above(place, size).ok_or(Unread::Files("a node of no tile"))?;
            if !self.tiles.contains_key(&name) {
                let tile = self.read(name).await?;
                self.tiles.insert(name, tile);
            }
        }
        let node = &mut |place| {
            let tile = TileName::above(place, size).and_then(|name| self.tiles.get(&name));
            tile.and_then(|tile| tile.node(place)).ok_or(Unread::Files("a node is missing"))
        };
        make(node).map_err(unread)
    }

    async fn read(&self, name: TileName) -> Result<Tile, Unread> {
        let bytes = self.log.tile(name).await?;
        Tile::parse(name, &bytes).map_err(|_| Unread::Files("no tile"))
    }
}

fn unread(error: NoProof<Unread>) -> Unread {
    match error {
        NoProof::Node(unread) => unread,
        NoProof::OutOfTree { .. } => Unread::Files("a tree that cannot be"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::faked::FakeLog;
    use super::*;

    #[tokio::test]
    async fn a_leaf_is_looked_for_piece_by_piece() {
        let mut log = FakeLog::default();
        log.others(700);
        let (of, leaf) = (log.checkpoint(), Hash::of_leaf(&log.entries[600]));
        let mut tree = Tree::of(&log, &of);
        for (from, most, expected) in [
            (3, 1, Sighting::NoneBelow(256)),
            (256, 1, Sighting::NoneBelow(512)),
            (512, 1, Sighting::At(600)),
            (600, 9, Sighting::At(600)),
            (601, 9, Sighting::NoneBelow(700)),
            (700, 9, Sighting::NoneBelow(700)),
        ] {
            assert_eq!(tree.find(leaf, from, most).await.unwrap(), expected, "{from}");
        }
        assert!(tree.has(600, leaf).await.unwrap() && !tree.has(601, leaf).await.unwrap());
    }
}
