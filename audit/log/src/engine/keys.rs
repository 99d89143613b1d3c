//! The wrapped keys of grants, each in a file or object of its own and nowhere else: to remove it is to erase the texts. So no key stands in
//! the journal, whose segments keep what was written until they are written over.
//!
//! On a volume the keys of a log that was given up lie in `old`, in a folder of its own each. Nothing is sealed or opened with them here; they
//! are erased with the others.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use record::Uid;
use sha2::{Digest as _, Sha256};

use super::disk::Disk;
use crate::bucket::{Bucket, Created, tried};

/// The folder of the grants' wrapped keys.
pub const KEYS: &str = "keys";

/// Where a key lies that has no name yet. No uid is written so.
pub const NEW: &str = ".new";

/// The folder of the logs that were given up, on a volume.
pub const OLD: &str = "old";

/// Where the wrapped key of a grant lies.
pub fn key_path(grant: &Uid) -> String {
    format!("{KEYS}/{grant}")
}

/// Where wrapped keys are durable.
pub trait GrantKeys {
    /// Puts the key of a grant there. When this returns it is durable.
    fn store(&mut self, grant: &Uid, wrapped: &[u8]) -> io::Result<()>;
    /// Where the keys lie that a grant has now.
    fn of(&self, grant: &Uid) -> io::Result<Vec<String>>;
    /// Removes keys, those that are there, durably.
    fn erase(&mut self, paths: &[String]) -> io::Result<()>;
    /// Grants that are known to have one.
    fn known(&self) -> io::Result<BTreeSet<Uid>>;
}

/// Keys in files.
pub struct KeyFiles<D> {
    disk: D,
}

impl<D: Disk> KeyFiles<D> {
    /// The files on this disk. What a process that was killed has left there is durable after this.
    pub fn open(disk: D) -> io::Result<Self> {
        disk.create_folder(Path::new(KEYS))?;
        disk.sync_folder(Path::new("."))?;
        disk.sync_folder(Path::new(KEYS))?;
        let files = Self { disk };
        files.old()?.iter().try_for_each(|folder| files.disk.sync_folder(folder))?;
        Ok(files)
    }

    /// The folders of keys of logs that were given up.
    fn old(&self) -> io::Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for name in self.disk.list(Path::new(OLD))? {
            let log = Path::new(OLD).join(name);
            if self.disk.list(&log)?.iter().any(|name| name == KEYS) {
                folders.push(log.join(KEYS));
            }
        }
        Ok(folders)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl<D: Disk> GrantKeys for KeyFiles<D> {
    fn store(&mut self, grant: &Uid, wrapped: &[u8]) -> io::Result<()> {
        let new: PathBuf = Path::new(KEYS).join(NEW);
        // One that was left behind may be longer.
        self.remove(&new)?;
        let file = self.disk.open(&new)?;
        self.disk.write_at(&file, 0, wrapped)?;
        self.disk.sync(&file)?;
        self.disk.rename(&new, Path::new(&key_path(grant)))?;
        self.disk.sync_folder(Path::new(KEYS))
    }

    fn of(&self, grant: &Uid) -> io::Result<Vec<String>> {
        let old = self.old()?.into_iter().map(|folder| folder.join(grant.as_str()));
        let old = old.map(|path| path.to_string_lossy().into_owned());
        Ok(std::iter::once(key_path(grant)).chain(old).collect())
    }

    fn erase(&mut self, paths: &[String]) -> io::Result<()> {
        let paths = paths.iter().map(Path::new);
        let mut folders = BTreeSet::new();
        for path in paths {
            self.remove(path)?;
            folders.extend(path.parent());
        }
        folders.into_iter().try_for_each(|folder| match self.disk.sync_folder(folder) {
            // Somebody has deleted the folder of a log that was given up, and all keys in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder != Path::new(KEYS) => Ok(()),
            synced => synced,
        })
    }

    fn known(&self) -> io::Result<BTreeSet<Uid>> {
        Ok(self.disk.list(Path::new(KEYS))?.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

/// Whether a process leads the log in a bucket, or looks at it while another one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It writes.
    Leads,
    /// It writes and removes nothing.
    Looks,
}

/// Keys in a bucket, each under a name that no other key ever has: `keys/GRANT/`, the number of the start that made it, and the beginning of
/// its hash.
///
/// So what a log does that was cut off is harmless whenever it wakes. Keys that it removes are those of its own start and of earlier ones,
/// however late it looks for them: those of later starts are none of its business. A key that it puts there is one that it made, once, and
/// with which nothing is sealed that was acknowledged: it lies beside those of its grant, until they are erased. No key that was erased is
/// ever put there again.
pub struct KeyObjects<B> {
    bucket: B,
    role: Role,
    /// The number of this start.
    start: u64,
}

impl<B: Bucket> KeyObjects<B> {
    /// The keys in this bucket.
    pub fn new(bucket: B, role: Role, start: u64) -> Self {
        Self { bucket, role, start }
    }
}

impl<B: Bucket> GrantKeys for KeyObjects<B> {
    /// It is tried once. Were it tried again, the first attempt might arrive after the key was erased, and bring it back.
    fn store(&mut self, grant: &Uid, wrapped: &[u8]) -> io::Result<()> {
        let hash: String = Sha256::digest(wrapped).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let path = format!("{}/{:016x}-{hash}", key_path(grant), self.start);
        let created = self.bucket.create(&path, wrapped);
        if matches!(created, Ok(Created::Now)) {
            return Ok(());
        }
        // An answer that was lost is not waited for: either it is there, or nobody knows whether it will be.
        let found = tried(&self.bucket, || self.bucket.read(&path)).map_err(io::Error::other)?;
        if found.is_some_and(|found| found == wrapped) {
            return Ok(());
        }
        Err(created.err().map_or_else(|| io::ErrorKind::InvalidData.into(), io::Error::other))
    }

    fn of(&self, grant: &Uid) -> io::Result<Vec<String>> {
        if self.role == Role::Looks {
            return Ok(Vec::new());
        }
        let names = tried(&self.bucket, || self.bucket.list(&key_path(grant))).map_err(io::Error::other)?;
        // A later start may have taken over, and made a key since: texts that it acknowledged are sealed with that.
        let names = names.iter().filter(|name| start_of(name).is_none_or(|start| start <= self.start));
        Ok(names.map(|name| format!("{}/{name}", key_path(grant))).collect())
    }

    fn erase(&mut self, paths: &[String]) -> io::Result<()> {
        let each = |path: &String| tried(&self.bucket, || self.bucket.remove(path)).map_err(io::Error::other);
        paths.iter().try_for_each(each)
    }

    /// None: to list all of them would take the longer the more there are.
    fn known(&self) -> io::Result<BTreeSet<Uid>> {
        Ok(BTreeSet::new())
    }
}

/// The number of the start that made the key of this name.
fn start_of(name: &str) -> Option<u64> {
    let (start, _hash) = name.split_once('-')?;
    u64::from_str_radix(start, 16).ok()
}
