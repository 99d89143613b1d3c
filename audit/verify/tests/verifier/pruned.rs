//! Logs of which the beginning was pruned.

use audit::samples::{Entry, Files, lay_out};
use audit::{Notice, Options, Wrong};
use record::{What, kinds::log};

use crate::good::{SECONDS, good, report};
use crate::liar::{chain, read};

/// The good log with a `prune` record at its end, and without what is before 768.
pub fn pruned(minimum: u32) -> Files {
    let mut pairs: Vec<_> = good().iter().map(|entry| (read(entry), entry.text.clone())).collect();
    let last = pairs.iter().rev().find(|(record, _)| record.stream.writer() == record::Writer::Log);
    let mut record = last.unwrap().0.clone();
    (record.grant, record.what) = (None, What::Prune(log::Prune { minimum: minimum.into() }));
    record.at = pairs.last().unwrap().0.at;
    pairs.push((record, None));
    let mut files = lay_out(&chain(pairs), SECONDS);
    for number in 0..3 {
        for path in
            [format!("tile/entries/{number:03}"), format!("tile/0/{number:03}"), format!("texts/{number:03}")]
        {
            assert!(files.0.remove(&path).is_some(), "{path}");
        }
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
