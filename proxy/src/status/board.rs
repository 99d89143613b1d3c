//! What is known about this proxy, in one place: the life writes it, the report and the probes read it.
//!
//! No secret is ever put here: everything on the board may be read by the operator and stands in the last message.

use std::sync::Arc;

use access::report::{End, Failure, LONGEST_WAIT, Lease, Phase, Report};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::audit::Acknowledgements;
use crate::usage::UsageMeter;

/// The board of one proxy. Clones share it.
#[derive(Clone, Debug)]
pub struct Board {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    usage: Arc<UsageMeter>,
    acknowledged: Acknowledgements,
    /// Everything but the usage and the acknowledgements.
    said: watch::Sender<Report>,
    on_record: watch::Sender<bool>,
}

/// The accessor that somebody put on record is not this proxy's, or it has none to show yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the accessor of this proxy's token")]
pub struct NotOurs;

/// The longest text of the server's version in a report.
const VERSION_CHARACTERS: usize = 80;

impl Board {
    /// A proxy that has just started.
    pub fn new(grant_uid: String, usage: Arc<UsageMeter>) -> Self {
        let said = Report::starting(grant_uid, env!("CARGO_PKG_VERSION"));
        let (said, on_record) = (watch::Sender::new(said), watch::Sender::new(false));
        let acknowledged = Acknowledgements::default();
        Self { inner: Arc::new(Inner { usage, acknowledged, said, on_record }) }
    }

    /// By which the way to the audit log tells how far it has come.
    pub fn acknowledgements(&self) -> Acknowledgements {
        self.inner.acknowledged.clone()
    }

    /// Everything, as the operator reads it.
    pub fn report(&self) -> Report {
        let Inner { usage, acknowledged, said, on_record: _ } = &*self.inner;
        let said = said.borrow().clone();
        Report { usage: usage.so_far(), acknowledged: Some(acknowledged.so_far()), ..said }
    }

    /// The same, once it has another revision than this one, or after a while.
    pub async fn report_since(&self, revision: u64) -> Report {
        let mut said = self.inner.said.subscribe();
        // The sending side lives as long as `self`, so the wait can't fail.
        let _ = timeout(LONGEST_WAIT, said.wait_for(|said| said.revision != revision)).await;
        self.report()
    }

    /// Whether people can connect.
    pub fn is_ready(&self) -> bool {
        self.inner.said.borrow().phase == Phase::Ready
    }

    /// Shows the accessor of the token that will own the lease, and waits for somebody to put it on record.
    pub fn show_accessor(&self, accessor: &str) {
        self.change(|said| {
            said.phase = Phase::Custody;
            said.failure = None;
            said.token_accessor = Some(accessor.to_owned());
        });
    }

    /// Somebody has `accessor` on record. Saying so twice changes nothing.
    pub fn confirm(&self, accessor: &str) -> Result<(), NotOurs> {
        if self.inner.said.borrow().token_accessor.as_deref() != Some(accessor) {
            return Err(NotOurs);
        }
        self.inner.on_record.send_replace(true);
        Ok(())
    }

    /// Waits until the accessor is on record.
    pub async fn on_record(&self) {
        // The sending side lives as long as `self`, so the wait can't fail.
        let _ = self.inner.on_record.subscribe().wait_for(|on_record| *on_record).await;
    }

    /// The credential is about to be read, or was.
    pub fn leasing(&self) {
        self.change(|said| {
            said.phase = Phase::Leasing;
            said.failure = None;
        });
    }

    /// There is a lease.
    pub fn leased(&self, lease: Lease) {
        self.change(|said| said.lease = Some(lease));
    }

    /// Something is in the way; the message says what to do.
    pub fn failed(&self, failure: Failure) {
        self.change(|said| said.failure = Some(failure));
    }

    /// People can connect.
    pub fn ready(&self, server_version: &str) {
        self.change(|said| {
            said.phase = Phase::Ready;
            said.failure = None;
            said.server_version = Some(server_version.chars().take(VERSION_CHARACTERS).collect());
        });
    }

    /// Nobody can connect any more.
    pub fn ending(&self) {
        self.change(|said| said.phase = Phase::Ending);
    }

    /// All is done.
    pub fn ended(&self, end: End) {
        self.change(|said| {
            said.phase = Phase::Ended;
            said.end = Some(end);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Report)) {
        self.inner.said.send_modify(|said| {
            said.revision = said.revision.saturating_add(1);
            change(said);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Board {
        Board::new("uid".into(), Arc::default())
    }

    #[test]
    fn an_accessor_that_is_not_ours_does_not_count_as_on_record() {
        let board = board();
        assert_eq!(board.confirm(""), Err(NotOurs));
        assert_eq!(board.confirm("ours"), Err(NotOurs), "before it is shown");
        board.show_accessor("ours");
        assert_eq!(board.confirm("another"), Err(NotOurs));
        assert!(!*board.inner.on_record.borrow());
        assert_eq!(board.confirm("ours"), Ok(()));
        assert_eq!(board.confirm("ours"), Ok(()), "twice is once");
        assert!(*board.inner.on_record.borrow());
    }

    #[test]
    fn only_the_ready_phase_is_ready() {
        let board = board();
        assert!(!board.is_ready());
        board.show_accessor("a");
        assert!(!board.is_ready());
        board.leasing();
        assert!(!board.is_ready());
        board.ready("10.11.6-MariaDB");
        assert!(board.is_ready());
        board.ending();
        assert!(!board.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_seen_all_waits_for_news_but_not_for_ever() {
        let board = board();
        let first = board.report();
        assert_eq!(board.report_since(0).await, first, "never seen, at once");
        let began = tokio::time::Instant::now();
        assert_eq!(board.report_since(first.revision).await, first);
        assert_eq!(began.elapsed(), LONGEST_WAIT);
        let (waiting, began) = (board.clone(), tokio::time::Instant::now());
        let waiting = tokio::spawn(async move { waiting.report_since(first.revision).await });
        tokio::task::yield_now().await;
        board.show_accessor("ours");
        let news = waiting.await.unwrap();
        assert_eq!((news.phase, news.revision), (Phase::Custody, first.revision + 1));
        assert_eq!(began.elapsed(), std::time::Duration::ZERO);
        let changes: [fn(&Board); 5] = [
            |board| board.leasing(),
            |board| board.failed(Failure { reason: "VaultSealed".into(), message: "unseal it".into() }),
            |board| board.ready("10.11.6-MariaDB"),
            |board| board.ending(),
            |board| board.show_accessor("another"),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let before = board.report().revision;
            change(&board);
            assert_ne!(board.report().revision, before, "change {index}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_acknowledged_is_in_the_report_and_wakes_nobody() {
        let board = board();
        let first = board.report();
        let (waiting, began) = (board.clone(), tokio::time::Instant::now());
        let waiting = tokio::spawn(async move { waiting.report_since(first.revision).await });
        tokio::task::yield_now().await;
        board.acknowledgements().below(7);
        let report = waiting.await.unwrap();
        assert_eq!((report.revision, began.elapsed()), (first.revision, LONGEST_WAIT));
        assert!(report.acknowledged.is_some());
    }

    #[test]
    fn a_long_server_version_is_cut() {
        let board = board();
        board.ready(&"é".repeat(500));
        assert_eq!(board.report().server_version.map(|version| version.chars().count()), Some(80));
    }
}
