//! The log's folder: its name and signing keys (`keys.json`), its journal, and the files of the tree. Or, in a bucket, its name and keys.

pub mod in_bucket;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tlog::{Algorithm, KeyName, Signer, VerifierKey};
use zeroize::{Zeroize as _, Zeroizing};

use crate::bucket::BucketError;
use crate::engine::block::LogId;
use crate::engine::disk::OsDisk;
use crate::engine::journal::{SegmentLength, Segments};
use crate::engine::prune::PRUNED;
use crate::engine::recover::Identity;
use crate::seal::SealError;

/// What the names of logs begin with.
const ORIGIN: &str = "keyhole.internal/log/";

/// The file of name and keys.
const KEYS: &str = "keys.json";

/// Who a log is, with the keys that sign.
pub struct Home {
    /// Who the log is.
    pub identity: Identity,
    /// The keys that sign its checkpoints: all of them.
    pub signers: Vec<Signer>,
    /// The log that it goes on with, where that was given up.
    pub predecessor: Option<Predecessor>,
    /// As long as it is held, no other process opens the log. In a bucket there is none: the journal keeps others from it.
    pub lock: Option<File>,
}

/// A log that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predecessor {
    /// Its name.
    pub origin: String,
    /// How many entries its last checkpoint has that others have seen.
    pub size: u64,
    /// The root of that checkpoint, in base64.
    pub root: String,
    /// The first record that is missing.
    pub missing_from: u64,
    /// What happened.
    pub why: String,
}

/// Why there is no log here.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The folder or a file in it.
    #[error("cannot {what} {path:?}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is a log already.
    #[error("{0:?} holds a log already")]
    Exists(PathBuf),
    /// There is none.
    #[error("{0:?} holds no log: make one with `keyhole-log init`")]
    Missing(PathBuf),
    /// The file of keys is not what this program writes.
    #[error("{0:?} is not a file of keys")]
    Keys(PathBuf),
    /// The bucket.
    #[error("the bucket took or gave nothing")]
    Bucket(#[source] BucketError),
    /// The object of names and keys in a bucket.
    #[error("cannot seal or open {path}")]
    Sealed {
        /// Which.
        path: String,
        /// Why.
        source: SealError,
    },
    /// Another process was quicker.
    #[error("another process has changed the log's keys at this moment: look, and do it again")]
    Overtaken,
    /// It is in use.
    #[error("another process has the log in {0:?} open")]
    InUse(PathBuf),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    origin: String,
    /// Of each key the 32 bytes that it was made of, in base64.
    seeds: Vec<Seed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    predecessor: Option<Predecessor>,
}

/// Wiped when it is dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Seed(String);

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Home {
    /// Makes a log with a new name and key in an empty folder. The keys are written last: a folder without them holds no log yet.
    pub fn create(path: &Path, length: SegmentLength) -> Result<Self, HomeError> {
        Self::first(path, length, None)
    }

    /// The same for a log that goes on with one of which nothing is left here.
    pub fn follow(path: &Path, length: SegmentLength, predecessor: Predecessor) -> Result<Self, HomeError> {
        Self::first(path, length, Some(predecessor))
    }

    fn first(
        path: &Path,
        length: SegmentLength,
        predecessor: Option<Predecessor>,
    ) -> Result<Self, HomeError> {
        let failed = |what| move |source| HomeError::Disk { what, path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed("make"))?;
        if path.join(KEYS).try_exists().map_err(failed("read"))? {
            return Err(HomeError::Exists(path.to_owned()));
        }
        Self::begin(path, length, predecessor)
    }

    /// A new log in the place of one that was given up, which lies in `old` now. What is left of the old one here is its file of keys, and
    /// that is replaced in one step: whatever stops this, it can be done again.
    pub fn succeed(path: &Path, length: SegmentLength, predecessor: Predecessor) -> Result<Self, HomeError> {
        let file = read(path)?;
        let old = path.join("old").join(file.origin.trim_start_matches(ORIGIN));
        let failed = |what| move |source| HomeError::Disk { what, path: path.to_owned(), source };
        fs::create_dir_all(&old).map_err(failed("make"))?;
        for name in ["tile", "sealed", "keys", "journal", "checkpoint", PRUNED] {
            match fs::rename(path.join(name), old.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("move")(error)),
                _ => (),
            }
        }
        write(&old, &file)?;
        Self::begin(path, length, Some(predecessor))
    }

    fn begin(
        path: &Path,
        length: SegmentLength,
        predecessor: Option<Predecessor>,
    ) -> Result<Self, HomeError> {
        let failed = |what| move |source| HomeError::Disk { what, path: path.to_owned(), source };
        // What an attempt before left behind has no name, and is nothing.
        match fs::remove_dir_all(path.join("journal")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("clear")(error)),
            _ => (),
        }
        Segments::create(&OsDisk::new(path), length).map_err(failed("make the journal in"))?;
        write(path, &KeysFile { origin: new_origin()?, seeds: vec![seed()?], predecessor })?;
        Self::open(path)
    }

    /// The log in this folder, which no other process has open.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        let file = read(path)?;
        let lock = lock(path)?;
        Self::of(file, Some(lock)).ok_or_else(|| HomeError::Keys(path.join(KEYS)))
    }

    /// What a file of keys says, if it is one.
    fn of(file: KeysFile, lock: Option<File>) -> Option<Self> {
        let id = file.origin.strip_prefix(ORIGIN).and_then(|hex| u64::from_str_radix(hex, 16).ok())?;
        let origin: KeyName = file.origin.parse().ok()?;
        let signer = |Seed(seed): &Seed| {
            let seed = Zeroizing::new(STANDARD.decode(seed).ok()?);
            Signer::new(origin.clone(), Algorithm::Ed25519, seed.first_chunk().filter(|_| seed.len() == 32)?)
                .ok()
        };
        let signers: Vec<Signer> = file.seeds.iter().map(signer).collect::<Option<_>>()?;
        if signers.is_empty() {
            return None;
        }
        let keys = signers.iter().map(|signer| signer.verifier().clone()).collect();
        let identity = Identity { origin, id: LogId(id.to_be_bytes()), keys, anchor: None };
        Some(Self { identity, signers, predecessor: file.predecessor, lock })
    }

    /// Makes one more key for a log: from its next start on, all keys sign.
    pub fn add_key(path: &Path) -> Result<Self, HomeError> {
        let mut file = read(path)?;
        file.seeds.push(seed()?);
        write(path, &file)?;
        Self::open(path)
    }

    /// The public halves of its keys.
    pub fn verifiers(&self) -> impl Iterator<Item = &VerifierKey> {
        self.signers.iter().map(Signer::verifier)
    }
}

