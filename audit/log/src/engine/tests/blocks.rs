//! The journal in a bucket whose answers are refused, lost or late, by seed, and of which two logs believe at once that it is theirs.

#![allow(clippy::arithmetic_side_effects)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::bucket::sim::{Objects, SimBucket};
use crate::engine::block::{Block, Entry, Item, LogId, Position, encode};
use crate::engine::blocks::{Blocks, Claim};
use crate::engine::journal::{BadJournal, Journal as _, SegmentLength, after};

const LOG: LogId = LogId([7; 8]);

/// Short, so that segments are full often.
const LENGTH: SegmentLength = SegmentLength(40_000);

/// One life of a log.
struct Life {
    journal: Blocks<SimBucket>,
    position: Position,
}

/// All that is outside.
struct World {
    bucket: SimBucket,
    /// Every block that was acknowledged, by its number.
    acknowledged: BTreeMap<u64, Vec<u8>>,
    /// How many records are known to be in the tree.
    released: u64,
    /// How many lives ended because another led.
    taken: u64,
}

impl World {
    fn dice(&self, below: u64) -> u64 {
        self.bucket.0.borrow_mut().below(below)
    }

    /// Begins a life: what was acknowledged is there, but for what is in the tree.
    fn begins(&mut self) -> Option<Life> {
        let (mut found, mut next) = (BTreeMap::new(), 0);
        let opened = open(&self.bucket, |block| {
            let (bytes, _) = encode(LOG, block.position, &block.items).unwrap();
            if block.position.index != next {
                // What came before was being removed while it was read.
                found.clear();
            }
            next = after(&block).index;
            found.insert(block.position.number, (bytes, after(&block).index));
        });
        let (journal, position) = match opened {
            Ok(opened) => opened,
            Err(BadJournal::Disk(_)) => return None,
            Err(error) => panic!("{error}"),
        };
        let oldest = found.keys().next().copied().unwrap_or(0);
        for (number, bytes) in &self.acknowledged {
            match found.get(number) {
                Some((is, _)) => assert!(is == bytes, "block {number} is another one"),
                None => assert!(*number < oldest, "block {number} was acknowledged and is gone"),
            }
        }
        Some(Life { journal, position })
    }

    /// Writes one block. `false`: the life is over.
    fn writes(&mut self, life: &mut Life) -> bool {
        let records = 1 + self.dice(3);
        let leaf = |_| vec![u8::try_from(self.dice(200)).unwrap(); 300];
        let items: Vec<Item> =
            (0..records).map(leaf).map(|leaf| Item::Record(Entry { leaf, sealed: Vec::new() })).collect();
        let (bytes, hash) = encode(LOG, life.position, &items).unwrap();
        if !life.journal.has_room(bytes.len()) {
            life.journal.roll().unwrap();
        }
        if let Err(error) = life.journal.append(life.position.index, &bytes) {
            self.taken += u64::from(format!("{error}").contains("another log's"));
            return false;
        }
        let Position { number, index, prev: _ } = life.position;
        let before = self.acknowledged.insert(number, bytes);
        assert!(before.is_none(), "block {number} was acknowledged twice");
        let newest = self.acknowledged.last_key_value().map(|(number, _)| *number);
        assert_eq!(newest, Some(number), "a log that was cut off has acknowledged");
        life.position = Position { number: number + 1, index: index + records, prev: hash };
        true
    }
}

fn open(bucket: &SimBucket, each: impl FnMut(Block)) -> Result<(Blocks<SimBucket>, Position), BadJournal> {
    Blocks::open(bucket.clone(), Claim::take(bucket, [7; 8])?, LOG, LENGTH, each)
}

fn world(seed: u64) -> World {
    let bucket = SimBucket::new(seed, Rc::new(|_: &Objects| ()));
    World { bucket, acknowledged: BTreeMap::new(), released: 0, taken: 0 }
}

