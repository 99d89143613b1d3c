//! The mirror: the files of the tree, copied into a bucket that somebody else answers for. It runs on a thread of its own, and whatever
//! becomes of it, no writer waits for it: what is not copied yet is told as a figure, and copied when it can be.

mod copy;
mod next;
#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tlog::Checkpoint;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

pub use copy::{Copier, MirrorError, Original};
pub use next::{Facts, MINUTE, Mirrored, Next, next};

use crate::bucket::{Bucket, S3Error};
use crate::figures::Figures;

/// How long it waits after a failure; twice as long after each that follows.
const PAUSE: Duration = Duration::from_secs(1);

/// A mirror that is kept.
pub struct Mirroring {
    /// Whose files.
    pub original: Original,
    /// How far the log is.
    pub published: watch::Receiver<Option<Checkpoint>>,
    /// Where its lag and its failures are counted.
    pub figures: Arc<Figures>,
}

/// Why a turn of the mirror failed.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error("there is no way to the bucket")]
    Way(#[source] S3Error),
    #[error("nothing is copied")]
    Copy(#[source] MirrorError),
}

impl Mirroring {
    /// Starts it. It ends with the log. `way`: makes the way to the bucket, anew after each failure, so that credentials that were
    /// changed are read again.
    pub fn start<B: Bucket + 'static>(
        self,
        way: impl Fn() -> Result<B, S3Error> + Send + 'static,
    ) -> io::Result<()> {
        self.figures.has_mirror();
        let waits = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        thread::Builder::new().name("mirror".to_owned()).spawn(move || self.run(&waits, &way)).map(|_| ())
    }

    fn run<B: Bucket>(mut self, waits: &Runtime, way: &impl Fn() -> Result<B, S3Error>) {
        let (mut copier, mut failures, mut before) = (None, 0_u32, Mirrored::default());
        loop {
            let seen = Instant::now();
            let Some(published) = self.published.borrow_and_update().clone() else {
                if waits.block_on(self.published.changed()).is_err() {
                    return;
                }
                continue;
            };
            match self.turn(&mut copier, way, (&published, before)) {
                Ok((next, mirrored)) => {
                    before = mirrored;
                    let size = mirrored.size;
                    if failures > 0 {
                        tracing::info!(size, "the mirror is reached again");
                    }
                    failures = 0;
                    self.figures.mirrored(size, seen);
                    if !self.waits(waits, next) {
                        return;
                    }
                }
                Err(error) => {
                    copier = None;
                    self.figures.mirror_failed();
                    if failures == 0 {
                        let error = format!("{:#}", anyhow::Error::from(error));
                        tracing::warn!(
                            error,
                            "the mirror lags behind: records are acknowledged all the same"
                        );
                    }
                    let pause = PAUSE.saturating_mul(1 << failures.min(6)).min(MINUTE);
                    waits.block_on(async { sleep(pause).await });
                    failures = failures.saturating_add(1);
                    // Nobody says a checkpoint any more once the log has ended.
                    if self.published.has_changed().is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// One step; how far the mirror is after it. `before`: how far it was after the last one.
    fn turn<B: Bucket>(
        &self,
        copier: &mut Option<Copier<B>>,
        way: &impl Fn() -> Result<B, S3Error>,
        (published, before): (&Checkpoint, Mirrored),
    ) -> Result<(Next, Mirrored), TurnError> {
        let copier = match copier {
            Some(copier) => copier,
            None => {
                let bucket = way().map_err(TurnError::Way)?;
                let begun = Copier::begin(bucket, self.original.clone(), published);
                let mut begun = begun.map_err(TurnError::Copy)?;
                begun.goes_on(before.bundles).map_err(TurnError::Copy)?;
                copier.insert(begun)
            }
        };
        let next = copier.step(published.size).map_err(TurnError::Copy)?;
        Ok((next, copier.mirrored()))
    }

    /// Whether the log still runs when there is something to do again.
    fn waits(&mut self, waits: &Runtime, next: Next) -> bool {
        match next {
            Next::Bundle(_) | Next::Rest => self.published.has_changed().is_ok(),
            Next::Wait(None) => waits.block_on(self.published.changed()).is_ok(),
            Next::Wait(Some(left)) => {
                match waits.block_on(async { timeout(left, self.published.changed()).await }) {
                    Ok(changed) => changed.is_ok(),
                    Err(_) => true,
                }
            }
        }
    }
}
