//! What a log is when it starts: read from its volume or bucket, and held against itself. It never signs what contradicts what it signed before.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use record::{Record, Uid, What};
use tlog::{
    BadBundle, BadTile, Bundle, Checkpoint, Hash, Holds, KeyName, Note, Range, Tile, TileName, VerifierKey,
};

use super::anchor::Anchor;
use super::block::{Block, Item, LogId, Position};
use super::commit::{Durable, Engine};
use super::integrate::{CHECKPOINT, Partial, Tree, bundle_of, texts_in, texts_path};
use super::journal::{BadJournal, SegmentLength};
use super::keys::{GrantKeys as _, KEYS};
use super::prune::Pruned;
use super::storage::Storage;
use super::streams::{Ran, Streams};
use super::volume::Files;

/// Who the log is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name.
    pub origin: KeyName,
    /// The eight bytes of it.
    pub id: LogId,
    /// The keys that may have signed its checkpoint.
    pub keys: Vec<VerifierKey>,
    /// A checkpoint that others have seen: the log must have grown out of it.
    pub anchor: Option<Checkpoint>,
}

/// What takes the records of a log that lies there.
type EngineOf<S> = Engine<<S as Storage>::Journal, <S as Storage>::Keys>;

/// A log that can go on.
pub struct Opened<S: Storage> {
    /// What takes records.
    pub engine: EngineOf<S>,
    /// The tree as of the last checkpoint, and all that the journal has beyond it.
    pub tree: Tree,
    /// Its files.
    pub files: S::Files,
    /// The last checkpoint that was signed, if any was.
    pub signed: Option<Checkpoint>,
    /// Where it begins.
    pub pruned: Pruned,
}

/// Why a log does not start.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// The journal.
    #[error("the journal cannot be used")]
    Journal(#[source] BadJournal),
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file that the checkpoint speaks of is not there.
    #[error("{0} is missing, and the checkpoint speaks of it")]
    Missing(String),
    /// A file is not what the checkpoint speaks of.
    #[error("{0} is not what the checkpoint speaks of")]
    Differs(String),
    /// The checkpoint is none, or not signed by this log.
    #[error("the checkpoint is not one that this log signed")]
    Checkpoint,
    /// Where the log begins is said by a file alone.
    #[error("pruned.json says that records were removed, and no record `prune` of the log says so")]
    Pruned,
    /// A tile.
    #[error("the tree is damaged")]
    Tile(#[source] BadTile),
    /// A bundle.
    #[error("the tree is damaged")]
    Bundle(#[source] BadBundle),
    /// Records between checkpoint and journal are missing.
    #[error(
        "the checkpoint has {checkpoint} records, and the journal those from {from} to {to}: what is between is missing"
    )]
    Gap {
        /// How many records the checkpoint has.
        checkpoint: u64,
        /// The first index of the journal.
        from: u64,
        /// The index behind its last record.
        to: u64,
    },
    /// Others have seen more than there is.
    #[error(
        "others have seen {anchor} records, and there are {found}: the volume was set back, or records are lost"
    )]
    Behind {
        /// How many records the anchor has.
        anchor: u64,
        /// How many there are.
        found: u64,
    },
    /// Others have seen other records.
    #[error("others have seen other records up to {0}: this is not the log that they have seen")]
    Beside(u64),
    /// A block holds what this log would not have taken.
    #[error("record {0} of the journal is none")]
    Record(u64),
    /// What the journal has cannot be put into the tree.
    #[error("the journal does not fit the tree")]
    Tree(#[source] super::integrate::Stopped),
}

/// Reads all of it. Nobody who began before can make a block any more, but in a bucket they may still finish a checkpoint and remove what it
/// does not need: then what was read may not fit together, and all of it is read anew.
pub fn open<S: Storage>(
    storage: S,
    identity: &Identity,
    length: SegmentLength,
) -> Result<Opened<S>, NotOpened> {
    let claim = storage.claim().map_err(NotOpened::Journal)?;
    let files = storage.files();
    let files = files.map_err(|source| NotOpened::Read { path: "unfinished files".to_owned(), source })?;
    let mut signed = checkpoint(&files, identity)?;
    loop {
        match engine(&storage, &claim, &files, signed.as_ref(), (identity, length)) {
            Ok((engine, tree, pruned)) => return Ok(Opened { engine, tree, files, signed, pruned }),
            Err(error) => {
                let newer = checkpoint(&files, identity)?;
                if newer == signed {
                    return Err(error);
                }
                signed = newer;
            }
        }
    }
}

