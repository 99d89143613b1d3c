//! How far each writer's stream is: what may follow, and what a grant has used. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use record::frame::{Code, Used};
use record::kinds::proxy::Decision;
use record::{Broken, Count, Head, Record, StreamName, Uid, What};
use tlog::Hash;

/// How long a log runs and remembers a stream that nothing is added to: four days. No certificate of a grant lives for one.
const REMEMBERED: Duration = Duration::from_hours(4 * 24);

/// How many streams a grant has at the most. Each of its proxies begins one: where one after the other fails, the next comes after two
/// minutes, and so there are fewer than 370 in the twelve hours of the longest grant.
const OF_GRANT: usize = 512;

/// How many streams are remembered when no other proxy may begin one. Each segment of the journal begins with all of them, and so many take
/// half of one.
const OF_PROXIES: usize = 200_000;

/// How many when not even an operator may. The log itself always may.
const OF_ALL: usize = 210_000;

/// For how long a log has run, over all its starts, in microseconds. No clock that is set changes it. What the log ran after the last record
/// that it took before it ended is not counted, nor what it did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ran(pub u64);

impl Ran {
    /// And so much longer.
    pub fn and(self, longer: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(longer.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// One stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// How far it is.
    pub head: Head,
    /// Whether its last record said so.
    pub closed: bool,
    /// What its statements used.
    pub totals: Totals,
    /// For how long the log had run when something was added last.
    pub last_at: Ran,
}

/// What statements used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Statements that were forwarded or answered.
    pub statements: u64,
    /// Statements that were refused.
    pub refused: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Why a record is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It does not follow.
    #[error("it does not follow its stream")]
    Broken(#[source] Broken),
    /// Nothing comes after the last.
    #[error("the stream is closed")]
    Closed,
    /// It would begin a stream too many of its grant.
    #[error("its grant has {OF_GRANT} streams, and none has more")]
    OfGrant,
    /// It would begin a stream too many of all.
    #[error(
        "so many streams were begun in the last days that the log takes no other: look which grants begin them"
    )]
    OfAll,
}

impl NotTaken {
    /// The protocol's code for it.
    pub fn code(self) -> Code {
        match self {
            Self::Broken(_) => Code::Order,
            // No other try of this writer's goes better.
            Self::Closed | Self::OfGrant => Code::Closed,
            Self::OfAll => Code::Busy,
        }
    }
}

/// All streams that something may be added to, and those that were closed of late.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    all: BTreeMap<StreamName, Stream>,
}

impl Streams {
    /// How far this one is.
    pub fn head(&self, name: &StreamName) -> Head {
        self.all.get(name).map_or_else(Head::default, |stream| stream.head)
    }

    /// Every stream.
    pub fn iter(&self) -> impl Iterator<Item = (&StreamName, &Stream)> {
        self.all.iter()
    }

    /// The streams of a grant.
    pub fn of_grant(&self, grant: &Uid) -> impl Iterator<Item = (&StreamName, &Stream)> {
        let first = StreamName::Proxy { grant: grant.clone(), run: record::RunId([0; 8]) };
        self.all.range(first..).take_while(move |(name, _)| name.grant() == Some(grant))
    }

    /// What the streams of a grant have used.
    pub fn used(&self, grant: &Uid) -> Used {
        let mut sum = Totals::default();
        self.of_grant(grant).for_each(|(_, stream)| sum.add(stream.totals));
        let Totals { statements, refused, rows, bytes } = sum;
        Used {
            statements: Count::of(statements),
            refused: Count::of(refused),
            rows: Count::of(rows),
            bytes: Count::of(bytes),
        }
    }

    /// Remembers a stream, as a snapshot has it.
    pub fn put(&mut self, name: StreamName, stream: Stream) {
        self.all.insert(name, stream);
    }

    /// For how long the log had run when something was added last to any of them.
    pub fn newest(&self) -> Ran {
        self.all.values().map(|stream| stream.last_at).max().unwrap_or_default()
    }

