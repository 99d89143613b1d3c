//! The engine in a bucket whose answers are refused, lost or late, and of which several processes believe at once that it is theirs, by seed:
//! what is acknowledged stays, in order and once; checkpoints only grow; keys stay until they are erased, and then never come back.

#![allow(clippy::arithmetic_side_effects)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use record::kinds::log::Erase;
use record::samples::{at, uid};
use record::{Uid, What};
use tlog::Range;

use super::first_seed;
use super::world::{SEGMENT, Sim, World, identity, signer, start};
use crate::bucket::Bucket as _;
use crate::bucket::sim::{Objects, SimBucket};
use crate::engine::commit::{Committed, Room, Submission};
use crate::engine::journal::BadJournal;
use crate::engine::keys::{Role, key_path};
use crate::engine::recover::{NotOpened, Opened, open};
use crate::engine::storage::InBucket;
use crate::engine::volume::Files as _;

type Store = InBucket<SimBucket>;

impl Sim for Store {
    fn keys_of(&self, grant: &Uid) -> BTreeMap<String, Vec<u8>> {
        let (state, folder) = (self.bucket.0.borrow(), key_path(grant));
        let keys = state.objects.iter().filter(|(path, _)| path.starts_with(&folder));
        keys.map(|(path, key)| (path.clone(), key.clone())).collect()
    }

    fn with(&self, bytes: &[u8]) -> Vec<String> {
        self.bucket.with(bytes)
    }
}

fn world(seed: u64) -> World<Store> {
    let bucket = SimBucket::new(seed, Rc::new(|_: &Objects| ()));
    World::on(InBucket { bucket, role: Role::Leads, mark: [7; 8] }, seed)
}

