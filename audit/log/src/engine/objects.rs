//! The finished files of the log in a bucket: each is an object that is made where none is, and never changed.
//!
//! How far the log is says an object for each checkpoint, `checkpoints/` and its size: the largest counts, and a start goes by nothing else. So
//! a log that was cut off and wakes sets nothing back: it knows of no record that the next start did not find in the journal, and so its
//! checkpoints are the smaller ones. The files that it puts are those that the next one puts, byte for byte; those that it removes are in
//! no tree that is as large as the checkpoint that it made before.
//!
//! Where a pruned log begins, objects say in the same way, `pruned/`, the index of its first record, and how far what is before is removed. What
//! a log that was cut off says of it was true when it began, and the log has begun no earlier since.

use std::io;

use super::volume::{File, Files, PutError};
use crate::bucket::{Bucket, BucketError, Created, TRIES, tried};

/// The folder of the checkpoints, each called by its size in 16 hex digits.
pub const CHECKPOINTS: &str = "checkpoints";

/// The folder of what says where the log begins, each called by two indexes in 16 hex digits: that of its first record, and that below which
/// everything is removed.
pub const BEGINNINGS: &str = "pruned";

/// Files in a bucket.
pub struct Objects<B> {
    bucket: B,
}

impl<B: Bucket> Objects<B> {
    /// The files in this bucket.
    pub fn new(bucket: B) -> Self {
        Self { bucket }
    }

    /// The object of this folder whose name comes last; `None`, where there is none.
    fn last(&self, folder: &str) -> io::Result<Option<Vec<u8>>> {
        for _ in 0..TRIES {
            let Some(last) = self.list(folder)?.into_iter().max() else { return Ok(None) };
            let found = self.read(&format!("{folder}/{last}"))?;
            if found.is_some() {
                return Ok(found);
            }
            // It was removed since, so there is a later one.
        }
        Err(io::Error::other(format!(
            "the last of {folder} is removed again and again: another process leads"
        )))
    }

    /// Removes those of these that come before this one, at some time or never.
    fn sweep_before(&self, folder: &str, names: Vec<String>, name: &str) {
        let before = names.into_iter().filter(|before| before.as_str() < name);
        self.bucket.sweep(before.map(|before| format!("{folder}/{before}")).collect());
    }

    /// Puts these, and says which of them failed last.
    fn put_all(&self, files: &[File]) -> Result<(), PutError> {
        let mut missing = files.to_vec();
        let mut failed = None;
        for failed_before in 0..TRIES {
            if failed_before > 0 {
                self.bucket.rest(failed_before);
            }
            let created = self.bucket.create_all(&missing);
            let is_now = |created: &Result<Created, BucketError>| matches!(created, Ok(Created::Now));
            let mut unknown: Vec<File> = Vec::new();
            for (file, created) in missing.into_iter().zip(created) {
                if !is_now(&created) {
                    failed = created.err().or(failed);
                    unknown.push(file);
                }
            }
            // Those that were there, of an attempt before; and those whose answer was lost.
            missing = self.not_there(unknown, &mut failed)?;
            if missing.is_empty() {
                return Ok(());
            }
        }
        let path = missing.into_iter().next().map(|file| file.path).unwrap_or_default();
        let source = failed.map_or_else(|| io::ErrorKind::InvalidData.into(), io::Error::other);
        Err(PutError::Disk { path, source })
    }

    /// Those of these that are not there, as far as the bucket says so.
    fn not_there(&self, files: Vec<File>, failed: &mut Option<BucketError>) -> Result<Vec<File>, PutError> {
        let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
        let mut missing = Vec::new();
        for (file, found) in files.into_iter().zip(self.bucket.read_all(&paths)) {
            match found {
                Ok(Some(found)) if found == file.bytes => (),
                Ok(Some(_)) => return Err(PutError::Differs(file.path)),
                Ok(None) => missing.push(file),
                Err(error) => {
                    *failed = Some(error);
                    missing.push(file);
                }
            }
        }
        Ok(missing)
    }
}

impl<B: Bucket> Files for Objects<B> {
    fn put(&mut self, files: &[File]) -> Result<(), PutError> {
        if files.is_empty() { Ok(()) } else { self.put_all(files) }
    }

    fn replace(&mut self, file: &File) -> io::Result<()> {
        tried(&self.bucket, || self.bucket.replace(&file.path, &file.bytes)).map_err(io::Error::other)
    }

    /// The plain `checkpoint` is for whoever reads the bucket as a folder. A log that was cut off leaves it alone, where it hears of a larger one
    /// in time; else it may set it back, for as long as the one that leads has nothing new.
    fn publish(&mut self, size: u64, checkpoint: &File) -> io::Result<()> {
        let name = format!("{size:016x}");
        let path = format!("{CHECKPOINTS}/{name}");
        self.put_all(&[File { path, bytes: checkpoint.bytes.clone() }]).map_err(io::Error::other)?;
        let names = self.list(CHECKPOINTS)?;
        if names.iter().any(|other| *other > name) {
            return Ok(());
        }
        self.replace(checkpoint)?;
        self.sweep_before(CHECKPOINTS, names, &name);
        Ok(())
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        self.last(CHECKPOINTS)
    }

    /// Whoever has put one of this name before says the same with it.
    fn put_pruned(&mut self, place: &str, pruned: &File) -> io::Result<()> {
        let path = format!("{BEGINNINGS}/{place}");
        tried(&self.bucket, || self.bucket.create(&path, &pruned.bytes)).map_err(io::Error::other)?;
        let names = self.list(BEGINNINGS)?;
        self.sweep_before(BEGINNINGS, names, place);
        Ok(())
    }

    fn pruned(&self) -> io::Result<Option<Vec<u8>>> {
        self.last(BEGINNINGS)
    }

    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        tried(&self.bucket, || self.bucket.read(path)).map_err(io::Error::other)
    }

    fn remove(&mut self, paths: &[String]) -> io::Result<()> {
        if !paths.is_empty() {
            self.bucket.sweep(paths.to_vec());
        }
        Ok(())
    }

    fn erase(&mut self, path: &str) -> io::Result<()> {
        tried(&self.bucket, || self.bucket.remove(path)).map_err(io::Error::other)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        tried(&self.bucket, || self.bucket.list(path)).map_err(io::Error::other)
    }
}
