//! What the engine asks of a disk: the few calls of POSIX, each as it is, so that a disk in memory can fail at each of them.

use std::io;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A folder on a disk. Paths are relative to it. Clones are the same folder.
pub trait Disk: Clone {
    /// An open file.
    type File;

    /// Opens a file for reading and writing; makes it, if it is not there.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
    /// Writes all of these at an offset. Nothing is durable yet.
    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// What was written to the file is durable, and its length. Once it has failed, nobody knows what is.
    fn sync(&self, file: &Self::File) -> io::Result<()>;
    /// All of a file; `None`, where there is none.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Gives a file another name, in the place of one that has it. Durable once the folders are synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder that is empty.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder; it may be there already.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, sorted; none, where there is no folder.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// What was made, renamed and removed in a folder is durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Whether the file is still the one at this path.
    fn is_at(&self, file: &Self::File, path: &Path) -> io::Result<bool>;
    /// How many bytes are free.
    fn free(&self) -> io::Result<u64>;
}

/// A folder of the system.
#[derive(Clone, Debug)]
pub struct OsDisk {
    root: std::path::PathBuf,
}

impl OsDisk {
    /// This folder, which is there.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

impl Disk for OsDisk {
    type File = std::fs::File;

    fn open(&self, path: &Path) -> io::Result<Self::File> {
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.root.join(path))
    }

    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
    }

    fn sync(&self, file: &Self::File) -> io::Result<()> {
        file.sync_data()
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.root.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(self.root.join(from), self.root.join(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(self.root.join(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(self.root.join(path))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        match std::fs::create_dir(self.root.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(self.root.join(path)) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let name =
            |entry: io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = entries.map(name).collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::File::open(self.root.join(path))?.sync_all()
    }

    fn is_at(&self, file: &Self::File, path: &Path) -> io::Result<bool> {
        let (opened, named) = (file.metadata()?, std::fs::metadata(self.root.join(path))?);
        Ok((opened.dev(), opened.ino()) == (named.dev(), named.ino()))
    }

    fn free(&self) -> io::Result<u64> {
        let system = rustix::fs::statvfs(&self.root)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }
}