impl World<Store> {
    /// Starts the log, as a process that was not there before. `None`: the bucket does not answer.
    fn starts(&mut self, dies: Option<u64>) -> Option<Opened<Store>> {
        self.disk.bucket = self.disk.bucket.another();
        if let Some(after) = dies {
            self.disk.bucket.dies(after);
        }
        match self.start() {
            Ok(opened) => Some(opened),
            Err(NotOpened::Read { .. } | NotOpened::Journal(BadJournal::Disk(_))) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    /// The same, in a bucket that answers.
    fn goes_on(&mut self) -> Opened<Store> {
        self.starts(None).unwrap()
    }

    /// Everything is as it must be, whatever is still on its way.
    fn ends(&mut self) {
        self.disk.bucket.0.borrow_mut().fails = 0;
        let mut opened = self.goes_on();
        self.publish(&mut opened).unwrap();
        self.disk.bucket.0.borrow_mut().everything_arrives();
        self.read_all();
        let mut opened = self.goes_on();
        self.live(&mut opened, 4).unwrap();
        self.publish(&mut opened).unwrap();
        self.read_all();
    }

    fn erases(&mut self, opened: &mut Opened<Store>) -> bool {
        let grant = uid(u8::try_from(self.dice.below(3)).unwrap());
        self.erases_of(opened, grant)
    }

    fn erases_of(&mut self, opened: &mut Opened<Store>, grant: Uid) -> bool {
        let own = opened.engine.own(at(0), Some(grant), What::Erase(Erase { person: None })).unwrap();
        self.commit(opened, vec![own]).is_ok()
    }

    fn text(&mut self) -> Submission {
        loop {
            let submission = self.submission();
            if submission.records.iter().any(|record| !record.entry.sealed.is_empty()) {
                return submission;
            }
        }
    }
}

/// What a process that was cut off does when it wakes, as if it led. It acknowledges nothing.
fn wakes(world: &mut World<Store>, zombie: &mut Opened<Store>) {
    match world.dice.below(5) {
        0 => {
            let (size, root) = (zombie.tree.size(), zombie.tree.root());
            let mut range = Range::default();
            for (hash, _) in &world.order[..usize::try_from(size).unwrap()] {
                range.push(*hash, |_, _| ()).unwrap();
            }
            assert_eq!(range.root(), root, "it has what all others have");
            world.signed.insert(size, root);
            if zombie.tree.publish(&mut zombie.files, &[signer()]).is_ok() {
                let _ = zombie.engine.release(size);
            }
        }
        1 => {
            let submission = world.text();
            let committed = zombie.engine.commit(vec![submission], Room::Enough, Duration::ZERO);
            // It may have been told nothing of what the writer was told since: then it refuses.
            let refuses = |committed: Committed| committed.answers.iter().all(Result::is_err);
            assert!(committed.map_or(true, refuses), "a log that was cut off has acknowledged");
        }
        dice => {
            let what = if dice == 2 { start() } else { What::Erase(Erase { person: None }) };
            let own = zombie.engine.own(at(0), Some(uid(1)), what).unwrap();
            let committed = zombie.engine.commit(vec![own], Room::Enough, Duration::ZERO);
            assert!(committed.is_err(), "a log that was cut off has acknowledged");
        }
    }
}

#[test]
fn what_is_acknowledged_survives_a_bucket_that_fails_and_processes_that_were_cut_off() {
    let (mut lost, mut woken) = (0, 0);
    for seed in first_seed()..first_seed() + 300 {
        let mut world = world(seed);
        world.disk.bucket.0.borrow_mut().fails = if seed % 4 == 0 { 0 } else { 12 };
        let mut zombies: Vec<Opened<Store>> = Vec::new();
        for _ in 0..25 {
            let dies = (world.dice.below(2) == 0).then(|| world.dice.below(120));
            let Some(mut opened) = world.starts(dies) else { continue };
            let mut goes_on = true;
            for _ in 0..world.dice.below(6) {
                if !zombies.is_empty() && world.dice.below(2) == 0 {
                    let which = world.dice.below(zombies.len());
                    wakes(&mut world, &mut zombies[which]);
                    woken += 1;
                }
                goes_on = match world.dice.below(8) {
                    0 => world.erases(&mut opened),
                    _ => world.live(&mut opened, 2).is_ok(),
                };
                if !goes_on {
                    lost += 1;
                    break;
                }
            }
            // It is not dead, but held up: for a moment, or for the time of many others.
            if goes_on && world.dice.below(2) == 0 {
                zombies.push(opened);
            }
        }
        world.ends();
    }
    assert!(lost > 100 && woken > 1000, "{lost}, {woken}");
}

/// What a process does at the end, before it hears that it was cut off.
#[derive(Clone, Copy, Debug)]
enum Last {
    /// It starts, and does again what the journal says was erased.
    Start,
    Text,
    Erase,
    Publish,
    Release,
}

impl Last {
    const ALL: [Self; 5] = [Self::Start, Self::Text, Self::Erase, Self::Publish, Self::Release];
}

/// Does it, and says whether somebody hears that a record is durable.
type Does = Box<dyn FnOnce() -> bool>;

/// A process that has led for a while, and what it does next.
fn process(world: &mut World<Store>, seed: u64, last: Last) -> (SimBucket, Does) {
    let mut first = world.goes_on();
    world.live(&mut first, 12).unwrap();
    if seed.is_multiple_of(3) {
        // Its keys are those that it found.
        first = world.goes_on();
    }
    if seed % 3 == 1 || matches!(last, Last::Start) {
        // So that the next text has a key of its own.
        for grant in 0..3 {
            world.erases_of(&mut first, uid(grant));
        }
    }
    let bucket = world.disk.bucket.clone();
    let commits = |mut first: Opened<Store>, submission| -> Does {
        Box::new(move || first.engine.commit(vec![submission], Room::Enough, Duration::ZERO).is_ok())
    };
    let does: Does = match last {
        Last::Start => {
            let storage = InBucket { bucket: bucket.another(), role: Role::Leads, mark: [7; 8] };
            let bucket = storage.bucket.clone();
            let does = move || {
                // What it opened was overtaken, or is the newest.
                drop(open(storage, &identity(), SEGMENT));
                false
            };
            return (bucket, Box::new(does));
        }
        Last::Text => {
            let submission = world.text();
            world.maybe = world.new_in(&submission);
            commits(first, submission)
        }
        Last::Erase => {
            let what = What::Erase(Erase { person: None });
            let submission = first.engine.own(at(0), Some(uid(1)), what).unwrap();
            world.maybe = world.new_in(&submission);
            world.erasing = Some(uid(1));
            commits(first, submission)
        }
        Last::Publish => Box::new(move || {
            let _ = first.tree.publish(&mut first.files, &[signer()]);
            false
        }),
        Last::Release => {
            first.tree.publish(&mut first.files, &[signer()]).unwrap();
            Box::new(move || {
                let _ = first.engine.release(first.tree.size());
                false
            })
        }
    };
    world.signed.insert(world.range.size(), world.range.root());
    (bucket, does)
}

/// A process is held up at one of its calls, another starts and goes on, and then the first wakes. Says how many calls it made.
fn held_up(seed: u64, last: Last, call: Option<u64>) -> u64 {
    let mut world = world(seed);
    world.disk.bucket.0.borrow_mut().sweeps_by_chance = true;
    let (bucket, does) = process(&mut world, seed, last);
    let durable = world.order.len() + world.maybe.len();
    let world = Rc::new(RefCell::new(world));
    if let Some(call) = call {
        let meanwhile = Rc::clone(&world);
        bucket.is_held_up(call, move || {
            let mut world = meanwhile.borrow_mut();
            let mut second = world.goes_on();
            world.live(&mut second, 8).unwrap();
            world.erases(&mut second);
            world.live(&mut second, 8).unwrap();
            world.publish(&mut second).unwrap();
        });
    }
    let before = bucket.calls();
    let is_acknowledged = does();
    let calls = bucket.calls() - before;
    let mut world = Rc::into_inner(world).unwrap().into_inner();
    if call.is_some() && is_acknowledged {
        assert!(world.order.len() >= durable, "{last:?} at {call:?}: acknowledged and gone");
    }
    // Nothing that was sealed, acknowledged or signed meanwhile is gone, nor set back.
    world.ends();
    calls
}

#[test]
fn a_process_that_is_held_up_at_any_call_while_another_takes_over_destroys_nothing() {
    for last in Last::ALL {
        let mut all = 0;
        for seed in first_seed()..first_seed() + 60 {
            let calls = held_up(seed, last, None);
            for call in 0..calls {
                held_up(seed, last, Some(call));
                all += 1;
            }
        }
        assert!(all > 30, "{last:?}: {all}");
    }
}

#[test]
fn who_looks_takes_nothing_from_who_leads() {
    let mut world = world(3);
    let mut leads = world.goes_on();
    world.live(&mut leads, 8).unwrap();
    world.erases(&mut leads);
    let before = world.disk.bucket.0.borrow().objects.clone();
    let looks = InBucket { bucket: world.disk.bucket.another(), role: Role::Looks, mark: [0; 8] };
    let opened = open(looks, &identity(), SEGMENT).unwrap();
    assert_eq!(opened.engine.size(), leads.engine.size());
    assert_eq!(world.disk.bucket.0.borrow().objects, before, "it writes and removes nothing");
    world.live(&mut leads, 8).unwrap();
}

#[test]
fn what_a_long_life_leaves_in_the_journal_is_bounded() {
    let mut world = world(4);
    for starts in 1..4 {
        let mut opened = world.goes_on();
        for _ in 0..120 {
            world.live(&mut opened, 3).unwrap();
            world.publish(&mut opened).unwrap();
        }
        let left = world.disk.bucket.list("journal").unwrap().len();
        // A fence of each start, and the blocks of the last segment.
        assert!(left <= starts + 16, "{left} objects after {starts} starts");
    }
}

#[test]
fn a_log_that_was_cut_off_does_not_set_the_checkpoint_back_that_others_read() {
    let mut world = world(5);
    let mut first = world.goes_on();
    world.live(&mut first, 4).unwrap();
    let mut second = world.goes_on();
    world.live(&mut second, 4).unwrap();
    world.publish(&mut second).unwrap();
    let newest = world.disk.bucket.object("checkpoint").unwrap();
    assert!(first.tree.size() < second.tree.size());
    first.tree.publish(&mut first.files, &[signer()]).unwrap();
    assert_eq!(world.disk.bucket.object("checkpoint").unwrap(), newest);
    assert_eq!(first.files.checkpoint().unwrap().unwrap(), newest);
}
