//! Whether a leader still gets anywhere.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a leader may get nowhere before the kubelet is told to end it, and another may lead.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a leader may take until it knows which grants there are. Until then it does nothing about any.
const TO_FOLLOW: Duration = Duration::from_secs(120);

/// What this replica does as the leader.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Option<Leading>>);

#[derive(Clone, Copy, Debug)]
struct Leading {
    since: Instant,
    /// When any loop last turned.
    last: Instant,
    /// Whether it knows which grants there are.
    follows: bool,
    /// Whether somebody's order to end is left alone.
    neglects: bool,
}

impl Progress {
    /// It leads from now on, or one of its loops turned.
    pub fn made(&self) {
        let now = Instant::now();
        self.locked()
            .get_or_insert(Leading { since: now, last: now, follows: false, neglects: false })
            .last = now;
    }

    /// It knows which grants there are.
    pub fn follows(&self) {
        if let Some(leading) = self.locked().as_mut() {
            leading.follows = true;
        }
    }

    /// Whether there is an order to end that no loop has taken up for too long, though others turn.
    pub fn neglects(&self, neglects: bool) {
        if let Some(leading) = self.locked().as_mut() {
            leading.neglects = neglects;
        }
    }

    /// Whether it leads.
    pub fn leads(&self) -> bool {
        self.locked().is_some()
    }

    /// Whether it leads and has got nowhere for too long.
    pub fn is_stuck(&self) -> bool {
        self.locked().is_some_and(|Leading { since, last, follows, neglects }| {
            neglects || last.elapsed() > PATIENCE || (!follows && since.elapsed() > TO_FOLLOW)
        })
    }

    fn locked(&self) -> MutexGuard<'_, Option<Leading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_gets_nowhere_is_stuck_and_one_that_waits_for_its_turn_is_not() {
        let progress = Progress::default();
        advance(PATIENCE * 2).await;
        assert!(!progress.is_stuck() && !progress.leads());
        progress.made();
        progress.follows();
        advance(PATIENCE).await;
        assert!(!progress.is_stuck() && progress.leads());
        advance(Duration::from_secs(1)).await;
        assert!(progress.is_stuck());
        progress.made();
        assert!(!progress.is_stuck());
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_leaves_an_order_to_end_alone_is_stuck_though_its_loops_turn() {
        let progress = Progress::default();
        progress.neglects(true);
        assert!(!progress.is_stuck(), "it does not lead");
        progress.made();
        progress.neglects(true);
        assert!(progress.is_stuck());
        progress.neglects(false);
        assert!(!progress.is_stuck());
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_never_learns_which_grants_there_are_is_stuck_though_its_loops_turn() {
        let progress = Progress::default();
        for _ in 0..=TO_FOLLOW.as_secs() {
            progress.made();
            advance(Duration::from_secs(1)).await;
        }
        assert!(progress.is_stuck());
    }
}
