//! Where a log lies, as the command line says it: a folder on a volume, or a bucket.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tlog::Checkpoint;
use zeroize::Zeroizing;

use crate::args::BucketArgs;
use crate::bucket::{S3, S3Error};
use crate::engine::blocks::{Claim, MARK};
use crate::engine::disk::OsDisk;
use crate::engine::journal::SegmentLength;
use crate::engine::keys::Role;
use crate::engine::prune::Begins;
use crate::engine::recover::{Identity, NotOpened, Opened, open};
use crate::engine::storage::{InBucket, Storage};
use crate::home::in_bucket::{Shelf, folder_named, folder_of};
use crate::home::{Home, HomeError, Predecessor};
use crate::seal::{KeyEncryptionKeys, SealError};
use crate::source::{Folder, Source, Store};

/// Where a log lies.
pub enum Lies {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket.
    Bucket(Shelf<S3>),
}

/// Why it is not known where the log lies.
#[derive(Debug, thiserror::Error)]
pub enum NoPlace {
    /// The command line says nothing.
    #[error("where does the log lie? --dir names a folder, --bucket a bucket, and that needs --kek")]
    Unsaid,
    /// The way to the bucket.
    #[error("there is no way to the bucket")]
    Bucket(#[source] S3Error),
    /// The file of key-encryption keys.
    #[error("cannot read {path:?}")]
    ReadKeys {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it.
    #[error("{path:?} cannot be used")]
    Keys {
        /// Which.
        path: PathBuf,
        /// Why.
        source: SealError,
    },
}

impl Lies {
    /// In the bucket, where one is named, and else in the folder.
    pub fn at(dir: Option<&Path>, bucket: &BucketArgs, kek: Option<&Path>) -> Result<Self, NoPlace> {
        match (bucket.place(), dir, kek) {
            (Some(place), _, Some(kek)) => {
                let keys = key_encryption_keys(kek)?;
                Ok(Self::Bucket(Shelf { bucket: S3::new(&place).map_err(NoPlace::Bucket)?, keys }))
            }
            (None, Some(dir), _) => Ok(Self::Folder(dir.to_owned())),
            _ => Err(NoPlace::Unsaid),
        }
    }

    /// Makes a new log.
    pub fn create(&self) -> Result<Home, HomeError> {
        match self {
            Self::Folder(folder) => Home::create(folder, SegmentLength::default()),
            Self::Bucket(shelf) => shelf.create(),
        }
    }

    /// Makes a log that goes on with one of which nothing is left here.
    pub fn follow(&self, predecessor: Predecessor) -> Result<Home, HomeError> {
        match self {
            Self::Folder(folder) => Home::succeed(folder, SegmentLength::default(), (predecessor, None)),
            Self::Bucket(shelf) => {
                // A process that still leads the old one has its keys in memory: from now on it makes no block.
                if let Some(folder) = folder_named(&predecessor.origin) {
                    Claim::take(&shelf.bucket.inside(folder), [0; MARK]).map_err(HomeError::Old)?;
                }
                shelf.follow(predecessor)
            }
        }
    }

    /// Makes a log in the place of the one that is here, which is given up.
    pub fn succeed(&self, predecessor: Predecessor, lock: Option<File>) -> Result<Home, HomeError> {
        match self {
            Self::Folder(folder) => Home::succeed(folder, SegmentLength::default(), (predecessor, lock)),
            Self::Bucket(shelf) => shelf.succeed(predecessor),
        }
    }

    /// What somebody began to give up here, and did not come to the end. In a bucket that is one step.
    pub fn unfinished(&self) -> Result<Option<Predecessor>, HomeError> {
        match self {
            Self::Folder(folder) => Home::unfinished(folder),
            Self::Bucket(_) => Ok(None),
        }
    }

    /// The log that is here.
    pub fn open(&self) -> Result<Home, HomeError> {
        match self {
            Self::Folder(folder) => Home::open(folder),
            Self::Bucket(shelf) => shelf.open(),
        }
    }

    /// Makes one more key for the log that is here.
    pub fn add_key(&self) -> Result<Home, HomeError> {
        match self {
            Self::Folder(folder) => Home::add_key(folder),
            Self::Bucket(shelf) => shelf.add_key(),
        }
    }

    /// Reads what a start reads: how many records there are, and the newest checkpoint with where the log begins.
    pub fn read(
        &self,
        identity: &Identity,
        role: Role,
    ) -> Result<(u64, Option<(Checkpoint, Begins)>), NotOpened> {
        fn found<S: Storage>(opened: Opened<S>) -> (u64, Option<(Checkpoint, Begins)>) {
            let begins = Begins::with(opened.pruned.minimum);
            (opened.engine.size(), opened.signed.map(|signed| (signed, begins)))
        }
        let length = SegmentLength::default();
        match self {
            Self::Folder(folder) => open(OsDisk::new(folder), identity, length).map(found),
            Self::Bucket(shelf) => {
                let bucket = shelf.bucket.inside(&folder_of(identity));
                // Nobody goes on with what is claimed here.
                open(InBucket { bucket, role, mark: [0; MARK] }, identity, length).map(found)
            }
        }
    }

    /// The log's files.
    pub fn source(&self, identity: &Identity) -> Arc<dyn Source> {
        match self {
            Self::Folder(folder) => Arc::new(Folder(folder.clone())),
            Self::Bucket(shelf) => Arc::new(Store(shelf.bucket.inside(&folder_of(identity)))),
        }
    }
}

/// The keys in a file.
pub fn key_encryption_keys(path: &Path) -> Result<KeyEncryptionKeys, NoPlace> {
    let failed = |source| NoPlace::ReadKeys { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(failed)?;
    KeyEncryptionKeys::parse(&text).map_err(|source| NoPlace::Keys { path: path.to_owned(), source })
}
