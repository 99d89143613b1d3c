//! A moment by two clocks at once. The one that timers go by stands still while a machine sleeps, and the wall clock may be set:
//! a moment has come as soon as either says so.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until};

use crate::clock;

/// How often the wall clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// When something is over.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    timer: Instant,
    wall: Timestamp,
}

impl Moment {
    /// The moment `time` from now.
    pub fn after(time: Duration) -> Self {
        Self::at(Instant::now(), clock::now()).later(time)
    }

    fn at(timer: Instant, wall: Timestamp) -> Self {
        Self { timer, wall }
    }

    fn later(self, time: Duration) -> Self {
        let Self { timer, wall } = self;
        let far = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Self {
            timer: timer.checked_add(time).unwrap_or(timer),
            wall: wall.checked_add(far).unwrap_or(Timestamp::MAX),
        }
    }

    /// The moment `time` before it.
    pub fn earlier(self, time: Duration) -> Self {
        let Self { timer, wall } = self;
        let far = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Self {
            timer: timer.checked_sub(time).unwrap_or(timer),
            wall: wall.checked_sub(far).unwrap_or(Timestamp::MIN),
        }
    }

    /// The time until it comes; zero when it has.
    pub fn left(self) -> Duration {
        self.left_at(Instant::now(), clock::now())
    }

    fn left_at(self, timer: Instant, wall: Timestamp) -> Duration {
        let by_wall = Duration::try_from(self.wall.duration_since(wall)).unwrap_or_default();
        self.timer.saturating_duration_since(timer).min(by_wall)
    }

    /// Whether it has come.
    pub fn has_come(self) -> bool {
        self.left().is_zero()
    }

    /// Waits until it has come. On a machine that slept beyond it that is a second after waking at the latest.
    pub async fn comes(self) {
        loop {
            let left = self.left();
            if left.is_zero() {
                return;
            }
            let now = Instant::now();
            sleep_until(now.checked_add(left.min(LOOK)).unwrap_or(now)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_come_by_whichever_clock_says_so_first() {
        let (timer, wall) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let after = |seconds| timer.checked_add(Duration::from_secs(seconds)).unwrap();
        let at = |seconds| wall.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        let moment = Moment::at(timer, wall).later(Duration::from_secs(60));
        let left = |awake, clock| moment.left_at(after(awake), at(clock)).as_secs();
        assert_eq!(left(0, 0), 60);
        assert_eq!(left(10, 10), 50);
        assert_eq!(left(10, 3600), 0, "it slept");
        assert_eq!(left(60, -3600), 0, "the clock was set back");
        assert_eq!(left(20, -3600), 40);
        assert_eq!(moment.earlier(Duration::from_secs(2)).left_at(timer, wall).as_secs(), 58);
        assert_eq!(Moment::at(timer, wall).later(Duration::MAX).left_at(timer, wall).as_secs(), 0);
    }

    #[tokio::test]
    async fn what_has_come_is_not_waited_for() {
        Moment::after(Duration::ZERO).comes().await;
        assert!(Moment::after(Duration::ZERO).has_come() && !Moment::after(LOOK).has_come());
    }
}
