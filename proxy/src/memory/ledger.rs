//! The ledger itself: how much is taken of how much. Pure; what is dropped is given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// There is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the memory for what sessions send and read is used up")]
pub struct NoRoom;

/// How many bytes are taken, of how many. A copy counts with it.
#[derive(Clone, Debug)]
pub struct Ledger {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// Bytes that somebody holds, given back when dropped.
#[derive(Debug)]
pub struct Share {
    ledger: Ledger,
    bytes: usize,
}

impl Ledger {
    /// A ledger of `most` bytes, nothing of them taken.
    pub fn of(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    /// The same ledger for what stays after its statement: a quarter is left for statements.
    pub fn lasting(&self) -> Self {
        Self { taken: Arc::clone(&self.taken), most: self.most.saturating_sub(self.most / 4) }
    }

    /// How many bytes there are in all.
    pub fn most(&self) -> usize {
        self.most
    }

    /// A share that may grow; nothing yet.
    pub fn share(&self) -> Share {
        Share { ledger: self.clone(), bytes: 0 }
    }

    /// A share of `bytes`.
    ///
    /// # Errors
    /// They do not fit.
    pub fn take(&self, bytes: usize) -> Result<Share, NoRoom> {
        let mut share = self.share();
        share.becomes(bytes)?;
        Ok(share)
    }
}

impl Share {
    /// Changes it to `bytes`. Less always fits.
    ///
    /// # Errors
    /// More does not fit; then it stays as it was.
    pub fn becomes(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let Ledger { taken, most } = &self.ledger;
        if let Some(more) = bytes.checked_sub(self.bytes) {
            let fits = |taken: usize| taken.checked_add(more).filter(|sum| more == 0 || sum <= most);
            taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).map_err(|_| NoRoom)?;
        } else {
            taken.fetch_sub(self.bytes.saturating_sub(bytes), Ordering::AcqRel);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Gives all of it back.
    pub fn clear(&mut self) {
        self.ledger.taken.fetch_sub(self.bytes, Ordering::AcqRel);
        self.bytes = 0;
    }

    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn taken(ledger: &Ledger) -> usize {
        ledger.taken.load(Ordering::Acquire)
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_is_dropped_comes_back() {
        let ledger = Ledger::of(100);
        let first = ledger.take(60).unwrap();
        assert!(matches!(ledger.take(41), Err(NoRoom)));
        let second = ledger.take(40).unwrap();
        assert!(ledger.take(1).is_err() && ledger.take(0).is_ok());
        drop(first);
        assert_eq!((taken(&ledger), second.bytes()), (40, 40));
        assert!(ledger.take(60).is_ok());
        assert!(ledger.take(usize::MAX).is_err());
    }

    #[test]
    fn a_share_grows_and_shrinks_and_keeps_what_it_had_when_it_can_grow_no_more() {
        let ledger = Ledger::of(100);
        let mut share = ledger.share();
        share.becomes(70).unwrap();
        assert_eq!(share.becomes(101), Err(NoRoom));
        assert_eq!((share.bytes(), taken(&ledger)), (70, 70));
        share.becomes(10).unwrap();
        assert_eq!(taken(&ledger), 10);
        share.clear();
        share.clear();
        assert_eq!((share.bytes(), taken(&ledger)), (0, 0));
    }

    #[test]
    fn what_lasts_leaves_room_for_what_does_not() {
        let ledger = Ledger::of(100);
        let mut lasting = ledger.lasting().take(75).unwrap();
        assert!(ledger.lasting().take(1).is_err());
        let passing = ledger.take(25).unwrap();
        // Beyond its own bound it shrinks all the same.
        assert_eq!(lasting.becomes(76), Err(NoRoom));
        lasting.becomes(74).unwrap();
        drop((lasting, passing));
        assert_eq!(taken(&ledger), 0);
    }

    #[test]
    fn many_threads_never_take_more_than_there_is() {
        let ledger = Ledger::of(10);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        let share = ledger.take(3);
                        assert!(taken(&ledger) <= 10);
                        drop(share);
                    }
                });
            }
        });
        assert_eq!(taken(&ledger), 0);
    }
}
