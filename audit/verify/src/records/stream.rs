//! A stream: that its records follow each other, that none comes after its close, and what its clock says.

use record::{Broken, Head, Record, Time, What};
use tlog::Hash;

use super::At;
use crate::finding::Wrong;
use crate::notice::Notice;
use crate::report::Found;

/// By how many microseconds a clock may be ahead of a witness's.
const AHEAD: i64 = 60_000_000;

/// By how many microseconds a clock may go back.
const BACK: i64 = 1_000_000;

/// How a record follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// The one before it.
    Next,
    /// Others, between which some are missing or altered.
    After,
    /// None: there is one of its number, or the stream was over.
    Again,
}

/// How far a stream has come.
pub(super) struct Stream {
    /// Its records, and the leaf hash of the last one.
    pub head: Head,
    pub is_closed: bool,
    last: Time,
    told: Told,
}

/// What was said already of its clock: once is enough.
#[derive(Clone, Copy, Default)]
struct Told {
    ahead: bool,
    back: bool,
}

impl Stream {
    /// `before`: what comes before its first record here was pruned.
    pub(super) fn begin(record: &Record, before: bool) -> Self {
        let head = if before { Head { count: record.n, last: record.prev } } else { Head::default() };
        Self { head, is_closed: false, last: record.at, told: Told::default() }
    }

    pub(super) fn take(&mut self, at: At<'_>, leaf: Hash, found: &mut Found<'_>) -> Follows {
        let At { record, .. } = at;
        if self.is_closed {
            found.wrong(at.of_stream(Wrong::AfterClose));
            return Follows::Again;
        }
        let (wrong, follows) = match self.head.after(record, leaf) {
            Ok(_) => (None, Follows::Next),
            Err(Broken::Number { expected, found }) if found > expected => {
                (Some(Wrong::Gap { expected, last: found.saturating_sub(1) }), Follows::After)
            }
            Err(Broken::Number { found, .. }) => (Some(Wrong::TwoHistories { n: found }), Follows::Again),
            Err(Broken::Previous(n)) => (Some(Wrong::NotAfter { n }), Follows::After),
        };
        if let Some(wrong) = wrong {
            found.wrong(at.of_stream(wrong));
        }
        if follows != Follows::Again {
            if let What::Close(close) = &record.what {
                self.close((close.count.get(), close.head), at, found);
            }
            self.head = Head { count: record.n.next(), last: Some(leaf) };
        }
        follows
    }

    /// The closing record says itself how many come before it, and which is the last of them.
    fn close(&mut self, (said, head): (u64, Hash), at: At<'_>, found: &mut Found<'_>) {
        self.is_closed = true;
        let of_its_own = at.record.n.get();
        if said != of_its_own {
            found.wrong(at.of_stream(Wrong::CloseCount { said, found: of_its_own }));
        } else if Some(head) != at.record.prev {
            found.wrong(at.of_stream(Wrong::CloseHead));
        }
    }

    pub(super) fn clock(&mut self, at: At<'_>, witnessed: Option<i64>, found: &mut Found<'_>) {
        let At { index, record } = at;
        let (now, last) = (record.at.micros(), self.last.micros());
        self.last = record.at;
        let ahead = witnessed.map_or(0, |witnessed| now.saturating_sub(witnessed));
        if ahead > AHEAD && !self.told.ahead {
            self.told.ahead = true;
            let (stream, seconds) = (record.stream.clone(), in_seconds(ahead));
            found.notice(Notice::ClockAhead { index, stream, seconds });
        }
        let back = last.saturating_sub(now);
        if back > BACK && !self.told.back {
            self.told.back = true;
            let (stream, seconds) = (record.stream.clone(), in_seconds(back));
            found.notice(Notice::ClockBack { index, stream, seconds });
        }
    }
}

fn in_seconds(micros: i64) -> i64 {
    micros / 1_000_000
}
