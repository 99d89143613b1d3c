//! How many connections that got no session are on record: whoever opens them fast is counted, and fills no log.

use std::time::Duration;

use tokio::time::Instant;

/// How many are on record in a second.
const EACH_SECOND: u32 = 10;

/// Those of this second, and those that are not on record.
pub(super) struct TurnedAway {
    since: Instant,
    told: u32,
    more: u64,
}

impl TurnedAway {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), told: 0, more: 0 }
    }

    /// One more: how many before it are not on record. `None`, where this one is not either.
    pub(super) fn one(&mut self) -> Option<u64> {
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.since, self.told) = (Instant::now(), 0);
        }
        if self.told >= EACH_SECOND {
            self.more = self.more.saturating_add(1);
            return None;
        }
        self.told = self.told.saturating_add(1);
        Some(std::mem::take(&mut self.more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_of_a_second_are_on_record_and_the_others_are_counted() {
        let mut turned_away = TurnedAway::new();
        let on_record = (0..25).filter_map(|_| turned_away.one()).count();
        assert_eq!(on_record, 10);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((turned_away.one(), turned_away.one()), (Some(15), Some(0)));
    }
}
