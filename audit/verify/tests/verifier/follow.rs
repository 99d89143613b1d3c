//! A log that grows is followed: each entry comes once, in order, and none before it is proved.

use std::cell::RefCell;
use std::convert::Infallible;

use audit::samples::{Entry, Files, Keys, lay_out};
use audit::{Begins, Follower, NotFollowed, Source, Unproved, Unreadable};
use tlog::{Holds, TileName};

use crate::good::{SECONDS, good};
use crate::pruned::pruned;

/// The files of a log as they are now.
#[derive(Default)]
struct Growing(RefCell<Files>);

impl Growing {
    fn of(entries: &[Entry]) -> Self {
        Self(RefCell::new(lay_out(entries, SECONDS)))
    }

    /// It has so many entries now: a file that is wider takes the place of a narrower one.
    fn grows(&self, entries: &[Entry]) {
        *self.0.borrow_mut() = lay_out(entries, SECONDS);
    }

    fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.0.borrow_mut().0.get_mut(path).unwrap());
    }

    fn note(&self) -> String {
        String::from_utf8(self.0.borrow().0["checkpoint"].clone()).unwrap()
    }
}

impl Source for Growing {
    type Error = Infallible;

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Infallible> {
        self.0.borrow().read(path)
    }
}

fn follower(log: &Growing, from: u64) -> Follower<'_, Growing> {
    Follower::of(log, Keys::new().policy(), Begins { wanted: from, read: from })
}

/// Everything that there is of the checkpoint, by index and bytes.
fn rest(follower: &mut Follower<'_, Growing>) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        let records = follower.records().unwrap();
        if records.is_empty() {
            return all;
        }
        all.extend(records.into_iter().map(|told| (told.index, told.record.encode().unwrap())));
    }
}

#[test]
fn each_entry_comes_once_in_order_however_the_log_grows_and_wherever_it_begins() {
    let entries = good();
    let all: Vec<_> = (0..).zip(entries.iter().map(|entry| entry.leaf.clone())).collect();
    for from in [0, 3, 255, 256, 300, 600] {
        let log = Growing::default();
        let mut follower = follower(&log, from);
        let mut told = Vec::new();
        for size in [1, 2, 200, 255, 256, 257, 511, 512, 700, 700, entries.len()] {
            log.grows(&entries[..size]);
            follower.sees(&log.note()).unwrap();
            told.extend(rest(&mut follower));
            let next = u64::try_from(size).unwrap().max(from);
            assert_eq!(follower.next(), next, "from {from}, at {size}");
        }
        assert_eq!(told, all[usize::try_from(from).unwrap()..], "from {from}");
    }
}

#[test]
fn nothing_is_handed_out_of_a_bundle_that_does_not_lead_to_the_root_until_it_does() {
    let entries = &good()[..700];
    let last = TileName::in_tree(Holds::Entries, 2, 700).unwrap().to_string();
    for (path, whose) in [("tile/entries/000", 0), ("tile/entries/001", 256), (last.as_str(), 512)] {
        let log = Growing::of(entries);
        let mut follower = follower(&log, 0);
        follower.sees(&log.note()).unwrap();
        // The last letter of a record: its bundle is a bundle still, and its record a record.
        let number = |bytes: &mut Vec<u8>| {
            let at = bytes.windows(4).rposition(|four| four == b"\"v\":").unwrap();
            bytes[at + 4] ^= 1;
        };
        log.change(path, number);
        let mut told = Vec::new();
        let stopped = loop {
            match follower.records() {
                Ok(records) => told.extend(records),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(stopped, NotFollowed::Unproved(Unproved::Differs { from }) if from == whose),
            "{path}: {stopped:?}"
        );
        assert_eq!(u64::try_from(told.len()).unwrap(), whose);
        assert!(follower.records().is_err(), "it does not go past it");
        log.change(path, number);
        assert_eq!(rest(&mut follower).first().unwrap().0, whose);
    }
}

#[test]
fn a_tile_that_was_altered_with_its_entries_proves_nothing_either() {
    let entries = good();
    let mut other = entries.clone();
    other[300].leaf = entries[299].leaf.clone();
    let (log, liar) = (Growing::of(&entries), lay_out(&other, SECONDS));
    let note = log.note();
    *log.0.borrow_mut() = liar;
    let mut follower = follower(&log, 0);
    follower.sees(&note).unwrap();
    // Not even the first bundle, which is as it was: what is beside its way was altered.
    assert!(matches!(follower.records(), Err(NotFollowed::Unproved(Unproved::Differs { from: 0 }))));
}

#[test]
fn a_checkpoint_that_did_not_grow_out_of_the_one_before_is_not_gone_by() {
    let entries = good();
    let mut other = entries.clone();
    other.swap(8, 9);
    let log = Growing::of(&entries[..600]);
    let mut follower = follower(&log, 0);
    follower.sees(&log.note()).unwrap();
    let why = |follower: &mut Follower<'_, Growing>, entries: &[Entry]| {
        log.grows(entries);
        follower.sees(&log.note()).unwrap_err()
    };
    let shrunk = why(&mut follower, &entries[..599]);
    assert!(matches!(shrunk, NotFollowed::Shrunk { now: 599, before: 600 }), "{shrunk:?}");
    for size in [600, 601, 900] {
        let rewritten = why(&mut follower, &other[..size]);
        assert!(matches!(rewritten, NotFollowed::Rewritten { before: 600, .. }), "{size}: {rewritten:?}");
    }
    log.grows(&entries[..900]);
    let unsigned = log.note().replace("keyhole.internal/witness", "keyhole.internal/another");
    let error = follower.sees(&unsigned).unwrap_err();
    assert!(matches!(error, NotFollowed::Unreadable(Unreadable::NotTrusted(_))), "{error:?}");
    assert_eq!(follower.seen().unwrap().size, 600);
    follower.sees(&log.note()).unwrap();
    assert_eq!(rest(&mut follower).len(), 900);
}

