//! What may be missing at the beginning of what there is of a log: it was pruned, or goes on with a lost one.
//!
//! The first records that are left follow from some that are gone. How long that may be so is bounded: a request waits seven days for its
//! approvals, a grant lasts twelve hours, and so does a proxy. The time runs from the earliest moment that any record of the operator here names
//! to the latest one that a proxy or the operator named before. So no moment that is false puts off what must be on record: only as long as
//! operator and proxies all say that no time goes by, none does.

use record::{StreamName, Time};

/// How long after the first record that is left a grant may have begun before it, in microseconds: a request waits seven days at the most,
/// and its grant lasts twelve hours. The rest is for clocks.
const GRANT: i64 = 9 * DAY;

/// How long after it a stream may go on that began before it: a proxy lives for twelve hours, and shuts what it opened. An operator that leads
/// writes the first record itself.
pub(super) const STREAM: i64 = DAY;

/// Microseconds of a day.
pub(super) const DAY: i64 = 24 * 3_600 * 1_000_000;

/// How a log begins.
pub(super) struct Beginning {
    /// The first entry that is there.
    from: u64,
    /// Whether anything is gone before it.
    is_gone: bool,
    /// The earliest moment of the operator's records, and the latest of its and the proxies'.
    span: Option<(Time, Time)>,
}

impl Beginning {
    /// Of a log whose first entry is this one.
    pub(super) fn at(from: u64) -> Self {
        Self { from, is_gone: from > 0, span: None }
    }

    /// The first entry that is there.
    pub(super) fn from(&self) -> u64 {
        self.from
    }

    /// The operator writes at this moment.
    pub(super) fn sees(&mut self, at: Time) {
        let (first, latest) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), latest.max(at)));
    }

    /// A proxy writes at this moment.
    pub(super) fn passes(&mut self, at: Time) {
        if let Some((_, latest)) = &mut self.span {
            *latest = at.max(*latest);
        }
    }

    /// Records before this one are lost, as the log says: it begins here.
    pub(super) fn loses(&mut self) {
        (self.is_gone, self.span) = (true, None);
    }

    /// Whether all is here that a record follows from which the operator writes now.
    pub(super) fn has_grants(&self) -> bool {
        !self.is_gone || self.span.is_some_and(|(first, latest)| after(first, latest) > GRANT)
    }

    /// Whether all is here of a grant that was open at this moment, and that the operator writes of now.
    pub(super) fn has_grants_at(&self, moment: Time) -> bool {
        self.has_grants() && self.is_later(moment, GRANT)
    }

    /// Whether a stream may go on here whose first records are gone, with a record of this moment.
    pub(super) fn may_go_on(&self, stream: &StreamName, at: Time) -> bool {
        if self.from == 0 {
            return false;
        }
        match stream {
            StreamName::Log { start } => start.get() < self.from,
            StreamName::Operator { .. } => !self.is_over(STREAM),
            StreamName::Proxy { .. } => !self.is_over(STREAM) && !self.is_later(at, STREAM),
        }
    }

    fn is_over(&self, time: i64) -> bool {
        self.span.is_some_and(|(first, latest)| after(first, latest) > time)
    }

    /// Whether a moment is later than so long after the operator's first record that is left; of a log that has all, each is.
    fn is_later(&self, moment: Time, time: i64) -> bool {
        match self.span {
            Some((first, _)) => !self.is_gone || after(first, moment) > time,
            None => !self.is_gone,
        }
    }
}

fn after(first: Time, moment: Time) -> i64 {
    moment.micros().saturating_sub(first.micros())
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn day(number: i64) -> Time {
        Time::from_micros(number * DAY).unwrap()
    }

    #[test]
    fn what_is_gone_is_missed_nine_days_later_whatever_moments_are_named() {
        assert!(Beginning::at(0).has_grants() && Beginning::at(0).has_grants_at(day(-900)));
        let after = |days: &[i64]| {
            let mut beginning = Beginning::at(256);
            days.iter().for_each(|number| beginning.sees(day(*number)));
            beginning.has_grants()
        };
        assert!(!after(&[]) && !after(&[50]) && !after(&[50, 59]) && after(&[50, 60]));
        assert!(after(&[50, 60, 51]), "who says an earlier time gains nothing");
        assert!(after(&[5_000, 50]) && after(&[50, 5_000, 51]), "nor does who says a later one");
        let mut frozen = Beginning::at(256);
        frozen.passes(day(3));
        frozen.sees(day(50));
        frozen.passes(day(60));
        frozen.sees(day(50));
        assert!(frozen.has_grants(), "an operator whose clock stands gains nothing as long as proxies write");
        let mut lost = Beginning::at(0);
        lost.sees(day(1));
        lost.sees(day(20));
        assert!(lost.has_grants());
        lost.loses();
        lost.sees(day(21));
        assert!(!lost.has_grants());
        lost.sees(day(31));
        assert!(lost.has_grants() && lost.has_grants_at(day(31)) && !lost.has_grants_at(day(25)));
    }

    #[test]
    fn a_stream_goes_on_where_the_log_begins_and_nowhere_else() {
        let mut beginning = Beginning::at(512);
        let [proxy, operator, log, later] =
            ["4f9c/00000000000001ab", "operator/3", "log/511", "log/512"].map(|name| name.parse().unwrap());
        assert!([&proxy, &operator, &log].iter().all(|stream| beginning.may_go_on(stream, day(7))));
        assert!(!beginning.may_go_on(&later, day(7)));
        beginning.sees(day(7));
        assert!(beginning.may_go_on(&proxy, day(8)) && !beginning.may_go_on(&proxy, day(9)));
        assert!(beginning.may_go_on(&operator, day(9)));
        beginning.sees(day(9));
        assert!(!beginning.may_go_on(&operator, day(9)) && !beginning.may_go_on(&proxy, day(8)));
        assert!(beginning.may_go_on(&log, day(900)), "its place says it exactly");
        let lost = Beginning { from: 0, is_gone: true, span: None };
        assert!([proxy, operator, log].iter().all(|stream| !lost.may_go_on(stream, day(7))));
    }
}