#[test]
fn what_is_acknowledged_is_in_the_bucket_and_one_log_alone_acknowledges() {
    let mut taken = 0;
    for seed in super::first_seed()..super::first_seed() + 200 {
        let mut world = world(seed);
        world.bucket.0.borrow_mut().fails = 8;
        let mut lives: Vec<Life> = Vec::new();
        for _ in 0..300 {
            if lives.is_empty() || (lives.len() < 3 && world.dice(20) == 0) {
                lives.extend(world.begins());
                continue;
            }
            let which = usize::try_from(world.dice(lives.len().try_into().unwrap())).unwrap();
            let mut life = lives.swap_remove(which);
            let goes_on = match world.dice(6) {
                0 => {
                    // A tree that has all of it; one that was cut off knows of no more than it wrote.
                    life.journal.release(life.position.index).unwrap();
                    world.released = world.released.max(life.position.index);
                    true
                }
                _ => world.writes(&mut life) && world.dice(40) > 0,
            };
            lives.extend(goes_on.then_some(life));
        }
        world.bucket.0.borrow_mut().fails = 0;
        world.begins().unwrap();
        taken += world.taken;
        assert!(world.bucket.0.borrow().failed > 10 && world.released > 0);
    }
    assert!(taken > 100, "{taken}: two never led at once");
}

#[test]
fn a_log_that_wakes_after_everything_was_removed_acknowledges_nothing() {
    let mut world = world(1);
    let mut first = world.begins().unwrap();
    assert!(world.writes(&mut first));
    let mut second = world.begins().unwrap();
    for _ in 0..400 {
        assert!(world.writes(&mut second));
    }
    second.journal.release(second.position.index).unwrap();
    // The fence of the first start, its block, the fence of the second.
    assert!(world.bucket.object("journal/0000000000000000").is_some());
    assert_eq!(world.bucket.object("journal/0000000000000001"), None);
    assert!(world.bucket.object("journal/0000000000000002").is_some(), "it stays for ever");
    assert_eq!(world.bucket.object("journal/0000000000000003"), None);
    assert!(!world.writes(&mut first));
    assert_eq!(world.taken, 1);
}

#[test]
fn an_object_that_is_gone_or_changed_is_told_by_its_number() {
    let mut world = world(1);
    let mut life = world.begins().unwrap();
    for _ in 0..5 {
        assert!(world.writes(&mut life));
    }
    let path = "journal/0000000000000002";
    let whole = world.bucket.object(path).unwrap();
    let opened = |world: &World| open(&world.bucket, |_| ()).map(|_| ());
    let mut changed = whole.clone();
    changed[200] ^= 1;
    for object in [None, Some(Vec::new()), Some(changed)] {
        let objects = |world: &World| world.bucket.0.borrow().objects.clone();
        let mut all = objects(&world);
        match object {
            Some(bytes) => all.insert(path.to_owned(), bytes),
            None => all.remove(path),
        };
        world.bucket.0.borrow_mut().objects = all;
        let error = opened(&world).unwrap_err();
        assert!(matches!(error, BadJournal::Damaged { number: 2, .. }), "{error}");
    }
    world.bucket.0.borrow_mut().objects.insert(path.to_owned(), whole);
    opened(&world).unwrap();
}

#[test]
fn a_start_takes_over_from_a_log_that_goes_on_to_write_at_that_moment() {
    // Before the look at what is there, between that and the fence, and before the second look.
    for call in 0..3 {
        let mut world = world(1);
        let mut first = world.begins().unwrap();
        assert!(world.writes(&mut first));
        let second = world.bucket.another();
        let world = Rc::new(RefCell::new((world, first)));
        let meanwhile = Rc::clone(&world);
        second.is_held_up(call, move || {
            let (world, first) = &mut *meanwhile.borrow_mut();
            assert_eq!(world.writes(first), call < 2, "call {call}");
        });
        let mut blocks = 0;
        let (_, position) = open(&second, |_| blocks += 1).unwrap();
        assert_eq!(blocks, if call < 2 { 2 } else { 1 });
        let (world, first) = &mut *world.borrow_mut();
        assert_eq!(world.acknowledged.len(), blocks);
        assert!(position.number > first.position.number, "behind its fence");
        assert!(!world.writes(first), "it is cut off");
    }
}

