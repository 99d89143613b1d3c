//! Logs of which the beginning was pruned.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use audit::samples::{Entry, Files, Keys, Plan, Writers, lay_out};
use audit::{Notice, Options, Report, Source, Wrong, verify};
use record::kinds::log;
use record::{Count, Record, StreamName, Uid, What};

use crate::aged::{Aged, aged, followed, left, saying_pruned};
use crate::good::{SECONDS, good, report};
use crate::liar::{chain, read};

/// The good log, an operator that begins a month later, and a `prune` record; and without what is before 768.
pub fn pruned(minimum: u32) -> Files {
    left(lay_out(&saying_pruned(&followed(&good(), 31), minimum.into()), SECONDS), 768)
}

fn is_clean(report: &Report) {
    let shown: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(report.findings.is_empty(), "{}", shown.join("\n"));
}

#[test]
fn a_pruned_log_is_read_from_where_it_begins() {
    let report = report(&pruned(800), &Options::default());
    is_clean(&report);
    assert_eq!(report.from, 768);
    let (entries, today) = (good(), followed(&good(), 31));
    let (first, said) = (Some(read(&entries[768]).at), Some(read(today.last().unwrap()).at));
    assert!(report.notices.contains(&Notice::Pruned { from: 768, first, said }), "{:?}", report.notices);
}

#[test]
fn what_is_gone_and_was_not_pruned_is_missed() {
    let report = report(&pruned(512), &Options::default());
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].wrong, Wrong::EntriesGone { from: 512, to: 767 });
}

#[test]
fn a_pruned_log_has_still_grown_out_of_its_older_checkpoints() {
    let entries = good();
    let checkpoint = |length: usize, change: bool| {
        let mut entries: Vec<Entry> = entries[..length].to_vec();
        if change {
            entries[0].leaf.push(b' ');
        }
        Some(String::from_utf8(lay_out(&entries, SECONDS).0["checkpoint"].clone()).unwrap())
    };
    let files = pruned(768);
    for length in [512, 768, 769, 1_100] {
        let good = report(&files, &Options { since: checkpoint(length, false), grant: None });
        assert_eq!(good.findings, [], "{length}");
        assert!(
            !good.notices.iter().any(|notice| matches!(notice, Notice::OlderUnproved { .. })),
            "{length}"
        );
        let bad = report(&files, &Options { since: checkpoint(length, true), grant: None });
        let before = u64::try_from(length).unwrap();
        assert_eq!(bad.findings[0].wrong, Wrong::Rewritten { before }, "{length}");
    }
    let unproved = report(&files, &Options { since: checkpoint(700, false), grant: None });
    assert!(unproved.findings.is_empty());
    assert!(unproved.notices.contains(&Notice::OlderUnproved { before: 700 }));
}

#[test]
fn a_hash_above_what_was_pruned_is_still_tied_to_the_root() {
    let mut files = pruned(768);
    let above = files.0.iter_mut().find(|(path, _)| path.starts_with("tile/1/")).unwrap();
    above.1[40] ^= 1;
    let found = report(&files, &Options::default()).findings;
    assert!(found.iter().any(|finding| finding.wrong == Wrong::Root), "{found:?}");
}

/// A small good log with so many records of the log's own behind its first one, so that every record stands at the border of a bundle in
/// one of them.
fn shifted(seed: u64, by: u64) -> Vec<Entry> {
    let entries = Writers::all(Plan { seed, grants: 8, statements: 30 });
    let mut pairs: Vec<_> = entries.iter().map(|entry| (read(entry), entry.text.clone())).collect();
    let start = pairs[0].0.clone();
    for (record, _) in &mut pairs {
        if let StreamName::Log { start } = &mut record.stream
            && start.get() > 0
        {
            *start = Count::of(start.get() + by);
        }
    }
    let more = (0..by).map(|_| {
        let what = What::Read(log::Read { entries: vec![Count::of(0)], person: "reader".to_owned() });
        (Record { what, ..start.clone() }, None)
    });
    pairs.splice(1..1, more.collect::<Vec<_>>());
    if by.is_multiple_of(2) {
        pods_first(&mut pairs);
    }
    chain(pairs)
}

/// Operator and proxy write each for itself: here the operator's record of a proxy comes before the proxy's first.
fn pods_first(pairs: &mut Vec<(Record, Option<Vec<u8>>)>) {
    for open in 0..pairs.len() {
        let is_of = |(record, _): &&(Record, _)| record.grant == pairs[open].0.grant;
        if !matches!(pairs[open].0.what, What::Open(_)) {
            continue;
        }
        let is_pod = |pair: &&(Record, _)| is_of(pair) && matches!(pair.0.what, What::Pod(_));
        if let Some(behind) = pairs[open..].iter().position(|pair| is_pod(&pair)) {
            let leads = |(record, _): &&(Record, _)| record.stream.writer() == record::Writer::Operator;
            let leader = pairs[..open].iter().rev().find(leads).unwrap().0.stream.clone();
            let (pod, _) = pairs.remove(open + behind);
            let pod = (Record { stream: leader, at: pairs[open].0.at, ..pod }, None);
            pairs.insert(open, pod);
        }
    }
}

