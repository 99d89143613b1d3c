//! Whether another pod has led the log in a bucket since this one did: then this one stays out of it. Were it to take the lead again when its
//! process is restarted, two pods would displace each other for ever, and one of them may be on a node of which Kubernetes knows nothing.
//!
//! So a pod has a mark, which stands in its fences, and in a file of its own folder: that outlives the process, and no other pod has it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;

use crate::bucket::Bucket;
use crate::engine::blocks::{Claim, MARK};
use crate::engine::journal::BadJournal;

/// The file of the mark.
const FILE: &str = "led";

/// The mark of a pod.
#[derive(Debug)]
pub struct Mark {
    file: PathBuf,
    bytes: [u8; MARK],
    /// Whether it has led with this mark.
    has_led: bool,
}

impl Mark {
    /// The one in this folder; or a new one, where there is none.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let file = folder.join(FILE);
        let found = match fs::read(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            found => found.unwrap_or_default(),
        };
        // One that is torn says nothing.
        if let Ok(bytes) = found.try_into() {
            return Ok(Self { file, bytes, has_led: true });
        }
        let mut bytes = [0; MARK];
        rand::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self { file, bytes, has_led: false })
    }

    /// What stands in the fences.
    pub fn bytes(&self) -> [u8; MARK] {
        self.bytes
    }

    /// Whether this pod has led, and the newest start in the bucket is another's.
    pub fn is_overtaken<B: Bucket>(&self, bucket: &B) -> Result<bool, BadJournal> {
        Ok(self.has_led && Claim::newest(bucket)?.is_some_and(|newest| newest != self.bytes))
    }

    /// This pod leads. Where this never came to pass, it had led for no longer than a start takes, and may do so again.
    pub fn leads(&self) -> io::Result<()> {
        fs::write(&self.file, self.bytes)
    }

    /// Its file: without it the pod leads again.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::bucket::sim::{Objects, SimBucket};

    #[test]
    fn a_pod_leads_again_after_itself_and_not_after_another() {
        let bucket = SimBucket::new(1, Rc::new(|_: &Objects| ()));
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let overtaken = |folder: &Path| Mark::of(folder).unwrap().is_overtaken(&bucket).unwrap();
        let starts = |folder: &Path, ends_before_it_leads: bool| {
            let mark = Mark::of(folder).unwrap();
            Claim::take(&bucket, mark.bytes()).unwrap();
            if !ends_before_it_leads {
                mark.leads().unwrap();
            }
        };
        assert!(!overtaken(first.path()));
        starts(first.path(), true);
        assert!(!overtaken(first.path()), "it never led");
        starts(first.path(), false);
        assert!(!overtaken(first.path()));
        // Whenever it is stopped: its own fence is its own.
        starts(first.path(), true);
        assert!(!overtaken(first.path()));
        assert!(!overtaken(second.path()), "a new pod");
        starts(second.path(), true);
        assert!(overtaken(first.path()));
        std::fs::remove_file(Mark::of(first.path()).unwrap().file()).unwrap();
        assert!(!overtaken(first.path()), "by somebody's word");
    }
}