/// The leader makes a block before the call after so many more of the start, and before each second one from then on.
fn goes_on_to_write(start: &SimBucket, after: u64, leader: &Rc<RefCell<(World, Life)>>) {
    let (again, leads) = (start.clone(), Rc::clone(leader));
    start.is_held_up(after, move || {
        let (world, life) = &mut *leads.borrow_mut();
        if world.writes(life) {
            goes_on_to_write(&again, 2, &leads);
        }
    });
}

#[test]
fn a_start_takes_over_from_a_log_that_makes_a_block_while_each_number_is_taken() {
    let mut world = world(1);
    let first = world.begins().unwrap();
    let second = world.bucket.another();
    let leads = Rc::new(RefCell::new((world, first)));
    // Before the first number is taken, which is the second call.
    goes_on_to_write(&second, 1, &leads);
    let (journal, position) = open(&second, |_| ()).unwrap();
    let (world, first) = &mut *leads.borrow_mut();
    assert!(!world.acknowledged.is_empty() && position.index == first.position.index);
    assert!(!world.writes(first), "it is cut off");
    drop(journal);
    // All that was acknowledged is there.
    world.begins().unwrap();
}

#[test]
fn a_log_that_makes_no_blocks_hears_within_a_few_looks_that_another_leads() {
    let mut world = world(1);
    let mut first = world.begins().unwrap();
    assert!(world.writes(&mut first));
    let looks = |life: &Life| (0..5).map(|_| life.journal.is_in_place()).collect::<Result<Vec<bool>, _>>();
    let before = world.bucket.calls();
    assert_eq!(looks(&first).unwrap(), [true; 5]);
    assert_eq!(world.bucket.calls(), before + 1, "one of five looks costs a call");
    // Whether another leads nobody knows then.
    world.bucket.0.borrow_mut().fails = 1;
    assert_eq!(looks(&first).unwrap(), [true; 5]);
    world.bucket.0.borrow_mut().fails = 0;
    let second = world.begins().unwrap();
    let error = looks(&first).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("another process leads"), "{error}");
    assert_eq!(looks(&second).unwrap(), [true; 5]);
}

#[test]
fn an_object_that_cannot_be_read_is_read_again_and_the_others_are_not() {
    let mut world = world(1);
    let mut life = world.begins().unwrap();
    for _ in 0..10 {
        assert!(world.writes(&mut life));
    }
    let calls = |fails: u64| {
        let bucket = world.bucket.another();
        bucket.0.borrow_mut().fails = fails;
        let claim = Claim::look(&bucket).unwrap();
        let (before, failed) = (bucket.calls(), bucket.0.borrow().failed);
        Blocks::open(bucket.clone(), claim, LOG, LENGTH, |_| ()).unwrap();
        (bucket.calls() - before, bucket.0.borrow().failed - failed)
    };
    assert_eq!(calls(0), (10, 0));
    let (made, failed) = calls(3);
    assert!(failed > 0 && made == 10 + failed, "{made} calls, of which {failed} failed");
    assert!(world.bucket.0.borrow().rests >= failed, "with a rest before each");
}

#[test]
fn what_is_not_in_the_tree_yet_is_never_removed() {
    for below in 0..120 {
        let mut world = world(1);
        let mut life = world.begins().unwrap();
        for _ in 0..60 {
            assert!(world.writes(&mut life));
        }
        life.journal.release(below).unwrap();
        let mut first = None;
        let (_, position) =
            open(&world.bucket, |block| _ = first.get_or_insert(block.position.index)).unwrap();
        assert!(first.unwrap() <= below, "{below}: what is left begins at {first:?}");
        assert_eq!(position.index, life.position.index);
    }
}
