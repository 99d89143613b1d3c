//! How long the log takes to answer what is asked for most, among many records: what a person did on a day, and the story of a grant.
//!
//! `cargo bench -p keyhole-log --bench search`; the log's folder lies in `TMPDIR` and is removed in the end. `KEYHOLE_RECORDS`: how many,
//! 10,000,000 unless said, which take 6 GB; where the disk has no room for them, it is as many as fit. The log's own engine makes its
//! folder, on a disk that is told to sync nothing; then the program itself runs on it.

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
mod many;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/process/reading.rs"]
mod reading;
#[allow(dead_code, reason = "other measurements use more of it")]
mod table;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/process/writer.rs"]
mod writer;

use std::path::Path;
use std::time::{Duration, Instant};

use authority::Authority;
use log::Log;
use many::{Made, STATEMENTS};
use reading::Reader;
use rustix::fs::statvfs;
use table::{asked, ms, of_hundred, row};

/// How often each question is asked.
const TIMES: usize = 21;

/// Bytes on the disk for each record, the index included.
const BYTES: u64 = 640;

/// What stays free, in bytes: below half a GiB the log takes no statements.
const FREE: u64 = 3 << 30;

/// How many are asked for, or fit.
fn records(folder: &Path) -> u64 {
    let asked = asked("KEYHOLE_RECORDS", 10_000_000);
    let disk = statvfs(folder).unwrap();
    let room = (disk.f_bavail * disk.f_frsize).saturating_sub(FREE) / BYTES;
    if room < asked {
        eprintln!("no more than {room} records fit");
    }
    asked.min(room)
}

/// Waits until the index knows all records.
async fn is_indexed(reader: &Reader) -> Duration {
    let began = Instant::now();
    let mut told = began;
    loop {
        let answer = reader.hears(200, "/v1/search?limit=1").await;
        if answer["indexed"] == answer["size"] {
            return began.elapsed();
        }
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            eprintln!("{} of {} records are in the index", answer["indexed"], answer["size"]);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// How long the answers took, sorted, each over a connection of its own; and how many records the first page of the last has.
async fn asks(reader: &Reader, paths: &[&str]) -> (Vec<Duration>, usize) {
    let (mut took, mut count) = (Vec::new(), 0);
    for _ in 0..TIMES {
        let began = Instant::now();
        for path in paths {
            let answer = reader.hears(200, path).await;
            count = answer["records"].as_array().unwrap().len();
            assert!(count > 0, "{path}: {answer}");
        }
        took.push(began.elapsed());
    }
    took.sort();
    (took, count)
}

async fn tell(reader: &Reader, what: &str, paths: &[&str], aim: &str) {
    let (took, count) = asks(reader, paths).await;
    let measured =
        format!("{} (longest {}; {count} records)", ms(of_hundred(&took, 50)), ms(took[TIMES - 1]));
    row(what, &measured, aim);
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let Made { size, person, day, grant, name, namespace } =
        many::make(folder.path(), records(folder.path()));
    eprintln!("{size} records are made in {:.0?}", began.elapsed());
    runtime.block_on(async {
        let authority = Authority::new();
        let mut log = Log::found(&authority, Some(folder.path()), "");
        log.start_again().await;
        let reader = Reader::new(&authority, &log, "keyhole://operator");
        eprintln!("they are in the index after {:.0?}", is_indexed(&reader).await);
        let search = format!("/v1/search?user={person}&from={day}T00:00:00Z&to={day}T23:59:59Z");
        tell(&reader, &format!("search by person and day in {size} records"), &[&search], "200 ms").await;
        let story = format!("/v1/story/{grant}");
        let what = format!("story of a grant of {STATEMENTS} statements in {size} records, without texts");
        tell(&reader, &what, &[&story], "300 ms").await;
        // What `kubectl keyhole audit show` asks: who is called so, and which grant came of it.
        let named = format!("/v1/search?name={name}&namespace={namespace}");
        let request = reader.hears(200, &named).await["records"][0]["record"]["what"]["uid"].clone();
        let came = format!("/v1/search?request={}&namespace={namespace}", request.as_str().unwrap());
        tell(&reader, "the same, by the name of its request", &[&named, &came, &story], "300 ms").await;
    });
}
