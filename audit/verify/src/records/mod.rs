//! What the records say, one after the other: each one's form, its place in its stream, and whether it fits what was said before.
//!
//! Nothing of a record is kept but what later ones are compared with: for each stream its number, head and time, while it is open its
//! sessions and one bit for each record; for each grant its proxies, its receipt and how many texts it has; for each step of a request
//! fingerprints, of whose it is.

mod beginning;
mod grants;
mod life;
mod log;
mod operator;
mod print;
mod stream;
mod texts;
mod whose;

use std::collections::HashMap;

use record::{Commitment, Payload, Record, StreamName, Time, Uid, What, Writer};
use tlog::{Checkpoint, Hash};

use crate::asked::Absent;
use crate::finding::{Finding, Wrong};
use crate::notice::Notice;
use crate::report::{Counts, Found};
use beginning::Beginning;
use grants::Grants;
use life::{Life, Surroundings};
use log::{Around, Log};
use operator::Operator;
use stream::{Follows, Stream};

/// The text that lies beside a record.
#[derive(Clone, Copy)]
pub(crate) enum Opened<'a> {
    /// There is none in this copy; where there should be one, why.
    Nothing(Absent),
    /// Salt and payload.
    Text(&'a [u8]),
}

/// A record in its place.
#[derive(Clone, Copy)]
pub(crate) struct At<'r> {
    pub index: u64,
    pub record: &'r Record,
}

impl At<'_> {
    pub(crate) fn finding(&self, wrong: Wrong) -> Finding {
        let Self { index, record } = self;
        Finding {
            index: Some(*index),
            grant: record.grant.clone(),
            stream: Some(record.stream.clone()),
            wrong,
        }
    }

    /// About the stream that the record stands in, whatever the record itself is about: behind a hole in the operator's or the log's stream
    /// stands a record of some grant, and what is missing may have been any other's.
    pub(crate) fn of_stream(&self, wrong: Wrong) -> Finding {
        Finding { grant: self.record.stream.grant().cloned(), ..self.finding(wrong) }
    }

    /// That something which it follows from is not here, and need not be.
    fn begun_before(&self, what: &'static str) -> Notice {
        Notice::BegunBefore { index: self.index, grant: self.record.grant.clone(), kind: self.kind(), what }
    }

    /// The name of its kind.
    pub(crate) fn kind(&self) -> String {
        self.record.what.kind().1.to_owned()
    }
}

/// Everything that is known of the records so far.
pub(crate) struct Records {
    beginning: Beginning,
    /// The moment of the first record that is there, and the latest of any that a proxy or the operator wrote.
    first: Option<Time>,
    latest: Option<Time>,
    /// Whether entries could not be read: what stood in them nobody knows.
    holes: bool,
    /// Whether the copy has files of texts.
    has_texts: bool,
    witnessed: Option<i64>,
    streams: HashMap<StreamName, Stream>,
    lives: HashMap<StreamName, Life>,
    grants: Grants,
    operator: Operator,
    log: Log,
    counts: Counts,
}

