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
use crate::index::{KnowError, Needed, View};
use crate::read::{Desk, Places, Refusal};

pub use decide::{Bound, Facts, HeldUp, Next, Said, held_up, may_go, next};

/// How soon is looked again whether the witness and the mirror have what is to go: at first, and at the most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long it waits for them before it gives way to others.
const PATIENCE: Duration = Duration::from_secs(600);

/// For how many microseconds old records stay before it is told why: a week. A grant that is among the oldest and the younger ones, too, keeps
/// them for some hours.
const LONG: i64 = 7 * 24 * 3600 * 1_000_000;

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
    /// The index of the first record of this start.
    pub start: u64,
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
        // Before the index is looked at: a key that comes later is of a grant that has new records.
        let with_keys = self.desk.grants_with_texts().await?;
        self.desk.is_indexed().await?;
        if let Some(said) = self.said_by_another().await? {
            self.prune(said).await?;
            return Ok(Next::Prune(said));
        }
        let (begins, witnessed, mirrored) = (self.desk.begins(), self.witnessed(), self.mirrored());
        let look = move |view: &View<'_>| {
            let needed = view.first_needed(with_keys)?;
            let facts = Facts {
                begins,
                published: view.size(),
                indexed: view.indexed(),
                witnessed,
                mirrored,
                open: needed.as_ref().map(|needed| needed.first),
                newest: view.newest_of_bundles(begins, oldest)?,
                oldest,
            };
            let next = next(&facts, view.said_last()?);
            if next == Next::Rest {
                let long_ago = oldest.micros().saturating_sub(LONG);
                tell(view, facts, (needed, Time::from_micros(long_ago).unwrap_or(oldest)))?;
            }
            Ok(next)
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
            Next::Prune(said) => self.prune(said).await?,
            Next::Rest | Next::Wait => {}
        }
        Ok(next)
    }

    async fn prune(&self, said: Said) -> Result<(), Refusal> {
        self.desk.prune(said).await?;
        self.figures.begins(said.minimum);
        tracing::info!(minimum = said.minimum, "records that were kept long enough are removed");
        Ok(())
    }

    /// What a process that was cut off has begun to remove, and may still: if it is said in the bucket, and by a record of the log.
    async fn said_by_another(&self) -> Result<Option<Said>, Refusal> {
        let begins = self.desk.begins();
        let said = self.desk.said_in_bucket().await?.filter(|said| said.minimum > begins);
        let Some(said) = said else { return Ok(None) };
        let look = move |view: &View<'_>| {
            let found = view.bundles().record(said.record);
            let what = found.map(|found| found.record.what);
            Ok(matches!(what, Ok(What::Prune(prune)) if prune.minimum.get() >= said.minimum))
        };
        let is_on_record = self.desk.look(Places::Others, look).await?;
        Ok(Some(said).filter(|_| is_on_record))
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

/// Says what keeps records in the log that should have gone before: it may do so for ever.
fn tell(view: &View<'_>, facts: Facts, (needed, oldest): (Option<Needed>, Time)) -> Result<(), KnowError> {
    match held_up(&Facts { oldest, ..facts }) {
        Some(HeldUp::Grant(from)) => {
            let grant = needed.map(|needed| needed.grant.to_string());
            tracing::warn!(
                grant,
                from,
                "records that were kept long enough stay: of this grant, whose records begin there, no record says that it is over, or its texts \
                 are not erased"
            );
        }
        Some(HeldUp::Unread(bundle)) => {
            tracing::warn!(bundle, "records that were kept long enough stay: this bundle cannot be read");
        }
        Some(HeldUp::Young(bundle, newest)) if view.is_old_behind(bundle, oldest)? => {
            let newest = newest.to_string();
            tracing::warn!(
                bundle,
                newest,
                "records that were kept long enough stay: this bundle before them has one that was not"
            );
        }
        Some(HeldUp::Young(..)) | None => {}
    }
    Ok(())
}
