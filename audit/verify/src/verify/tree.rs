//! The tree of a log, computed anew from its entries, and compared with every tile.
//!
//! Of each bundle the hash above its 256 entries is kept until its tile is full; so no more than one tile of each level is.

use tlog::{Checkpoint, Hash, Holds, Range, TileName, WIDTH};

use super::{Unreadable, entries_before, whole};
use crate::files::Files;
use crate::finding::Wrong;
use crate::notice::Notice;
use crate::report::Found;
use crate::source::Source;

/// Levels of the tree between two levels of tiles.
const HEIGHT: u8 = 8;

/// How many hashes a whole tile has.
const WHOLE: u64 = 256;

/// A tree, as far as it is read.
pub(crate) struct Tree<'f, 's, S> {
    files: &'f Files<'s, S>,
    size: u64,
    /// Of the hashes above whole bundles.
    blocks: Range,
    /// What the last bundle adds, where it is not whole.
    rest: Vec<Hash>,
    /// The tile that is being filled, of each level from 1 on: its number, and its hashes so far.
    tiles: Vec<(u64, Vec<Hash>)>,
    /// Whether everything so far is in it.
    is_known: bool,
    older: Option<Checkpoint>,
    /// The tile of level 1 that was read last: its number, and its hashes, where they can be read.
    above: Option<(u64, Option<Vec<Hash>>)>,
}

type Read<T, S> = Result<T, Unreadable<<S as Source>::Error>>;

impl<'f, 's, S: Source> Tree<'f, 's, S> {
    /// The tree of `size` entries, whose first `first` bundles are taken from the tiles above them.
    pub(crate) fn begin(
        files: &'f Files<'s, S>,
        (first, size): (u64, u64),
        older: Option<Checkpoint>,
        found: &mut Found<'_>,
    ) -> Read<Self, S> {
        let (blocks, rest, tiles) = (Range::default(), Vec::new(), Vec::new());
        let mut tree = Self { files, size, blocks, rest, tiles, is_known: true, older, above: None };
        for block in 0..first {
            if !tree.is_known {
                break;
            }
            let leaves = match &tree.older {
                Some(older) if older.size / WHOLE == block => tree.tile(0, block, None)?,
                _ => None,
            };
            tree.older_at(block, leaves.as_deref(), found);
            let node = tree.parent(block)?;
            tree.push(block, node, found)?;
        }
        Ok(tree)
    }

    /// How many entries it has when it is read.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Takes the leaf hashes of the next bundle; `None`, where it could not be read, and its tile says them alone.
    pub(crate) fn block(
        &mut self,
        block: u64,
        leaves: Option<&[Hash]>,
        found: &mut Found<'_>,
    ) -> Read<(), S> {
        let tile = self.tile(0, block, Some(found))?;
        if let (Some(leaves), Some(tile), Some(name)) = (leaves, &tile, self.name(0, block)) {
            let differ = leaves.iter().zip(tile).enumerate().filter(|(_, (leaf, hash))| leaf != hash);
            for (number, _) in differ {
                let index = entries_before(block).saturating_add(u64::try_from(number).unwrap_or(u64::MAX));
                found.wrong(whole(Some(index), Wrong::EntryDiffers { path: name.to_string() }));
            }
        }
        if !self.is_known {
            return Ok(());
        }
        let leaves = self.believed(block, leaves, tile.as_deref())?;
        self.older_at(block, leaves, found);
        match leaves {
            Some(leaves) if leaves.len() == usize::from(WIDTH) => {
                self.push(block, Some(range(leaves).root()), found)
            }
            Some(leaves) => {
                self.rest = range(leaves).peaks().to_vec();
                Ok(())
            }
            None => {
                let node = self.parent(block)?;
                self.push(block, node, found)
            }
        }
    }

    /// Compares the tiles that are not full, and the root.
    pub(crate) fn end(mut self, checkpoint: &Checkpoint, found: &mut Found<'_>) -> Read<(), S> {
        for level in 1..=self.tiles.len() {
            self.compare(level, found)?;
        }
        if !self.is_known {
            return Ok(());
        }
        let root = self.root(&self.rest);
        if root != Some(checkpoint.root) {
            found.wrong(whole(None, Wrong::Root));
        }
        let older = self.older.take().filter(|older| older.size == checkpoint.size);
        if let Some(older) = older
            && root != Some(older.root)
        {
            found.wrong(whole(None, Wrong::Rewritten { before: older.size }));
        }
        Ok(())
    }