/// What a log of this checkpoint goes on with.
fn engine<S: Storage>(
    storage: &S,
    claim: &S::Claim,
    files: &S::Files,
    signed: Option<&Checkpoint>,
    (identity, length): (&Identity, SegmentLength),
) -> Result<(EngineOf<S>, Tree, Pruned), NotOpened> {
    let pruned = Pruned::read(files, signed)?;
    let partial = match signed {
        Some(checkpoint) => partial(files, checkpoint)?,
        None => {
            Partial { range: Range::default(), levels: Vec::new(), bundle: Vec::new(), texts: Vec::new() }
        }
    };
    let size = partial.range.size();
    let mut tree = Tree::new(identity.origin.clone(), partial);
    let mut anchor = Anchor::new(identity.anchor.as_ref());
    anchor.is_before(files, &tree)?;
    let mut replay = Replay {
        anchor,
        streams: Streams::default(),
        size,
        ran: Ran::default(),
        keys: BTreeMap::new(),
        from: None,
        to: 0,
        failed: None,
    };
    let each = |block| replay.block(&mut tree, block);
    let (journal, position) =
        storage.journal(claim.clone(), identity.id, length, each).map_err(NotOpened::Journal)?;
    let Replay { streams, keys, from, failed, anchor, .. } = replay;
    if let Some(failed) = failed {
        return Err(failed);
    }
    anchor.is_passed(position.index)?;
    let from = from.unwrap_or(0);
    if from > size || position.index < size {
        return Err(NotOpened::Gap { checkpoint: size, from, to: position.index });
    }
    let keys =
        stored((storage, claim), keys).map_err(|source| NotOpened::Read { path: KEYS.to_owned(), source })?;
    Ok((Engine::new(identity.id, journal, streams, position, keys), tree, pruned))
}

/// The newest checkpoint, which this log signed; `None`, where there is none yet.
pub fn checkpoint<F: Files>(files: &F, identity: &Identity) -> Result<Option<Checkpoint>, NotOpened> {
    let found = files.checkpoint();
    let found = found.map_err(|source| NotOpened::Read { path: CHECKPOINT.to_owned(), source })?;
    let Some(bytes) = found else { return Ok(None) };
    let note: Note =
        std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).ok_or(NotOpened::Checkpoint)?;
    let checkpoint: Checkpoint = note.text().parse().map_err(|_| NotOpened::Checkpoint)?;
    let is_own = note.verify(&identity.keys).is_ok() && checkpoint.origin == identity.origin;
    if is_own { Ok(Some(checkpoint)) } else { Err(NotOpened::Checkpoint) }
}

/// The right edge of the tree, which must give the root of the checkpoint.
fn partial<F: Files>(files: &F, checkpoint: &Checkpoint) -> Result<Partial, NotOpened> {
    let size = checkpoint.size;
    let mut levels: Vec<Vec<Hash>> = Vec::new();
    for level in 0..8_u8 {
        let all = size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0);
        if all == 0 {
            break;
        }
        let hashes = match TileName::in_tree(Holds::Hashes(level), bundle_of(all), size) {
            Some(name) => tile(files, name)?.hashes().to_vec(),
            None => Vec::new(),
        };
        levels.push(hashes);
    }
    let mut peaks = Vec::new();
    for place in Range::places(size) {
        let name = TileName::above(place, size).ok_or(NotOpened::Checkpoint)?;
        let hash = tile(files, name)?.node(place).ok_or_else(|| NotOpened::Differs(name.to_string()))?;
        peaks.push(hash);
    }
    let range = Range::new(size, peaks).map_err(|_| NotOpened::Checkpoint)?;
    if range.root() != checkpoint.root {
        return Err(NotOpened::Differs("the last tile of some level".to_owned()));
    }
    let (bundle, texts) = last_bundle(files, size, levels.first())?;
    Ok(Partial { range, levels, bundle, texts })
}

