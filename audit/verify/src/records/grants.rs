//! What is known of each grant: its proxies, its end, what its receipt counts, and its texts.

use std::collections::{HashMap, HashSet};

use record::kinds::State;
use record::kinds::operator::{self, Item, Pod, Receipt};
use record::{StreamName, Time, Uid};

use super::print::Print;
use super::stream::Stream;
use super::texts::Texts;
use super::whose::Whose;
use super::{At, grant_of};
use crate::asked::Absent;
use crate::finding::{Finding, Wrong};
use crate::notice::Notice;
use crate::report::{Counts, Found};

/// How long after the operator named a proxy its stream may be missing at the end of a log, in microseconds: the two write each for
/// itself.
const AWAITED: i64 = 60_000_000;

/// All grants.
#[derive(Default)]
pub(super) struct Grants {
    known: HashMap<Uid, Grant>,
    /// The latest time of any record.
    latest: Option<Time>,
}

/// One.
#[derive(Default)]
struct Grant {
    /// Whether all of its records must be here: the one is that is before them, that it is about to be created.
    is_whole: bool,
    /// Whether it was told that its beginning is not here.
    is_told: bool,
    /// For whom it is and what it opens, by what the operator says of its proxies.
    whose: Option<Whose>,
    opens: Vec<Opened>,
    owners: Vec<Print>,
    pods: Vec<Proxy>,
    has_ended: bool,
    /// The entry of the first receipt by which nothing of it runs any more.
    shut: Option<u64>,
    receipts: Vec<Counted>,
    texts: Texts,
}

/// What a proxy says at its beginning.
struct Opened {
    index: u64,
    stream: StreamName,
    whose: Whose,
}

/// A proxy that the operator named.
struct Proxy {
    accessor: Print,
    index: u64,
    stream: StreamName,
    at: Time,
    name: String,
}

/// What a receipt counts.
struct Counted {
    index: u64,
    /// Whether each stream that it counts must be here.
    is_whole: bool,
    stream: StreamName,
    streams: Vec<operator::Stream>,
}