    /// Whether the first record of this stream may be taken, if it has none.
    pub fn may_begin(&self, name: &StreamName) -> Result<(), NotTaken> {
        let most = match name {
            StreamName::Log { .. } => return Ok(()),
            StreamName::Operator { .. } => OF_ALL,
            StreamName::Proxy { .. } => OF_PROXIES,
        };
        if self.all.contains_key(name) {
            Ok(())
        } else if name.grant().is_some_and(|grant| self.of_grant(grant).count() >= OF_GRANT) {
            Err(NotTaken::OfGrant)
        } else if self.all.len() >= most {
            Err(NotTaken::OfAll)
        } else {
            Ok(())
        }
    }

    /// Takes the next record of its stream, whose leaf hash is `hash`, when the log has run for so long.
    pub fn take(&mut self, record: &Record, hash: Hash, ran: Ran) -> Result<(), NotTaken> {
        let before = self.all.get(&record.stream);
        if before.is_some_and(|stream| stream.closed) {
            return Err(NotTaken::Closed);
        }
        let head = before.map_or_else(Head::default, |stream| stream.head);
        let head = head.after(record, hash).map_err(NotTaken::Broken)?;
        let mut totals = before.map_or_else(Totals::default, |stream| stream.totals);
        totals.count(&record.what);
        let closed = matches!(record.what, What::Close(_));
        self.all.insert(record.stream.clone(), Stream { head, closed, totals, last_at: ran });
        Ok(())
    }

    /// Takes back what was taken of this stream since it was so.
    pub fn restore(&mut self, name: &StreamName, before: Option<Stream>) {
        match before {
            Some(stream) => _ = self.all.insert(name.clone(), stream),
            None => _ = self.all.remove(name),
        }
    }

    /// As it is now, for [`Streams::restore`].
    pub fn get(&self, name: &StreamName) -> Option<Stream> {
        self.all.get(name).copied()
    }

    /// Forgets what nobody may add to any more: streams of proxies and of the log to which nothing was added while it ran for four
    /// days, and of the operator's those before its newest. Never `own`, which the log adds to whenever somebody reads.
    pub fn forget(&mut self, ran: Ran, own: &StreamName) {
        let newest =
            self.all.keys().filter(|name| matches!(name, StreamName::Operator { .. })).max().cloned();
        self.all.retain(|name, stream| {
            ran <= stream.last_at.and(REMEMBERED) || Some(name) == newest.as_ref() || name == own
        });
    }
}

