//! How far the mirror is behind.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

/// What is shown of a mirror; all of it 0 where there is none.
#[derive(Default)]
pub struct OfMirror {
    /// Records that are not known to be in it.
    pub lag_records: Gauge<u64, AtomicU64>,
    /// For how long it has lacked one.
    pub lag_seconds: Gauge<f64, AtomicU64>,
    /// Attempts that failed.
    pub failures: Counter,
    state: Option<State>,
}

/// Of a mirror that there is.
struct State {
    /// How many records its checkpoint has.
    size: u64,
    /// Since when it has lacked one of the log's newest checkpoint, or longer.
    behind_since: Option<Instant>,
}

impl OfMirror {
    /// There is one, and it is not known yet that it has anything.
    pub fn is_there(&mut self) {
        self.state = Some(State { size: 0, behind_since: Some(Instant::now()) });
    }

    /// How many records its checkpoint is known to have; `None`, where there is no mirror.
    pub fn size(&self) -> Option<u64> {
        self.state.as_ref().map(|state| state.size)
    }

    /// The log has a newer checkpoint, of so many records.
    pub fn signed(&mut self, size: u64) {
        if let Some(state) = self.state.as_mut().filter(|state| state.size < size) {
            state.behind_since.get_or_insert_with(Instant::now);
        }
    }

    /// Its checkpoint has so many records, and the log's `signed`. `seen`: a moment when the log had no more than the mirror has now.
    pub fn is_at(&mut self, size: u64, signed: u64, seen: Instant) {
        let Some(state) = &mut self.state else { return };
        if size >= signed {
            state.behind_since = None;
        } else if size > state.size {
            state.behind_since = Some(seen);
        }
        state.size = size;
    }

    /// An attempt failed.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// Sets what the page shows, with a newest checkpoint of so many records.
    pub fn look(&self, signed: u64) {
        let Some(State { size, behind_since }) = &self.state else { return };
        self.lag_records.set(signed.saturating_sub(*size));
        self.lag_seconds.set(behind_since.map_or(0.0, |since| since.elapsed().as_secs_f64()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_lags_since_the_first_record_came_that_it_lacks() {
        let mut mirror = OfMirror::default();
        let long_ago = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
        let lag = |mirror: &OfMirror, signed| {
            mirror.look(signed);
            (mirror.lag_records.get(), mirror.lag_seconds.get() >= 99.0, mirror.lag_seconds.get() > 0.0)
        };
        mirror.signed(5);
        assert_eq!(lag(&mirror, 5), (0, false, false), "there is none");
        mirror.is_there();
        assert_eq!(lag(&mirror, 5), (5, false, true));
        mirror.is_at(5, 5, long_ago);
        assert_eq!(lag(&mirror, 5), (0, false, false), "for as long as nothing comes it lacks nothing");
        mirror.signed(6);
        assert_eq!(lag(&mirror, 6), (1, false, true));
        mirror.is_at(6, 9, long_ago);
        assert_eq!(lag(&mirror, 9), (3, true, true), "what it was given was the newest long ago");
        mirror.signed(12);
        mirror.is_at(6, 12, Instant::now());
        assert_eq!(lag(&mirror, 12), (6, true, true), "a step that moved no checkpoint changes nothing");
        mirror.is_at(12, 12, Instant::now());
        assert_eq!(lag(&mirror, 12), (0, false, false));
    }
}
