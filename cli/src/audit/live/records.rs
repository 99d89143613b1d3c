//! Records as the log finds them, page by page.

use std::collections::VecDeque;
use std::thread::sleep;
use std::time::Duration;

use record::Record;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{Call, Live, LiveError};

/// How often the last page is asked for again where the log's index is behind, and how long after.
const AGAIN: u32 = 5;
const PAUSE: Duration = Duration::from_millis(400);

/// One page of an answer.
#[derive(Deserialize)]
struct Page {
    records: Vec<Found>,
    next: Option<u64>,
    /// With which entry it begins.
    #[serde(default)]
    begins: u64,
    indexed: u64,
    size: u64,
    complete: bool,
    /// What the log cannot read, and passed over.
    #[serde(default)]
    unread: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Found {
    index: u64,
    record: Box<RawValue>,
}

/// A record, and where it stands.
#[derive(Clone, Debug)]
pub struct Indexed {
    /// Its index.
    pub index: u64,
    /// The record.
    pub record: Record,
    /// Its bytes, as they are hashed.
    pub leaf: Box<RawValue>,
}

/// How much of the log was looked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether it was all there is.
    pub complete: bool,
    /// With which entry the log begins: what came before was pruned.
    pub begins: u64,
    /// How many entries the log's index knows.
    pub indexed: u64,
    /// How many the log has.
    pub size: u64,
    /// Whether the log passed over some that it cannot read.
    pub passed_over: bool,
}

/// What is asked, and how far the answer was read.
pub struct Pages<'l> {
    live: &'l Live,
    path: String,
    question: Vec<(&'static str, String)>,
    page: VecDeque<Found>,
    next: Option<u64>,
    is_begun: bool,
    seen: Seen,
}

impl<'l> Pages<'l> {
    /// Of this question.
    pub fn of(live: &'l Live, path: impl Into<String>, question: Vec<(&'static str, String)>) -> Self {
        let (page, seen) = (VecDeque::new(), Seen::default());
        Self { live, path: path.into(), question, page, next: None, is_begun: false, seen }
    }

    /// How much was looked through so far.
    pub fn seen(&self) -> Seen {
        Seen { complete: self.seen.complete && self.page.is_empty(), ..self.seen }
    }

    /// A page; where the log's index is a moment behind, the page of a moment later.
    fn page(&self, call: &Call) -> Result<Page, LiveError> {
        let mut left = AGAIN;
        loop {
            let page: Page = self.live.ask(call.clone())?.json()?;
            if page.next.is_some() || page.indexed >= page.size || left == 0 {
                return Ok(page);
            }
            left = left.saturating_sub(1);
            sleep(PAUSE);
        }
    }

    fn turn(&mut self) -> Result<bool, LiveError> {
        if self.is_begun && self.next.is_none() {
            return Ok(false);
        }
        let mut question = self.question.clone();
        question.extend(self.next.map(|next| ("after", next.to_string())));
        let Page { records, next, begins, indexed, size, complete, unread } =
            self.page(&Call::with(&self.path, &question))?;
        // A log that gives the same place again would be asked for ever.
        if next.is_some() && next <= self.next {
            return Err(LiveError::Stuck);
        }
        (self.is_begun, self.next) = (true, next);
        self.page = records.into();
        // A page before it may have lacked something, too.
        let passed_over = self.seen.passed_over || !unread.is_empty();
        let begins = begins.max(self.seen.begins);
        self.seen = Seen { complete: complete && !passed_over, begins, indexed, size, passed_over };
        Ok(true)
    }
}

impl Iterator for Pages<'_> {
    type Item = Result<Indexed, LiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(Found { index, record: leaf }) = self.page.pop_front() {
                let record = Record::decode(leaf.get().as_bytes());
                return Some(record.map(|record| Indexed { index, record, leaf }).map_err(LiveError::Record));
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    (self.is_begun, self.next) = (true, None);
                    self.seen.complete = false;
                    return Some(Err(error));
                }
            }
        }
    }
}
