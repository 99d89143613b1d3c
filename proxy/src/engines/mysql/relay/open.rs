//! A statement on record whose outcome is not. It has two clocks: the record counts from the command's arrival, the time
//! limit from its sending, so that a record that takes its time takes none of the statement's.

use std::time::Duration;

use tokio::time::Instant;

use crate::audit::{Outcome, Recorded, SqlError};

/// A statement on record whose outcome is not.
pub(super) struct Open {
    /// The proof that it is on record.
    pub recorded: Recorded,
    /// Rows that went to the client.
    pub rows: u64,
    /// Bytes that went to the client.
    pub bytes: u64,
    /// The error that it ended with.
    pub error: Option<SqlError>,
    asked_at: Instant,
    sent_at: Option<Instant>,
}

impl Open {
    /// On record now, and asked for at `asked_at`.
    pub(super) fn new(recorded: Recorded, asked_at: Instant) -> Self {
        Self { recorded, rows: 0, bytes: 0, error: None, asked_at, sent_at: None }
    }

    /// It goes to the database now.
    pub(super) fn sends(&mut self, now: Instant) {
        self.sent_at = Some(now);
    }

    /// Until when it may take, if earlier answers took so much of its time; `None` if it was not sent.
    pub(super) fn deadline(&self, seconds: u32, taken: Duration) -> Option<Instant> {
        self.sent_at?.checked_add(Duration::from_secs(seconds.into()).saturating_sub(taken))
    }

    /// How long it has taken since it was sent.
    pub(super) fn taken(&self, now: Instant) -> Duration {
        self.sent_at.map_or(Duration::ZERO, |sent_at| now.saturating_duration_since(sent_at))
    }

    /// It is over.
    pub(super) fn close(self, now: Instant) -> (Recorded, Outcome) {
        let Self { recorded, rows, bytes, error, asked_at, sent_at: _ } = self;
        let duration = now.saturating_duration_since(asked_at);
        (recorded, Outcome { rows, bytes, duration, error })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use std::sync::Arc;

    use super::*;
    use crate::audit::{Decision, Intent, Journal, Proof, Who};
    use crate::ending::Ending;

    async fn recorded() -> Recorded {
        let who = Who {
            grant_uid: "u".into(),
            user: "requester".into(),
            proof: Proof::Certificate { serial: "01".into() },
            session: 1,
            peer: ([127, 0, 0, 1], 1).into(),
        };
        let decision = Decision::Forwarded;
        let intent = Intent { who: &who, command: "COM_QUERY", text: b"", parameters: &[], decision };
        Journal::new(Arc::default(), Ending::new()).intent(intent).await.unwrap()
    }

    #[tokio::test]
    async fn a_slow_record_takes_nothing_of_the_statements_time_and_stands_in_its_outcome() {
        let asked = Instant::now();
        let recorded_at = asked + Duration::from_secs(40);
        let mut open = Open::new(recorded().await, asked);
        let none = Duration::ZERO;
        assert_eq!((open.deadline(30, none), open.taken(recorded_at)), (None, none), "nothing runs yet");
        open.sends(recorded_at);
        assert_eq!(open.deadline(30, none), Some(recorded_at + Duration::from_secs(30)));
        let later = recorded_at + Duration::from_secs(7);
        assert_eq!(open.taken(later), Duration::from_secs(7));
        assert_eq!(
            open.deadline(30, Duration::from_secs(23)),
            Some(later),
            "a cursor's earlier answers took the rest"
        );
        assert_eq!(open.deadline(30, Duration::from_secs(31)), Some(recorded_at));
        let (_, outcome) = open.close(recorded_at + Duration::from_secs(1));
        assert_eq!(outcome.duration, Duration::from_secs(41));
    }
}
