//! Everything that lies there, read again and held against a checkpoint: what rots is found before it is needed. Then the wrapped keys.
//!
//! The tree may grow meanwhile: a file that is not whole is the beginning of the wider one that took its place.

mod pruned;

use record::{Record, Uid, What};
use tlog::{BadBundle, BadTile, Bundle, Checkpoint, Hash, Holds, Place, Range, Tile, TileName, WIDTH};

use crate::engine::integrate::texts_path;
use crate::engine::keys::{KEYS, NEW};
use crate::read::{Files, each_sealed};
use crate::seal::{Keys, WRAPPED};
use crate::wrapped::grant_of;

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
    /// The key of a grant.
    #[error(
        "{0} is no key of a grant, or no key-encryption key here opens it: the grant's texts cannot be read"
    )]
    Key(String),
}

impl Damage {
    /// The files of the tree or of texts of which one or the other is damaged.
    pub fn files(&self) -> Vec<String> {
        match self {
            Self::Missing(path) | Self::Differs(path) | Self::Texts(path) => vec![path.clone()],
            Self::Tile(error) => vec![error.name().to_string()],
            Self::Bundle(error) => vec![error.name().to_string()],
            Self::Apart(one, other) => vec![one.clone(), other.clone()],
            Self::Root | Self::Key(_) => Vec::new(),
        }
    }
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
    /// What opens the wrapped keys; `None`: only that they have the form of keys is seen.
    keys: Option<Keys>,
    checkpoint: Checkpoint,
    range: Range,
    /// The hashes of the last tile of each level above the leaves', as long as it is not whole.
    levels: Vec<Vec<Hash>>,
    next: u64,
    /// Whether every leaf so far has a hash: else nothing can be said of what stands above them.
    is_sound: bool,
    /// The wrapped keys that are still to be read; `None`, as long as the tree is not over.
    wrapped: Option<Vec<String>>,
}

impl Scrub {
    /// From the first bundle on.
    pub fn new(files: Files, keys: Option<Keys>, checkpoint: Checkpoint) -> Self {
        let (range, levels) = (Range::default(), Vec::new());
        Self { files, keys, checkpoint, range, levels, next: 0, is_sound: true, wrapped: None }
    }

    /// How many records were read.
    pub fn position(&self) -> u64 {
        self.next.saturating_mul(u64::from(WIDTH)).min(self.checkpoint.size)
    }

    /// Whether every leaf so far has a hash. If so, and nothing contradicts the root in the end, all of them lead to it.
    pub fn is_sound(&self) -> bool {
        self.is_sound
    }

