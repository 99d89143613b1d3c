//! A bucket whose answers are measured, where an acknowledgement waits for them.

use std::sync::Arc;
use std::time::Instant;

use super::Figures;
use crate::bucket::{Bucket, BucketError, Created, S3};
use crate::engine::volume::File;

/// A bucket, and what is counted of it. It does nothing else than that bucket.
#[derive(Clone)]
pub struct MeasuredBucket {
    bucket: S3,
    figures: Arc<Figures>,
}

impl MeasuredBucket {
    /// This bucket, counted there.
    pub fn new(bucket: S3, figures: Arc<Figures>) -> Self {
        Self { bucket, figures }
    }
}

impl Bucket for MeasuredBucket {
    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, BucketError> {
        self.bucket.create(path, bytes)
    }

    /// What others wait for are the blocks of the journal.
    fn create_soon(&self, path: &str, bytes: &[u8]) -> Result<Created, BucketError> {
        let began = Instant::now();
        let created = self.bucket.create_soon(path, bytes)?;
        self.figures.synced(began.elapsed());
        Ok(created)
    }

    fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), BucketError> {
        self.bucket.replace(path, bytes)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, BucketError> {
        self.bucket.read(path)
    }

    fn read_soon(&self, path: &str, length: usize) -> Result<Option<Vec<u8>>, BucketError> {
        self.bucket.read_soon(path, length)
    }

    fn sizes(&self, folder: &str) -> Result<Vec<(String, u64)>, BucketError> {
        self.bucket.sizes(folder)
    }

    fn remove(&self, path: &str) -> Result<(), BucketError> {
        self.bucket.remove(path)
    }

    fn create_all(&self, objects: &[File]) -> Vec<Result<Created, BucketError>> {
        self.bucket.create_all(objects)
    }

    fn read_all(&self, paths: &[String]) -> Vec<Result<Option<Vec<u8>>, BucketError>> {
        self.bucket.read_all(paths)
    }

    fn sweep(&self, paths: Vec<String>) {
        self.bucket.sweep(paths);
        self.figures.left_over(self.bucket.left_over());
    }

    fn rest(&self, failed: u32) {
        self.bucket.rest(failed);
    }
}
