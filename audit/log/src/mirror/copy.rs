//! Copies the files of the tree into a bucket: what a file speaks of is there before it is, so that whatever stops this, what the bucket
//! holds is a log that can be verified.
//!
//! It copies what `next.rs` names and nothing else: never a key. It removes nothing.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use record::{Record, What};
use tlog::{
    Bundle, Checkpoint, Holds, KeyName, Note, TileName, VerifierKey, WIDTH, consistency, verify_consistency,
};
use tokio::time::Instant;

use super::next::{Facts, Mirrored, Next, next, not_whole, tiles_with, whole_bundles};
use crate::bucket::{Bucket, BucketError, Created};
use crate::engine::integrate::{CHECKPOINT, long_texts_path, texts_path};
use crate::read::{Files, long_texts, texts_file};

/// Why nothing more is copied for now.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The bucket.
    #[error("the bucket took or gave nothing")]
    Bucket(#[source] BucketError),
    /// A file of the log.
    #[error("cannot read the log's own {path}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The object is there, with other bytes.
    #[error(
        "{0} in the bucket has other bytes than the log's own: one of them was changed, or another log writes there"
    )]
    Differs(String),
    /// The mirror's checkpoint.
    #[error("the checkpoint in the bucket is none that this log signed: somebody else wrote it")]
    Foreign,
    /// The log is behind it.
    #[error("the mirror has {mirror} records and the log {log}: the log's volume was set back")]
    Ahead {
        /// How many records the mirror's checkpoint has.
        mirror: u64,
        /// How many the log's has.
        log: u64,
    },
    /// What comes next for it was pruned.
    #[error(
        "the mirror has {mirror} records and the log begins with record {begins}: what is between was pruned, so the mirror cannot go on. Keep it, \
         and give the log another bucket or folder for a new one"
    )]
    Pruned {
        /// How many records the mirror's checkpoint has.
        mirror: u64,
        /// The index of the log's first record.
        begins: u64,
    },
    /// The log is beside it.
    #[error("the mirror has other records than the log: the log has not grown out of the mirror's {0}")]
    Beside(u64),
}

/// Who the log is whose files are copied, and where they are.
#[derive(Clone, Debug)]
pub struct Original {
    /// Its files.
    pub files: Files,
    /// Its name.
    pub origin: KeyName,
    /// The keys that may have signed its checkpoint.
    pub keys: Vec<VerifierKey>,
}

/// A mirror that it is known of how far it is.
pub struct Copier<B> {
    bucket: B,
    original: Original,
    mirrored: Mirrored,
    /// Long texts beside the bundle that is not whole yet, as far as they are copied.
    long_texts: BTreeSet<String>,
    /// How many records were looked through for a receipt, and whether one was there that the mirror's checkpoint does not have.
    looked: (u64, bool),
    /// When the mirror's checkpoint was put there.
    put_at: Option<Instant>,
}

impl<B: Bucket> Copier<B> {
    /// Asks the bucket how far the mirror is: its checkpoint says so, and this log must have signed it and grown out of it.
    pub fn begin(bucket: B, original: Original, published: &Checkpoint) -> Result<Self, MirrorError> {
        let size = match bucket.read(CHECKPOINT).map_err(MirrorError::Bucket)? {
            None => 0,
            Some(bytes) => {
                let (_, mirror) = signed(&bytes, &original).ok_or(MirrorError::Foreign)?;
                let begins = original.files.begins().index();
                if mirror.size < begins {
                    return Err(MirrorError::Pruned { mirror: mirror.size, begins });
                }
                has_grown(&original.files, &mirror, published)?;
                mirror.size
            }
        };
        let mirrored = Mirrored { size, bundles: whole_bundles(size) };
        let (long_texts, put_at) = (BTreeSet::new(), None);
        Ok(Self { bucket, original, mirrored, long_texts, looked: (size, false), put_at })
    }

    /// How far the mirror is.
    pub fn mirrored(&self) -> Mirrored {
        self.mirrored
    }

