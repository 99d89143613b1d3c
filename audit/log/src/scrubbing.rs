//! The scrub of a log that runs: it reads everything again and again, slowly, and tells what it finds. It stops nothing: what is acknowledged
//! later is as good as before.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use record::Uid;
use tlog::{Checkpoint, Note, VerifierKey};
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

/// The file of the newest checkpoint is not what the log put there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum NoCheckpoint {
    #[error("{0} is missing, or cannot be read")]
    Missing(String),
    #[error("{0} is not what the log signed last")]
    Differs(String),
}

/// A scrub, on a thread of its own.
pub struct Scrubbing {
    /// The log's files.
    pub files: Files,
    /// What opens the wrapped keys.
    pub keys: Keys,
    /// The keys that may have signed the log's checkpoints.
    pub verifiers: Vec<VerifierKey>,
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
        let files = files.beginning(self.files.begins().clone());
        let (mut bytes, mut damaged) = (0_u64, 0_u64);
        let mut tell = |damage: anyhow::Error| {
            damaged = damaged.saturating_add(1);
            self.figures.damaged();
            let damage = format!("{damage:#}");
            tracing::error!(damage, "a file of the log is damaged: restore it from a copy");
        };
        if let Err(damage) = newest_is_there(files.source().as_ref(), &checkpoint, &self.verifiers) {
            tell(damage.into());
        }
        let mut scrub = Scrub::new(files, Some(self.keys.clone()), checkpoint);
        while let Some(step) = scrub.step() {
            self.figures.scrubbed(scrub.position());
            step.found.into_iter().for_each(|damage| tell(damage.into()));
            bytes = bytes.saturating_add(step.bytes);
            thread::sleep(pause(step.bytes));
        }
        tracing::info!(records = size, bytes, damaged, "the log has read everything again");
    }
}

/// That where the newest checkpoint lies is one with this one's records, or with more: the log may have signed a newer one since. Every signature
/// under it must be right, so that no byte of it can be another one.
fn newest_is_there(
    source: &dyn Source,
    known: &Checkpoint,
    keys: &[VerifierKey],
) -> Result<(), NoCheckpoint> {
    let path = source.checkpoint_path(known.size);
    source.forget(&path);
    let found = match source.checkpoint() {
        Ok(Some(found)) => found,
        // Nobody could read it, for the log ends.
        Err(error) if is_away(&error) => return Ok(()),
        Ok(None) | Err(_) => return Err(NoCheckpoint::Missing(path)),
    };
    let note: Option<Note> = String::from_utf8(found).ok().and_then(|text| text.parse().ok());
    let is_signed = |note: &Note| note.verify(keys).is_ok_and(|by| by.len() == note.signatures().len());
    let signed: Option<Checkpoint> = note.filter(is_signed).and_then(|note| note.text().parse().ok());
    let is_newest =
        |signed: Checkpoint| signed.origin == known.origin && (signed.size > known.size || signed == *known);
    if signed.is_some_and(is_newest) { Ok(()) } else { Err(NoCheckpoint::Differs(path)) }
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

    fn checkpoint_path(&self, size: u64) -> String {
        self.source.checkpoint_path(size)
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
    fn a_newest_checkpoint_that_was_changed_set_back_or_taken_away_is_named_and_a_newer_one_is_none_of_these()
    {
        let mut log = Log::new(3);
        let keys = log.keys();
        let file = log.path().join("checkpoint");
        let older = (log.grows_to(200), std::fs::read(&file).unwrap());
        let known = log.grows_to(300);
        let whole = std::fs::read(&file).unwrap();
        let look = || newest_is_there(&Folder(log.path().to_owned()), &known, &keys);
        assert_eq!(look(), Ok(()));
        let differs = Err(NoCheckpoint::Differs("checkpoint".to_owned()));
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[place] ^= 1 << bit;
                std::fs::write(&file, changed).unwrap();
                assert_eq!(look(), differs, "bit {bit} of byte {place}");
            }
        }
        for changed in [&older.1[..], b"", &whole[1..], &[&whole[..], &whole[..]].concat()] {
            std::fs::write(&file, changed).unwrap();
            assert_eq!(look(), differs);
        }
        std::fs::remove_file(&file).unwrap();
        assert_eq!(look(), Err(NoCheckpoint::Missing("checkpoint".to_owned())));
        std::fs::write(&file, &whole).unwrap();
        // What was read before the log signed the one that is there.
        assert_eq!(newest_is_there(&Folder(log.path().to_owned()), &older.0, &keys), Ok(()));
        // The one of another log, or of a key that is not known.
        let mut other = Log::new(4);
        other.grows_to(300);
        std::fs::copy(other.path().join("checkpoint"), &file).unwrap();
        assert_eq!(look(), differs);
        assert_eq!(newest_is_there(&Folder(log.path().to_owned()), &known, &[]), differs);
    }

    #[test]
    fn in_a_bucket_the_newest_of_its_checkpoints_counts_and_not_the_plain_one() {
        let mut log = Log::new(3);
        let known = log.grows_to(300);
        let plain = log.path().join("checkpoint");
        let newest = log.path().join("checkpoints/000000000000012c");
        std::fs::create_dir(newest.parent().unwrap()).unwrap();
        std::fs::rename(&plain, &newest).unwrap();
        std::fs::write(&plain, "of a log that was cut off").unwrap();
        let look = || newest_is_there(&Shelf::of(log.path()), &known, &log.keys());
        assert_eq!(look(), Ok(()));
        let name = "checkpoints/000000000000012c".to_owned();
        let mut changed = std::fs::read(&newest).unwrap();
        changed[0] ^= 1;
        std::fs::write(&newest, changed).unwrap();
        assert_eq!(look(), Err(NoCheckpoint::Differs(name.clone())));
        std::fs::remove_file(&newest).unwrap();
        assert_eq!(look(), Err(NoCheckpoint::Missing(name)));
    }

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
