//! What the log says of itself: its starts, what it erased, pruned and lost.

use record::kinds::log::{Key, Prune, Start};
use record::{StreamName, Time, What, Writer};
use tlog::{Checkpoint, VerifierKey};

use super::At;
use super::beginning::{Beginning, DAY, STREAM};
use super::grants::Grants;
use crate::finding::{Finding, Wrong};
use crate::notice::Notice;
use crate::report::Found;

/// How long records are kept at the least, in microseconds: no log takes less for an answer.
const KEPT: i64 = 30 * DAY;

/// What the log's records change, and are compared with.
pub(super) struct Around<'r> {
    pub grants: &'r mut Grants,
    pub beginning: &'r mut Beginning,
    /// The latest moment of a proxy's or the operator's record before.
    pub latest: Option<Time>,
}

/// What is known of the log's own records.
pub(super) struct Log {
    origin: String,
    /// The stream of its latest start.
    stream: Option<StreamName>,
    /// What it says of pruning, in order.
    pruned: Vec<Pruned>,
    /// Of the streams of proxies whose first records are gone, the latest first one that is here: its moment, its index and its stream.
    cut: Option<(Time, u64, StreamName)>,
}

/// That entries are removed.
struct Pruned {
    /// When it was said.
    at: Time,
    /// What they are all older than.
    before: Time,
    /// The first that stays.
    minimum: u64,
}

impl Log {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        Self { origin: checkpoint.origin.to_string(), stream: None, pruned: Vec::new(), cut: None }
    }

    pub(super) fn take(&mut self, at: At<'_>, around: &mut Around<'_>, found: &mut Found<'_>) {
        let At { index, record } = at;
        if let What::Start(start) = &record.what {
            self.start(start, at, around.beginning, found);
        } else if *self.stream.get_or_insert_with(|| record.stream.clone()) != record.stream {
            found.wrong(at.of_stream(Wrong::EarlierStart));
        }
        match &record.what {
            What::Read(read) => {
                let ahead = read.entries.iter().find(|entry| entry.get() >= index);
                if let Some(entry) = ahead {
                    found.wrong(at.finding(Wrong::Ahead { entry: entry.get() }));
                }
            }
            What::Erase(_) => around.grants.erase(at, found),
            What::Prune(prune) => self.prune(prune, at, around.latest, found),
            What::Key(key) => self.key(key, at, found),
            What::Loss(loss) => {
                around.beginning.loses();
                let (from, to, why) = (loss.from.get(), loss.to.get(), loss.why.clone());
                found.notice(Notice::Lost { index, from, to, why });
            }
            // What others write is in no stream of the log's: its record would not have been read.
            _ => {}
        }
    }

    /// No record goes before it was kept for its time; what day it is, others must have said, too.
    fn prune(&mut self, prune: &Prune, at: At<'_>, latest: Option<Time>, found: &mut Found<'_>) {
        let Prune { before, minimum } = prune;
        let minimum = minimum.get();
        if minimum > at.index {
            found.wrong(at.finding(Wrong::Ahead { entry: minimum }));
        }
        let today = latest.map_or(at.record.at, |latest| latest.min(at.record.at));
        if today.micros().saturating_sub(before.micros()) < KEPT {
            found.wrong(at.finding(Wrong::PrunedEarly { before: *before }));
        }
        self.pruned.push(Pruned { at: at.record.at, before: *before, minimum });
    }

    /// A stream goes on here whose first records are gone.
    pub(super) fn goes_on(&mut self, At { index, record }: At<'_>) {
        let is_latest = self.cut.as_ref().is_none_or(|(latest, ..)| record.at > *latest);
        if record.stream.writer() == Writer::Proxy && is_latest {
            self.cut = Some((record.at, index, record.stream.clone()));
        }
    }

    fn start(&mut self, start: &Start, at: At<'_>, beginning: &mut Beginning, found: &mut Found<'_>) {
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
            beginning.loses();
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

    /// What is gone must have been pruned, and not before it was old enough. `from`: the first entry that is there, and of which moment it is.
    pub(super) fn end(self, (from, first): (u64, Option<Time>), found: &mut Found<'_>) {
        if from == 0 {
            return;
        }
        let said: Vec<&Pruned> = self.pruned.iter().filter(|pruned| pruned.minimum >= from).collect();
        found.notice(Notice::Pruned { from, first, said: said.first().map(|pruned| pruned.at) });
        let Some(before) = said.iter().map(|pruned| pruned.before).max() else {
            let said = self.pruned.iter().map(|pruned| pruned.minimum).max().unwrap_or(0);
            let wrong = Wrong::EntriesGone { from: said, to: from.saturating_sub(1) };
            found.wrong(Finding { index: None, grant: None, stream: None, wrong });
            return;
        };
        // No proxy lives longer than that.
        if let Some((at, index, stream)) = self.cut
            && at.micros().saturating_sub(before.micros()) > STREAM
        {
            let (grant, wrong) = (stream.grant().cloned(), Wrong::PrunedYounger);
            found.wrong(Finding { index: Some(index), grant, stream: Some(stream), wrong });
        }
    }
}
