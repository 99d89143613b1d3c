//! Power cuts. A file on XFS holds an ext4 on which the log runs; a clone of that file, made in one step while writers write, is the disk as
//! it would be if power had gone in that moment. What the log says was written is there; what it only wrote is in memory, and not there.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use record::Head;
use tempfile::TempDir;
use tokio::time::sleep;

use super::authority::Authority;
use super::log::Log;
use super::mounts::{Kind, Mounted, run};
use super::story::{Cast, is_clean};
use super::writer::Writer;
use super::{dice, is_soak, runtime};

/// How many cuts one log sees.
const CUTS: u64 = 10;

/// A log on a disk that can be cloned.
struct Machine {
    // Dropped in this order.
    log: Log,
    _disk: Mounted,
    _below: Mounted,
    folder: TempDir,
}

impl Machine {
    async fn new(authority: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let below = Mounted::new(Kind::Xfs, &at("xfs.img"), 4096, &at("xfs"));
        let disk = Mounted::new(Kind::Ext4, &at("xfs/disk.img"), 1024, &at("disk"));
        let mut log = Log::made(authority, Some(&at("disk/log")));
        log.start_again().await;
        Self { log, _disk: disk, _below: below, folder }
    }

    /// The disk after a power cut in this moment.
    async fn cut(&self) {
        let at = |name: &str| self.folder.path().join(name);
        let (from, to) = (at("xfs/disk.img"), at("xfs/cut.img"));
        let cloned = tokio::task::spawn_blocking(move || {
            run("cp", [OsStr::new("--reflink=always"), from.as_os_str()], &to);
        });
        cloned.await.unwrap();
    }

    /// Starts a log on the disk after the cut, in which a verifier finds nothing wrong. Says how far it has each of these streams.
    async fn starts_after_the_cut(&self, authority: &Authority, writers: &[&Writer]) -> Vec<Head> {
        let at = |name: &str| self.folder.path().join(name);
        let disk = Mounted::of(&at("xfs/cut.img"), &at("cut"));
        let folder: &Path = &at("cut/log");
        let mut log = Log::found(authority, Some(folder), &self.log.verifier);
        log.start_again().await;
        log.stop().await;
        let heads = log.heads();
        is_clean(folder, &self.log.verifier);
        drop((log, disk));
        std::fs::remove_file(at("xfs/cut.img")).unwrap();
        writers.iter().map(|writer| heads.get(&writer.stream()).copied().unwrap_or_default()).collect()
    }
}

#[test]
fn what_is_acknowledged_before_the_power_goes_is_there_when_it_is_back() {
    let rounds = if is_soak() { 20 } else { 1 };
    let mut dice = dice("power");
    let (mut kept, mut more) = (0, 0);
    for _ in 0..rounds {
        runtime().block_on(async {
            let authority = Authority::new();
            let mut machine = Machine::new(&authority).await;
            let mut cast = Cast::begins((&authority, &machine.log), 16).await;
            let writers: Vec<&Writer> = cast.writers().collect();
            for _ in 0..CUTS {
                let before = Duration::from_micros(20_000 + dice(300_000));
                let cut = async {
                    sleep(before).await;
                    let acknowledged: Vec<u64> = writers.iter().map(|one| one.acknowledged()).collect();
                    machine.cut().await;
                    acknowledged
                };
                let acknowledged = cast.say_while(Duration::from_millis(2), cut).await;
                let heads = machine.starts_after_the_cut(&authority, &writers).await;
                for ((writer, has), acknowledged) in writers.iter().zip(heads).zip(acknowledged) {
                    let count = has.count.get();
                    assert!(count >= acknowledged, "{count} of {acknowledged} that were acknowledged");
                    assert!(count == 0 || has == writer.head_after(count), "other records than were said");
                    kept += acknowledged;
                    more += count - acknowledged;
                }
            }
            cast.end((&authority, &machine.log)).await;
            machine.log.stop().await;
            cast.are_in(&machine.log);
        });
    }
    println!("{} cuts: {kept} acknowledged records, and {more} others", rounds * CUTS);
}