    /// Goes on behind bundles that were copied before a failure, and not at the mirror's checkpoint, if the last of them is still there.
    pub fn goes_on(&mut self, bundles: u64) -> Result<(), MirrorError> {
        let Some(last) = bundles.checked_sub(1).filter(|_| bundles > self.mirrored.bundles) else {
            return Ok(());
        };
        let tile = TileName { holds: Holds::Hashes(0), index: last, width: WIDTH };
        let found = self.bucket.read(&tile.to_string()).map_err(MirrorError::Bucket)?;
        if found.is_some() && found == self.read(tile)? {
            self.mirrored.bundles = bundles;
        }
        Ok(())
    }

    /// Copies what comes next, or says for what it waits.
    pub fn step(&mut self, published: u64) -> Result<Next, MirrorError> {
        self.look_for_receipts(published)?;
        let next = next(&Facts {
            published,
            mirrored: self.mirrored,
            has_receipt: self.looked.1,
            since_checkpoint: self.put_at.map(|at| at.elapsed()),
        });
        match next {
            Next::Bundle(bundle) => self.bundle(bundle)?,
            Next::Rest => self.rest()?,
            Next::Wait(_) => (),
        }
        Ok(next)
    }

    /// Everything of a bundle that is whole; what stands above it last. Of one that was pruned before it was copied that is all there is.
    fn bundle(&mut self, bundle: u64) -> Result<(), MirrorError> {
        let name = TileName { holds: Holds::Entries, index: bundle, width: WIDTH };
        let begins = self.original.files.begins().clone();
        if !begins.is_pruned(name) {
            self.texts(name)?;
        }
        let all = std::iter::once(name).chain(tiles_with(bundle));
        all.filter(|name| !begins.is_pruned(*name)).try_for_each(|name| self.tile(name))?;
        self.mirrored.bundles = bundle.saturating_add(1);
        self.long_texts.clear();
        Ok(())
    }

    /// What is not whole of the log's newest checkpoint, and then that.
    fn rest(&mut self) -> Result<(), MirrorError> {
        let read = self.original.files.checkpoint();
        let note = read.map_err(failed(CHECKPOINT))?.ok_or_else(|| self.missing(CHECKPOINT))?;
        let (note, checkpoint) = signed(&note, &self.original).ok_or_else(|| self.missing(CHECKPOINT))?;
        while self.mirrored.bundles < whole_bundles(checkpoint.size) {
            self.bundle(self.mirrored.bundles)?;
        }
        for name in not_whole(checkpoint.size) {
            if name.holds == Holds::Entries {
                self.texts(name)?;
            }
            self.tile(name)?;
        }
        self.bucket.replace(CHECKPOINT, note.as_bytes()).map_err(MirrorError::Bucket)?;
        self.mirrored.size = checkpoint.size;
        self.looked = (checkpoint.size, false);
        self.put_at = Some(Instant::now());
        Ok(())
    }

    /// A bundle's sealed texts: long ones first, which the others speak of.
    fn texts(&mut self, bundle: TileName) -> Result<(), MirrorError> {
        let folder = long_texts_path(bundle);
        let source = Arc::clone(self.original.files.source());
        let long = long_texts(source.as_ref(), bundle).map_err(failed(&folder))?;
        for place in long {
            let path = format!("{folder}/{place}");
            if self.long_texts.contains(&path) {
                continue;
            }
            let bytes = source.read(&path).map_err(failed(&path))?.ok_or_else(|| self.missing(&path))?;
            self.put(&path, &bytes)?;
            self.long_texts.insert(path);
        }
        let path = texts_path(bundle);
        let texts = texts_file(source.as_ref(), bundle).map_err(failed(&path))?;
        texts.map_or(Ok(()), |bytes| self.put(&path, &bytes))
    }

    fn tile(&self, name: TileName) -> Result<(), MirrorError> {
        let path = name.to_string();
        let bytes = self.read(name)?.ok_or_else(|| self.missing(&path))?;
        self.put(&path, &bytes)
    }

