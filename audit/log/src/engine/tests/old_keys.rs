//! The keys of a log that was given up lie beside those of the log that follows it, and are erased with them.

#![allow(clippy::arithmetic_side_effects)]

use std::path::Path;
use std::time::Duration;

use record::What;
use record::kinds::log::Erase;
use record::samples::{at, uid};

use super::sim::{Fault, SimDisk};
use super::world::{World, open_again};
use crate::engine::commit::Room;
use crate::engine::disk::Disk as _;
use crate::engine::keys::key_path;

fn puts_key(disk: &SimDisk, folder: &str) -> String {
    let mut above = String::new();
    for part in folder.split('/') {
        let path = if above.is_empty() { part.to_owned() } else { format!("{above}/{part}") };
        disk.create_folder(Path::new(&path)).unwrap();
        disk.sync_folder(Path::new(if above.is_empty() { "." } else { &above })).unwrap();
        above = path;
    }
    let path = format!("{folder}/{}", uid(1));
    let file = disk.open(Path::new(&path)).unwrap();
    disk.write_at(&file, 0, b"wrapped").unwrap();
    disk.sync(&file).unwrap();
    disk.sync_folder(Path::new(folder)).unwrap();
    path
}

#[test]
fn an_erasure_that_is_on_record_reaches_the_keys_of_all_logs_that_were_given_up_whatever_stops_it() {
    let mut world = World::new(11);
    let mut opened = world.start().unwrap();
    world.live(&mut opened, 8).unwrap();
    drop(opened);
    let old = ["old/0123456789abcdef/keys", "old/fedcba9876543210/keys"];
    let [one, two] = old.map(|folder| puts_key(&world.disk, folder));
    let all = [one, two, key_path(&uid(1))];
    let keys = |disk: &SimDisk| all.iter().filter(|path| disk.peek(path).is_some()).count();
    let whole = world.disk.copy();
    assert_eq!(keys(&whole), 3);
    // Erases, and says how many calls that were, and whether somebody heard that it is done.
    let erases = |disk: &SimDisk, fault: Option<(u64, Fault)>| {
        let mut opened = open_again(disk);
        let (start, size) = (disk.calls(), opened.engine.size());
        if let Some((after, fault)) = fault {
            disk.fail(after, fault);
        }
        let own = opened.engine.own(at(0), Some(uid(1)), What::Erase(Erase { person: None })).unwrap();
        let done = opened.engine.commit(vec![own], Room::Enough, Duration::ZERO).is_ok();
        (disk.calls() - start, size, done)
    };
    let (calls, ..) = erases(&whole.copy(), None);
    let mut on_record = 0;
    for (after, fault) in (0..calls).flat_map(|after| Fault::ALL.map(|fault| (after, fault))) {
        let disk = whole.copy();
        let (_, size, done) = erases(&disk, Some((after, fault)));
        disk.restart();
        assert!(!done || keys(&disk) == 0, "{after} {fault:?}");
        let is_on_record = open_again(&disk).engine.size() > size;
        disk.lose_power();
        assert_eq!(keys(&disk), if is_on_record { 0 } else { 3 }, "{after} {fault:?}");
        on_record += u32::from(is_on_record);
    }
    assert!(on_record > 8, "{on_record} of {calls} calls");
}
