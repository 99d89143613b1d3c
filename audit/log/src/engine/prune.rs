//! Where a pruned log begins, and the removal of what is before.
//!
//! C2SP tlog-tiles, "Pruning": below a minimum index, whole bundles go and the tiles of their leaves. The tiles above those stay, a hash for
//! each 256 records: that what is left leads to the signed root, and has grown out of every checkpoint from there on, is proved by them.
//!
//! A file says where the log begins. It is written once the record `prune` is in a checkpoint that others have; only then anything is
//! removed. Bundles go from the lowest on, each durably before the next, so that what is left is one range whatever stops this; a start goes
//! on where the file says that it was.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use record::{Record, What};
use serde::{Deserialize, Serialize};
use tlog::{Bundle, Checkpoint, Holds, TileName, WIDTH};

use super::integrate::{bundle_of, long_texts_path, texts_path};
use super::recover::NotOpened;
use super::volume::{File, Files};

/// The file that says where the log begins. In a bucket there are objects instead of it: see `objects.rs`.
pub const PRUNED: &str = "pruned.json";

/// How many bundles are removed before their place is noted.
const AT_ONCE: u64 = 4;

/// Where the log begins. All but `record` are multiples of 256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruned {
    /// The index of its first record.
    pub minimum: u64,
    /// The index of the record `prune` that says so.
    pub record: u64,
    /// Below this index everything is removed.
    pub removed: u64,
}

/// The index of the first record, for whoever reads while the log is pruned. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Begins(Arc<AtomicU64>);

impl Begins {
    /// With this record.
    pub fn with(index: u64) -> Self {
        Self(Arc::new(AtomicU64::new(index)))
    }

    /// The index of its first record.
    pub fn index(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// It begins later from now on. Never earlier again.
    pub fn later(&self, index: u64) {
        self.0.fetch_max(index, Ordering::AcqRel);
    }

    /// Whether all that this file has is of records that were pruned.
    pub fn is_pruned(&self, name: TileName) -> bool {
        let is_of_leaves = matches!(name.holds, Holds::Entries | Holds::Hashes(0));
        is_of_leaves && first_of(name.index.saturating_add(1)) <= self.index()
    }
}

/// The index of a bundle's first record.
pub fn first_of(bundle: u64) -> u64 {
    bundle.saturating_mul(u64::from(WIDTH))
}

fn unread(path: &str) -> impl FnOnce(io::Error) -> NotOpened + use<> {
    let path = path.to_owned();
    move |source| NotOpened::Read { path, source }
}

impl Pruned {
    /// What the file says, and perhaps nothing else does: nothing was removed, where there is none.
    pub fn said<F: Files>(files: &F) -> Result<Self, NotOpened> {
        let Some(bytes) = files.pruned().map_err(unread(PRUNED))? else { return Ok(Self::default()) };
        let pruned: Self = serde_json::from_slice(&bytes).map_err(|_| NotOpened::Pruned)?;
        let Self { minimum, record, removed } = pruned;
        let is_whole = |index: u64| index.is_multiple_of(WIDTH.into());
        let fits = is_whole(minimum) && is_whole(removed) && removed <= minimum && minimum <= record;
        if fits { Ok(pruned) } else { Err(NotOpened::Pruned) }
    }

    /// What the file says, held against the log: the record that it names must say so.
    pub fn read<F: Files>(files: &F, signed: Option<&Checkpoint>) -> Result<Self, NotOpened> {
        let pruned = Self::said(files)?;
        if pruned == Self::default() {
            return Ok(pruned);
        }
        let Self { minimum, record, removed: _ } = pruned;
        let size = signed.map_or(0, |checkpoint| checkpoint.size);
        let name = TileName::in_tree(Holds::Entries, bundle_of(record), size);
        let Some(name) = name.filter(|_| record < size) else { return Err(NotOpened::Pruned) };
        let path = name.to_string();
        let bytes = files.read(&path).map_err(unread(&path))?.ok_or(NotOpened::Missing(path))?;
        let bundle = Bundle::parse(name, &bytes).map_err(NotOpened::Bundle)?;
        let place = usize::try_from(record.saturating_sub(first_of(bundle_of(record)))).unwrap_or(usize::MAX);
        let what = bundle.entries().get(place).and_then(|leaf| Record::decode(leaf).ok());
        match what.map(|record| record.what) {
            Some(What::Prune(said)) if said.minimum.get() >= minimum => Ok(pruned),
            _ => Err(NotOpened::Pruned),
        }
    }

    /// The log begins there from now on, and never earlier again: durable when this returns. Nothing is removed yet.
    pub fn begin<F: Files>(&mut self, files: &mut F, minimum: u64, record: u64) -> io::Result<()> {
        if minimum <= self.minimum {
            return Ok(());
        }
        *self = Self { minimum, record, ..*self };
        self.write(files)
    }

    /// Whether something is still there that is to go.
    pub fn is_left(&self) -> bool {
        self.removed < self.minimum
    }

    /// Removes the next bundles, with their tiles and texts. To remove what is removed already changes nothing.
    pub fn step<F: Files>(&mut self, files: &mut F) -> io::Result<()> {
        let first = bundle_of(self.removed);
        let end = first.saturating_add(AT_ONCE).min(bundle_of(self.minimum));
        for bundle in first..end {
            remove(files, bundle)?;
        }
        self.removed = first_of(end);
        self.write(files)
    }

    fn write<F: Files>(&self, files: &mut F) -> io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        let place = format!("{:016x}-{:016x}", self.minimum, self.removed);
        files.put_pruned(&place, &File { path: PRUNED.to_owned(), bytes })
    }
}

/// One bundle, and what belongs to it; of each file its narrower ones, too, which whatever stopped a publishing may have left there. The bundle
/// goes first: a tile or a text without it is nobody's, and it without them is damage.
fn remove<F: Files>(files: &mut F, bundle: u64) -> io::Result<()> {
    let entries = TileName { holds: Holds::Entries, index: bundle, width: WIDTH };
    let tile = TileName { holds: Holds::Hashes(0), ..entries };
    files.clear(&format!("{entries}.p"))?;
    files.erase(&entries.to_string())?;
    files.clear(&format!("{tile}.p"))?;
    files.erase(&tile.to_string())?;
    files.clear(&long_texts_path(entries))?;
    files.clear(&format!("{}.p", texts_path(entries)))?;
    files.erase(&texts_path(entries))
}
