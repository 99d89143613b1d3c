//! A keeper of the record that is the test's own, and as unpleasant as a log far away: it takes its time, and it goes away.

use std::sync::{Arc, Mutex};

use keyhole_proxy::audit::{Acknowledgements, Answer, Journal, Keeper, NotRecorded, Number, Record};
use tokio::sync::Notify;

use super::databases::DatabaseServer;
use super::proxy::{Proxy, grant_on, wide};

/// What was handed over, in the order in which it was.
#[derive(Default)]
pub struct Book {
    pub lines: Vec<(Number, String)>,
    /// Whether what comes is not acknowledged.
    held: bool,
    /// Whether no intent is taken before something is acknowledged.
    full: bool,
}

/// A keeper whose books the test reads. Clones are the same.
#[derive(Clone, Default)]
pub struct Books {
    pub book: Arc<Mutex<Book>>,
    more: Arc<Notify>,
    pub acknowledged: Acknowledgements,
}

impl Keeper for Books {
    fn keep(&mut self, number: Number, record: &Record<'_>) -> Result<(), NotRecorded> {
        let line = match record {
            Record::SessionOpened(who) => format!("opened by {}", who.user),
            Record::SessionClosed { why, .. } => format!("closed: {why}"),
            Record::TurnedAway { why, .. } => format!("turned away: {why}"),
            Record::Intent { intent, .. } => format!(
                "{} of {:?}: {} with {} values{}",
                intent.command,
                intent.of,
                intent.text.escape_ascii(),
                intent.parameters.len(),
                if intent.shape_of.is_some() { " in shape" } else { "" }
            ),
            Record::Outcome { of, answer: Answer::First, outcome } => {
                format!("outcome of {of:?}: {} rows", outcome.rows)
            }
            Record::Outcome { of, answer: Answer::More, outcome } => {
                format!("fetch of {of:?}: {} rows", outcome.rows)
            }
            Record::Cut { of, .. } => format!("cut {of:?}"),
            Record::Life(_) | Record::Closed { .. } => "life".to_owned(),
        };
        let mut book = self.book.lock().unwrap();
        if book.full && matches!(record, Record::Intent { .. }) {
            return Err(NotRecorded::Full);
        }
        book.lines.push((number, line));
        if !book.held {
            self.acknowledged.up_to(number);
        }
        self.more.notify_one();
        Ok(())
    }
}

impl Books {
    pub async fn before(&self, server: &DatabaseServer) -> Proxy {
        self.with(grant_on(server, wide())).await
    }

    pub async fn with(&self, grant: access::Grant) -> Proxy {
        let (keeper, acknowledged) = (Box::new(self.clone()), self.acknowledged.clone());
        let journal = |usage, ending| Journal::new(usage, ending, acknowledged, keeper);
        Proxy::on_record(grant, journal).await
    }

    pub fn holds(&self) {
        self.book.lock().unwrap().held = true;
    }

    /// Nothing is acknowledged any more, and no intent taken.
    pub fn is_full(&self) {
        let mut book = self.book.lock().unwrap();
        (book.held, book.full) = (true, true);
    }

    pub fn lets_go(&self) {
        let mut book = self.book.lock().unwrap();
        (book.held, book.full) = (false, false);
        if let Some((last, _)) = book.lines.last() {
            self.acknowledged.up_to(*last);
        }
    }

    /// Waits for a line that begins so: its number, and the line.
    pub async fn has(&self, beginning: &str) -> (Number, String) {
        loop {
            let more = self.more.notified();
            let found = self
                .book
                .lock()
                .unwrap()
                .lines
                .iter()
                .rfind(|(_, line)| line.starts_with(beginning))
                .cloned();
            match found {
                Some(found) => return found,
                None => more.await,
            }
        }
    }
}