#[test]
fn a_pruned_log_is_followed_from_its_first_entry_and_an_entry_that_is_no_record_is_not_passed_over() {
    let entries = good();
    let log = Growing(RefCell::new(pruned(768)));
    let mut follower = follower(&log, 5);
    follower.sees(&log.note()).unwrap();
    assert_eq!(follower.next(), 768);
    assert_eq!(rest(&mut follower).len(), entries.len() + 2 - 768);

    let mut strange = entries;
    strange[20].leaf = b"{}".to_vec();
    let log = Growing::of(&strange);
    let mut follower = self::follower(&log, 0);
    follower.sees(&log.note()).unwrap();
    assert_eq!(follower.records().unwrap().len(), 20);
    for _ in 0..2 {
        assert!(matches!(follower.records(), Err(NotFollowed::NoRecord { index: 20, .. })));
    }
}

#[test]
fn a_beginning_that_is_gone_is_passed_over_only_where_a_record_of_the_tree_or_whoever_asks_says_so() {
    let gone = |paths: &[&str], begins: Begins| {
        let log = Growing::of(&good());
        paths.iter().for_each(|path| assert!(log.0.borrow_mut().0.remove(*path).is_some(), "{path}"));
        let mut follower = Follower::of(&log, Keys::new().policy(), begins);
        follower.sees(&log.note()).map(|()| follower.records().map(|told| told.first().unwrap().index))
    };
    let at = |index| Begins { wanted: index, read: index };
    let first = ["tile/entries/000"];
    for from in [0, 255] {
        let refused = gone(&first, at(from)).unwrap_err();
        assert!(matches!(refused, NotFollowed::Gone { first: 256 }), "{from}: {refused:?}");
    }
    for begins in [at(256), at(300), Begins { wanted: 300, read: 0 }] {
        let told = gone(&first, begins).unwrap().unwrap();
        assert_eq!(told, begins.read.max(256), "{begins:?}");
    }
    // One in the midst beside it, wherever the search by halves ends.
    for hole in 1..4 {
        let two = ["tile/entries/000".to_owned(), format!("tile/entries/{hole:03}")];
        let gone = |begins| gone(&two.each_ref().map(String::as_str), begins);
        for from in [0, 255] {
            let refused = gone(at(from)).unwrap_err();
            assert!(matches!(refused, NotFollowed::Gone { .. }), "{hole}: {refused:?}");
        }
        for from in (1..4).filter(|block| *block != hole).map(|block| block * 256 + 44) {
            assert_eq!(gone(at(from)).unwrap().unwrap(), from, "{hole}: what is there is handed out");
        }
    }
    // A record that says less than what is gone.
    let log = Growing(RefCell::new(pruned(767)));
    let refused = follower(&log, 0).sees(&log.note()).unwrap_err();
    assert!(matches!(refused, NotFollowed::Gone { first: 768 }), "{refused:?}");
}

#[test]
fn a_proof_of_an_entry_holds_by_itself_and_is_made_of_nothing_that_was_altered() {
    let entries = good();
    let (files, policy) = (lay_out(&entries, SECONDS), Keys::new().policy());
    let note = String::from_utf8(files.0["checkpoint"].clone()).unwrap();
    for index in [0, 1, 255, 256, 700, entries.len() - 1] {
        let proof = audit::prove(&files, &note, u64::try_from(index).unwrap()).unwrap();
        let proof: tlog::ProofFile = proof.to_string().parse().unwrap();
        assert_eq!(proof.extra.as_ref(), Some(&entries[index].leaf));
        assert_eq!(proof.verify(&entries[index].leaf, &policy).unwrap().witnessed, Some(SECONDS));
    }
    let beyond = u64::try_from(entries.len()).unwrap();
    assert!(matches!(audit::prove(&files, &note, beyond), Err(Unproved::NoEntry { .. })));
    let changed = |path: &str, bytes: Option<&[u8]>| {
        let mut files = files.clone();
        match bytes {
            Some(bytes) => files.0.insert(path.to_owned(), bytes.to_vec()),
            None => files.0.remove(path),
        };
        audit::prove(&files, &note, 300).unwrap_err()
    };
    let mut other = entries.clone();
    other[300].leaf.clone_from(&entries[299].leaf);
    let other = lay_out(&other, SECONDS);
    // The entry itself, and a hash beside the way of its neighbour.
    for (path, proved) in [("tile/entries/001", 300), ("tile/0/001", 301)] {
        let mut files = files.clone();
        files.0.insert(path.to_owned(), other.0[path].clone());
        assert!(matches!(audit::prove(&files, &note, proved), Err(Unproved::Differs { .. })), "{path}");
    }
    assert!(matches!(changed("tile/0/001", None), Unproved::Missing(_)));
    assert!(matches!(changed("tile/0/001", Some(&[7; 31])), Unproved::Damaged { .. }));
}