    /// Reads the next bundle with its tile, its texts, and the tiles above that it completes; then the tiles that are not whole, and the
    /// root; in the end each wrapped key. `None`: that was all.
    pub fn step(&mut self) -> Option<Step> {
        let mut step = Step::default();
        if self.is_before_the_beginning() {
            self.skip(&mut step);
            return Some(step);
        }
        let Some(name) = TileName::in_tree(Holds::Entries, self.next, self.checkpoint.size) else {
            return self.behind_the_bundles();
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

    fn behind_the_bundles(&mut self) -> Option<Step> {
        let mut step = Step::default();
        match &mut self.wrapped {
            None => {
                self.end(&mut step);
                let names = self.files.source().list(KEYS);
                self.wrapped = Some(names.unwrap_or_else(|_| {
                    step.found.push(Damage::Missing(KEYS.to_owned()));
                    Vec::new()
                }));
            }
            Some(names) => {
                let name = names.pop()?;
                self.key(&name, &mut step);
            }
        }
        Some(step)
    }

    /// A wrapped key. One that is not there any more was erased, and one without a name is not finished.
    fn key(&self, name: &str, step: &mut Step) {
        if name == NEW {
            return;
        }
        let path = format!("{KEYS}/{name}");
        self.files.source().forget(&path);
        let damage = match self.files.source().read(&path) {
            Err(_) => Damage::Missing(path),
            Ok(None) => return,
            Ok(Some(wrapped)) => {
                step.bytes = step.bytes.saturating_add(u64::try_from(wrapped.len()).unwrap_or(u64::MAX));
                let opens = |grant: Uid| match &self.keys {
                    Some(keys) => keys.opens(&grant, wrapped),
                    None => wrapped.len() == WRAPPED,
                };
                if grant_of(name).is_some_and(opens) {
                    return;
                }
                Damage::Key(path)
            }
        };
        step.found.push(damage);
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
            .and_then(|above| Tile::parse(above, &self.files.tile(above).ok()??).ok()?.node(place));
        above.is_some() && above == root(Range::default())
    }

    /// That the texts are as many as the entries, and there, where an entry has one. Whether each is what its record is committed to is seen
    /// by who may open them.
    fn texts(&self, name: TileName, bundle: &Bundle<'_>, step: &mut Step) {
        let path = texts_path(name);
        self.files.source().forget(&path);
        let lengths = each_sealed(self.files.source(), name.index, |text| text.len());
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
        // What the system remembers of a file says nothing of the disk.
        self.files.source().forget(&name.to_string());
        let Some(bytes) = (0..LOOKS).find_map(|_| self.files.tile(name).ok().flatten()) else {
            step.found.push(Damage::Missing(name.to_string()));
            return None;
        };
        step.bytes = step.bytes.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Some(bytes)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use record::samples::uid;

    use super::*;
    use crate::mirror::tests::Log;
    use crate::seal::KeyEncryptionKeys;
    use crate::source::Folder;

    fn keys(line: &str) -> Keys {
        Keys::new(KeyEncryptionKeys::parse(line).unwrap())
    }

    #[test]
    fn a_wrapped_key_that_opens_no_more_is_named_and_one_that_was_never_finished_is_not() {
        let mut log = Log::new(3);
        let checkpoint = log.grows_to(1);
        let ours = keys("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
        let (_, sealed) = ours.of(&uid(1), || Ok::<_, ()>(None)).unwrap();
        let put = |name: &str, bytes: &[u8]| {
            std::fs::create_dir_all(log.path().join(KEYS)).unwrap();
            std::fs::write(log.path().join(KEYS).join(name), bytes).unwrap();
        };
        let found = |keys: Option<&Keys>| {
            let files = Files::new(Arc::new(Folder(log.path().to_owned())));
            let mut scrub = Scrub::new(files, keys.cloned(), checkpoint.clone());
            let steps = std::iter::from_fn(|| scrub.step());
            let mut found: Vec<_> =
                steps.flat_map(|step| step.found).map(|found| found.to_string()).collect();
            found.sort();
            found
        };
        assert_eq!(found(Some(&ours)), [""; 0], "there is no folder of keys yet");
        put(uid(1).as_str(), &sealed.wrapped);
        put(NEW, b"torn");
        assert_eq!(sealed.wrapped.len(), WRAPPED);
        assert_eq!([found(Some(&ours)), found(None)], [Vec::<String>::new(), Vec::new()]);
        let other = keys("AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=");
        let said = found(Some(&other));
        assert!(
            matches!(&said[..], [one] if one.starts_with(&format!("keys/{} is no key", uid(1)))),
            "{said:?}"
        );
        let mut changed = sealed.wrapped.clone();
        changed[40] ^= 1;
        put(uid(1).as_str(), &changed);
        // Of another grant, which was moved here.
        put(uid(2).as_str(), &sealed.wrapped);
        put(uid(3).as_str(), &sealed.wrapped[1..]);
        put("no uid", &sealed.wrapped);
        assert_eq!(found(Some(&ours)).len(), 4);
        let form = found(None);
        assert!(
            matches!(&form[..], [third, stranger]
            if third.contains(uid(3).as_str()) && stranger.contains("no uid")),
            "{form:?}"
        );
    }
}
