//! Logs of which the beginning was pruned.

use audit::samples::{Entry, Files, Plan, Writers, lay_out};
use audit::{Notice, Options, Wrong};
use record::{Count, Record, StreamName, What, kinds::log};

use crate::good::{SECONDS, good, report};
use crate::liar::{chain, read};

/// The good log with a `prune` record at its end, and without what is before 768.
pub fn pruned(minimum: u32) -> Files {
    without(&good(), minimum.into(), 768)
}

/// A log that was pruned as it should be.
fn pruned_from(entries: &[Entry], minimum: u64) -> Files {
    without(entries, minimum, minimum)
}

/// A log with a `prune` record at its end, and without what is before `from`.
fn without(entries: &[Entry], minimum: u64, from: u64) -> Files {
    let mut pairs: Vec<_> = entries.iter().map(|entry| (read(entry), entry.text.clone())).collect();
    let last = pairs.iter().rev().find(|(record, _)| record.stream.writer() == record::Writer::Log);
    let mut record = last.unwrap().0.clone();
    (record.grant, record.what) = (None, What::Prune(log::Prune { minimum: Count::of(minimum) }));
    record.at = pairs.last().unwrap().0.at;
    pairs.push((record, None));
    let mut files = lay_out(&chain(pairs), SECONDS);
    for number in 0..from / 256 {
        for path in [format!("tile/entries/{number:03}"), format!("tile/0/{number:03}")] {
            assert!(files.0.remove(&path).is_some(), "{path}");
        }
        files.0.remove(&format!("texts/{number:03}"));
    }
    files
}

#[test]
fn a_pruned_log_is_read_from_where_it_begins() {
    let report = report(&pruned(800), &Options::default());
    let shown: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(report.findings.is_empty(), "{}", shown.join("\n"));
    assert_eq!(report.from, 768);
    assert!(report.notices.contains(&Notice::Pruned { from: 768 }));
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
            let report = report(&pruned_from(&entries, from), &Options::default());
            let shown: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
            assert!(report.findings.is_empty(), "{seed}, {by}, from {from}:\n{}", shown.join("\n"));
            // What is a notice of the whole log may be one of what is left.
            let new = report.notices.iter().filter(|notice| !whole.notices.contains(notice));
            assert_eq!(new.collect::<Vec<_>>(), [&Notice::Pruned { from }], "{seed}, {by}");
        }
    }
}
