//! The wrapped keys of grants, each in a file of its own and nowhere else: to remove the file is to erase the texts. So no key stands in the
//! journal, whose segments keep what was written until they are written over.

use std::io;
use std::path::{Path, PathBuf};

use record::Uid;

use super::disk::Disk;

/// The folder of the grants' wrapped keys.
pub const KEYS: &str = "keys";

/// Where a key lies that has no name yet. No uid is written so.
pub const NEW: &str = ".new";

/// Where the wrapped key of a grant lies.
pub fn key_path(grant: &Uid) -> String {
    format!("{KEYS}/{grant}")
}

/// Where wrapped keys are durable.
pub trait GrantKeys {
    /// Puts the key of a grant in the place of any that it had. When this returns it is durable.
    fn store(&mut self, grant: &Uid, wrapped: &[u8]) -> io::Result<()>;
    /// Removes the key of a grant, if it has one, durably.
    fn erase(&mut self, grant: &Uid) -> io::Result<()>;
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
        Ok(Self { disk })
    }

    /// The grants that have one.
    pub fn grants(&self) -> io::Result<impl Iterator<Item = Uid>> {
        Ok(self.disk.list(Path::new(KEYS))?.into_iter().filter_map(|name| name.parse().ok()))
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

    fn erase(&mut self, grant: &Uid) -> io::Result<()> {
        self.remove(Path::new(&key_path(grant)))?;
        self.disk.sync_folder(Path::new(KEYS))
    }
}
