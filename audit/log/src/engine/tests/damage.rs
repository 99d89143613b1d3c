//! Disks that somebody changed, or that are full: what is refused, and what is said.

#![allow(clippy::arithmetic_side_effects)]

use std::time::Duration;

use record::frame::Code;
use record::samples::{at, proxy_stream, uid};
use record::{About, Chain, Count, Head, Record, What};
use tlog::{Holds, TileName};

use super::sim::{Fault, SimDisk};
use super::world::{Broken, SEGMENT, World, identity};
use crate::engine::block::{self, Entry, LogId};
use crate::engine::commit::{Arriving, Room, Submission};
use crate::engine::integrate::Stopped;
use crate::engine::journal::{self, BadJournal, Journal as _};
use crate::engine::keys::key_path;
use crate::engine::recover::{NotOpened, open};
use crate::engine::volume::{self, Files as _, Volume};

/// A log that ran for a while and was stopped, its newest records not in the tree yet.
fn stopped(seed: u64) -> World {
    let mut world = World::new(seed);
    let mut opened = world.start().unwrap();
    world.live(&mut opened, 12).unwrap();
    world.publish(&mut opened).unwrap();
    let submissions = vec![world.submission()];
    world.commit(&mut opened, submissions).unwrap();
    let submissions = vec![world.submission()];
    world.commit(&mut opened, submissions).unwrap();
    world
}

/// The blocks of the newest segment: where each begins, and its length.
fn blocks(world: &World) -> (String, Vec<(usize, usize)>) {
    let newest = world.disk.files().into_iter().filter(|path| path.starts_with("journal/0")).max().unwrap();
    let bytes = Volume::new(world.disk.clone()).unwrap().read(&newest).unwrap().unwrap();
    let (mut at, mut found, mut next) = (0, Vec::new(), None);
    while let Ok(block) = block::decode(LogId([7; 8]), &bytes[at..]) {
        // What lies behind is of the time when the segment was used before.
        if next.is_some_and(|next| next != block.position) {
            break;
        }
        next = Some(journal::after(&block));
        found.push((at, block.length));
        at += block.length;
    }
    (newest, found)
}

/// The next record of a stream, as a frame brings it.
fn arriving(chain: &mut Chain, what: What) -> Arriving {
    let leaf = chain.next(at(0), About::default(), what).unwrap();
    let record = Record::decode(&leaf.text).unwrap();
    Arriving { record, hash: leaf.hash, entry: Entry { leaf: leaf.text, sealed: Vec::new() } }
}

#[test]
fn a_damaged_block_with_a_good_one_behind_it_is_named_and_the_log_does_not_start() {
    for seed in 0..200 {
        let mut world = stopped(seed);
        let (path, blocks) = blocks(&world);
        let [.., (before, _), (last, length)] = blocks.as_slice() else { continue };
        let known = world.order.len();
        let rotten = world.disk.copy();
        let flipped = world.dice.below(150);
        rotten.flip(&path, before + flipped);
        let Err(error) = open(rotten, &identity(), SEGMENT) else { panic!("seed {seed}, byte {flipped}") };
        assert!(
            matches!(error, NotOpened::Journal(BadJournal::Damaged { offset, .. }) if offset == *before),
            "seed {seed}: {error:?}"
        );
        // The last block may be one that was never acknowledged: it is dropped. Its writer knows better, and so does the anchor.
        let flipped = world.dice.below(150);
        world.disk.flip(&path, last + flipped);
        let opened = open(world.disk.clone(), &identity(), SEGMENT).unwrap();
        // Where its first words are whole, it is told.
        assert_eq!(opened.engine.journal().dropped().is_some(), flipped >= 24, "seed {seed}, byte {flipped}");
        assert!(opened.engine.size() < u64::try_from(known).unwrap(), "seed {seed}, {length}");
    }
}

#[test]
fn a_byte_that_changed_in_the_right_edge_of_the_tree_is_named_and_the_log_does_not_start() {
    for seed in 0..100 {
        let mut world = stopped(seed);
        let edges = TileName::all(world.published).filter(|name| name.width < 256);
        let paths: Vec<String> = edges.map(|name| name.to_string()).chain(["checkpoint".into()]).collect();
        for path in paths {
            let rotten = world.disk.copy();
            let length = Volume::new(rotten.clone()).unwrap().read(&path).unwrap().unwrap().len();
            rotten.flip(&path, world.dice.below(length));
            assert!(open(rotten, &identity(), SEGMENT).is_err(), "seed {seed}: {path}");
        }
    }
}

