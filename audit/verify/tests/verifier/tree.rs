//! Each file of a log, damaged in turn: it is named.

use audit::samples::{Entry, Files, Keys, lay_out};
use audit::{Options, Wrong};

use crate::good::{SECONDS, good, report};

fn wrongs(files: &Files) -> Vec<Wrong> {
    report(files, &Options::default()).findings.into_iter().map(|finding| finding.wrong).collect()
}

fn hashes(path: &str) -> bool {
    path.starts_with("tile/") && !path.starts_with("tile/entries/")
}

#[test]
fn each_file_that_is_missing_is_named() {
    let files = lay_out(&good(), SECONDS);
    let first = "tile/entries/000";
    for path in files.0.keys().filter(|path| path.starts_with("tile/") && *path != first) {
        let mut without = files.clone();
        without.0.remove(path);
        let expected = match hashes(path) {
            true => Wrong::TileMissing { path: path.clone() },
            false => Wrong::BundleMissing { path: path.clone() },
        };
        let found = wrongs(&without);
        assert!(found.contains(&expected), "{path}: {found:?}");
        // The hashes of the missing file are computed from those below it, or taken from those above it.
        assert!(!found.contains(&Wrong::Root) && !found.contains(&Wrong::TreeLost), "{path}: {found:?}");
    }
    let mut without = files;
    without.0.remove(first);
    assert!(wrongs(&without).contains(&Wrong::EntriesGone { from: 0, to: 255 }));
}

#[test]
fn each_hash_that_is_altered_is_named_and_the_root_is_still_reached() {
    let entries = good();
    let files = lay_out(&entries, SECONDS);
    for (path, bytes) in files.0.iter().filter(|(path, _)| hashes(path)) {
        for number in [0, bytes.len() / 64, bytes.len() / 32 - 1] {
            let mut altered = files.clone();
            altered.0.get_mut(path).unwrap()[number * 32 + 5] ^= 1;
            let expected = match path.starts_with("tile/0/") {
                true => Wrong::EntryDiffers { path: path.clone() },
                false => Wrong::TileDiffers { path: path.clone(), number },
            };
            assert_eq!(wrongs(&altered), [expected], "{path}, hash {number}");
        }
    }
}

#[test]
fn an_entry_that_is_altered_is_told_from_its_hash_by_the_level_above() {
    let entries = good();
    let files = lay_out(&entries, SECONDS);
    let mut altered = files.clone();
    let bundle = altered.0.get_mut("tile/entries/002").unwrap();
    // The third byte is the first of an entry's JSON.
    bundle[2] ^= 1;
    let found = report(&altered, &Options::default()).findings;
    assert_eq!(found[0].index, Some(512));
    assert_eq!(found[0].wrong, Wrong::EntryDiffers { path: "tile/0/002".to_owned() });
    assert!(found.iter().all(|finding| finding.wrong != Wrong::Root), "the tile is believed");
}

#[test]
fn where_nothing_is_left_the_tree_is_lost_and_the_rest_is_still_read() {
    let mut files = lay_out(&good(), SECONDS);
    files
        .0
        .retain(|path, _| path != "tile/entries/001" && path != "tile/0/001" && !path.starts_with("tile/1/"));
    let report = report(&files, &Options::default());
    let lost = report.findings.iter().find(|finding| finding.wrong == Wrong::TreeLost).unwrap();
    assert_eq!(lost.index, Some(256));
    assert_eq!(report.counts.records, report.size - 256);
}

#[test]
fn a_log_that_says_that_it_has_more_entries_than_anybody_can_read_is_given_up() {
    let entries: Vec<Entry> = good().into_iter().take(300).collect();
    let huge = Keys::new().sign(1 << 60, tlog::Hash::of_leaf(b"x"), SECONDS);
    let mut files = lay_out(&entries, SECONDS);
    files.0.insert("checkpoint".to_owned(), huge.into_bytes());
    let report = report(&files, &Options::default());
    assert_eq!(report.findings.last().unwrap().wrong, Wrong::TooMuchMissing);
}

#[test]
fn a_report_holds_a_thousand_findings_and_counts_the_rest() {
    let entries: Vec<Entry> = (0..1_300).map(|_| Entry { leaf: b"{}".to_vec(), text: None }).collect();
    let report = report(&lay_out(&entries, SECONDS), &Options::default());
    assert_eq!((report.findings.len(), report.more_findings), (1_000, 300));
    assert_eq!(report.verdict(), audit::Verdict::Findings);
}