    /// Which hashes to go on with: those of the entries, unless the tile's agree with the level above and the entries' do not.
    fn believed<'h>(
        &mut self,
        block: u64,
        leaves: Option<&'h [Hash]>,
        tile: Option<&'h [Hash]>,
    ) -> Read<Option<&'h [Hash]>, S> {
        let (Some(of_entries), Some(of_tile)) = (leaves, tile) else { return Ok(leaves.or(tile)) };
        let is_whole = of_entries.len() == usize::from(WIDTH);
        if of_entries == of_tile || !is_whole {
            return Ok(leaves);
        }
        let parent = self.parent(block)?;
        Ok(if parent == Some(range(of_tile).root()) { tile } else { leaves })
    }

    /// The older checkpoint, if its last entry is in this bundle: whether its root is that of the tree so far. Afterwards it is done with;
    /// one of the whole tree's size waits for the end.
    fn older_at(&mut self, block: u64, leaves: Option<&[Hash]>, found: &mut Found<'_>) {
        let start = entries_before(block);
        let Some(older) = self.older.take_if(|older| {
            (start..start.saturating_add(WHOLE)).contains(&older.size) && older.size < self.size
        }) else {
            return;
        };
        let before = older.size;
        let of_block = usize::try_from(before.saturating_sub(start)).unwrap_or(usize::MAX);
        let root = match (of_block, leaves.and_then(|leaves| leaves.get(..of_block))) {
            (0, _) => Some(self.blocks.root()),
            (_, Some(leaves)) => self.root_at(before, range(leaves).peaks()),
            (_, None) => {
                found.notice(Notice::OlderUnproved { before });
                return;
            }
        };
        if root != Some(older.root) {
            found.wrong(whole(None, Wrong::Rewritten { before }));
        }
    }

    fn root(&self, rest: &[Hash]) -> Option<Hash> {
        self.root_at(self.size, rest)
    }

    fn root_at(&self, size: u64, rest: &[Hash]) -> Option<Hash> {
        let peaks = [self.blocks.peaks(), rest].concat();
        Range::new(size, peaks).ok().map(|range| range.root())
    }

    /// Adds the hash above a whole bundle. Without one nothing can be said of the tree any more.
    fn push(&mut self, block: u64, node: Option<Hash>, found: &mut Found<'_>) -> Read<(), S> {
        let Some(node) = node else {
            self.is_known = false;
            found.wrong(whole(Some(entries_before(block)), Wrong::TreeLost));
            return Ok(());
        };
        let tiles = &mut self.tiles;
        let pushed = self.blocks.push(node, |place, hash| {
            if place.level % HEIGHT == 0 {
                let level = usize::from(place.level / HEIGHT);
                if tiles.len() <= level {
                    tiles.resize(level.saturating_add(1), (0, Vec::new()));
                }
                if let Some((_, hashes)) = tiles.get_mut(level) {
                    hashes.push(hash);
                }
            }
        });
        self.is_known = pushed.is_ok();
        for level in 1..=self.tiles.len() {
            let is_full = |(_, hashes): &(u64, Vec<Hash>)| hashes.len() == usize::from(WIDTH);
            if self.tiles.get(level.saturating_sub(1)).is_some_and(is_full) {
                self.compare(level, found)?;
            }
        }
        Ok(())
    }

    /// Compares the tile of this level, 1 or higher, with what was computed for it, and begins the next one.
    fn compare(&mut self, level: usize, found: &mut Found<'_>) -> Read<(), S> {
        let Some((index, hashes)) = self.tiles.get_mut(level.saturating_sub(1)) else { return Ok(()) };
        let (number, computed) = (*index, std::mem::take(hashes));
        *index = index.saturating_add(1);
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        if computed.is_empty() || !self.is_known {
            return Ok(());
        }
        let Some(stored) = self.tile(level, number, Some(found))? else { return Ok(()) };
        let differs = stored.iter().zip(&computed).position(|(stored, computed)| stored != computed);
        if let (Some(number), Some(name)) = (differs, self.name(level, number)) {
            found.wrong(whole(None, Wrong::TileDiffers { path: name.to_string(), number }));
        }
        Ok(())
    }

    /// The hash above a whole bundle, as the tile of level 1 has it.
    fn parent(&mut self, block: u64) -> Read<Option<Hash>, S> {
        let (tile, number) = (block / WHOLE, block % WHOLE);
        if self.above.as_ref().is_none_or(|(read, _)| *read != tile) {
            self.above = Some((tile, self.tile(1, tile, None)?));
        }
        let hashes = self.above.as_ref().and_then(|(_, hashes)| hashes.as_ref());
        Ok(hashes.and_then(|hashes| hashes.get(usize::try_from(number).ok()?).copied()))
    }

    fn name(&self, level: u8, index: u64) -> Option<TileName> {
        TileName::in_tree(Holds::Hashes(level), index, self.size)
    }

    /// The hashes of a tile, as many as the tree of this size has; `None`, where they cannot be read, which `found` hears of.
    fn tile(&self, level: u8, index: u64, found: Option<&mut Found<'_>>) -> Read<Option<Vec<Hash>>, S> {
        let Some(name) = self.name(level, index) else { return Ok(None) };
        let path = name.to_string();
        let wrong = match self.files.tile(name)? {
            Some(Ok(hashes)) => return Ok(Some(hashes)),
            Some(Err(why)) => Wrong::TileDamaged { path, why },
            None => Wrong::TileMissing { path },
        };
        if let Some(found) = found {
            found.wrong(whole(None, wrong));
        }
        Ok(None)
    }
}

/// The tree of these leaves alone.
pub(crate) fn range(leaves: &[Hash]) -> Range {
    let mut range = Range::default();
    for leaf in leaves {
        // A bundle has 256 at most: there is always room.
        let _ = range.push(*leaf, |_, _| ());
    }
    range
}
