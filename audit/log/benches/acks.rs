//! How long it takes until a record is on the disk, beside what the disk itself takes, and how many a second there are: of this log, and
//! of Tessera's POSIX driver on the same disk.
//!
//! `cargo bench -p keyhole-log --bench acks`; the log's folder lies in `TMPDIR`, and that says which disk is measured. `KEYHOLE_SECONDS`: how
//! long each measurement lasts, 10 unless said. All of it runs on one machine: the writers take part of the processor. Tessera's need no
//! network and no TLS, so they take less of it.
//!
//! `KEYHOLE_BUCKET=1`: the log lies in a bucket of versitygw, whose objects lie in `TMPDIR`, and what the disk itself takes is what one PUT of
//! 4 KiB takes. Of Tessera nothing is measured then.
//!
//! Writers who go on at once keep as many records waiting as there are writers, and how long one takes is then how many there are by how
//! many a second are made durable: it says how fast processors and disk are together. How long a record takes by itself is what those
//! hear who write so many a second as a part of that.

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
#[allow(dead_code, reason = "other measurements use more of it")]
mod table;
#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/process/writer.rs"]
mod writer;

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use authority::Authority;
use keyhole_log::bucket::{Bucket as _, Place, S3};
use log::Log;
use servers::S3Server;
use table::{asked, ms, of_hundred, row};
use tokio::sync::Barrier;
use tokio::time::sleep;
use writer::Writer;

/// How many write at once.
const WRITERS: [u16; 3] = [1, 16, 256];

/// How many connections one certificate has.
const ONE_CERTIFICATE: u16 = 4;

/// What a half and what 99 of 100 take at the most.
#[derive(Clone, Copy)]
struct Quantiles {
    p50: Duration,
    p99: Duration,
}

impl Quantiles {
    fn of(mut took: Vec<Duration>) -> Self {
        took.sort();
        Self { p50: of_hundred(&took, 50), p99: of_hundred(&took, 99) }
    }
}

/// How long each measurement lasts.
fn lasts() -> Duration {
    Duration::from_secs(asked("KEYHOLE_SECONDS", 10))
}

