//! One database's turns: few at once, and none for a while when it, or Vault, has failed again and again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, sleep_until};

use super::AGAIN;

/// The number of failures in a row after which nobody is let on for a while.
const TOO_MANY: u32 = 3;

/// The turns of one database.
pub struct Breaker {
    turns: Semaphore,
    failing: Mutex<Failing>,
    back: Notify,
}

#[derive(Default)]
struct Failing {
    in_a_row: u32,
    until: Option<Instant>,
}

impl Breaker {
    /// So many turns at once.
    pub fn new(at_once: usize) -> Self {
        Self { turns: Semaphore::new(at_once), failing: Mutex::default(), back: Notify::new() }
    }

    /// Waits for a turn.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        loop {
            // Who sleeps holds no turn.
            while let Some(until) = self.closed_until() {
                sleep_until(until).await;
            }
            // It is closed by nobody.
            let turn = self.turns.acquire().await.ok();
            if self.closed_until().is_none() {
                return turn;
            }
        }
    }

    /// The database answered: where it had failed before, whoever waits to try again need not wait longer.
    pub fn went_well(&self) {
        if std::mem::take(&mut *self.locked()).in_a_row > 0 {
            self.back.notify_waiters();
        }
    }

    /// It failed.
    pub fn failed(&self) {
        let mut failing = self.locked();
        failing.in_a_row = failing.in_a_row.saturating_add(1);
        if let Some(beyond) = failing.in_a_row.checked_sub(TOO_MANY) {
            let wait = AGAIN.wait(beyond.saturating_add(1), "");
            failing.until = Instant::now().checked_add(wait);
        }
    }

    /// Waits, or until the database is back.
    pub async fn back_or_after(&self, wait: Duration) {
        tokio::select! {
            () = self.back.notified() => {}
            () = sleep(wait) => {}
        }
    }

    fn closed_until(&self) -> Option<Instant> {
        let until = self.locked().until?;
        (until > Instant::now()).then_some(until)
    }

    fn locked(&self) -> MutexGuard<'_, Failing> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
