//! What the log asks of a bucket: a few calls, each once, so that one in memory can fail at each of them.

mod s3;
#[cfg(test)]
pub(crate) mod sim;
mod url;

pub use s3::{Place, S3, S3Error};
pub use url::{BadBucketUrl, BucketUrl};

use crate::engine::volume::File;

/// How often a call is made of which nobody says whether it had its effect.
pub const TRIES: usize = 4;

/// Makes a call that does no harm when it is made twice until it is answered, a few times.
pub fn tried<T>(mut call: impl FnMut() -> Result<T, BucketError>) -> Result<T, BucketError> {
    for _ in 1..TRIES {
        if let Ok(answer) = call() {
            return Ok(answer);
        }
    }
    call()
}

/// A bucket. Paths are those of the log's files.
pub trait Bucket {
    /// Puts an object where none is. After an error nobody knows whether it is there, or will be.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, BucketError>;
    /// Puts an object, in the place of one that may be there. After an error nobody knows which of them it is, or will be.
    fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), BucketError>;
    /// All of an object; `None`, where there is none.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, BucketError>;
    /// The names of the objects in a folder and below it, as they go on behind its own, in any order.
    fn list(&self, folder: &str) -> Result<Vec<String>, BucketError> {
        Ok(self.sizes(folder)?.into_iter().map(|(name, _)| name).collect())
    }
    /// `list`, and how many bytes each has.
    fn sizes(&self, folder: &str) -> Result<Vec<(String, u64)>, BucketError>;
    /// Removes an object; one that is not there is removed already. After an error nobody knows whether it is, or will be.
    fn remove(&self, path: &str) -> Result<(), BucketError>;

    /// `create`, of each of these, several at a time.
    fn create_all(&self, objects: &[File]) -> Vec<Result<Created, BucketError>> {
        objects.iter().map(|object| self.create(&object.path, &object.bytes)).collect()
    }
    /// `read`, of each of these, several at a time.
    fn read_all(&self, paths: &[String]) -> Vec<Result<Option<Vec<u8>>, BucketError>> {
        paths.iter().map(|path| self.read(path)).collect()
    }
    /// Removes objects at some time, or never: nobody waits for it, and nobody hears.
    fn sweep(&self, paths: Vec<String>);
}

/// What came of an object that was to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is there.
    Now,
    /// One was there before: this one whose answer was lost, or another.
    Before,
}

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// The bucket says no.
    #[error("the bucket refuses to {what} {path}: {why}")]
    Refused {
        /// What it was asked for.
        what: &'static str,
        /// With what.
        path: String,
        /// In its words: a code, and never the rest of its answer, in which the id of a key may stand.
        why: String,
    },
    /// It says nothing, or that it cannot.
    #[error("the bucket is away: cannot {what} {path}: {why}")]
    Away {
        /// What it was asked for.
        what: &'static str,
        /// With what.
        path: String,
        /// Why.
        why: String,
    },
}
