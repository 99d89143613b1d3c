//! A log that is pruned on a disk that fails, or in a bucket: what is left is one range at every moment, and all of it; and what is to go
//! does, at last.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::BTreeSet;

use record::kinds::log::Prune;
use record::samples::at;
use record::{Count, What};
use tlog::{Checkpoint, Holds, TileName};

use super::sim::{Fault, SimDisk};
use super::world::{Sim, World, identity, open_again};
use crate::engine::prune::{PRUNED, Pruned};
use crate::engine::recover::{NotOpened, Opened, open};
use crate::engine::volume::{File, Files as _, Volume};

mod buckets;

/// How many bundles go.
const BUNDLES: u64 = 5;

const MINIMUM: u64 = BUNDLES * 256;

/// A log of some bundles more, whose last record says where it is to begin.
fn world(seed: u64) -> (World, Opened<SimDisk>) {
    has_bundles(World::new(seed))
}

fn has_bundles<S: Sim>(mut world: World<S>) -> (World<S>, Opened<S>) {
    let mut opened = world.start().unwrap();
    while world.order.len() < 1_700 {
        world.live(&mut opened, 60).unwrap();
    }
    says(&mut world, &mut opened, MINIMUM);
    leaves_narrower(&mut opened);
    (world, opened)
}

/// What publishings leave behind that were stopped between their checkpoint and the removal of what it does not need.
fn leaves_narrower<S: Sim>(opened: &mut Opened<S>) {
    for bundle in 0..BUNDLES {
        for (folder, width) in [("tile/entries", 7), ("tile/entries", 255), ("tile/0", 7), ("sealed", 7)] {
            let path = format!("{folder}/{bundle:03}.p/{width}");
            opened.files.put(&[File { path, bytes: b"records".to_vec() }]).unwrap();
        }
    }
}

/// Puts on record that the log begins there, and publishes it.
fn says<S: Sim>(world: &mut World<S>, opened: &mut Opened<S>, minimum: u64) {
    let what = What::Prune(Prune { before: at(0), minimum: Count::of(minimum) });
    let said = opened.engine.own(at(0), None, what).unwrap();
    world.commit(opened, vec![said]).unwrap();
    world.publish(opened).unwrap();
}

fn last<S>(world: &World<S>) -> u64 {
    u64::try_from(world.order.len()).unwrap() - 1
}

/// Prunes to the end, or until the disk fails.
fn prune<S: Sim>(opened: &mut Opened<S>, minimum: u64, record: u64) -> std::io::Result<()> {
    opened.pruned.begin(&mut opened.files, minimum, record)?;
    goes_on(opened)
}

fn goes_on<S: Sim>(opened: &mut Opened<S>) -> std::io::Result<()> {
    while opened.pruned.is_left() {
        opened.pruned.step(&mut opened.files)?;
    }
    Ok(())
}

/// Of which bundles files lie there, or tiles, or texts, whole or narrower.
fn numbers(files: &[String], folder: &str) -> BTreeSet<u64> {
    let in_folder = |path: &String| path.strip_prefix(folder)?.split(['.', '/']).next()?.parse().ok();
    files.iter().filter_map(in_folder).collect()
}

/// What is left is one range, and of each bundle that is there everything is.
fn is_one_range(files: &[String], before: &[String]) {
    let bundles = numbers(files, "tile/entries/");
    let (first, last) = (*bundles.first().unwrap(), *bundles.last().unwrap());
    assert_eq!(bundles, (first..=last).collect(), "a hole");
    assert!(first <= BUNDLES && Some(&last) == numbers(before, "tile/entries/").last());
    for folder in ["tile/0/", "sealed/"] {
        let (now, then) = (numbers(files, folder), numbers(before, folder));
        assert!(then.iter().filter(|number| bundles.contains(number)).all(|number| now.contains(number)));
    }
}

/// Nothing is left below this bundle.
fn is_pruned(files: &[String], below: u64) {
    for folder in ["tile/entries/", "tile/0/", "sealed/"] {
        assert_eq!(numbers(files, folder).first().filter(|first| **first < below), None, "{folder}");
    }
    assert!(files.iter().any(|path| path.starts_with("tile/1/000.p/")), "the hashes above what is gone");
}

