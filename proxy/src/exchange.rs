//! A command on record and its answer, until the outcome is on record too. It knows nothing of a protocol: where answers come one
//! at a time a session has one exchange at the most, and where commands are sent ahead it can have a queue of them.
//!
//! It has two clocks: the record counts from the command's arrival, the time limit from its sending, so that a record that takes
//! its time takes none of the statement's.

use std::time::Duration;

use tokio::time::Instant;

use crate::audit::{Forwarded, Local, NotRecorded, Number, Outcome, Recorded, SqlError, Ticket};
use crate::rule::Rule;

/// The proof that a statement is on record, by where its answer comes from.
pub(crate) enum OnRecord {
    /// The database; and the proof is still to come.
    Waits(Ticket<Forwarded>),
    /// The proxy; and the proof is still to come.
    AnswerWaits(Ticket<Local>),
    /// The database.
    Forwarded(Recorded<Forwarded>),
    /// The proxy.
    Local(Recorded<Local>),
}

impl OnRecord {
    fn end(self, outcome: &Outcome) {
        match self {
            // To drop its ticket is to say that it was cut.
            Self::Waits(_) | Self::AnswerWaits(_) => {}
            Self::Forwarded(recorded) => recorded.end(outcome),
            Self::Local(recorded) => recorded.end(outcome),
        }
    }
}

/// A command on record whose outcome is not. Where it is dropped the record says that it was cut.
pub(crate) struct Exchange {
    /// The proof that it is on record.
    pub on_record: OnRecord,
    /// Rows that went to the client.
    pub rows: u64,
    /// Bytes that went to the client.
    pub bytes: u64,
    /// The error that it ended with.
    pub error: Option<SqlError>,
    /// The rule that stopped its answer.
    pub rule: Option<Rule>,
    asked_at: Instant,
    sent_at: Option<Instant>,
}

impl Exchange {
    /// On record now, and asked for at `asked_at`.
    pub(crate) fn new(on_record: OnRecord, asked_at: Instant) -> Self {
        Self { on_record, rows: 0, bytes: 0, error: None, rule: None, asked_at, sent_at: None }
    }

    /// It goes to the database now.
    pub(crate) fn sends(&mut self, now: Instant) {
        self.sent_at = Some(now);
    }

    /// The record took so long after it was sent: none of it is the statement's.
    pub(crate) fn stood_still(&mut self, waited: Duration) {
        self.sent_at = self.sent_at.map(|sent_at| sent_at.checked_add(waited).unwrap_or(sent_at));
    }

    /// Until when it may take, if earlier answers took `taken` of its time; `None` if it was not sent.
    pub(crate) fn deadline(&self, seconds: u32, taken: Duration) -> Option<Instant> {
        self.sent_at?.checked_add(Duration::from_secs(seconds.into()).saturating_sub(taken))
    }

    /// How long it has taken since it was sent.
    pub(crate) fn taken(&self, now: Instant) -> Duration {
        self.sent_at.map_or(Duration::ZERO, |sent_at| now.saturating_duration_since(sent_at))
    }

    /// The proof by which bytes of the database's may be passed on; none for what never went there.
    pub(crate) fn forwarded(&self) -> Option<&Recorded<Forwarded>> {
        match &self.on_record {
            OnRecord::Forwarded(recorded) => Some(recorded),
            OnRecord::Waits(_) | OnRecord::AnswerWaits(_) | OnRecord::Local(_) => None,
        }
    }

    /// Its place in the record, for statements that go on with it.
    pub(crate) fn number(&self) -> Option<Number> {
        match &self.on_record {
            OnRecord::Waits(ticket) => ticket.number(),
            OnRecord::Forwarded(recorded) => recorded.number(),
            OnRecord::AnswerWaits(_) | OnRecord::Local(_) => None,
        }
    }

    /// Waits until it is on record. Safe to drop.
    pub(crate) async fn is_recorded(&self) -> Result<(), NotRecorded> {
        match &self.on_record {
            OnRecord::Waits(ticket) => ticket.comes().await,
            OnRecord::AnswerWaits(ticket) => ticket.comes().await,
            OnRecord::Forwarded(_) | OnRecord::Local(_) => Ok(()),
        }
    }

    /// The same exchange with the proof that it is on record, which has come.
    pub(crate) fn with_proof(self) -> Result<Self, NotRecorded> {
        let on_record = match self.on_record {
            OnRecord::Waits(ticket) => OnRecord::Forwarded(ticket.proof()?),
            OnRecord::AnswerWaits(ticket) => OnRecord::Local(ticket.proof()?),
            on_record @ (OnRecord::Forwarded(_) | OnRecord::Local(_)) => on_record,
        };
        Ok(Self { on_record, ..self })
    }

    /// It is over, and goes on record so. The error that it ended with.
    pub(crate) fn close(self, now: Instant) -> Option<SqlError> {
        let Self { on_record, rows, bytes, error, rule, asked_at, sent_at: _ } = self;
        let duration = now.saturating_duration_since(asked_at);
        on_record.end(&Outcome { rows, bytes, duration, error, rule });
        error
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use std::sync::Arc;

    use std::sync::Mutex;

    use super::*;
    use crate::audit::{Acknowledgements, Intent, Journal, Keeper, NotRecorded, Record, Who};
    use crate::ending::Ending;

    /// Keeps how long each command took.
    struct Durations(Arc<Mutex<Vec<Duration>>>, Acknowledgements);

    impl Keeper for Durations {
        fn keep(&mut self, number: Number, record: &Record<'_>) -> Result<(), NotRecorded> {
            if let Record::Outcome { outcome, .. } = record {
                self.0.lock().unwrap().push(outcome.duration);
            }
            self.1.up_to(number);
            Ok(())
        }
    }

    async fn recorded(durations: &Arc<Mutex<Vec<Duration>>>) -> OnRecord {
        let who = Who::sample(1);
        let acknowledged = Acknowledgements::default();
        let keeper = Box::new(Durations(Arc::clone(durations), acknowledged.clone()));
        let journal = Journal::new(Arc::default(), Ending::new(), acknowledged, keeper);
        let intent = Intent {
            who: &who,
            command: "COM_QUERY",
            text: b"",
            shape_of: None,
            of: None,
            parameters: &[],
            known: None,
            schema: None,
        };
        OnRecord::Forwarded(journal.forwards(intent).unwrap().recorded().await.unwrap())
    }

    #[tokio::test]
    async fn a_slow_record_takes_nothing_of_the_statements_time_and_stands_in_its_outcome() {
        let (asked, durations) = (Instant::now(), Arc::default());
        let recorded_at = asked + Duration::from_secs(40);
        let mut open = Exchange::new(recorded(&durations).await, asked);
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
        open.close(recorded_at + Duration::from_secs(1));
        assert_eq!(*durations.lock().unwrap(), [Duration::from_secs(41)]);
    }
}
