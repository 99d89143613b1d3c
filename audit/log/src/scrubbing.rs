//! The scrub of a log that runs: it reads everything again and again, slowly, and tells what it finds. It stops nothing: what is acknowledged
//! later is as good as before.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use record::Uid;
use tlog::Checkpoint;
use tokio::sync::watch;

use crate::figures::Figures;
use crate::read::Files;
use crate::scrub::Scrub;
use crate::seal::Keys;
use crate::source::{Source, is_away};

/// How many bytes it reads in a second, on average: writers wait for the same disk.
const BYTES_A_SECOND: u64 = 1 << 20;

/// How long it waits for a bucket that does not answer, before it asks again.
const PAUSE: Duration = Duration::from_secs(10);

/// A scrub, on a thread of its own.
pub struct Scrubbing {
    /// The log's files.
    pub files: Files,
    /// What opens the wrapped keys.
    pub keys: Keys,
    /// What it is held against.
    pub published: watch::Receiver<Option<Checkpoint>>,
    /// How long it rests between two rounds.
    pub rest: Duration,
    /// Where its position and what it finds is counted.
    pub figures: Arc<Figures>,
}

impl Scrubbing {
    /// Starts it. It ends with the log.
    pub fn start(self) -> io::Result<()> {
        let scrub = move || {
            // Nobody says a checkpoint any more once the log has ended.
            while self.published.has_changed().is_ok() {
                self.round();
                thread::sleep(self.rest);
            }
        };
        thread::Builder::new().name("scrub".to_owned()).spawn(scrub).map(|_| ())
    }

    fn round(&self) {
        let Some(checkpoint) = self.published.borrow().clone() else { return };
        let size = checkpoint.size;
        let (source, published) = (Arc::clone(self.files.source()), self.published.clone());
        let files = Files::new(Arc::new(Patient { source, published, pause: PAUSE }));
        let mut scrub = Scrub::new(files, Some(self.keys.clone()), checkpoint);
        let (mut bytes, mut damaged) = (0_u64, 0_u64);
        while let Some(step) = scrub.step() {
            self.figures.scrubbed(scrub.position());
            for damage in step.found {
                damaged = damaged.saturating_add(1);
                self.figures.damaged();
                tracing::error!(
                    damage = format!("{:#}", anyhow::Error::from(damage)),
                    "a file of the log is damaged: restore it from a copy"
                );
            }
            bytes = bytes.saturating_add(step.bytes);
            thread::sleep(pause(step.bytes));
        }
        tracing::info!(records = size, bytes, damaged, "the log has read everything again");
    }
}

/// Files that are waited for while their bucket does not answer: what nobody could read is not damaged, and a reading that takes hours need not
/// begin anew.
#[derive(Debug)]
struct Patient {
    source: Arc<dyn Source>,
    published: watch::Receiver<Option<Checkpoint>>,
    pause: Duration,
}

impl Patient {
    /// Until there is an answer, or the log ends.
    fn waits<T>(&self, ask: impl Fn() -> io::Result<T>) -> io::Result<T> {
        loop {
            match ask() {
                Err(error) if is_away(&error) && self.published.has_changed().is_ok() => {
                    tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "the scrub waits");
                    thread::sleep(self.pause);
                }
                answer => return answer,
            }
        }
    }
}

impl Source for Patient {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.waits(|| self.source.read(path))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        self.waits(|| self.source.list(folder))
    }

    fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        self.waits(|| self.source.checkpoint())
    }

    fn keys_of(&self, grant: &Uid) -> io::Result<Vec<String>> {
        self.waits(|| self.source.keys_of(grant))
    }

    fn forget(&self, path: &str) {
        self.source.forget(path);
    }
}

/// How long so many bytes may take.
fn pause(bytes: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000).checked_div(BYTES_A_SECOND).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::mirror::tests::Log;
    use crate::source::Folder;
    use crate::source::tests::Shelf;

    #[test]
    fn what_a_bucket_that_does_not_answer_holds_is_not_told_as_damaged() {
        let mut log = Log::new(3);
        let checkpoint = log.grows_to(300);
        let (publisher, published) = watch::channel(Some(checkpoint.clone()));
        let shelf = Arc::new(Shelf::of(log.path()));
        let source = Arc::<Shelf>::clone(&shelf);
        let patient = Patient { source, published, pause: Duration::from_millis(1) };
        let scrub = |source, fails| {
            let mut scrub = Scrub::new(Files::new(source), None, checkpoint.clone());
            let mut all = Vec::new();
            loop {
                shelf.away.store(fails, Ordering::SeqCst);
                let Some(step) = scrub.step() else { return all };
                all.push(format!("{} {:?}", step.bytes, step.found));
            }
        };
        let whole = scrub(Arc::new(Folder(log.path().to_owned())), 0);
        assert!(whole.len() > 2);
        assert_eq!(scrub(Arc::new(patient), 7), whole);
        // It waits no longer than the log lives.
        let source = Arc::<Shelf>::clone(&shelf);
        let published = publisher.subscribe();
        let patient = Patient { source, published, pause: Duration::from_millis(1) };
        drop(publisher);
        shelf.away.store(u32::MAX, Ordering::SeqCst);
        assert!(is_away(&patient.read("checkpoint").unwrap_err()));
    }
}
