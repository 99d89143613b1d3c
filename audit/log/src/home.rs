//! The log's folder: its name and signing keys (`keys.json`), its journal, and the files of the tree. Or, in a bucket, its name and keys.

pub mod in_bucket;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
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
use crate::engine::journal::{BadJournal, FOLDER, SegmentLength, Segments};
use crate::engine::keys::OLD;
use crate::engine::prune::PRUNED;
use crate::engine::recover::Identity;
use crate::seal::SealError;

/// What the names of logs begin with.
const ORIGIN: &str = "keyhole.internal/log/";

/// The file of name and keys.
const KEYS: &str = "keys.json";

/// The file that lies in the folder as long as its log is being given up: a [`Predecessor`].
const GIVING_UP: &str = "giving-up.json";

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
    /// There is one, and not its keys.
    #[error(
        "{0:?} holds a log without its keys.json: restore that file. Where it is lost, `keyhole-log accept-loss` begins a new log"
    )]
    Keyless(PathBuf),
    /// It is neither the log that was here nor the one that follows it.
    #[error(
        "the log in {0:?} is being given up: `keyhole-log accept-loss`, once more, comes to the end of that"
    )]
    GivenUp(PathBuf),
    /// The file of keys is not what this program writes.
    #[error("{0:?} is not a file of keys")]
    Keys(PathBuf),
    /// The bucket.
    #[error("the bucket took or gave nothing")]
    Bucket(#[source] BucketError),
    /// The journal of the log that is given up.
    #[error("whoever may still lead the log that is given up cannot be kept from that")]
    Old(#[source] BadJournal),
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
        let failed = |what| move |source| HomeError::Disk { what, path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed("make"))?;
        let holds = |name: &str| path.join(name).try_exists().map_err(failed("read"));
        if holds(KEYS)? {
            return Err(HomeError::Exists(path.to_owned()));
        }
        let lock = lock(path)?;
        // Another process may have made one meanwhile.
        if holds(KEYS)? {
            return Err(HomeError::Exists(path.to_owned()));
        }
        if Self::unfinished(path)?.is_some() {
            return Err(HomeError::GivenUp(path.to_owned()));
        }
        if holds("tile")? || holds("checkpoint")? || !is_unused(path).map_err(failed("read"))? {
            return Err(HomeError::Keyless(path.to_owned()));
        }
        Self::begin(path, length, None)?;
        Self::locked(path, lock)
    }

    /// A new log in the place of one that is given up. What is here of that one lies in `old` then. Whatever stops this, the folder opens as
    /// neither of the two, and the same again comes to its end: see [`Home::unfinished`]. `lock`: the old log's, where that could be opened.
    pub fn succeed(
        path: &Path,
        length: SegmentLength,
        (predecessor, lock): (Predecessor, Option<File>),
    ) -> Result<Self, HomeError> {
        let failed = |what| move |source| HomeError::Disk { what, path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed("make"))?;
        let lock = lock.map_or_else(|| self::lock(path), Ok)?;
        let mark = serde_json::to_vec(&predecessor).map_err(|_| HomeError::Keys(path.join(GIVING_UP)))?;
        put(path, GIVING_UP, &mark)?;
        let file = match read(path) {
            Err(HomeError::Missing(_)) => None,
            read => Some(read?),
        };
        // Where it has another name, an attempt before came as far as this.
        if file.as_ref().is_none_or(|file| file.origin == predecessor.origin) {
            let old = path.join(OLD).join(predecessor.origin.rsplit('/').next().unwrap_or_default());
            set_aside(path, &old).map_err(failed("give up the log in"))?;
            if let Some(file) = file {
                write(&old, &file)?;
            }
            Self::begin(path, length, Some(predecessor))?;
        }
        fs::remove_file(path.join(GIVING_UP)).map_err(failed("come to an end in"))?;
        Self::locked(path, lock)
    }

    /// What somebody began to give up here, and did not come to the end.
    pub fn unfinished(path: &Path) -> Result<Option<Predecessor>, HomeError> {
        let path = path.join(GIVING_UP);
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_| HomeError::Keys(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HomeError::Disk { what: "read", path, source }),
        }
    }

    fn begin(path: &Path, length: SegmentLength, predecessor: Option<Predecessor>) -> Result<(), HomeError> {
        let failed = |what| move |source| HomeError::Disk { what, path: path.to_owned(), source };
        // What an attempt before left behind has no name, and is nothing.
        match fs::remove_dir_all(path.join(FOLDER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("clear")(error)),
            _ => (),
        }
        Segments::create(&OsDisk::new(path), length).map_err(failed("make the journal in"))?;
        write(path, &KeysFile { origin: new_origin()?, seeds: vec![seed()?], predecessor })
    }

    /// The log in this folder, which no other process has open.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        // A folder without a log gets no lock.
        if Self::unfinished(path)?.is_none() {
            read(path)?;
        }
        let lock = lock(path)?;
        Self::locked(path, lock)
    }

    fn locked(path: &Path, lock: File) -> Result<Self, HomeError> {
        if Self::unfinished(path)?.is_some() {
            return Err(HomeError::GivenUp(path.to_owned()));
        }
        Self::of(read(path)?, Some(lock)).ok_or_else(|| HomeError::Keys(path.join(KEYS)))
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
        read(path)?;
        let lock = lock(path)?;
        let mut file = read(path)?;
        file.seeds.push(seed()?);
        write(path, &file)?;
        Self::locked(path, lock)
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

fn write(folder: &Path, file: &KeysFile) -> Result<(), HomeError> {
    let text =
        serde_json::to_vec(file).map(Zeroizing::new).map_err(|_| HomeError::Keys(folder.join(KEYS)))?;
    put(folder, KEYS, &text)
}

/// In one step, readable for nobody else.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), HomeError> {
    let (path, new) = (folder.join(name), folder.join(format!("{name}.new")));
    let written = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|source| HomeError::Disk { what: "write", path: path.clone(), source })
}

