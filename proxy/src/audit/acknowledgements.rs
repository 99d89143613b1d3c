//! How far a stream's keeper has come: what it says of that, and those who wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use access::report::Acknowledged;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::number::Number;
use super::waits::Waits;

/// By which a keeper tells how far it has come. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Acknowledgements {
    told: Arc<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// How many records are kept: all whose number is smaller.
    kept: AtomicU64,
    away: AtomicBool,
    changed: Notify,
    waits: Waits,
}

impl Acknowledgements {
    /// All records up to this one are kept, whatever happens now.
    pub fn up_to(&self, Number(number): Number) {
        self.below(number.saturating_add(1));
    }

    /// All records below this number are kept, whatever happens now.
    pub fn below(&self, number: u64) {
        self.told.kept.fetch_max(number, Ordering::AcqRel);
        self.told.changed.notify_waiters();
        self.told.waits.end_below(number, Instant::now());
    }

    /// Records are not kept now, so that nothing more is begun; or they are again.
    pub fn is_away(&self, away: bool) {
        self.told.away.store(away, Ordering::Release);
    }

    /// How long the intents of statements waited, or have waited so far.
    pub fn so_far(&self) -> Acknowledged {
        self.told.waits.so_far(Instant::now())
    }

    /// This intent waits since `handed_over`. In the order of their numbers.
    pub(super) fn wait_for(&self, intent: Number, handed_over: Instant) {
        self.told.waits.begins(intent.0, handed_over);
        // It may have been acknowledged before it was said to wait.
        if self.has(intent) {
            self.told.waits.end_below(self.count(), Instant::now());
        }
    }

    /// How many records are kept.
    pub(super) fn count(&self) -> u64 {
        self.told.kept.load(Ordering::Acquire)
    }

    /// Whether records are not kept now.
    pub(crate) fn are_away(&self) -> bool {
        self.told.away.load(Ordering::Acquire)
    }

    /// Whether this record is kept.
    pub(super) fn has(&self, Number(number): Number) -> bool {
        self.count() > number
    }

    /// The next time that more is kept than when this is called.
    pub(super) fn more(&self) -> impl Future<Output = ()> + Send + '_ {
        let kept = self.count();
        async move { self.has_come(Number(kept)).await }
    }

    /// Waits until a record is kept. Safe to drop.
    pub(super) async fn has_come(&self, number: Number) {
        loop {
            let changed = self.told.changed.notified();
            tokio::pin!(changed);
            // From here on nothing is missed.
            changed.as_mut().enable();
            if self.has(number) {
                return;
            }
            changed.await;
        }
    }
}
