//! A timer that is kept from one deadline to the next. Setting a timer wakes the poller up, which costs two system calls for
//! each statement: this one is set again when it rings, which it does for earlier deadlines, too, and only then.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// Rings at one deadline after the other.
#[derive(Default)]
pub(crate) struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Waits until `deadline`. Safe to drop: the timer stays set, and whoever waits next has it.
    pub(crate) async fn rings(&mut self, deadline: Instant) {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            if timer.is_elapsed() || timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
            timer.as_mut().await;
            if timer.deadline() >= deadline {
                return;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Polls once. `true`: it rang.
    async fn rings_now(alarm: &mut Alarm, deadline: Instant) -> bool {
        tokio::select! {
            biased;
            () = alarm.rings(deadline) => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn it_rings_neither_before_its_deadline_nor_never() {
        let (mut alarm, began) = (Alarm::default(), Instant::now());
        let hour = began + Duration::from_secs(3600);
        for milliseconds in [40, 20, 30, 50, 10] {
            assert!(!rings_now(&mut alarm, hour).await);
            let deadline = Instant::now() + Duration::from_millis(milliseconds);
            // What was waited for before, and earlier or later than this, changes nothing.
            for other in [20, 30] {
                assert!(!rings_now(&mut alarm, Instant::now() + Duration::from_millis(other)).await);
            }
            alarm.rings(deadline).await;
            assert!(Instant::now() >= deadline && Instant::now() < hour);
        }
    }

    #[tokio::test]
    async fn a_deadline_that_is_past_rings_at_once_and_again() {
        let mut alarm = Alarm::default();
        assert!(!rings_now(&mut alarm, Instant::now() + Duration::from_secs(3600)).await);
        let past = Instant::now();
        for _ in 0..3 {
            alarm.rings(past).await;
        }
    }
}
