//! The same in a bucket whose answers are lost or late, and of which several processes believe at once that it is theirs.

use std::cell::RefCell;
use std::rc::Rc;

use super::super::world::SEGMENT;
use super::*;
use crate::bucket::Bucket as _;
use crate::bucket::sim::{Objects, SimBucket};
use crate::engine::keys::Role;
use crate::engine::objects::BEGINNINGS;
use crate::engine::storage::InBucket;

type Store = InBucket<SimBucket>;

/// Where the log begins by what is said by who takes over.
const LATER: u64 = MINIMUM + 256;

fn store(objects: Objects) -> Store {
    let bucket = SimBucket::new(9, Rc::new(|_: &Objects| ()));
    bucket.0.borrow_mut().objects = objects;
    InBucket { bucket, role: Role::Leads, mark: [7; 8] }
}

fn world(seed: u64) -> (World<Store>, Opened<Store>) {
    has_bundles(World::on(store(Objects::new()), seed))
}

fn objects(store: &Store) -> Objects {
    store.bucket.0.borrow().objects.clone()
}

fn files(store: &Store) -> Vec<String> {
    objects(store).into_keys().collect()
}

/// The log, as a process has it that was not there before; and the bucket, as that has it.
fn starts(store: &Store) -> (SimBucket, Opened<Store>) {
    let bucket = store.bucket.another();
    let storage = InBucket { bucket: bucket.clone(), role: Role::Leads, mark: [7; 8] };
    (bucket, open(storage, &identity(), SEGMENT).unwrap())
}

#[test]
fn a_process_that_is_killed_at_any_call_leaves_what_is_whole_and_the_next_start_goes_on() {
    let (world, opened) = world(5);
    let record = last(&world);
    drop(opened);
    let whole = objects(&world.disk);
    let before: Vec<String> = whole.keys().cloned().collect();
    assert!(before.iter().any(|path| path.starts_with("sealed/") && path.contains(".long/")));
    let (bucket, mut opened) = starts(&world.disk);
    let start = bucket.calls();
    prune(&mut opened, MINIMUM, record).unwrap();
    let calls = bucket.calls() - start;
    is_pruned(&files(&world.disk), BUNDLES);
    let (mut begun, mut not_begun) = (0, 0);
    for (after, fails) in (0..calls).flat_map(|after| [(after, 0), (after, 5), (after, 9)]) {
        let store = store(whole.clone());
        let (bucket, mut opened) = starts(&store);
        store.bucket.0.borrow_mut().fails = fails;
        bucket.dies(after);
        let _ = prune(&mut opened, MINIMUM, record);
        store.bucket.0.borrow_mut().fails = 0;
        is_one_range(&files(&store), &before);
        let (_, mut opened) = starts(&store);
        if opened.pruned.minimum == 0 {
            not_begun += 1;
            assert!(before.iter().all(|path| store.bucket.object(path).is_some()), "gone, and not said");
            continue;
        }
        begun += 1;
        assert_eq!((opened.pruned.minimum, opened.pruned.record), (MINIMUM, record));
        goes_on(&mut opened).unwrap();
        store.bucket.0.borrow_mut().everything_arrives();
        is_pruned(&files(&store), BUNDLES);
        is_one_range(&files(&store), &before);
        assert!(!starts(&store).1.pruned.is_left());
    }
    println!("{calls} calls; {begun} times it had begun, and {not_begun} times not");
    assert!(begun > 150 && not_begun > 2, "{begun}, {not_begun}");
}

#[test]
fn a_process_that_is_held_up_while_it_prunes_sets_nothing_back_when_it_wakes() {
    let pruned = |call: Option<u64>| {
        let (world, mut first) = world(6);
        let (bucket, record) = (world.disk.bucket.clone(), last(&world));
        let world = Rc::new(RefCell::new(world));
        if let Some(call) = call {
            let meanwhile = Rc::clone(&world);
            bucket.is_held_up(call, move || {
                let mut world = meanwhile.borrow_mut();
                world.disk.bucket = world.disk.bucket.another();
                let mut second = world.start().unwrap();
                says(&mut world, &mut second, LATER);
                prune(&mut second, LATER, last(&world)).unwrap();
                world.begins = LATER;
            });
        }
        let start = bucket.calls();
        prune(&mut first, MINIMUM, record).unwrap();
        let calls = bucket.calls() - start;
        drop(first);
        let world = Rc::into_inner(world).unwrap().into_inner();
        if call.is_some() {
            let (_, opened) = starts(&world.disk);
            assert_eq!((opened.pruned.minimum, opened.pruned.is_left()), (LATER, false), "{call:?}");
            is_pruned(&files(&world.disk), BUNDLES + 1);
            world.read_all();
        }
        calls
    };
    let calls = pruned(None);
    assert!(calls > 40, "{calls}");
    (0..calls).for_each(|call| _ = pruned(Some(call)));
}

#[test]
fn a_pruned_log_lives_on_and_is_pruned_again() {
    let (mut world, mut opened) = world(7);
    prune(&mut opened, MINIMUM, last(&world)).unwrap();
    world.begins = MINIMUM;
    for round in 1..=3 {
        world.live(&mut opened, 80).unwrap();
        world.publish(&mut opened).unwrap();
        world.read_all();
        world.disk.bucket = world.disk.bucket.another();
        opened = world.start().unwrap();
        assert_eq!(opened.pruned.minimum, world.begins);
        let minimum = MINIMUM + round * 256;
        says(&mut world, &mut opened, minimum);
        prune(&mut opened, minimum, last(&world)).unwrap();
        world.begins = minimum;
        world.read_all();
        assert_eq!(world.disk.bucket.list(BEGINNINGS).unwrap().len(), 1, "what says so is said once");
    }
}
