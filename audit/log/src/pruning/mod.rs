//! How long records are kept: whole bundles whose records are all older go, once a record says so that the operator's witness has signed.

mod decide;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use record::kinds::log::{Key, Prune};
use record::{Count, Time, What};
use tokio::time::{Instant, sleep};

use crate::anchor;
use crate::engine::recover::Identity;
use crate::figures::Figures;
use crate::home::Predecessor;
use crate::read::{Desk, Places, Refusal};

pub use decide::{Bound, Facts, Next, Said, may_go, next};

/// How soon is looked again whether the witness and the mirror have what is to go: at first, and at the most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long it waits for them before it gives way to others.
const PATIENCE: Duration = Duration::from_secs(600);

/// What records are kept by.
pub struct Pruning {
    /// The log.
    pub desk: Desk,
    /// Who it is.
    pub identity: Identity,
    /// The log that it goes on with.
    pub predecessor: Option<Predecessor>,
    /// The file with the newest checkpoint that others have seen.
    pub anchor: Option<PathBuf>,
    /// Where it is told how far the mirror is.
    pub figures: Arc<Figures>,
}

impl Pruning {
    /// Removes what is older than this. Says whether that is done: it is not, where it waits for witness, mirror or index.
    pub async fn pass(&self, oldest: Time) -> Result<bool, Refusal> {
        let (began, mut pause) = (Instant::now(), PAUSES.0);
        loop {
            match self.step(oldest).await? {
                Next::Rest | Next::Prune(_) => return Ok(true),
                Next::Wait if began.elapsed() > PATIENCE => return Ok(false),
                Next::Say(_) => {}
                Next::Wait => {
                    sleep(pause).await;
                    pause = pause.saturating_mul(2).min(PAUSES.1);
                }
            }
        }
    }

    async fn step(&self, oldest: Time) -> Result<Next, Refusal> {
        self.desk.is_indexed().await?;
        let (begins, witnessed, mirrored) = (self.desk.begins(), self.witnessed(), self.mirrored());
        let look = move |view: &crate::index::View<'_>| {
            let facts = Facts {
                begins,
                published: view.size(),
                indexed: view.indexed(),
                witnessed,
                mirrored,
                open: view.first_of_open_grants()?,
                newest: view.newest_of_bundles(begins, oldest)?,
                oldest,
            };
            Ok(next(&facts, view.said_last()?))
        };
        let next = self.desk.look(Places::Others, look).await?;
        match next {
            Next::Say(minimum) => {
                // Who meets the log later hears them, too.
                for verifier in self.identity.keys.iter().map(ToString::to_string) {
                    self.desk.own(None, What::Key(Key { verifier })).await?;
                }
                self.desk
                    .own(None, What::Prune(Prune { before: oldest, minimum: Count::of(minimum) }))
                    .await?;
                tracing::info!(minimum, "records that were kept long enough are to go: it is on record");
            }
            Next::Prune(said) => {
                self.desk.prune(said).await?;
                self.figures.begins(said.minimum);
                tracing::info!(minimum = said.minimum, "records that were kept long enough are removed");
            }
            Next::Rest | Next::Wait => {}
        }
        Ok(next)
    }

    /// How far the checkpoint is that others vouch for. One that cannot be read vouches for nothing.
    fn witnessed(&self) -> Bound {
        if self.anchor.is_none() {
            return Bound::Nobody;
        }
        let anchor = anchor::read(self.anchor.as_deref())
            .and_then(|note| anchor::of(note, &self.identity, self.predecessor.as_ref()));
        match anchor {
            Ok(anchor) => Bound::UpTo(anchor.map_or(0, |anchor| anchor.size)),
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(
                    error,
                    "what others have seen of the log is not known, so nothing of it is removed"
                );
                Bound::UpTo(0)
            }
        }
    }

    fn mirrored(&self) -> Bound {
        self.figures.mirror_size().map_or(Bound::Nobody, Bound::UpTo)
    }
}
