//! A disk whose syncs are measured, where an acknowledgement waits for them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::Figures;
use crate::engine::disk::{Disk, OsDisk};
use crate::engine::journal::is_segment;

/// A folder of the system, and what is counted of it. It does nothing else than that folder.
#[derive(Clone)]
pub struct MeasuredDisk {
    disk: OsDisk,
    figures: Arc<Figures>,
}

/// An open file.
pub struct MeasuredFile {
    file: std::fs::File,
    /// Whether writers wait for its syncs.
    is_segment: bool,
}

impl MeasuredDisk {
    /// This folder, counted there.
    pub fn new(disk: OsDisk, figures: Arc<Figures>) -> Self {
        Self { disk, figures }
    }
}

impl Disk for MeasuredDisk {
    type File = MeasuredFile;

    fn open(&self, path: &Path) -> io::Result<Self::File> {
        Ok(MeasuredFile { file: self.disk.open(path)?, is_segment: is_segment(path) })
    }

    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_at(&file.file, offset, bytes)
    }

    fn sync(&self, file: &Self::File) -> io::Result<()> {
        if !file.is_segment {
            return self.disk.sync(&file.file);
        }
        let began = Instant::now();
        self.disk.sync(&file.file)?;
        self.figures.synced(began.elapsed());
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_folder(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.create_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_folder(path)
    }

    fn is_at(&self, file: &Self::File, path: &Path) -> io::Result<bool> {
        self.disk.is_at(&file.file, path)
    }

    fn free(&self) -> io::Result<u64> {
        self.disk.free()
    }
}
