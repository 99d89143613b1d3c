//! The finished files of the log: whole when they have their name, and never changed after it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::integrate::CHECKPOINT;
use super::prune::PRUNED;

/// Where files lie that are not finished.
const UNFINISHED: &str = "tmp";

/// Where finished files lie.
pub trait Files {
    /// Puts files there. When this returns they are durable. One that is there with other bytes is left alone, and an error.
    fn put(&mut self, files: &[File]) -> Result<(), PutError>;
    /// Puts a file in the place of an older one, by one step.
    fn replace(&mut self, file: &File) -> io::Result<()>;
    /// All of a file.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
    /// Removes files that nobody needs; those that are not there are removed already. It need not be durable, nor ever come to pass.
    fn remove(&mut self, paths: &[String]) -> io::Result<()>;
    /// Removes a file; one that is not there is removed already. When this returns that is durable.
    fn erase(&mut self, path: &str) -> io::Result<()>;
    /// Removes a folder with the files in it, whoever put them there; one that is not there is removed already. Durable when
    /// next a file beside it is erased.
    fn clear(&mut self, folder: &str) -> io::Result<()> {
        // Folders of objects are names and no more.
        self.list(folder)?.iter().try_for_each(|name| self.erase(&format!("{folder}/{name}")))
    }
    /// Makes this the newest checkpoint, which is of so many records.
    fn publish(&mut self, _size: u64, checkpoint: &File) -> io::Result<()> {
        self.replace(checkpoint)
    }
    /// The newest checkpoint.
    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        self.read(CHECKPOINT)
    }
    /// Puts what says where the log begins. `place`: of several that were put, the one counts whose place comes last.
    fn put_pruned(&mut self, _place: &str, pruned: &File) -> io::Result<()> {
        self.replace(pruned)
    }
    /// What says where the log begins.
    fn pruned(&self) -> io::Result<Option<Vec<u8>>> {
        self.read(PRUNED)
    }
    /// The names in a folder.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;
}

/// A file and where it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its path in the log, such as `tile/0/x001/234.p/8`.
    pub path: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Why files were not put.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The disk or bucket failed.
    #[error("cannot write {path}")]
    Disk {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is there, with other bytes.
    #[error(
        "{0} is there already, with other bytes: it was changed by somebody else, or belongs to another log"
    )]
    Differs(String),
}

/// Files on a disk.
pub struct Volume<D> {
    disk: D,
    /// Folders that are known to be there.
    folders: BTreeSet<PathBuf>,
    unfinished: u64,
}

impl<D: Disk> Volume<D> {
    /// The files on this disk. What a process that was killed put in the place of an older file is durable after this.
    pub fn new(disk: D) -> io::Result<Self> {
        disk.sync_folder(Path::new("."))?;
        let unfinished = Path::new(UNFINISHED);
        for name in disk.list(unfinished)? {
            disk.remove(&unfinished.join(name))?;
        }
        Ok(Self { disk, folders: BTreeSet::new(), unfinished: 0 })
    }

    /// Writes and syncs a file under a name that nobody reads.
    fn write(&mut self, bytes: &[u8]) -> io::Result<PathBuf> {
        self.folder(Path::new(UNFINISHED))?;
        self.unfinished = self.unfinished.wrapping_add(1);
        let path = Path::new(UNFINISHED).join(self.unfinished.to_string());
        let file = self.disk.open(&path)?;
        self.disk.write_at(&file, 0, bytes)?;
        self.disk.sync(&file)?;
        Ok(path)
    }

    /// Makes a folder and those above it, durably.
    fn folder(&mut self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || self.folders.contains(path) {
            return Ok(());
        }
        let above = path.parent().unwrap_or(Path::new(""));
        self.folder(above)?;
        self.disk.create_folder(path)?;
        self.disk.sync_folder(&or_root(above))?;
        self.folders.insert(path.to_owned());
        Ok(())
    }

    fn put_one(&mut self, file: &File) -> io::Result<PathBuf> {
        let path = Path::new(&file.path);
        let folder = path.parent().unwrap_or(Path::new(""));
        self.folder(folder)?;
        let written = self.write(&file.bytes)?;
        self.disk.rename(&written, path)?;
        Ok(or_root(folder))
    }
}

fn or_root(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() }
}

impl<D: Disk> Files for Volume<D> {
    fn put(&mut self, files: &[File]) -> Result<(), PutError> {
        let mut folders = BTreeSet::new();
        for file in files {
            let failed = |source| PutError::Disk { path: file.path.clone(), source };
            // After a crash it may be there, and nobody knows whether it is durable: it is written again.
            if let Some(found) = self.read(&file.path).map_err(failed)?
                && found != file.bytes
            {
                return Err(PutError::Differs(file.path.clone()));
            }
            folders.insert(self.put_one(file).map_err(failed)?);
        }
        for folder in folders {
            let path = folder.to_string_lossy().into_owned();
            self.disk.sync_folder(&folder).map_err(|source| PutError::Disk { path, source })?;
        }
        Ok(())
    }

    fn replace(&mut self, file: &File) -> io::Result<()> {
        let folder = self.put_one(file)?;
        self.disk.sync_folder(&folder)
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(Path::new(path))
    }

    fn remove(&mut self, paths: &[String]) -> io::Result<()> {
        for path in paths {
            let path = Path::new(path);
            match self.disk.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => (),
            }
            // The folder of the narrower files of a tile, or of a bundle's long texts, goes with the last of them.
            if let Some(folder) = path
                .parent()
                .filter(|folder| folder.extension().is_some_and(|end| end == "p" || end == "long"))
                && self.disk.list(folder)?.is_empty()
                && self.disk.remove_folder(folder).is_ok()
            {
                self.folders.remove(folder);
            }
        }
        Ok(())
    }

    fn erase(&mut self, path: &str) -> io::Result<()> {
        self.remove(&[path.to_owned()])?;
        let folder = Path::new(path).parent().unwrap_or(Path::new(""));
        self.folder(folder)?;
        self.disk.sync_folder(&or_root(folder))
    }

    fn clear(&mut self, folder: &str) -> io::Result<()> {
        let folder = Path::new(folder);
        let names = self.disk.list(folder)?;
        names.iter().try_for_each(|name| self.disk.remove(&folder.join(name)))?;
        if !names.is_empty() {
            self.disk.sync_folder(folder)?;
        }
        match self.disk.remove_folder(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.folders.remove(folder),
        };
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.disk.list(Path::new(path))
    }
}
