//! What the log asks of a bucket: a few calls, each once, so that one in memory can fail at each of them.

mod s3;
#[cfg(test)]
pub(crate) mod sim;
mod sweep;
#[cfg(test)]
mod tests;
mod url;
mod way;

use std::time::Duration;

pub use s3::S3;
pub use url::{BadBucketUrl, BucketUrl};
pub use way::{Place, S3Error};

use crate::engine::volume::File;

/// How often a call is made of which nobody says whether it had its effect.
pub const TRIES: u32 = 5;

/// How long it rests before the second try, about; before each that follows, four times as long.
const REST: Duration = Duration::from_millis(50);

/// Makes a call that does no harm when it is made twice until it is answered, a few times, with rests between them.
pub fn tried<B: Bucket + ?Sized, T>(
    bucket: &B,
    mut call: impl FnMut() -> Result<T, BucketError>,
) -> Result<T, BucketError> {
    for failed in 1..TRIES {
        match call() {
            Ok(answer) => return Ok(answer),
            Err(_) => bucket.rest(failed),
        }
    }
    call()
}

/// How long to rest after so many failures, from 1: about 50 ms, 200 ms, 800 ms, 3.2 s. `dice`: from 0, half of that, to 255, half as much
/// again, so that not all whom one failure met ask again at once.
fn rest_after(failed: u32, dice: u8) -> Duration {
    let about = REST.saturating_mul(4_u32.saturating_pow(failed.saturating_sub(1)));
    let part = |whole: Duration, of: u32| whole.checked_div(of).unwrap_or_default();
    part(about, 2).saturating_add(part(about.saturating_mul(dice.into()), 255))
}

/// A bucket. Paths are those of the log's files.
pub trait Bucket {
    /// Puts an object where none is. After an error nobody knows whether it is there, or will be.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<Created, BucketError>;
    /// `create`, where others wait for it: an answer that takes longer than a store that is well needs is not waited for.
    fn create_soon(&self, path: &str, bytes: &[u8]) -> Result<Created, BucketError> {
        self.create(path, bytes)
    }
    /// Puts an object, in the place of one that may be there. After an error nobody knows which of them it is, or will be.
    fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), BucketError>;
    /// All of an object; `None`, where there is none.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, BucketError>;
    /// `read`, of an object of so many bytes, where others wait for it.
    fn read_soon(&self, path: &str, _length: usize) -> Result<Option<Vec<u8>>, BucketError> {
        self.read(path)
    }
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
    /// Removes objects at some time, or never: nobody waits for it. Those that cannot be removed now are tried again with later ones.
    fn sweep(&self, paths: Vec<String>);
    /// Waits before a call is made again that has failed so often.
    fn rest(&self, failed: u32);
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
