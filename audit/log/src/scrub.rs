//! Everything that is on the disk, read again and held against a checkpoint: what rots is found before it is needed.
//!
//! The tree may grow meanwhile: a file that is not whole is the beginning of the wider one that took its place.

mod pruned;

use std::fs::File;
use std::path::PathBuf;

use record::{Record, What};
use rustix::fs::{Advice, fadvise};
use tlog::{BadBundle, BadTile, Bundle, Checkpoint, Hash, Holds, Place, Range, Tile, TileName, WIDTH};

use crate::engine::integrate::texts_path;
use crate::engine::prune::Begins;
use crate::read::{Files, each_sealed};

/// How often a file is looked for that may just have become wider.
const LOOKS: usize = 3;

/// A file that is not what it was.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is not there.
    #[error("{0} is missing, or cannot be read")]
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
    /// One of the two is another one.
    #[error("{0} and {1} contradict each other: one of them was changed")]
    Apart(String, String),
    /// All files fit each other, and not the checkpoint.
    #[error("the tree has another root than the checkpoint")]
    Root,
    /// The texts beside a bundle.
    #[error("{0} is torn or missing, or lacks texts")]
    Texts(String),
}

/// What was read at once.
#[derive(Debug, Default)]
pub struct Step {
    /// How many bytes that were.
    pub bytes: u64,
    /// What of it is damaged.
    pub found: Vec<Damage>,
}

/// A reading of all files of a checkpoint, bundle by bundle. What is damaged does not end it.
pub struct Scrub {
    files: Files,
    folder: PathBuf,
    checkpoint: Checkpoint,
    begins: Begins,
    range: Range,
    /// The hashes of the last tile of each level above the leaves', as long as it is not whole.
    levels: Vec<Vec<Hash>>,
    next: u64,
    /// Whether every leaf so far has a hash: else nothing can be said of what stands above them.
    is_sound: bool,
    is_over: bool,
}

impl Scrub {
    /// From the first bundle on.
    pub fn new(folder: PathBuf, checkpoint: Checkpoint) -> Self {
        let files = Files::new(folder.clone());
        let (range, levels) = (Range::default(), Vec::new());
        Self {
            files,
            folder,
            checkpoint,
            begins: Begins::default(),
            range,
            levels,
            next: 0,
            is_sound: true,
            is_over: false,
        }
    }

    /// How many records were read.
    pub fn position(&self) -> u64 {
        self.next.saturating_mul(u64::from(WIDTH)).min(self.checkpoint.size)
    }

    /// Reads the next bundle with its tile, its texts, and the tiles above that it completes; in the end the tiles that are not whole, and
    /// the root. `None`: that was all.
    pub fn step(&mut self) -> Option<Step> {
        let mut step = Step::default();
        if self.is_before_the_beginning() {
            self.skip(&mut step);
            return Some(step);
        }
        let Some(name) = TileName::in_tree(Holds::Entries, self.next, self.checkpoint.size) else {
            if std::mem::replace(&mut self.is_over, true) {
                return None;
            }
            self.end(&mut step);
            return Some(step);
        };
        let tile = TileName { holds: Holds::Hashes(0), ..name };
        let read = (self.bundle(name, &mut step), self.tile(tile, &mut step));
        if self.is_before_the_beginning() {
            // It was pruned while it was read.
            return Some(Step { bytes: step.bytes, found: Vec::new() });
        }
        self.next = self.next.saturating_add(1);
        let leaves = match read {
            (Some(bundle), Some(tile)) if bundle == tile => bundle,
            (Some(bundle), Some(tile)) => self.right_one(name, bundle, tile, &mut step),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => {
                self.is_sound = false;
                return Some(step);
            }
        };
        if self.is_sound {
            self.grow(&leaves, &mut step);
        }
        Some(step)
    }

    /// Counts the leaves, and holds the tiles above against them that they complete.
    fn grow(&mut self, leaves: &[Hash], step: &mut Step) {
        let mut full = Vec::new();
        for leaf in leaves {
            let levels = &mut self.levels;
            let pushed = self.range.push(*leaf, |place, hash| {
                if place.level > 0 && place.level % 8 == 0 {
                    collect(levels, place, hash, &mut full);
                }
            });
            self.is_sound &= pushed.is_ok();
        }
        full.into_iter().for_each(|(tile, hashes)| self.holds(tile, &hashes, step));
    }