/// The disk's own: 4 KiB into a file that is filled, and a sync.
fn disk(folder: &Path) -> Vec<Duration> {
    let path = folder.join("measured");
    let file = std::fs::File::create(&path).unwrap();
    file.write_all_at(&vec![0; 16 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let until = Instant::now() + lasts() / 2;
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

/// The bucket's own: a new object of 4 KiB.
fn puts(bucket: &S3) -> Vec<Duration> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let until = Instant::now() + lasts() / 2;
    let mut took = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        let path = format!("measured/{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        bucket.create(&path, &[7; 4096]).unwrap();
        took.push(began.elapsed());
    }
    took
}

/// A new log in a bucket, and that bucket.
async fn in_bucket(authority: &Authority) -> (Log, S3, S3Server) {
    let store = S3Server::start();
    store.bucket("audit");
    let mut log = Log::found(authority, None, "");
    let credentials = log.beside("credentials");
    store.credentials(&credentials);
    log.more = vec![
        "--create".to_owned(),
        "--bucket=s3://audit/keyhole".to_owned(),
        format!("--bucket-endpoint={}", store.endpoint),
        format!("--bucket-credentials={}", credentials.display()),
    ];
    log.start_again().await;
    let (url, endpoint) = ("s3://audit/other".parse().unwrap(), Some(store.endpoint.clone()));
    let place = Place { url, endpoint, region: "us-east-1".to_owned(), credentials };
    (log, S3::new(&place).unwrap(), store)
}

/// How writers go on when a record is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// With the next one.
    AtOnce,
    /// With the next one after a pause, each of another length: so many a second of all writers, none of whom knows of the others.
    EachSecond(u32),
}

impl Pace {
    fn words(self) -> String {
        match self {
            Self::AtOnce => "at once again".to_owned(),
            Self::EachSecond(records) => format!("{records} records a second in all"),
        }
    }

    /// A pause of one of so many writers. `dice`: below 1.
    fn pause(self, writers: u16, dice: f64) -> Duration {
        match self {
            Self::AtOnce => Duration::ZERO,
            Self::EachSecond(records) => {
                Duration::from_secs_f64(2.0 * dice * f64::from(writers) / f64::from(records))
            }
        }
    }
}

/// Numbers from 0 to 1 that look random (xorshift64*).
fn dice(seed: u16) -> impl FnMut() -> f64 {
    let mut state = (u64::from(seed) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Each writes a record, waits until it is acknowledged, and goes on. `grant`: the first one of those that nobody has written of yet.
async fn writers(authority: &Authority, log: &Log, (count, grant): (u16, u8), pace: Pace) -> Vec<Duration> {
    let all_are_there = Arc::new(Barrier::new(count.into()));
    let tasks: Vec<_> = (0..count)
        .map(|number| {
            let grant = grant + u8::try_from(number / ONE_CERTIFICATE).unwrap();
            let writer = Writer::proxy(authority, log, grant, u8::try_from(number).unwrap());
            let (all_are_there, mut dice) = (Arc::clone(&all_are_there), dice(number));
            tokio::spawn(async move {
                writer.says(0);
                writer.is_acknowledged(1).await;
                all_are_there.wait().await;
                let (until, mut took) = (Instant::now() + lasts(), Vec::new());
                for number in 1.. {
                    if pace != Pace::AtOnce {
                        sleep(pace.pause(count, dice())).await;
                    }
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
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all
}

/// A row for each of both quantiles, beside the disk's own.
fn tell(count: u16, pace: Pace, own: Quantiles, took: Quantiles) {
    let most50 = own.p50.mul_f64(1.3) + Duration::from_micros(150);
    let most99 = own.p99 * 2 + Duration::from_millis(1);
    for (word, took, own, aim, most) in [
        ("p50", took.p50, own.p50, "1.3 × F50 + 0.15 ms", most50),
        ("p99", took.p99, own.p99, "2 × F99 + 1 ms", most99),
    ] {
        let ratio = took.as_secs_f64() / own.as_secs_f64();
        let measured = format!("{} ({ratio:.2} × {})", ms(took), ms(own));
        let what = format!("acknowledgement, {count} writers, {}: {word} (× the disk's own)", pace.words());
        row(&what, &measured, &format!("{aim} = {}", ms(most)));
    }
}

/// Entries a second, p50 and p99 in milliseconds, as Tessera's writer says them.
fn tessera(folder: &Path, age: &str) -> Option<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tlog/tests/foreign/build.sh");
    let built = Command::new(script).arg("writer").stderr(Stdio::inherit()).output().unwrap();
    if !built.status.success() {
        return None;
    }
    let program = String::from_utf8(built.stdout).unwrap();
    let empty = tempfile::tempdir_in(folder).unwrap();
    let mut writer = Command::new(program.trim());
    writer.arg("-dir").arg(empty.path()).args(["-age", age, "-lasts", &format!("{}s", lasts().as_secs())]);
    let ran = writer.stderr(Stdio::null()).output().unwrap();
    assert!(ran.status.success(), "Tessera's writer: {}", ran.status);
    let said = String::from_utf8(ran.stdout).unwrap();
    let [each_second, p50, p99] = said.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{said}") };
    Some(format!("{each_second} /s, p50 {p50} ms, p99 {p99} ms"))
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let authority = Authority::new();
    let (mut log, bucket) = if std::env::var_os("KEYHOLE_BUCKET").is_some() {
        let (log, bucket, store) = runtime.block_on(in_bucket(&authority));
        (log, Some((bucket, store)))
    } else {
        (runtime.block_on(Log::start(&authority)), None)
    };
    let beside = log.beside("");
    let mut each_second = 0.0;
    let paces = [Pace::EachSecond(2_000), Pace::AtOnce];
    let measurements = WRITERS.into_iter().flat_map(|count| paces.map(|pace| (count, pace)));
    let mut grant = 1;
    for (count, pace) in measurements {
        let own = Quantiles::of(bucket.as_ref().map_or_else(|| disk(&beside), |(bucket, _)| puts(bucket)));
        let took = runtime.block_on(writers(&authority, &log, (count, grant), pace));
        grant += u8::try_from(count / ONE_CERTIFICATE + 1).unwrap();
        each_second = took.len() as f64 / lasts().as_secs_f64();
        tell(count, pace, own, Quantiles::of(took));
    }
    row("durable records a second, 256 writers", &format!("{each_second:.0} /s"), "20000 /s");
    log.kill();
    let began = Instant::now();
    runtime.block_on(log.start_again());
    row("a log that was killed takes records again", &ms(began.elapsed()), "10000 ms");
    // Both would be at the disk.
    drop(log);
    if bucket.is_some() {
        return;
    }
    for (age, options) in [("250ms", "as it comes"), ("5ms", "a batch waits 5 ms at the most")] {
        if let Some(said) = tessera(&std::env::temp_dir(), age) {
            row(&format!("Tessera's POSIX driver, 256 writers, {options}"), &said, "");
        }
    }
}
