//! The scrub of a log that runs: it reads everything again and again, slowly, and tells what it finds. It stops nothing: what is acknowledged
//! later is as good as before.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tlog::Checkpoint;
use tokio::sync::watch;

use crate::engine::prune::Begins;
use crate::figures::Figures;
use crate::scrub::Scrub;

/// How many bytes it reads in a second, on average: writers wait for the same disk.
const BYTES_A_SECOND: u64 = 1 << 20;

/// A scrub, on a thread of its own.
pub struct Scrubbing {
    /// The log's folder.
    pub folder: PathBuf,
    /// What it is held against.
    pub published: watch::Receiver<Option<Checkpoint>>,
    /// Where it begins.
    pub begins: Begins,
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
        let mut scrub = Scrub::new(self.folder.clone(), checkpoint).beginning(self.begins.clone());
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

/// How long so many bytes may take.
fn pause(bytes: u64) -> Duration {
    Duration::from_micros(bytes.saturating_mul(1_000_000).checked_div(BYTES_A_SECOND).unwrap_or(0))
}