#[test]
fn whatever_stops_it_between_two_calls_what_is_left_is_whole_and_the_next_start_goes_on() {
    let (world, opened) = world(5);
    let record = last(&world);
    drop(opened);
    let whole = world.disk.copy();
    assert!(whole.files().iter().any(|path| path.starts_with("sealed/") && path.contains(".long/")));
    let disk = whole.copy();
    let mut opened = open_again(&disk);
    let start = disk.calls();
    prune(&mut opened, MINIMUM, record).unwrap();
    let calls = disk.calls() - start;
    is_pruned(&disk.files(), BUNDLES);
    assert!(calls > 60, "{calls}");
    let (mut begun, mut not_begun) = (0, 0);
    for after in 0..calls {
        for fault in Fault::ALL {
            let disk = whole.copy();
            let mut opened = open_again(&disk);
            disk.fail(after, fault);
            let pruned = prune(&mut opened, MINIMUM, record);
            assert!(pruned.is_err() || disk.failed().is_none(), "{after} {fault:?}");
            disk.restart();
            is_one_range(&disk.files(), &whole.files());
            let mut opened = open_again(&disk);
            if opened.pruned.minimum == 0 {
                not_begun += 1;
                let first = |folder| numbers(&disk.files(), folder).first().copied();
                assert_eq!(
                    (first("tile/entries/"), first("tile/0/")),
                    (Some(0), Some(0)),
                    "gone, and not said"
                );
                continue;
            }
            begun += 1;
            assert_eq!((opened.pruned.minimum, opened.pruned.record), (MINIMUM, record));
            goes_on(&mut opened).unwrap();
            disk.lose_power();
            is_pruned(&disk.files(), BUNDLES);
            is_one_range(&disk.files(), &whole.files());
            assert!(!open_again(&disk).pruned.is_left());
        }
    }
    println!("{calls} calls; {begun} times it had begun, and {not_begun} times not");
    assert!(begun > 200 && not_begun > 8);
}

#[test]
fn a_pruned_log_lives_on_and_is_pruned_again() {
    let (mut world, mut opened) = world(6);
    prune(&mut opened, MINIMUM, last(&world)).unwrap();
    world.begins = MINIMUM;
    for round in 1..=3 {
        world.live(&mut opened, 80).unwrap();
        world.publish(&mut opened).unwrap();
        world.read_all();
        world.disk.lose_power();
        opened = world.start().unwrap();
        let minimum = MINIMUM + round * 256;
        says(&mut world, &mut opened, minimum);
        prune(&mut opened, minimum, last(&world)).unwrap();
        world.begins = minimum;
        world.read_all();
    }
}

#[test]
fn a_log_starts_not_where_a_file_alone_says_that_it_was_pruned() {
    let (mut world, mut opened) = world(7);
    let (record, size) = (last(&world), opened.tree.size());
    world.live(&mut opened, 20).unwrap();
    world.publish(&mut opened).unwrap();
    let none = Pruned { minimum: 0, record: 0, removed: 0 };
    let right = Pruned { minimum: MINIMUM, record, removed: 512 };
    let says = |pruned: Option<Pruned>, text: &[u8]| {
        let disk = world.disk.copy();
        let bytes = pruned.map_or(text.to_vec(), |pruned| serde_json::to_vec(&pruned).unwrap());
        let path = PRUNED.to_owned();
        let mut files = Volume::new(disk.clone()).unwrap();
        files.replace(&File { path, bytes }).unwrap();
        open(disk, &identity(), super::world::SEGMENT).map(|opened| opened.pruned)
    };
    assert_eq!(says(Some(right), b"").unwrap(), right);
    assert_eq!(says(Some(Pruned { minimum: 512, ..right }), b"").unwrap().minimum, 512, "less than it says");
    for wrong in [
        Pruned { minimum: MINIMUM + 256, ..right },
        Pruned { record: record - 1, ..right },
        Pruned { record: size + 10_000, ..right },
        Pruned { minimum: MINIMUM - 1, ..right },
        Pruned { removed: MINIMUM + 256, ..right },
        Pruned { removed: 1, ..right },
        Pruned { minimum: record.next_multiple_of(256), ..right },
        Pruned { minimum: 256, ..none },
    ] {
        assert!(matches!(says(Some(wrong), b""), Err(NotOpened::Pruned)), "{wrong:?}");
    }
    for text in [&b""[..], b"{}", b"null", br#"{"minimum":0,"record":0,"removed":0,"more":1}"#] {
        assert!(matches!(says(None, text), Err(NotOpened::Pruned)), "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn what_others_have_seen_is_proved_of_a_pruned_log_and_what_they_have_not_is_refused() {
    let (mut world, mut opened) = world(8);
    let record = last(&world);
    prune(&mut opened, MINIMUM, record).unwrap();
    world.live(&mut opened, 20).unwrap();
    world.publish(&mut opened).unwrap();
    let origin = identity().origin;
    let starts = |size: u64, root| {
        let anchor = Some(Checkpoint { origin: origin.clone(), size, root });
        let identity = crate::engine::recover::Identity { anchor, ..identity() };
        open(world.disk.copy(), &identity, super::world::SEGMENT)
    };
    for (size, root) in world.signed.range(MINIMUM..) {
        assert!(starts(*size, *root).is_ok(), "{size}");
        assert!(matches!(starts(*size, tlog::Hash([9; 32])), Err(NotOpened::Beside(_))), "{size}");
    }
    let name = TileName { holds: Holds::Hashes(0), index: 0, width: 256 };
    assert!(world.disk.peek(&name.to_string()).is_none());
}
