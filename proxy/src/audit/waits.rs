//! How long intents wait for their acknowledgement: counted when it comes, whoever waits for it or not. It has no more entries than the way
//! to the log keeps records, and that has a bound.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use access::report::{ACKNOWLEDGED_WITHIN, Acknowledged};
use tokio::time::Instant;

/// How many times are told apart: those within each bound, and those beyond the last.
const KINDS: usize = ACKNOWLEDGED_WITHIN.len() + 1;

/// The times of one stream.
#[derive(Debug, Default)]
pub(super) struct Waits {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Numbers of the intents that wait, from the smallest on, and when each was handed over.
    waiting: VecDeque<(u64, Instant)>,
    within: [u64; KINDS],
    micros: u64,
    longest: Duration,
}

impl Waits {
    /// An intent was handed over, with a greater number than all before it.
    pub(super) fn begins(&self, number: u64, at: Instant) {
        self.locked().waiting.push_back((number, at));
    }

    /// All with a smaller number are acknowledged.
    pub(super) fn end_below(&self, number: u64, now: Instant) {
        let mut inner = self.locked();
        while let Some((_, at)) = inner.waiting.pop_front_if(|(waiting, _)| *waiting < number) {
            inner.took(now.saturating_duration_since(at));
        }
    }

    /// All of it.
    pub(super) fn so_far(&self, now: Instant) -> Acknowledged {
        let inner = self.locked();
        let oldest = inner.waiting.front().map(|(_, at)| now.saturating_duration_since(*at));
        Acknowledged {
            within: inner.within.to_vec(),
            micros: inner.micros,
            waiting: u64::try_from(inner.waiting.len()).unwrap_or(u64::MAX),
            longest_micros: micros(inner.longest.max(oldest.unwrap_or_default())),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn took(&mut self, time: Duration) {
        let took = micros(time);
        let kind = ACKNOWLEDGED_WITHIN.partition_point(|bound| *bound < took);
        if let Some(count) = self.within.get_mut(kind) {
            *count = count.saturating_add(1);
        }
        self.micros = self.micros.saturating_add(took);
        self.longest = self.longest.max(time);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_counted_once_by_its_time() {
        let (waits, began) = (Waits::default(), Instant::now());
        let after = |micros| began + Duration::from_micros(micros);
        for number in [3, 4, 9, 12, 13] {
            waits.begins(number, began);
        }
        waits.end_below(5, after(250));
        waits.end_below(5, after(300));
        waits.end_below(10, after(251));
        waits.end_below(13, after(2_000_001));
        let found = waits.so_far(after(3_000_000));
        let mut within = vec![0; KINDS];
        (within[0], within[1], within[KINDS - 1]) = (2, 1, 1);
        let wanted =
            Acknowledged { within, micros: 250 * 2 + 251 + 2_000_001, waiting: 1, longest_micros: 3_000_000 };
        assert_eq!(found, wanted);
        assert_eq!(found.count(), 4);
        waits.end_below(14, after(3_000_000));
        assert_eq!(waits.so_far(after(9_000_000)).longest_micros, 3_000_000, "nobody waits any more");
    }
}
