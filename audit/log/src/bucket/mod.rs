//! What the log asks of a bucket: five calls, each once, so that one in memory can fail at each of them.

mod s3;
#[cfg(test)]
pub(crate) mod sim;
mod url;

pub use s3::{Place, S3, S3Error};
pub use url::{BadBucketUrl, BucketUrl};

/// A bucket. Paths are those of the log's files.
pub trait Bucket {
    /// Puts an object where none is. After an error nobody knows whether it is there, or will be.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, BucketError>;
    /// Puts an object, in the place of one that may be there. After an error nobody knows which of them it is, or will be.
    fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), BucketError>;
    /// All of an object; `None`, where there is none.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, BucketError>;
    /// The names of the objects in a folder, in any order.
    fn list(&self, folder: &str) -> Result<Vec<String>, BucketError>;
    /// Removes an object; one that is not there is removed already.
    fn remove(&self, path: &str) -> Result<(), BucketError>;
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
