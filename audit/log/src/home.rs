//! The log's folder: its name and signing keys (`keys.json`), its journal, and the files of the tree.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tlog::{Algorithm, KeyName, Signer, VerifierKey};
use zeroize::{Zeroize as _, Zeroizing};

use crate::engine::block::LogId;
use crate::engine::disk::OsDisk;
use crate::engine::journal::{SegmentLength, Segments};
use crate::engine::recover::Identity;

/// What the names of logs begin with.
const ORIGIN: &str = "keyhole.internal/log/";

/// The file of name and keys.
const KEYS: &str = "keys.json";

/// A log's folder, with the keys that sign.
pub struct Home {
    /// The folder.
    pub path: PathBuf,
    /// Who the log is.
    pub identity: Identity,
    /// The keys that sign its checkpoints: all of them.
    pub signers: Vec<Signer>,
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
    #[error("{0:?} holds no log: make one with `keyhole-log init --dir`")]
    Missing(PathBuf),
    /// The file of keys is not what this program writes.
    #[error("{0:?} is not a file of keys")]
    Keys(PathBuf),
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
        if path.join(KEYS).try_exists().map_err(failed("read"))? {
            return Err(HomeError::Exists(path.to_owned()));
        }
        // What an attempt before left behind has no name, and is nothing.
        match fs::remove_dir_all(path.join("journal")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("clear")(error)),
            _ => (),
        }
        Segments::create(&OsDisk::new(path), length).map_err(failed("make the journal in"))?;
        let mut name = [0; 8];
        rand::fill(&mut name).map_err(|_| HomeError::Random)?;
        let origin = format!("{ORIGIN}{:016x}", u64::from_be_bytes(name));
        write(path, &KeysFile { origin, seeds: vec![seed()?] })?;
        Self::open(path)
    }

    /// The log in this folder.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        let file = read(path)?;
        let wrong = || HomeError::Keys(path.join(KEYS));
        let id = file
            .origin
            .strip_prefix(ORIGIN)
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())
            .ok_or_else(wrong)?;
        let origin: KeyName = file.origin.parse().map_err(|_| wrong())?;
        let signer = |Seed(seed): &Seed| {
            let seed = Zeroizing::new(STANDARD.decode(seed).ok()?);
            Signer::new(origin.clone(), Algorithm::Ed25519, seed.first_chunk().filter(|_| seed.len() == 32)?)
                .ok()
        };
        let signers: Vec<Signer> = file.seeds.iter().map(signer).collect::<Option<_>>().ok_or_else(wrong)?;
        if signers.is_empty() {
            return Err(wrong());
        }
        let keys = signers.iter().map(|signer| signer.verifier().clone()).collect();
        let identity = Identity { origin, id: LogId(id.to_be_bytes()), keys };
        Ok(Self { path: path.to_owned(), identity, signers })
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
        let opened = Home::open(folder.path()).unwrap();
        assert_eq!(opened.identity.origin, created.identity.origin);
        assert_eq!(opened.identity.keys, created.identity.keys);
        let both = Home::add_key(folder.path()).unwrap();
        assert_eq!((both.identity.keys.len(), &both.identity.keys[0]), (2, &created.identity.keys[0]));
        let mode = fs::metadata(folder.path().join(KEYS)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
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
