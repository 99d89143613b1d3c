//! How many connections that got no session are on record: whoever opens them fast is counted, and fills no log.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

/// How many are on record in a second.
const EACH_SECOND: u32 = 10;

/// A connection that got no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Connection {
    /// Its number.
    pub session: u32,
    /// Where it came from.
    pub peer: SocketAddr,
    /// Why.
    pub why: String,
}

/// Those of this second, and those that are not on record.
pub(super) struct TurnedAway {
    since: Instant,
    told: u32,
    /// How many are not on record, and the last of them.
    untold: Option<(u64, Connection)>,
}

impl TurnedAway {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), told: 0, untold: None }
    }

    /// One more. It goes on record if it comes back, with how many before it are not.
    pub(super) fn one(&mut self, connection: Connection) -> Option<(Connection, u64)> {
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.since, self.told) = (Instant::now(), 0);
        }
        if self.told >= EACH_SECOND {
            self.counted(connection);
            return None;
        }
        self.told = self.told.saturating_add(1);
        let more = self.untold.take().map_or(0, |(more, _)| more);
        Some((connection, more))
    }

    /// One more that is counted alone.
    pub(super) fn counted(&mut self, connection: Connection) {
        let before = self.untold.take().map_or(0, |(before, _)| before);
        self.untold = Some((before.saturating_add(1), connection));
    }

    /// The last of those that are not on record, and how many before it are not: nobody comes after it who could say so.
    pub(super) fn last(&mut self) -> Option<(Connection, u64)> {
        let (count, connection) = self.untold.take()?;
        Some((connection, count.saturating_sub(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(session: u32) -> Connection {
        Connection { session, peer: ([127, 0, 0, 1], 1).into(), why: "test".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn ten_of_a_second_are_on_record_and_the_others_are_counted() {
        let mut turned_away = TurnedAway::new();
        let on_record = (0..25).filter_map(|session| turned_away.one(connection(session))).count();
        assert_eq!(on_record, 10);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(turned_away.one(connection(25)), Some((connection(25), 15)));
        turned_away.counted(connection(26));
        assert_eq!(turned_away.one(connection(27)), Some((connection(27), 1)));
        assert_eq!(turned_away.one(connection(28)), Some((connection(28), 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_flood_the_last_one_stands_for_those_that_are_not_on_record() {
        let mut turned_away = TurnedAway::new();
        assert_eq!(turned_away.last(), None);
        let on_record = (0..25).filter_map(|session| turned_away.one(connection(session))).count();
        assert_eq!(on_record, 10);
        assert_eq!(turned_away.last(), Some((connection(24), 14)), "25 in all");
        assert_eq!(turned_away.last(), None, "once");
    }
}
