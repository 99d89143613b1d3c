//! The one signal that the grant is over: who waits for it hears it once, and the first cause stays the cause.
//!
//! It never decides that a grant is over, and it can't be taken back.

use std::time::Instant;

use access::EndReason;
use tokio::sync::watch;

/// Why the grant is over, and what the person at the client reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndCause {
    /// The reason, as it stands in reports.
    pub reason: EndReason,
    /// One sentence for the client's last error, at most 200 characters, no secrets.
    pub message: String,
}

impl EndCause {
    /// So many statements were refused as the terms of the grant bear.
    pub fn refused_too_often(most: u32) -> Self {
        let message = format!(
            "grant ended: {most} statements were refused, the most that its terms bear (limits.refusals of its Database or rule)"
        );
        Self { reason: EndReason::Violation, message }
    }

    /// The cause with the sentence that its reason always has.
    pub fn of(reason: EndReason) -> Self {
        Self { reason, message: reason.sentence().to_owned() }
    }
}

/// A handle on the end of the grant. Clones share one end.
#[derive(Clone, Debug)]
pub struct Ending {
    end: watch::Sender<Option<Begun>>,
}

#[derive(Clone, Debug)]
struct Begun {
    cause: EndCause,
    at: Instant,
}

impl Ending {
    /// A grant that is not over.
    pub fn new() -> Self {
        Self { end: watch::Sender::new(None) }
    }

    /// The grant is over because of `cause`, unless it already is because of another.
    pub fn begin(&self, cause: EndCause) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(Begun { cause, at: Instant::now() });
            }
            first
        });
    }

    /// The first cause, once there is one.
    pub fn cause(&self) -> Option<EndCause> {
        self.end.borrow().as_ref().map(|begun| begun.cause.clone())
    }

    /// When the end began.
    pub fn began_at(&self) -> Option<Instant> {
        self.end.borrow().as_ref().map(|begun| begun.at)
    }

    /// Waits until the grant is over; at once if it is. Safe to drop and call again.
    pub async fn began(&self) -> EndCause {
        let mut end = self.end.subscribe();
        loop {
            if let Some(begun) = end.borrow_and_update().as_ref() {
                return begun.cause.clone();
            }
            if end.changed().await.is_err() {
                // Not reachable: `self` keeps the sending side alive. Were it, nobody could end the grant any more.
                return EndCause::of(EndReason::Stopped);
            }
        }
    }
}

impl Default for Ending {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_cause_stays_the_cause_and_reaches_those_who_come_late() {
        let ending = Ending::new();
        assert_eq!(ending.cause(), None);
        let early = tokio::spawn({
            let ending = ending.clone();
            async move { ending.began().await }
        });
        ending.begin(EndCause::of(EndReason::Revoked));
        ending.begin(EndCause::of(EndReason::Expired));
        assert_eq!(early.await.unwrap().reason, EndReason::Revoked);
        assert_eq!(ending.began().await.reason, EndReason::Revoked);
        assert!(ending.began_at().is_some());
    }
}
