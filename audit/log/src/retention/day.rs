//! Which day it is, for what is erased and removed by age: what goes is gone for good, so no clock is believed alone. Pure.

use std::time::Duration;

use record::Time;

/// Which part of the time that has gone by clocks may go faster than it: one of so many, an hour in a day.
const FASTER: u32 = 24;

/// What is known of the day. It begins with what the records say that were there before the process, and goes on no faster than time does:
/// so nothing comes of age by a clock that jumps, even if the log, the operator and every proxy have it in common.
#[derive(Debug, Default)]
pub struct Day {
    /// A time, and when it was that.
    known: Option<(Time, Duration)>,
}

impl Day {
    /// Whether it has begun.
    pub fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// What time it is; `None`, where none of the others says anything. `clock`: this machine's; `others`: the time of their newest record, and
    /// as long as the day is not known, of the newest from before the start; `ran`: how long the process has run.
    pub fn now(&mut self, clock: Time, others: Option<Time>, ran: Duration) -> Option<Time> {
        let said = others.map(|others| others.min(clock));
        let Some((known, at)) = self.known else {
            // Where there was no record, nothing can be old.
            self.known = Some((said.unwrap_or(clock), ran));
            return said;
        };
        let gone = ran.saturating_sub(at);
        let since = later(known, gone);
        let now = said?.min(later(since, gone.checked_div(FASTER).unwrap_or_default()));
        self.known = Some((since.max(now), ran));
        Some(now)
    }
}

fn later(time: Time, by: Duration) -> Time {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Time::from_micros(time.micros().saturating_add(micros)).unwrap_or(time)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(hours: u64) -> Time {
        Time::from_micros(i64::try_from((HOUR * u32::try_from(hours).unwrap()).as_micros()).unwrap()).unwrap()
    }

    fn ran(hours: u32) -> Duration {
        HOUR * hours
    }

    #[test]
    fn the_earlier_counts_of_this_clock_and_the_records_of_others() {
        assert_eq!(Day::default().now(at(1000), Some(at(900)), ran(0)), Some(at(900)));
        assert_eq!(Day::default().now(at(800), Some(at(900)), ran(0)), Some(at(800)));
        let mut day = Day::default();
        assert_eq!(day.now(at(1000), None, ran(0)), None);
        assert!(day.is_known());
    }

    #[test]
    fn a_clock_that_jumps_moves_the_day_no_faster_than_time_goes_by_and_an_hour_a_day() {
        let year = 365 * 24;
        let mut day = Day::default();
        assert_eq!(day.now(at(1000), Some(at(1000)), ran(0)), Some(at(1000)));
        // The machine's clock jumps, and with it that of everybody who writes.
        for days in 1..=5 {
            let jumped = at(1000 + year + u64::from(days) * 24);
            assert_eq!(day.now(jumped, Some(jumped), ran(days * 24)), Some(at(1000 + u64::from(days) * 25)));
        }
        // It is set right.
        assert_eq!(day.now(at(1000 + 144), Some(at(1000 + 144)), ran(144)), Some(at(1000 + 144)));
        // To ask often gains nothing.
        let mut day = Day::default();
        day.now(at(1000), Some(at(1000)), ran(0));
        let mut now = None;
        for minutes in (0..=24 * 60).step_by(10) {
            now = day.now(at(90_000), Some(at(90_000)), Duration::from_mins(minutes));
        }
        assert_eq!(now, Some(at(1025)));
    }

    #[test]
    fn while_nobody_writes_the_day_stands_still_and_is_there_again_with_the_next_record() {
        let mut day = Day::default();
        assert_eq!(day.now(at(1000), Some(at(1000)), ran(0)), Some(at(1000)));
        for days in 1..=60 {
            let clock = at(1000 + u64::from(days) * 24);
            assert_eq!(day.now(clock, Some(at(1001)), ran(days * 24)), Some(at(1001)));
            assert_eq!(day.now(clock, None, ran(days * 24)), None);
        }
        assert_eq!(
            day.now(at(1000 + 61 * 24), Some(at(1000 + 61 * 24)), ran(61 * 24)),
            Some(at(1000 + 61 * 24))
        );
    }

    #[test]
    fn the_first_records_of_a_log_begin_the_day_at_its_start() {
        let mut day = Day::default();
        assert_eq!(day.now(at(1000), None, ran(0)), None);
        assert_eq!(day.now(at(1024), Some(at(1020)), ran(24)), Some(at(1020)));
        assert_eq!(day.now(at(9000), Some(at(9000)), ran(48)), Some(at(1049)));
    }
}