#[test]
fn a_journal_that_is_gone_or_older_than_the_checkpoint_is_not_gone_on_with() {
    let mut world = World::new(5);
    let older = world.disk.copy();
    let mut opened = world.start().unwrap();
    world.live(&mut opened, 12).unwrap();
    world.publish(&mut opened).unwrap();
    // The tree of today beside the journal of the beginning.
    let mixed = world.disk.copy();
    let journal = |disk: &SimDisk| {
        disk.files().into_iter().filter(|path| path.starts_with("journal/0")).collect::<Vec<_>>()
    };
    Volume::new(mixed.clone()).unwrap().remove(&journal(&mixed)).unwrap();
    for path in journal(&older) {
        let bytes = Volume::new(older.clone()).unwrap().read(&path).unwrap().unwrap();
        Volume::new(mixed.clone()).unwrap().replace(&volume::File { path, bytes }).unwrap();
    }
    let Err(error) = open(mixed.copy(), &identity(), SEGMENT) else { panic!() };
    assert!(matches!(error, NotOpened::Gap { from: 0, to: 0, .. }), "{error:?}");
    Volume::new(mixed.clone()).unwrap().remove(&journal(&mixed)).unwrap();
    let Err(error) = open(mixed, &identity(), SEGMENT) else { panic!() };
    assert!(matches!(error, NotOpened::Journal(BadJournal::Missing)), "{error:?}");
}

#[test]
fn a_file_of_the_tree_that_has_other_bytes_is_left_alone_and_stops_the_log() {
    let mut world = World::new(6);
    let mut opened = world.start().unwrap();
    world.live(&mut opened, 4).unwrap();
    world.publish(&mut opened).unwrap();
    let submissions = vec![world.submission()];
    world.commit(&mut opened, submissions).unwrap();
    let next = TileName::in_tree(Holds::Entries, 0, world.range.size()).unwrap().to_string();
    let theirs = volume::File { path: next.clone(), bytes: b"theirs".to_vec() };
    Volume::new(world.disk.clone()).unwrap().replace(&theirs).unwrap();
    let Err(Broken::Tree(Stopped::Put(error))) = world.publish(&mut opened) else { panic!() };
    assert!(error.to_string().starts_with(&next), "{error}");
    let found = Volume::new(world.disk.clone()).unwrap().read(&next).unwrap();
    assert_eq!(found, Some(theirs.bytes));
}

#[test]
fn a_disk_that_is_nearly_full_takes_ends_and_then_nothing() {
    let mut world = World::new(7);
    let mut opened = world.start().unwrap();
    let mut chain = Chain::new(proxy_stream(1, 1));
    let mut next = |what| {
        let records = vec![arriving(&mut chain, what)];
        Submission { stream: proxy_stream(1, 1), records, sealed: None }
    };
    let (first, second) = (next(record::samples::session_open(1)), next(record::samples::statement(1, b"")));
    let mut commit = |submission: &Submission, room| {
        let committed = opened.engine.commit(vec![submission.clone()], room, Duration::ZERO).unwrap();
        committed
            .answers
            .into_iter()
            .next()
            .unwrap()
            .map(|head| head.count.get())
            .map_err(|refuse| refuse.code)
    };
    assert_eq!(commit(&first, Room::None), Err(Code::Full));
    assert_eq!(commit(&second, Room::Enough), Err(Code::Order), "nothing was kept of the one before");
    assert_eq!(commit(&first, Room::ForEnds), Ok(1));
    assert_eq!(commit(&second, Room::ForEnds), Err(Code::Full));
    assert_eq!(commit(&second, Room::Enough), Ok(2));
    assert_eq!(commit(&second, Room::Enough), Ok(2), "a resend is harmless");
}

