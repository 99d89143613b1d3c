//! What a bucket must do before a log leads in it: put an object only where none is, and remove one. It is tried at each start, before that
//! takes anything.

use std::io;

use aws_lc_rs::rand;

use crate::bucket::{Bucket, BucketError, Created, tried};

/// The folder of the objects with which it is tried. Nothing is in it, but for what a process left that was killed.
const TRIALS: &str = "trials";

/// Why no log can lead in a bucket.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// What keeps two logs apart.
    #[error(
        "the store puts an object in the place of another one though it was told not to (If-None-Match: *), so two logs could both \
         acknowledge, each another past: take a store that knows conditional writes"
    )]
    KnowsNoConditions,
    /// What keeps the journal short, and erases texts.
    #[error(
        "the log may remove nothing, so its journal would never end and no text be erased: give its credentials s3:DeleteObject below the \
         log's folder, and the bucket no Object Lock"
    )]
    MayNotRemove(#[source] BucketError),
    /// It does not answer, or refuses more.
    #[error("it cannot be tried whether the bucket does what a log needs")]
    Bucket(#[source] BucketError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl From<Unfit> for io::Error {
    fn from(error: Unfit) -> Self {
        Self::other(error)
    }
}

/// Tries it.
pub fn trial<B: Bucket>(bucket: &B) -> Result<(), Unfit> {
    let mut name = [0; 8];
    rand::fill(&mut name).map_err(|_| Unfit::Random)?;
    let path = format!("{TRIALS}/{:016x}", u64::from_be_bytes(name));
    // Nobody else knows the name: it is there after this, whichever try has made it.
    tried(bucket, || bucket.create(&path, b"this")).map_err(Unfit::Bucket)?;
    match tried(bucket, || bucket.create(&path, b"that")).map_err(Unfit::Bucket)? {
        Created::Before => (),
        Created::Now => return Err(Unfit::KnowsNoConditions),
    }
    tried(bucket, || bucket.remove(&path)).map_err(|error| match error {
        BucketError::Refused { .. } => Unfit::MayNotRemove(error),
        BucketError::Away { .. } => Unfit::Bucket(error),
    })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::bucket::sim::{Objects, SimBucket};
    use crate::engine::keys::Role;
    use crate::engine::storage::{InBucket, Storage as _};

    fn bucket() -> SimBucket {
        SimBucket::new(1, Rc::new(|_: &Objects| ()))
    }

    fn refused(bucket: &SimBucket) -> String {
        let storage = InBucket { bucket: bucket.clone(), role: Role::Leads, mark: [7; 8] };
        let error = format!("{:#}", anyhow::Error::from(storage.claim().unwrap_err()));
        assert_eq!(bucket.list("journal").unwrap(), [""; 0], "nothing is taken");
        error
    }

    #[test]
    fn a_store_that_knows_no_conditions_is_told_before_anything_is_taken() {
        let bucket = bucket();
        bucket.0.borrow_mut().knows_no_conditions = true;
        let said = refused(&bucket);
        assert!(said.contains("If-None-Match") && said.contains("take a store"), "{said}");
    }

    #[test]
    fn credentials_that_may_remove_nothing_are_told_by_the_right_that_they_lack() {
        let bucket = bucket();
        bucket.0.borrow_mut().refuses_removals = true;
        let said = refused(&bucket);
        assert!(said.contains("s3:DeleteObject") && said.contains("AccessDenied"), "{said}");
    }

    #[test]
    fn a_bucket_that_does_what_it_must_has_nothing_of_it_afterwards() {
        let bucket = bucket();
        trial(&bucket).unwrap();
        assert!(bucket.0.borrow().objects.is_empty());
    }
}