#[test]
fn wherever_a_log_is_pruned_nothing_is_found_wrong_with_what_is_left() {
    for (seed, by) in (0..256).map(|by| (2 + by % 3, by)) {
        let entries = shifted(seed, by);
        let whole = report(&lay_out(&entries, SECONDS), &Options::default());
        assert_eq!(whole.findings, [], "{seed}, {by}");
        for bundles in 1..entries.len().div_ceil(256) {
            let from = u64::try_from(bundles * 256).unwrap();
            let entries = saying_pruned(&followed(&entries, 31), from);
            let report = report(&left(lay_out(&entries, SECONDS), from), &Options::default());
            is_clean(&report);
            // What is a notice of the whole log may be one of what is left.
            let new = report.notices.iter().filter(|notice| !whole.notices.contains(notice));
            tells_what_is_cut(&entries, bundles * 256, new);
        }
    }
}

/// Each stream that has records on both sides is told, and no other; and of grants none that begins behind.
fn tells_what_is_cut<'n>(entries: &[Entry], from: usize, notices: impl Iterator<Item = &'n Notice>) {
    let (before, behind) = entries.split_at(from);
    let mut streams: BTreeMap<StreamName, u64> = BTreeMap::new();
    let mut begun: BTreeSet<Uid> = BTreeSet::new();
    for record in before.iter().map(read) {
        *streams.entry(record.stream).or_default() += 1;
        begun.extend(record.grant);
        match record.what {
            What::Request(request) => _ = begun.insert(request.uid),
            What::Grant(grant) => _ = begun.insert(grant.request),
            _ => {}
        }
    }
    // A grant begins with its request.
    let pods: Vec<_> = entries.iter().map(read).collect();
    let of_begun = pods.iter().filter_map(|record| match &record.what {
        What::Pod(pod) if begun.contains(&pod.request) => record.grant.clone(),
        _ => None,
    });
    begun.extend(of_begun.collect::<Vec<_>>());
    let left: BTreeSet<StreamName> = behind.iter().map(|entry| read(entry).stream).collect();
    let cut: BTreeMap<_, _> = streams.into_iter().filter(|(name, _)| left.contains(name)).collect();
    let (mut told, mut pruned) = (BTreeMap::new(), 0);
    for notice in notices {
        match notice {
            Notice::Pruned { from: said, .. } => pruned += u64::from(usize::try_from(*said) == Ok(from)),
            Notice::StreamBegun { stream, count, .. } => _ = told.insert(stream.clone(), *count),
            Notice::BegunBefore { index, .. } => {
                let record = &pods[usize::try_from(*index).unwrap()];
                let request = match &record.what {
                    What::Approval(approval) => Some(&approval.request),
                    What::Decision(decision) => Some(&decision.request),
                    What::Grant(grant) => Some(&grant.request),
                    _ => record.grant.as_ref(),
                };
                assert!(request.is_some_and(|uid| begun.contains(uid)), "{notice}");
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((told, pruned), (cut, 1));
}

/// A log that is pruned when it has been asked for so many files.
struct Shrinking {
    now: RefCell<Files>,
    then: Files,
    left: Cell<usize>,
    asked: RefCell<Vec<String>>,
}

impl Source for Shrinking {
    type Error = Infallible;

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Infallible> {
        self.asked.borrow_mut().push(path.to_owned());
        if self.left.get() == 0 {
            self.now.borrow_mut().clone_from(&self.then);
        }
        self.left.set(self.left.get().wrapping_sub(1));
        self.now.borrow().read(path)
    }
}

fn shrinking(now: Files, then: Files, asked: usize) -> Shrinking {
    Shrinking { now: RefCell::new(now), then, left: Cell::new(asked), asked: RefCell::default() }
}

#[test]
fn a_log_that_is_pruned_while_it_is_read_is_clean_and_one_that_loses_its_beginning_is_not() {
    let Aged { entries, .. } = aged();
    let now = lay_out(&entries, SECONDS);
    let mut pruned = left(lay_out(&saying_pruned(&entries, 768), SECONDS), 768);
    // What is not whole stays until it is.
    let narrow = now.0.iter().filter(|(path, _)| path.contains(".p/"));
    pruned.0.extend(narrow.map(|(path, bytes)| (path.clone(), bytes.clone())));
    let lost = left(now.clone(), 768);
    let policy = Keys::new().policy();
    for asked in 1..40 {
        let log = shrinking(now.clone(), pruned.clone(), asked);
        let report = verify(&log, &policy, &Options::default(), |_| ()).unwrap();
        is_clean(&report);
        let log = shrinking(now.clone(), lost.clone(), asked);
        let report = verify(&log, &policy, &Options::default(), |_| ()).unwrap();
        let gone = Wrong::EntriesGone { from: 0, to: 767 };
        let is_missed = report.findings.iter().any(|finding| finding.wrong == gone);
        assert!(
            is_missed || report.from == 0 && report.findings.is_empty(),
            "{asked}: {:?}",
            report.findings
        );
    }
}

#[test]
fn the_hashes_above_what_was_pruned_are_read_once() {
    let log = shrinking(pruned(768), Files::default(), usize::MAX);
    is_clean(&verify(&log, &Keys::new().policy(), &Options::default(), |_| ()).unwrap());
    let of_level_one = log.asked.borrow().iter().filter(|path| path.starts_with("tile/1/")).count();
    assert_eq!(of_level_one, 2, "once for what was pruned, and once to be compared");
}