#[test]
fn a_resend_of_the_last_record_of_a_stream_is_harmless_and_nothing_comes_behind_it() {
    let mut world = World::new(10);
    let mut opened = world.start().unwrap();
    let mut chain = Chain::new(proxy_stream(1, 1));
    let mut next = |what| arriving(&mut chain, what);
    let first = next(record::samples::session_open(1));
    let (count, head) = (Count::of(1), first.hash);
    let last = next(What::Close(record::kinds::proxy::Close { count, head, owed: Count::of(0) }));
    let behind = next(record::samples::session_open(2));
    let mut commit = |records: &[&Arriving]| {
        let records = records.iter().map(|record| (*record).clone()).collect();
        let submission = Submission { stream: proxy_stream(1, 1), records, sealed: None };
        let committed = opened.engine.commit(vec![submission], Room::Enough, Duration::ZERO).unwrap();
        let answer = committed.answers.into_iter().next().unwrap();
        (answer.map(|head| head.count.get()).map_err(|refuse| refuse.code), committed.durable.len())
    };
    assert_eq!(commit(&[&first, &last]), (Ok(2), 2));
    assert_eq!(commit(&[&last]), (Ok(2), 0));
    assert_eq!(commit(&[&first, &last]), (Ok(2), 0));
    assert_eq!(commit(&[&behind]), (Err(Code::Closed), 0));
}

#[test]
fn what_waits_together_is_one_write_and_one_sync() {
    let calls = |submissions: usize| {
        let mut world = World::new(11);
        let mut opened = world.start().unwrap();
        // The first block begins a segment.
        let first = vec![world.submission()];
        world.commit(&mut opened, first).unwrap();
        let chains = (1..=submissions).map(|run| {
            let name = proxy_stream(2, u8::try_from(run).unwrap());
            let records = vec![arriving(&mut Chain::new(name.clone()), record::samples::session_open(1))];
            Submission { stream: name, records, sealed: None }
        });
        let (together, before) = (chains.collect(), world.disk.calls());
        let committed = opened.engine.commit(together, Room::Enough, Duration::ZERO).unwrap();
        assert!(committed.answers.iter().all(Result::is_ok));
        world.disk.calls() - before
    };
    assert_eq!((calls(1), calls(3)), (2, 2));
}

#[test]
fn a_record_of_the_logs_own_that_was_refused_leaves_no_gap() {
    let mut world = World::new(9);
    let mut opened = world.start().unwrap();
    let read = || What::Read(record::kinds::log::Read { entries: Vec::new(), person: "auditor".into() });
    let mut own = || opened.engine.own(at(0), None, read()).unwrap();
    let (first, second) = (own(), own());
    let committed = opened.engine.commit(vec![first, second], Room::None, Duration::ZERO).unwrap();
    assert!(committed.answers.iter().all(Result::is_err));
    for _ in 0..2 {
        let again = opened.engine.own(at(0), None, read()).unwrap();
        let committed = opened.engine.commit(vec![again], Room::Enough, Duration::ZERO).unwrap();
        assert!(committed.answers[0].is_ok(), "{:?}", committed.answers);
    }
}

#[test]
fn of_a_submission_all_records_are_taken_or_none() {
    let mut world = World::new(8);
    let mut opened = world.start().unwrap();
    let mut submission = loop {
        let submission = world.submission();
        if submission.records.len() > 2 {
            break submission;
        }
    };
    let name = submission.stream.clone();
    submission.records.remove(1);
    let committed = opened.engine.commit(vec![submission.clone()], Room::Enough, Duration::ZERO).unwrap();
    assert_eq!(committed.answers[0].as_ref().unwrap_err().code, Code::Order);
    assert_eq!(opened.engine.streams().head(&name), Head::default());
    assert!(committed.durable.is_empty());
}

