//! What the log says of itself: its starts, what it erased, pruned and lost.

use record::kinds::log::{Key, Start};
use record::{StreamName, What};
use tlog::{Checkpoint, VerifierKey};

use super::At;
use super::grants::Grants;
use crate::finding::{Finding, Wrong};
use crate::notice::Notice;
use crate::report::Found;

/// What is known of the log's own records.
pub(super) struct Log {
    origin: String,
    /// The stream of its latest start.
    stream: Option<StreamName>,
    /// The first index that stays, by the latest record of pruning.
    minimum: u64,
    /// Whether it says itself that records are missing: those of the log that it goes on with, or lost ones.
    has_lost: bool,
}

impl Log {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        Self { origin: checkpoint.origin.to_string(), stream: None, minimum: 0, has_lost: false }
    }

    pub(super) fn take(&mut self, at: At<'_>, grants: &mut Grants, found: &mut Found<'_>) {
        let At { index, record } = at;
        if let What::Start(start) = &record.what {
            self.start(start, at, found);
        } else if self.stream.as_ref().is_some_and(|latest| *latest != record.stream) {
            found.wrong(at.of_stream(Wrong::EarlierStart));
        }
        match &record.what {
            What::Read(read) => {
                let ahead = read.entries.iter().find(|entry| entry.get() >= index);
                if let Some(entry) = ahead {
                    found.wrong(at.finding(Wrong::Ahead { entry: entry.get() }));
                }
            }
            What::Erase(_) => grants.erase(at, found),
            What::Prune(prune) => {
                let minimum = prune.minimum.get();
                if minimum > index {
                    found.wrong(at.finding(Wrong::Ahead { entry: minimum }));
                }
                self.minimum = self.minimum.max(minimum);
            }
            What::Key(key) => self.key(key, at, found),
            What::Loss(loss) => {
                self.has_lost = true;
                let (from, to, why) = (loss.from.get(), loss.to.get(), loss.why.clone());
                found.notice(Notice::Lost { index, from, to, why });
            }
            // What others write is in no stream of the log's: its record would not have been read.
            _ => {}
        }
    }

    fn start(&mut self, start: &Start, at: At<'_>, found: &mut Found<'_>) {
        let At { index, record } = at;
        if record.n.get() > 0 {
            found.wrong(at.finding(Wrong::BeginsAgain));
        }
        if let StreamName::Log { start: named } = &record.stream
            && named.get() != index
        {
            found.wrong(at.finding(Wrong::StartElsewhere { named: named.get() }));
        }
        if start.origin != self.origin {
            found.wrong(at.finding(Wrong::OtherOrigin { origin: start.origin.clone() }));
        }
        if let Some(before) = &start.predecessor {
            self.has_lost = true;
            let (origin, size) = (before.origin.clone(), before.size.get());
            found.notice(Notice::Successor { index, origin, size });
        }
        self.stream = Some(record.stream.clone());
    }

    fn key(&self, key: &Key, at: At<'_>, found: &mut Found<'_>) {
        let is_own =
            key.verifier.parse::<VerifierKey>().is_ok_and(|key| key.name().as_str() == self.origin.as_str());
        if !is_own {
            found.wrong(at.finding(Wrong::BadKey));
        }
    }

    /// Whether what came before a record may be missing, as the log says itself.
    pub(super) fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// What is gone must have been pruned.
    pub(super) fn end(&self, from: u64, found: &mut Found<'_>) {
        if from > self.minimum {
            let wrong = Wrong::EntriesGone { from: self.minimum, to: from.saturating_sub(1) };
            found.wrong(Finding { index: None, grant: None, stream: None, wrong });
        }
    }
}