fn lock(folder: &Path) -> Result<File, HomeError> {
    let path = folder.join("lock");
    let failed = |source| HomeError::Disk { what: "lock", path: path.clone(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(HomeError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// A name that no log has.
fn new_origin() -> Result<String, HomeError> {
    let mut name = [0; 8];
    rand::fill(&mut name).map_err(|_| HomeError::Random)?;
    Ok(format!("{ORIGIN}{:016x}", u64::from_be_bytes(name)))
}

fn seed() -> Result<Seed, HomeError> {
    let mut seed = Zeroizing::new([0; 32]);
    rand::fill(seed.as_mut_slice()).map_err(|_| HomeError::Random)?;
    Ok(Seed(STANDARD.encode(seed.as_slice())))
}

fn read(folder: &Path) -> Result<KeysFile, HomeError> {
    let path = folder.join(KEYS);
    let text = match fs::read(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(HomeError::Missing(folder.to_owned()));
        }
        Err(source) => return Err(HomeError::Disk { what: "read", path, source }),
    };
    serde_json::from_slice(&text).map_err(|_| HomeError::Keys(path))
}

/// In one step, readable for nobody else.
fn write(folder: &Path, file: &KeysFile) -> Result<(), HomeError> {
    let (path, new) = (folder.join(KEYS), folder.join("keys.json.new"));
    let text = Zeroizing::new(serde_json::to_vec(file).map_err(|_| HomeError::Keys(path.clone()))?);
    let written = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|source| HomeError::Disk { what: "write", path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const SHORT: SegmentLength = SegmentLength(8192);

    #[test]
    fn a_log_keeps_its_name_and_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Home::open(folder.path()), Err(HomeError::Missing(_))));
        let created = Home::create(folder.path(), SHORT).unwrap();
        assert!(matches!(Home::create(folder.path(), SHORT), Err(HomeError::Exists(_))));
        assert!(matches!(Home::open(folder.path()), Err(HomeError::InUse(_))));
        let (origin, keys) = (created.identity.origin.clone(), created.identity.keys.clone());
        drop(created);
        let opened = Home::open(folder.path()).unwrap();
        assert_eq!((&opened.identity.origin, &opened.identity.keys), (&origin, &keys));
        drop(opened);
        let both = Home::add_key(folder.path()).unwrap();
        assert_eq!((both.identity.keys.len(), &both.identity.keys[0]), (2, &keys[0]));
        let mode = fs::metadata(folder.path().join(KEYS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_log_that_is_given_up_lies_in_old_and_is_named_by_the_one_that_follows() {
        let folder = tempfile::tempdir().unwrap();
        let first = Home::create(folder.path(), SHORT).unwrap().identity.origin;
        fs::write(folder.path().join("checkpoint"), "theirs").unwrap();
        let predecessor = Predecessor {
            origin: first.to_string(),
            size: 7,
            root: String::new(),
            missing_from: 5,
            why: "the volume was lost".into(),
        };
        let second = Home::succeed(folder.path(), SHORT, predecessor.clone()).unwrap();
        assert_ne!(second.identity.origin, first);
        drop(second);
        assert_eq!(Home::open(folder.path()).unwrap().predecessor, Some(predecessor));
        let old = folder.path().join("old").join(first.as_str().trim_start_matches(ORIGIN));
        assert_eq!(fs::read(old.join("checkpoint")).unwrap(), b"theirs");
        assert_eq!(Home::open(&old).unwrap().identity.origin, first);
        assert!(!folder.path().join("checkpoint").exists());
    }

    #[test]
    fn what_an_attempt_that_failed_left_behind_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        Segments::create(&OsDisk::new(folder.path()), SHORT).unwrap();
        fs::write(folder.path().join("journal/0000000000000001"), "of nothing").unwrap();
        Home::create(folder.path(), SHORT).unwrap();
        assert!(!folder.path().join("journal/0000000000000001").exists());
        let broken = folder.path().join(KEYS);
        for bad in [
            "",
            "{}",
            r#"{"origin":"keyhole.internal/log/1","seeds":[]}"#,
            r#"{"origin":"x","seeds":["AAAA"]}"#,
        ] {
            fs::write(&broken, bad).unwrap();
            assert!(matches!(Home::open(folder.path()), Err(HomeError::Keys(_))), "{bad}");
        }
    }
}
