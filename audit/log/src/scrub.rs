//! Everything that is on the disk, read again and held against the newest checkpoint: what rots is found before it is needed.

use std::path::PathBuf;

use tlog::{BadBundle, BadTile, Bundle, Checkpoint, Hash, Holds, Range, Tile, TileName, WIDTH};

use crate::engine::integrate::{texts_in, texts_path};
use crate::read::Files;

/// A file that is not what it was.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// It is no tile.
    #[error("a tile is damaged")]
    Tile(#[source] BadTile),
    /// It is no bundle.
    #[error("a bundle is damaged")]
    Bundle(#[source] BadBundle),
    /// It is another one.
    #[error("{0} has other bytes than the checkpoint speaks of")]
    Differs(String),
    /// The texts beside a bundle.
    #[error("{0} is torn")]
    Texts(String),
}

/// A reading of all files of a checkpoint, bundle by bundle.
pub struct Scrub {
    files: Files,
    folder: PathBuf,
    checkpoint: Checkpoint,
    range: Range,
    /// The hashes of each level's last tile, as long as it is not whole.
    levels: Vec<Vec<Hash>>,
    next: u64,
}

impl Scrub {
    /// From the first bundle on.
    pub fn new(folder: PathBuf, checkpoint: Checkpoint) -> Self {
        let files = Files::new(folder.clone());
        Self { files, folder, checkpoint, range: Range::default(), levels: Vec::new(), next: 0 }
    }

    /// How many records were read.
    pub fn position(&self) -> u64 {
        self.range.size()
    }

    /// Reads the next bundle with its tile, its texts, and the tiles above that it completes: how many bytes that were. `None` at the end.
    pub fn step(&mut self) -> Result<Option<u64>, Damage> {
        let Some(name) = TileName::in_tree(Holds::Entries, self.next, self.checkpoint.size) else {
            return self.end().map(|()| None);
        };
        self.next = self.next.saturating_add(1);
        let bytes = self.files.tile(name).ok_or_else(|| Damage::Missing(name.to_string()))?;
        let bundle = Bundle::parse(name, &bytes).map_err(Damage::Bundle)?;
        let mut full = Vec::new();
        for entry in bundle.entries() {
            let levels = &mut self.levels;
            let pushed = self.range.push(Hash::of_leaf(entry), |place, hash| {
                if place.level % 8 == 0 {
                    collect(
                        levels,
                        usize::from(place.level / 8),
                        (place.level / 8, place.index),
                        hash,
                        &mut full,
                    );
                }
            });
            pushed.map_err(|_| Damage::Differs(name.to_string()))?;
        }
        let mut read = bytes.len();
        for (tile, hashes) in full {
            read = read.saturating_add(self.holds(tile, &hashes)?);
        }
        read = read.saturating_add(self.texts(name)?);
        Ok(Some(u64::try_from(read).unwrap_or(u64::MAX)))
    }

    /// The tiles that are not whole, and the root.
    fn end(&self) -> Result<(), Damage> {
        for (level, hashes) in (0_u8..).zip(&self.levels).filter(|(_, hashes)| !hashes.is_empty()) {
            let all = self.checkpoint.size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0);
            let index = all.checked_div(u64::from(WIDTH)).unwrap_or(0);
            if let Some(name) = TileName::in_tree(Holds::Hashes(level), index, self.checkpoint.size) {
                self.holds(name, hashes)?;
            }
        }
        if self.range.root() == self.checkpoint.root {
            Ok(())
        } else {
            Err(Damage::Differs("the tree".to_owned()))
        }
    }

    fn holds(&self, name: TileName, hashes: &[Hash]) -> Result<usize, Damage> {
        let bytes = self.files.tile(name).ok_or_else(|| Damage::Missing(name.to_string()))?;
        let tile = Tile::parse(name, &bytes).map_err(Damage::Tile)?;
        if tile.hashes() == hashes { Ok(bytes.len()) } else { Err(Damage::Differs(name.to_string())) }
    }

    /// That the texts are as many as the entries. Whether each is what its record is committed to is seen by who may open them.
    fn texts(&self, name: TileName) -> Result<usize, Damage> {
        let path = texts_path(name.whole());
        let Ok(bytes) = std::fs::read(self.folder.join(&path)) else { return Ok(0) };
        match texts_in(&bytes) {
            Some(count) if count == u64::from(WIDTH) => Ok(bytes.len()),
            _ => Err(Damage::Texts(path)),
        }
    }
}

/// Puts a hash into the last tile of its level; one that is whole goes to `full`.
fn collect(
    levels: &mut Vec<Vec<Hash>>,
    level: usize,
    (number, index): (u8, u64),
    hash: Hash,
    full: &mut Vec<(TileName, Vec<Hash>)>,
) {
    if levels.len() <= level {
        levels.resize(level.saturating_add(1), Vec::new());
    }
    let Some(hashes) = levels.get_mut(level) else { return };
    hashes.push(hash);
    if hashes.len() == usize::from(WIDTH) {
        let index = index.checked_div(u64::from(WIDTH)).unwrap_or(0);
        full.push((TileName { holds: Holds::Hashes(number), index, width: WIDTH }, std::mem::take(hashes)));
    }
}
