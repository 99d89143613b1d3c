//! A deadline for every call of a command: a connection that hangs costs no more than the time that is left.

use std::future::Future;
use std::time::{Duration, Instant};

use super::CallError;

/// The least time of a call, however late it is: an answer that is on its way is not thrown away.
const AT_LEAST: Duration = Duration::from_secs(2);

/// When a command gives up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    began: Instant,
    whole: Duration,
}

impl Deadline {
    /// So long from now.
    pub fn after(whole: Duration) -> Self {
        Self { began: Instant::now(), whole }
    }

    /// Whether no time is left.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// What comes of the call in the time that is left. `what` completes "cannot …".
    pub async fn hold<T>(&self, what: &str, call: impl Future<Output = T>) -> Result<T, CallError> {
        self.hold_at_most(Duration::MAX, what, call).await
    }

    /// The same for a call that is made again when it has hung so long.
    pub async fn hold_at_most<T>(
        &self,
        longest: Duration,
        what: &str,
        call: impl Future<Output = T>,
    ) -> Result<T, CallError> {
        let within = self.left().max(AT_LEAST).min(longest);
        tokio::time::timeout(within, call).await.map_err(|_elapsed| CallError::silence(what, within))
    }

    fn left(&self) -> Duration {
        self.whole.saturating_sub(self.began.elapsed())
    }
}