#[test]
fn an_erased_key_is_gone_whatever_happens_after_its_record_is_durable() {
    for seed in 0..300 {
        let mut world = World::new(seed);
        let mut opened = world.start().unwrap();
        world.live(&mut opened, 10).unwrap();
        world.publish(&mut opened).unwrap();
        let key = |grant: &record::Uid| world.disk.peek(&key_path(grant));
        let Some((grant, erased)) = (0..3).map(uid).find_map(|grant| Some((grant.clone(), key(&grant)?)))
        else {
            continue;
        };
        assert_eq!(world.disk.with(&erased), [key_path(&grant)], "seed {seed}: a key lies in one file alone");
        let erase = What::Erase(record::kinds::log::Erase { person: None });
        let own = opened.engine.own(at(0), Some(grant.clone()), erase).unwrap();
        // While it is written, while its key is removed, or while the tree is made of it.
        world.disk.fail(world.dice.below(40), Fault::ALL[usize::try_from(seed % 4).unwrap()]);
        let committed = world.commit(&mut opened, vec![own]);
        if committed.is_ok() {
            assert_eq!(world.disk.with(&erased), [""; 0], "seed {seed}");
            let _ = world.publish(&mut opened);
        }
        world.disk.restart();
        let known = world.order.len();
        world.start().unwrap();
        world.disk.lose_power();
        let mut opened = world.start().unwrap();
        if committed.is_err() && world.order.len() == known {
            assert_eq!(world.disk.with(&erased), [key_path(&grant)], "seed {seed}: it is not on record");
            continue;
        }
        assert_eq!(world.disk.with(&erased), [""; 0], "seed {seed}");
        world.publish(&mut opened).unwrap();
        // The next text of that grant gets a key anew, and its erasure in the journal is not that of this one.
        world.live(&mut opened, 30).unwrap();
        let anew = world.disk.peek(&key_path(&grant));
        world.disk.lose_power();
        let mut opened = world.start().unwrap();
        assert_eq!(world.disk.peek(&key_path(&grant)), anew, "seed {seed}");
        world.publish(&mut opened).unwrap();
    }
}

#[test]
fn what_was_sealed_before_an_erasure_is_asked_for_again() {
    let mut world = World::new(9);
    let mut opened = world.start().unwrap();
    let submission = loop {
        let submission = world.submission();
        if submission.records.iter().any(|record| !record.entry.sealed.is_empty()) {
            break submission;
        }
    };
    let erase = What::Erase(record::kinds::log::Erase { person: None });
    let grant = submission.stream.grant().cloned();
    let other = opened.engine.own(at(0), Some(uid(9)), erase.clone()).unwrap();
    let own = opened.engine.own(at(0), grant.clone(), erase).unwrap();
    assert_ne!(grant, Some(uid(9)));
    let mut commit = |submissions| {
        opened.engine.commit(submissions, Room::Enough, Duration::ZERO).unwrap().answers.pop().unwrap()
    };
    // Of another grant: nothing is asked for again.
    let mut less = submission.clone();
    less.records.truncate(1);
    assert!(commit(vec![other, less]).is_ok());
    assert_eq!(commit(vec![own, submission.clone()]).unwrap_err().code, Code::Busy);
    let mut again = submission;
    again.sealed.as_mut().unwrap().erasures = 2;
    assert!(commit(vec![again]).is_ok());
}

#[test]
fn a_log_that_others_have_seen_more_of_or_otherwise_does_not_start() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        let older = world.disk.copy();
        let mut opened = world.start().unwrap();
        world.live(&mut opened, 10).unwrap();
        world.publish(&mut opened).unwrap();
        let (size, root) = world.signed.iter().next_back().map(|(size, root)| (*size, *root)).unwrap();
        let anchored = |size, root| {
            let anchor = Some(tlog::Checkpoint { origin: identity().origin, size, root });
            crate::engine::recover::Identity { anchor, ..identity() }
        };
        let starts = |disk: &SimDisk, identity| open(disk.copy(), &identity, SEGMENT).map(|_| ());
        // Beyond the last checkpoint too: what a witness saw may be in the journal alone.
        for (size, root) in &world.signed {
            assert!(starts(&world.disk, anchored(*size, *root)).is_ok(), "seed {seed}, {size}");
            let error = starts(&world.disk, anchored(*size, tlog::Hash([1; 32]))).unwrap_err();
            assert!(matches!(error, NotOpened::Beside(beside) if beside == *size), "seed {seed}: {error:?}");
        }
        let error = starts(&world.disk, anchored(size + 1, root)).unwrap_err();
        assert!(matches!(error, NotOpened::Behind { found, .. } if found == size), "seed {seed}: {error:?}");
        let error = starts(&older, anchored(size, root)).unwrap_err();
        assert!(matches!(error, NotOpened::Behind { found: 0, .. }), "seed {seed}: {error:?}");
        // The checkpoint of a moment ago, and a journal that is further.
        let submissions = vec![world.submission()];
        world.commit(&mut opened, submissions).unwrap();
        let (size, root) = (world.range.size(), world.range.root());
        assert!(starts(&world.disk, anchored(size, root)).is_ok(), "seed {seed}");
        assert!(starts(&world.disk, anchored(size, tlog::Hash([1; 32]))).is_err(), "seed {seed}");
    }
}