fn last_bundle<F: Files>(
    files: &F,
    size: u64,
    hashes: Option<&Vec<Hash>>,
) -> Result<(Vec<u8>, Vec<u8>), NotOpened> {
    let last = TileName::in_tree(Holds::Entries, bundle_of(size), size);
    let Some(name) = last else { return Ok((Vec::new(), Vec::new())) };
    let bytes = read(files, &name.to_string())?.ok_or_else(|| NotOpened::Missing(name.to_string()))?;
    let bundle = Bundle::parse(name, &bytes).map_err(NotOpened::Bundle)?;
    let found = bundle.entries().iter().map(|entry| Hash::of_leaf(entry));
    if !found.eq(hashes.into_iter().flatten().copied()) {
        return Err(NotOpened::Differs(name.to_string()));
    }
    let texts = texts_path(name);
    let found = read(files, &texts)?;
    let Some(found) = found else {
        // Nobody of the bundle has a text; or the file is lost, which whoever verifies will find.
        let none = vec![0; usize::from(name.width).saturating_mul(size_of::<u32>())];
        return Ok((bytes, none));
    };
    if texts_in(&found) != Some(name.width.into()) {
        return Err(NotOpened::Differs(texts));
    }
    Ok((bytes, found))
}

pub(super) fn tile<F: Files>(files: &F, name: TileName) -> Result<Tile, NotOpened> {
    let bytes = read(files, &name.to_string())?.ok_or_else(|| NotOpened::Missing(name.to_string()))?;
    Tile::parse(name, &bytes).map_err(NotOpened::Tile)
}

fn read<F: Files>(files: &F, path: &str) -> Result<Option<Vec<u8>>, NotOpened> {
    files.read(path).map_err(|source| NotOpened::Read { path: path.to_owned(), source })
}

/// The grants whose key is there. One whose erasure is in the journal, and no later key, is removed: a process that was killed may have left
/// it, or have stored the next one and sealed nothing with it.
fn stored<S: Storage>(
    (storage, claim): (&S, &S::Claim),
    journal: BTreeMap<Uid, bool>,
) -> io::Result<(BTreeSet<Uid>, S::Keys)> {
    let mut keys = storage.keys(claim)?;
    for (grant, _) in journal.iter().filter(|(_, is_there)| !**is_there) {
        let erased = keys.of(grant)?;
        keys.erase(&erased)?;
    }
    let known = keys.known()?;
    Ok((known, keys))
}

/// What the journal says, block by block.
struct Replay {
    anchor: Anchor,
    streams: Streams,
    /// How many records the checkpoint has.
    size: u64,
    /// For how long the log had run, as far as what was read says.
    ran: Ran,
    keys: BTreeMap<Uid, bool>,
    /// The index of the first record behind the last gap.
    from: Option<u64>,
    /// The index behind the last record.
    to: u64,
    failed: Option<NotOpened>,
}

impl Replay {
    fn block(&mut self, tree: &mut Tree, block: Block) {
        if self.failed.is_none() {
            self.failed = self.items(tree, block).err();
        }
    }

    fn items(&mut self, tree: &mut Tree, block: Block) -> Result<(), NotOpened> {
        let Position { mut index, .. } = block.position;
        if self.from.is_none() || index != self.to {
            // What lies before a gap was being removed, and every erasure in it is done; but a later key may stand in the gap.
            self.keys.clear();
            self.from = Some(index);
        }
        for item in block.items {
            match item {
                Item::Stream { name, state } => {
                    self.ran = self.ran.max(state.last_at);
                    self.streams.put(name, state);
                }
                Item::Key { grant } => _ = self.keys.insert(grant, true),
                Item::Record(entry) => {
                    let record = Record::decode(&entry.leaf).map_err(|_| NotOpened::Record(index))?;
                    let hash = Hash::of_leaf(&entry.leaf);
                    self.streams.take(&record, hash, self.ran).map_err(|_| NotOpened::Record(index))?;
                    let erases = record.grant.filter(|_| matches!(record.what, What::Erase(_)));
                    if let Some(grant) = &erases {
                        self.keys.insert(grant.clone(), false);
                    }
                    self.grow(tree, index, Durable { hash, entry, erases })?;
                    index = index.saturating_add(1);
                }
            }
        }
        self.to = index;
        Ok(())
    }

    /// What the checkpoint has already is in the tree.
    fn grow(&mut self, tree: &mut Tree, index: u64, durable: Durable) -> Result<(), NotOpened> {
        if index < self.size {
            return Ok(());
        }
        if index > tree.size() {
            return Err(NotOpened::Gap { checkpoint: tree.size(), from: index, to: index });
        }
        tree.take(durable).map_err(NotOpened::Tree)?;
        self.anchor.grown(tree)
    }
}