impl Grants {
    /// What should be on record of a grant before this record is not: that is wrong, unless it may have been before the log's beginning, which
    /// is told once of each grant.
    pub(super) fn missing(
        &mut self,
        at: At<'_>,
        is_whole: bool,
        (what, wrong): (&'static str, Wrong),
        found: &mut Found<'_>,
    ) {
        match at.record.grant.as_ref().map(|grant| self.of(grant)) {
            Some(grant) if !is_whole => {
                if !std::mem::replace(&mut grant.is_told, true) {
                    found.notice(at.begun_before(what));
                }
            }
            _ => found.wrong(at.finding(wrong)),
        }
    }

    /// Whether all that is on record of this grant must be here: its own first record is.
    pub(super) fn has_all_of(&self, at: At<'_>) -> bool {
        let grant = at.record.grant.as_ref().and_then(|grant| self.known.get(grant));
        grant.is_some_and(|grant| grant.is_whole)
    }

    fn of(&mut self, grant: &Uid) -> &mut Grant {
        if !self.known.contains_key(grant) {
            self.known.insert(grant.clone(), Grant::default());
        }
        self.known.entry(grant.clone()).or_default()
    }

    fn about(&mut self, at: At<'_>) -> Option<&mut Grant> {
        self.latest = self.latest.max(Some(at.record.at));
        let grant = at.record.grant.as_ref()?;
        Some(self.of(grant))
    }

    /// A proxy begins, and says whose it is. What the operator says of it comes later.
    pub(super) fn opened(&mut self, at: At<'_>, whose: Whose) {
        if let Some(grant) = self.about(at) {
            grant.opens.push(Opened { index: at.index, stream: at.record.stream.clone(), whose });
        }
    }

    /// The entry of a receipt by which nothing of the grant runs any more.
    pub(super) fn shut(&self, at: At<'_>) -> Option<u64> {
        self.known.get(at.record.grant.as_ref()?)?.shut
    }

    /// The person whom the grant is for, by what the operator says.
    pub(super) fn user(&self, at: At<'_>) -> Option<Print> {
        let grant = self.known.get(at.record.grant.as_ref()?)?;
        grant.whose.map(Whose::user)
    }

    /// A proxy put its token's accessor on record.
    pub(super) fn owner(&mut self, at: At<'_>, accessor: Print, found: &mut Found<'_>) {
        if let Some(grant) = self.about(at) {
            // A proxy makes a new one each time.
            if grant.owners.contains(&accessor) {
                found.wrong(at.finding(Wrong::AccessorTwice));
            }
            grant.owners.push(accessor);
        }
    }

    /// Whether the operator has named the proxy with this token.
    pub(super) fn has_pod(&self, at: At<'_>, accessor: Print) -> bool {
        let grant = at.record.grant.as_ref().and_then(|grant| self.known.get(grant));
        grant.is_some_and(|grant| grant.pods.iter().any(|pod| pod.accessor == accessor))
    }

    /// The operator names a proxy. `whose`: by the grant's record that it names, where the log has it.
    /// `is_whole`: nothing before it can be missing unseen.
    pub(super) fn pod(
        &mut self,
        pod: &Pod,
        (whose, is_whole): (Option<Whose>, bool),
        at: At<'_>,
        found: &mut Found<'_>,
    ) {
        if grant_of(at, found).is_none() {
            return;
        }
        let accessor = Print::of(&pod.accessor);
        let (name, stream) = (pod.name.clone(), at.record.stream.clone());
        if let Some(grant) = self.about(at) {
            grant.is_whole |= is_whole || whose.is_some();
            grant.is_told |= whose.is_none();
            // Whatever the receipt left open: the operator itself wrote that the grant is over.
            if let Some(Counted { index, .. }) = grant.receipts.first() {
                found.wrong(at.finding(Wrong::AfterReceipt { kind: at.kind(), receipt: *index }));
            }
            if let Some(field) = whose.zip(grant.whose).and_then(|(now, before)| now.differs(before)) {
                found.wrong(at.finding(Wrong::SaysOtherwise { field, than: "pod" }));
            }
            grant.whose = grant.whose.or(whose);
            grant.pods.push(Proxy { accessor, index: at.index, stream, at: at.record.at, name });
        }
    }

    pub(super) fn ended(&mut self, at: At<'_>, found: &mut Found<'_>) {
        if grant_of(at, found).is_some()
            && let Some(grant) = self.about(at)
        {
            grant.has_ended = true;
        }
    }

    /// `is_whole`: nothing before it can be missing unseen.
    pub(super) fn receipt(&mut self, receipt: &Receipt, is_whole: bool, at: At<'_>, found: &mut Found<'_>) {
        let Some(uid) = grant_of(at, found) else { return };
        for named in receipt.streams.iter().map(|counted| &counted.stream) {
            if named.grant() != Some(&uid) {
                found.wrong(at.finding(Wrong::ForeignStream { named: named.clone() }));
            }
        }
        let Some(grant) = self.about(at) else { return };
        let said = grant.whose.map(|whose| (whose.named(&receipt.namespace, &receipt.name), whose));
        if let Some(field) = said.and_then(|(said, whose)| said.differs(whose)) {
            found.wrong(at.finding(Wrong::SaysOtherwise { field, than: "grant" }));
        }
        let (index, stream, streams) = (at.index, at.record.stream.clone(), receipt.streams.clone());
        grant.shut = grant.shut.or_else(|| shuts(receipt).then_some(index));
        let has_ended = grant.has_ended;
        grant.receipts.push(Counted { index, is_whole, stream, streams });
        if !has_ended {
            let wrong = Wrong::StepMissing { kind: at.kind(), before: "end".to_owned() };
            self.missing(at, is_whole, ("end", wrong), found);
        }
    }

    pub(super) fn text_is_there(&mut self, at: At<'_>) {
        if let Some(Grant { texts, .. }) = self.about(at) {
            texts.is_there();
        }
    }

    pub(super) fn text_is_absent(&mut self, at: At<'_>, absent: Absent) {
        if let Some(Grant { texts, .. }) = self.about(at) {
            texts.is_absent(at.index, absent);
        }
    }

    /// The texts of a grant are erased: those that stand before.
    pub(super) fn erase(&mut self, at: At<'_>, found: &mut Found<'_>) {
        if grant_of(at, found).is_none() {
            return;
        }
        if let Some(Grant { texts, .. }) = self.about(at) {
            texts.erase();
        }
    }

    /// Compares what the grants' records say of streams with the streams. `has_texts`: whether the copy has files of texts.
    pub(super) fn end(
        self,
        streams: &HashMap<StreamName, Stream>,
        has_texts: bool,
        counts: &mut Counts,
        found: &mut Found<'_>,
    ) {
        let Self { known, latest } = self;
        counts.grants = super::of(known.len());
        let mut grants: Vec<(Uid, Grant)> = known.into_iter().collect();
        grants.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut counted: HashSet<&StreamName> = HashSet::new();
        let mut with_receipt: HashSet<&Uid> = HashSet::new();
        for (uid, grant) in &grants {
            let Grant {
                is_whole,
                is_told,
                whose,
                opens,
                owners,
                pods,
                receipts,
                texts,
                has_ended: _,
                shut: _,
            } = grant;
            opens.iter().for_each(|opened| opened.agrees(*whose, found));
            for pod in pods.iter().filter(|pod| *is_whole && !owners.contains(&pod.accessor)) {
                pod.is_missing(uid, latest.filter(|_| receipts.is_empty()), found);
            }
            texts.end(uid, has_texts, counts, found);
            let mut lacking = None;
            for receipt in receipts {
                with_receipt.insert(uid);
                let own = receipt.streams.iter().map(|counted| &counted.stream);
                counted.extend(own.filter(|stream| stream.grant() == Some(uid)));
                if !receipt.compare((uid, *is_whole), streams, found) {
                    lacking = lacking.or(Some(receipt.index));
                }
            }
            if let Some(index) = lacking.filter(|_| !is_told) {
                let (kind, what) = ("receipt".to_owned(), "stream");
                found.notice(Notice::BegunBefore { index, grant: Some(uid.clone()), kind, what });
            }
        }
        let mut uncounted: Vec<(&StreamName, &Stream)> = streams
            .iter()
            .filter(|(name, _)| {
                let has_receipt = name.grant().is_some_and(|grant| with_receipt.contains(grant));
                has_receipt && !counted.contains(name)
            })
            .collect();
        uncounted.sort_unstable_by_key(|(name, _)| *name);
        for (stream, Stream { head, .. }) in uncounted {
            found.notice(Notice::Uncounted { stream: stream.clone(), count: head.count.get() });
        }
    }
}

/// Whether nothing of a grant can run any more, as its receipt says: its lease is gone, and neither a pod nor clients' sockets are left
/// unproved. By one that leaves them so (somebody gave the proof up, or a node is lost) a proxy may still run, and write.
fn shuts(receipt: &Receipt) -> bool {
    let is_proved = |item: &Item| item.state == State::Proved;
    let of_item = |name: &'static str| receipt.items.iter().filter(move |item| item.item == name);
    of_item("lease").any(is_proved) && ["pod", "sockets"].into_iter().flat_map(of_item).all(is_proved)
}

impl Opened {
    /// It must say the same as the operator.
    fn agrees(&self, whose: Option<Whose>, found: &mut Found<'_>) {
        let Self { index, stream, whose: said } = self;
        if let Some(field) = whose.and_then(|whose| said.differs(whose)) {
            let (grant, stream) = (stream.grant().cloned(), Some(stream.clone()));
            let wrong = Wrong::SaysOtherwise { field, than: "grant" };
            found.wrong(Finding { index: Some(*index), grant, stream, wrong });
        }
    }
}

impl Proxy {
    /// There is no stream of it. While its grant has no receipt, `latest` says when it may still come.
    fn is_missing(&self, grant: &Uid, latest: Option<Time>, found: &mut Found<'_>) {
        let Self { index, stream, at, name, accessor: _ } = self;
        let since = latest.map_or(AWAITED, |latest| latest.micros().saturating_sub(at.micros()));
        if since < AWAITED {
            found.notice(Notice::PodAwaited { index: *index, grant: grant.clone() });
            return;
        }
        found.wrong(Finding {
            index: Some(*index),
            grant: Some(grant.clone()),
            stream: Some(stream.clone()),
            wrong: Wrong::PodWithoutStream { pod: name.clone() },
        });
    }
}

impl Counted {
    /// `is_whole`: all that is on record of the grant must be here. Says whether each stream is here that it counts, as far as one need not.
    fn compare(
        &self,
        (grant, is_whole): (&Uid, bool),
        streams: &HashMap<StreamName, Stream>,
        found: &mut Found<'_>,
    ) -> bool {
        let Self { index, is_whole: of_receipt, stream, streams: counted } = self;
        let mut has_all = true;
        for operator::Stream { count, head, stream: named } in counted {
            let named = named.clone();
            let said = count.get();
            let wrong = match streams.get(&named).map(|stream| stream.head) {
                None if said == 0 => continue,
                None if is_whole || *of_receipt => Wrong::NoStream { named },
                None => {
                    has_all = false;
                    continue;
                }
                Some(has) if has.count != *count => {
                    Wrong::ReceiptCount { named, said, found: has.count.get() }
                }
                Some(has) if has.last != Some(*head) => Wrong::ReceiptHead { named },
                Some(_) => continue,
            };
            let (grant, stream) = (Some(grant.clone()), Some(stream.clone()));
            found.wrong(Finding { index: Some(*index), grant, stream, wrong });
        }
        has_all
    }
}