    fn read(&self, name: TileName) -> Result<Option<Vec<u8>>, MirrorError> {
        self.original.files.tile(name).map_err(failed(&name.to_string()))
    }

    /// Puts what does not change any more. One that is there must be the same: then it is of an attempt before.
    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), MirrorError> {
        match self.bucket.create(path, bytes).map_err(MirrorError::Bucket)? {
            Created::Now => Ok(()),
            Created::Before => match self.bucket.read(path).map_err(MirrorError::Bucket)? {
                Some(found) if found == bytes => Ok(()),
                Some(_) => Err(MirrorError::Differs(path.to_owned())),
                // Somebody deleted it: under Object Lock it is covered, and a new version uncovers it.
                None => self.bucket.replace(path, bytes).map_err(MirrorError::Bucket),
            },
        }
    }

    fn look_for_receipts(&mut self, published: u64) -> Result<(), MirrorError> {
        let (mut looked, mut found) = self.looked;
        looked = looked.max(self.original.files.begins().index());
        while looked < published && !found {
            let bundle = whole_bundles(looked);
            let Some(name) = TileName::in_tree(Holds::Entries, bundle, published) else { break };
            let bytes = self.read(name)?.ok_or_else(|| self.missing(&name.to_string()))?;
            let first = bundle.saturating_mul(u64::from(WIDTH));
            let skip = usize::try_from(looked.saturating_sub(first)).unwrap_or(usize::MAX);
            let parsed = Bundle::parse(name, &bytes).map_err(|_| self.missing(&name.to_string()))?;
            let is_receipt = |entry: &&[u8]| {
                Record::decode(entry).is_ok_and(|record| matches!(record.what, What::Receipt(_)))
            };
            found = parsed.entries().iter().skip(skip).any(is_receipt);
            looked = first.saturating_add(name.width.into());
        }
        self.looked = (published.max(self.looked.0), found);
        Ok(())
    }

    /// A file of the log that should be there and is not, or is not what it was.
    fn missing(&self, path: &str) -> MirrorError {
        MirrorError::Read { path: path.to_owned(), source: io::ErrorKind::InvalidData.into() }
    }
}

fn failed(path: &str) -> impl FnOnce(io::Error) -> MirrorError {
    let path = path.to_owned();
    |source| MirrorError::Read { path, source }
}

/// A checkpoint that this log signed, and its text.
fn signed(bytes: &[u8], original: &Original) -> Option<(String, Checkpoint)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let note: Note = text.parse().ok()?;
    let checkpoint: Checkpoint = note.text().parse().ok()?;
    let is_own = note.verify(&original.keys).is_ok() && checkpoint.origin == original.origin;
    is_own.then(|| (text.to_owned(), checkpoint))
}

/// The mirror's checkpoint is one that the log's has grown out of.
fn has_grown(files: &Files, mirror: &Checkpoint, log: &Checkpoint) -> Result<(), MirrorError> {
    if mirror.size > log.size {
        return Err(MirrorError::Ahead { mirror: mirror.size, log: log.size });
    }
    let missing = |path: String| MirrorError::Read { path, source: io::ErrorKind::InvalidData.into() };
    let node = |place| {
        let name = TileName::above(place, log.size).ok_or(MirrorError::Beside(mirror.size))?;
        let bytes = files.tile(name).map_err(failed(&name.to_string()))?;
        let tile = bytes.and_then(|bytes| tlog::Tile::parse(name, &bytes).ok());
        tile.and_then(|tile| tile.node(place)).ok_or_else(|| missing(name.to_string()))
    };
    let proof = consistency(mirror.size, log.size, node).map_err(|error| match error {
        tlog::NoProof::Node(error) => error,
        tlog::NoProof::OutOfTree { .. } => MirrorError::Beside(mirror.size),
    })?;
    verify_consistency((mirror.size, mirror.root), (log.size, log.root), &proof)
        .map_err(|_| MirrorError::Beside(mirror.size))
}