    /// The tiles that are not whole, and the root.
    fn end(&self, step: &mut Step) {
        if !self.is_sound {
            return;
        }
        for (level, hashes) in (0_u8..).zip(&self.levels).filter(|(_, hashes)| !hashes.is_empty()) {
            let all = self.checkpoint.size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0);
            let index = all.checked_div(u64::from(WIDTH)).unwrap_or(0);
            if let Some(name) = TileName::in_tree(Holds::Hashes(level), index, self.checkpoint.size) {
                self.holds(name, hashes, step);
            }
        }
        if self.range.root() != self.checkpoint.root {
            step.found.push(Damage::Root);
        }
    }

    /// The hashes of a bundle's entries. Its texts are looked at, too.
    fn bundle(&self, name: TileName, step: &mut Step) -> Option<Vec<Hash>> {
        let bytes = self.read(name, step)?;
        let bundle = match Bundle::parse(name, &bytes) {
            Ok(bundle) => bundle,
            Err(error) => {
                step.found.push(Damage::Bundle(error));
                return None;
            }
        };
        self.texts(name, &bundle, step);
        Some(bundle.entries().iter().map(|entry| Hash::of_leaf(entry)).collect())
    }

    fn tile(&self, name: TileName, step: &mut Step) -> Option<Vec<Hash>> {
        let bytes = self.read(name, step)?;
        let tile = Tile::parse(name, &bytes).map_err(Damage::Tile);
        tile.map(|tile| tile.hashes().to_vec()).map_err(|damage| step.found.push(damage)).ok()
    }

    fn holds(&self, name: TileName, hashes: &[Hash], step: &mut Step) {
        if self.tile(name, step).is_some_and(|found| found != hashes) {
            step.found.push(Damage::Differs(name.to_string()));
        }
    }

    /// A bundle and its tile contradict each other: which one the tree above knows.
    fn right_one(&self, name: TileName, bundle: Vec<Hash>, tile: Vec<Hash>, step: &mut Step) -> Vec<Hash> {
        let hashes = TileName { holds: Holds::Hashes(0), ..name }.to_string();
        if self.is_known(name, &bundle) {
            step.found.push(Damage::Differs(hashes));
            return bundle;
        }
        step.found.push(if self.is_known(name, &tile) {
            Damage::Differs(name.to_string())
        } else {
            Damage::Apart(name.to_string(), hashes)
        });
        tile
    }

    /// Whether the tile above a whole one, or the checkpoint above the last one, has what follows from these leaves.
    fn is_known(&self, name: TileName, leaves: &[Hash]) -> bool {
        let root = |mut range: Range| {
            let pushed = leaves.iter().try_for_each(|leaf| range.push(*leaf, |_, _| ()));
            pushed.ok().map(|()| range.root())
        };
        if name.width < WIDTH {
            return self.is_sound && root(self.range.clone()) == Some(self.checkpoint.root);
        }
        let place = Place { level: 8, index: name.index };
        let above = TileName::above(place, self.checkpoint.size)
            .and_then(|above| Tile::parse(above, &self.files.tile(above)?).ok()?.node(place));
        above.is_some() && above == root(Range::default())
    }

    /// That the texts are as many as the entries, and there, where an entry has one. Whether each is what its record is committed to is seen
    /// by who may open them.
    fn texts(&self, name: TileName, bundle: &Bundle<'_>, step: &mut Step) {
        let path = texts_path(name.whole());
        self.forget_memory_of(&path);
        let lengths = each_sealed(&self.folder, name.index, |text| text.len());
        let read: usize = lengths.iter().flatten().sum();
        step.bytes = step.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        let has_text = |entry: &&[u8]| match Record::decode(entry).map(|record| record.what) {
            Ok(What::Statement(statement)) => statement.text.is_some(),
            _ => false,
        };
        let entries = bundle.entries();
        let is_whole = match lengths {
            Err(_) => false,
            Ok(none) if none.is_empty() => !entries.iter().any(has_text),
            Ok(lengths) => {
                lengths.len() >= entries.len()
                    && entries.iter().zip(lengths).all(|(entry, length)| length > 0 || !has_text(entry))
            }
        };
        if !is_whole {
            step.found.push(Damage::Texts(path));
        }
    }

    /// A file of the tree, which may be wider by now.
    fn read(&self, name: TileName, step: &mut Step) -> Option<Vec<u8>> {
        self.forget_memory_of(&name.to_string());
        let Some(bytes) = (0..LOOKS).find_map(|_| self.files.tile(name)) else {
            step.found.push(Damage::Missing(name.to_string()));
            return None;
        };
        step.bytes = step.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Some(bytes)
    }

    /// What the system remembers of a file says nothing of the disk: it forgets it, if it can.
    fn forget_memory_of(&self, path: &str) {
        if let Ok(file) = File::open(self.folder.join(path)) {
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
        }
    }
}

/// Puts a hash into the last tile of its level; one that is whole goes to `full`.
fn collect(levels: &mut Vec<Vec<Hash>>, place: Place, hash: Hash, full: &mut Vec<(TileName, Vec<Hash>)>) {
    let number = place.level / 8;
    let level = usize::from(number);
    if levels.len() <= level {
        levels.resize(level.saturating_add(1), Vec::new());
    }
    let Some(hashes) = levels.get_mut(level) else { return };
    hashes.push(hash);
    if hashes.len() == usize::from(WIDTH) {
        let index = place.index.checked_div(u64::from(WIDTH)).unwrap_or(0);
        full.push((TileName { holds: Holds::Hashes(number), index, width: WIDTH }, std::mem::take(hashes)));
    }
}
