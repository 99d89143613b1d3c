//! How long it takes until a record is on the disk, beside what the disk itself takes, and how many a second there are.
//!
//! `cargo bench -p keyhole-log`; the log's folder lies in `TMPDIR`. All of it runs on one machine: the writers take part of the processor.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/process/authority.rs"]
mod authority;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/process/log.rs"]
mod log;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/process/writer.rs"]
mod writer;

use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use authority::Authority;
use log::Log;
use writer::Writer;

/// How long each measurement lasts.
const LASTS: Duration = Duration::from_secs(10);

/// What a half and what 99 of 100 take at the most.
fn quantiles(mut took: Vec<Duration>) -> (Duration, Duration) {
    took.sort();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

/// The disk's own: 4 KiB into a file that is filled, and a sync.
fn disk(log: &Log) -> Vec<Duration> {
    let path = log.folder().join("measured");
    let file = std::fs::File::create(&path).unwrap();
    file.write_all_at(&vec![0; 16 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let until = Instant::now() + LASTS / 2;
    let mut took = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        let offset = u64::try_from(took.len() % 4096).unwrap() * 4096;
        file.write_all_at(&[7; 4096], offset).unwrap();
        file.sync_data().unwrap();
        took.push(began.elapsed());
    }
    std::fs::remove_file(path).unwrap();
    took
}

async fn writers(authority: &Authority, log: &Log, count: u8, base: u8) -> (Vec<Duration>, Duration) {
    let tasks: Vec<_> = (0..count)
        .map(|run| {
            let writer = Writer::proxy(authority, log, base, run);
            tokio::spawn(async move {
                writer.says(0);
                writer.is_acknowledged(1).await;
                let (until, mut took) = (Instant::now() + LASTS, Vec::new());
                for number in 1.. {
                    let began = Instant::now();
                    if began > until {
                        break;
                    }
                    writer.says(number);
                    writer.is_acknowledged(number + 1).await;
                    took.push(began.elapsed());
                }
                took
            })
        })
        .collect();
    let began = Instant::now();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    (all, began.elapsed())
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let authority = Authority::new();
        let log = Log::start(&authority).await;
        for (number, count) in (1..).zip([1, 16, 255]) {
            let (own50, own99) = quantiles(disk(&log));
            let (took, lasted) = writers(&authority, &log, count, number).await;
            let each_second = took.len() as f64 / lasted.as_secs_f64();
            let (p50, p99) = quantiles(took);
            println!(
                "{count:>3} writers: p50 {p50:?} (disk {own50:?}), p99 {p99:?} (disk {own99:?}), {each_second:.0} records/s"
            );
        }
    });
}