impl Totals {
    fn add(&mut self, other: Self) {
        let Self { statements, refused, rows, bytes } = other;
        self.statements = self.statements.saturating_add(statements);
        self.refused = self.refused.saturating_add(refused);
        self.rows = self.rows.saturating_add(rows);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn count(&mut self, what: &What) {
        match what {
            What::Statement(statement) => match statement.decision {
                Decision::Refused => self.refused = self.refused.saturating_add(1),
                Decision::Forwarded | Decision::Answered => {
                    self.statements = self.statements.saturating_add(1)
                }
            },
            What::Outcome(outcome) | What::Fetch(outcome) => {
                self.rows = self.rows.saturating_add(outcome.rows.get());
                self.bytes = self.bytes.saturating_add(outcome.bytes.get());
            }
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use record::samples::{every_kind, proxy_stream, uid};

    use super::*;
    use crate::engine::block::{Item, LogId, START, encode};
    use crate::engine::journal::SegmentLength;

    #[test]
    fn a_stream_takes_what_follows_and_nothing_after_its_close() {
        let mut streams = Streams::default();
        let leaves: Vec<_> = every_kind()
            .into_iter()
            .map(|leaf| (Record::decode(&leaf.text).unwrap(), leaf.hash))
            .filter(|(record, _)| record.stream == proxy_stream(3, 9))
            .collect();
        for (record, hash) in &leaves {
            streams.take(record, *hash, Ran(0)).unwrap();
            assert!(streams.take(record, *hash, Ran(0)).is_err(), "twice");
        }
        let (last, hash) = leaves.last().unwrap();
        assert!(streams.all[&last.stream].closed);
        assert_eq!(streams.take(last, *hash, Ran(0)).unwrap_err().code(), Code::Closed);
        let used = streams.used(&uid(3));
        assert_eq!(
            (used.statements.get(), used.refused.get(), used.rows.get(), used.bytes.get()),
            (1, 0, 6, 240)
        );
        assert_eq!(streams.used(&uid(4)), Used::default());
    }

    const BEGUN: Stream = Stream {
        head: Head { count: Count::MOST, last: None },
        closed: false,
        totals: MOST,
        last_at: Ran(0),
    };
    const MOST: Totals = Totals { statements: 1, refused: 1, rows: 1, bytes: 1 };

    /// Begins streams with these names until one is refused: why.
    fn begin(streams: &mut Streams, mut names: impl Iterator<Item = StreamName>) -> NotTaken {
        names
            .find_map(|name| match streams.may_begin(&name) {
                Ok(()) => {
                    streams.put(name, BEGUN);
                    None
                }
                Err(refused) => Some(refused),
            })
            .unwrap()
    }

    fn run(number: u64) -> record::RunId {
        record::RunId(number.to_be_bytes())
    }

    #[test]
    fn a_grant_has_so_many_streams_and_goes_on_with_those_that_it_has() {
        let mut streams = Streams::default();
        let of = |grant, number| StreamName::Proxy { grant: uid(grant), run: run(number) };
        let refused = begin(&mut streams, (0..).map(|number| of(1, number)));
        assert_eq!((refused, refused.code()), (NotTaken::OfGrant, Code::Closed));
        assert_eq!(streams.of_grant(&uid(1)).count(), OF_GRANT);
        assert_eq!(streams.may_begin(&of(1, 0)), Ok(()), "it has begun");
        assert_eq!(streams.may_begin(&of(2, 0)), Ok(()), "another grant's");
    }

    #[test]
    fn no_number_of_streams_makes_a_snapshot_longer_than_a_segment() {
        let mut streams = Streams::default();
        let longest = |number: u64| format!("{number:064}").parse().unwrap();
        let proxies = (0..).map(|number| StreamName::Proxy { grant: longest(number), run: run(number) });
        assert_eq!(begin(&mut streams, proxies), NotTaken::OfAll);
        let operators = (0..).map(|term| StreamName::Operator { term: Count::of(term) });
        assert_eq!(begin(&mut streams, operators), NotTaken::OfAll);
        let items: Vec<Item> =
            streams.iter().map(|(name, state)| Item::Stream { name: name.clone(), state: *state }).collect();
        let SegmentLength(segment) = SegmentLength::default();
        let blocks = items.chunks(50_000).map(|some| encode(LogId([0; 8]), START, some).unwrap().0.len());
        let length: usize = blocks.sum();
        assert!((segment / 4..=segment / 2 + (4 << 20)).contains(&length), "{length} of {segment}");
    }

    #[test]
    fn what_nobody_may_add_to_is_forgotten_and_the_leader_and_the_log_itself_are_not() {
        let stream =
            Stream { head: Head::default(), closed: false, totals: Totals::default(), last_at: Ran(0) };
        let mut streams = Streams::default();
        let [older, newest]: [StreamName; 2] =
            ["operator/9", "operator/10"].map(|name| name.parse().unwrap());
        let [before, own]: [StreamName; 2] = ["log/0", "log/7"].map(|name| name.parse().unwrap());
        for name in [proxy_stream(1, 1), older.clone(), newest.clone(), before, own.clone()] {
            streams.put(name, stream);
        }
        let four_days = Ran::default().and(REMEMBERED);
        streams.forget(four_days, &own);
        assert_eq!(streams.iter().count(), 5);
        streams.forget(four_days.and(Duration::from_micros(1)), &own);
        let left: std::collections::BTreeSet<_> = streams.iter().map(|(name, _)| name).collect();
        assert_eq!(left, [&newest, &own].into());
    }
}