/// Moves what is here of a log. What lies there already was moved by an attempt before: a journal beside it is one that it began to make.
fn set_aside(path: &Path, old: &Path) -> io::Result<()> {
    fs::create_dir_all(old)?;
    for name in ["tile", "sealed", "keys", FOLDER, "checkpoint", PRUNED] {
        let (from, to) = (path.join(name), old.join(name));
        if !from.try_exists()? {
            continue;
        }
        if name == FOLDER && to.try_exists()? { fs::remove_dir_all(from)? } else { fs::rename(from, to)? }
    }
    File::open(old)?.sync_all()?;
    File::open(path)?.sync_all()
}

/// Whether no block was ever written to the journal here: each begins with other bytes than zeros.
fn is_unused(path: &Path) -> io::Result<bool> {
    let segments = match fs::read_dir(path.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        segments => segments?,
    };
    for segment in segments {
        let mut first = Vec::new();
        File::open(segment?.path())?.take(8).read_to_end(&mut first)?;
        if first.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
    Ok(true)
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
        let second = Home::succeed(folder.path(), SHORT, (predecessor.clone(), None)).unwrap();
        assert_ne!(second.identity.origin, first);
        drop(second);
        assert_eq!(Home::open(folder.path()).unwrap().predecessor, Some(predecessor));
        let old = folder.path().join("old").join(first.as_str().trim_start_matches(ORIGIN));
        assert_eq!(fs::read(old.join("checkpoint")).unwrap(), b"theirs");
        assert_eq!(Home::open(&old).unwrap().identity.origin, first);
        assert!(!folder.path().join("checkpoint").exists());
    }

    /// How far somebody came with giving a log up, and was killed.
    const STOPS: [fn(&Path, &Path); 5] = [
        |_, _| (),
        |path, old| fs::rename(path.join("checkpoint"), old.join("checkpoint")).unwrap(),
        |path, old| set_aside(path, old).unwrap(),
        |path, old| {
            set_aside(path, old).unwrap();
            write(old, &read(path).unwrap()).unwrap();
            Segments::create(&OsDisk::new(path), SHORT).unwrap();
        },
        |path, old| {
            set_aside(path, old).unwrap();
            write(old, &read(path).unwrap()).unwrap();
            Home::begin(path, SHORT, Some(given_up("1"))).unwrap();
        },
    ];

    fn given_up(origin: &str) -> Predecessor {
        let (root, why) = (String::new(), "the volume was lost".to_owned());
        Predecessor { origin: origin.to_owned(), size: 7, root, missing_from: 5, why }
    }

    #[test]
    fn a_giving_up_that_is_stopped_anywhere_opens_as_no_log_and_comes_to_its_end() {
        for (at, stops) in STOPS.into_iter().enumerate() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path();
            let first = Home::create(path, SHORT).unwrap().identity.origin;
            fs::write(path.join("checkpoint"), "theirs").unwrap();
            fs::write(path.join("journal/0000000000000000"), "theirs").unwrap();
            let predecessor = given_up(first.as_str());
            let old = path.join("old").join(first.as_str().trim_start_matches(ORIGIN));
            fs::create_dir_all(&old).unwrap();
            put(path, GIVING_UP, &serde_json::to_vec(&predecessor).unwrap()).unwrap();
            stops(path, &old);
            assert!(matches!(Home::open(path), Err(HomeError::GivenUp(_))), "stop {at}");
            assert_eq!(Home::unfinished(path).unwrap().as_ref(), Some(&predecessor));
            drop(Home::succeed(path, SHORT, (predecessor, None)).unwrap());
            let second = Home::open(path).unwrap();
            assert!(second.identity.origin != first && second.predecessor.is_some(), "stop {at}");
            assert_eq!(Home::open(&old).unwrap().identity.origin, first);
            for name in ["checkpoint", "journal/0000000000000000"] {
                assert_eq!(fs::read(old.join(name)).unwrap(), b"theirs", "stop {at}");
            }
            assert!(!path.join("checkpoint").exists() && is_unused(path).unwrap());
        }
    }

    #[test]
    fn a_folder_with_a_log_and_without_its_keys_gets_no_other_log() {
        for (name, holds) in [("checkpoint", "x"), ("tile", ""), ("journal/0000000000000000", "x")] {
            let folder = tempfile::tempdir().unwrap();
            drop(Home::create(folder.path(), SHORT).unwrap());
            fs::remove_file(folder.path().join(KEYS)).unwrap();
            match holds {
                "" => fs::create_dir(folder.path().join(name)).unwrap(),
                holds => fs::write(folder.path().join(name), holds).unwrap(),
            }
            assert!(matches!(Home::create(folder.path(), SHORT), Err(HomeError::Keyless(_))), "{name}");
        }
    }

    #[test]
    fn what_an_attempt_that_failed_left_behind_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        Segments::create(&OsDisk::new(folder.path()), SHORT).unwrap();
        fs::write(folder.path().join("journal/0000000000000001"), [0; 10]).unwrap();
        drop(Home::create(folder.path(), SHORT).unwrap());
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