impl Records {
    pub(crate) fn new(checkpoint: &Checkpoint, from: u64, witnessed: Option<u64>) -> Self {
        Self {
            beginning: Beginning::at(from),
            first: None,
            latest: None,
            holes: false,
            has_texts: false,
            witnessed: witnessed.and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1_000_000)),
            streams: HashMap::new(),
            lives: HashMap::new(),
            grants: Grants::default(),
            operator: Operator::default(),
            log: Log::of(checkpoint),
            counts: Counts::default(),
        }
    }

    /// Entries could not be read here.
    pub(crate) fn hole(&mut self) {
        self.holes = true;
    }

    /// There is a file of texts.
    pub(crate) fn texts(&mut self) {
        self.has_texts = true;
    }

    /// Takes the next entry, its leaf hash, and the text beside it.
    pub(crate) fn take(
        &mut self,
        index: u64,
        (text, leaf): (&[u8], Hash),
        opened: Opened<'_>,
        found: &mut Found<'_>,
    ) {
        let record = match Record::decode(text) {
            Ok(record) => record,
            Err(error) => {
                self.holes = true;
                let wrong = Wrong::NoRecord { why: error.to_string() };
                found.wrong(Finding { index: Some(index), grant: None, stream: None, wrong });
                return;
            }
        };
        self.counts.records = self.counts.records.saturating_add(1);
        found.record(record.grant.as_ref());
        let at = At { index, record: &record };
        self.sees(&record);
        if self.follows(at, leaf, found) {
            self.text(at, opened, found);
            match record.stream.writer() {
                Writer::Proxy => self.proxy(at, found),
                Writer::Operator => self.operator(at, found),
                Writer::Log => {
                    let Self { log, grants, beginning, latest, .. } = self;
                    log.take(at, &mut Around { grants, beginning, latest: *latest }, found);
                }
            }
        }
    }

    /// What moment it is by a record.
    fn sees(&mut self, record: &Record) {
        match record.stream.writer() {
            Writer::Operator => self.beginning.sees(record.at),
            Writer::Proxy => self.beginning.passes(record.at),
            Writer::Log => {}
        }
        if record.stream.writer() != Writer::Log {
            self.latest = self.latest.max(Some(record.at));
        }
        self.first = self.first.or(Some(record.at));
    }

    /// Puts the record at the end of its stream. `false`: what it says was said before, or is worth nothing.
    fn follows(&mut self, at: At<'_>, leaf: Hash, found: &mut Found<'_>) -> bool {
        let At { record, .. } = at;
        let is_known = self.streams.contains_key(&record.stream);
        if !is_known {
            let before = record.n.get() > 0 && self.beginning.may_go_on(&record.stream, record.at);
            if before {
                self.log.goes_on(at);
                let (stream, count) = (record.stream.clone(), record.n.get());
                found.notice(Notice::StreamBegun { index: at.index, stream, count });
            }
            self.streams.insert(record.stream.clone(), Stream::begin(record, before));
        }
        let Some(stream) = self.streams.get_mut(&record.stream) else { return false };
        let follows = stream.take(at, leaf, found);
        stream.clock(at, self.witnessed, found);
        if record.n.get() == 0 && !begins(&record.what) {
            found.wrong(at.of_stream(Wrong::Begins { kind: at.kind() }));
        }
        if record.stream.writer() == Writer::Proxy && !is_known && follows != Follows::Again {
            self.lives.insert(record.stream.clone(), Life::new(record));
        }
        match follows {
            Follows::Next => true,
            Follows::After => {
                if let Some(life) = self.lives.get_mut(&record.stream) {
                    life.has_gaps();
                }
                true
            }
            Follows::Again => false,
        }
    }

    fn proxy(&mut self, at: At<'_>, found: &mut Found<'_>) {
        let is_whole = self.is_whole();
        let Self { lives, grants, operator, .. } = self;
        let Some(life) = lives.get_mut(&at.record.stream) else { return };
        life.take(at, &mut Surroundings { grants, has_operator: operator.is_there(), is_whole }, found);
        if let What::Close(_) = at.record.what {
            lives.remove(&at.record.stream);
        }
    }

    fn operator(&mut self, at: At<'_>, found: &mut Found<'_>) {
        if !self.operator.is_new(at, found) {
            return;
        }
        let is_whole = match &at.record.what {
            // A grant may have its receipt long after its end.
            What::Receipt(receipt) => {
                let is_whole = self.beginning.has_grants_at(receipt.began) || self.grants.has_all_of(at);
                is_whole && !self.holes
            }
            _ => self.is_whole(),
        };
        self.operator.take(at, is_whole, &mut self.grants, found);
        if let What::LateOutcome(late) = &at.record.what {
            if at.record.grant.is_some() && late.stream.grant() != at.record.grant.as_ref() {
                found.wrong(at.finding(Wrong::ForeignStream { named: late.stream.clone() }));
            }
            if !self.streams.contains_key(&late.stream) {
                let wrong = Wrong::NoStream { named: late.stream.clone() };
                let is_whole = is_whole || self.grants.has_all_of(at);
                self.grants.missing(at, is_whole, ("stream", wrong), found);
            }
            if let (Some(outcome), Some(life)) = (&late.outcome, self.lives.get_mut(&late.stream)) {
                life.late(at, outcome.of.get(), found);
            }
        }
    }

    /// Whether all is here that a record follows from which the operator writes now.
    fn is_whole(&self) -> bool {
        !self.holes && self.beginning.has_grants()
    }

    /// The text beside a record, against what its writer is bound to.
    fn text(&mut self, at: At<'_>, opened: Opened<'_>, found: &mut Found<'_>) {
        let bound = match &at.record.what {
            What::Statement(statement) => statement.text.map(|text| text.commit),
            _ => None,
        };
        match (bound, opened) {
            (None, Opened::Nothing(_)) => {}
            (None, Opened::Text(_)) => found.wrong(at.finding(Wrong::TextUnasked)),
            (Some(_), Opened::Nothing(absent)) => self.grants.text_is_absent(at, absent),
            (Some(bound), Opened::Text(text)) => {
                self.grants.text_is_there(at);
                if Commitment::to(text) != bound {
                    found.wrong(at.finding(Wrong::TextDiffers));
                } else if Payload::decode(text).is_err() {
                    found.wrong(at.finding(Wrong::TextUnreadable));
                }
            }
        }
    }

    /// What can be said only now that everything was read.
    pub(crate) fn end(mut self, found: &mut Found<'_>) {
        self.log.end((self.beginning.from(), self.first), found);
        self.operator.end(found);
        if !self.operator.is_there() && !self.streams.is_empty() {
            found.notice(Notice::NoOperator);
        }
        let counts = &mut self.counts;
        counts.streams = of(self.streams.len());
        counts.streams_not_closed = of(self.lives.len());
        counts.statements_without_outcome = self.lives.values().map(Life::without_outcome).sum();
        self.grants.end(&self.streams, self.has_texts, counts, found);
        found.report.counts = *counts;
    }
}

/// A number of things.
fn of(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Whether a stream begins with such a record.
fn begins(what: &What) -> bool {
    matches!(what, What::Open(_) | What::Term(_) | What::Start(_))
}

/// The grant that a record names; to name none is wrong.
fn grant_of(at: At<'_>, found: &mut Found<'_>) -> Option<Uid> {
    if at.record.grant.is_none() {
        found.wrong(at.finding(Wrong::WithoutGrant { kind: at.kind() }));
    }
    at.record.grant.clone()
}
