//! How much memory the log has when nobody writes, how much more for each connection, and how soon it takes records again after it was
//! killed under full load.
//!
//! `cargo bench -p keyhole-log --bench memory`; the log's folder lies in `TMPDIR`. `KEYHOLE_CONNECTIONS`: how many, 1000 unless said;
//! `KEYHOLE_SECONDS`: how long it is under load before each kill, 10 unless said.

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

use std::time::{Duration, Instant};

use authority::Authority;
use log::Log;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use table::{asked, row};
use writer::{Writer, Writers};

/// How often it is killed.
const KILLS: usize = 5;

/// How many write while it is killed.
const WRITERS: u16 = 256;

/// How many records of each of them wait for an acknowledgement, at the most.
const WAITING: u64 = 16;

/// A log whose process id is in a file beside it.
async fn started(authority: &Authority) -> Log {
    let mut log = Log::made(authority, None);
    let file = log.beside("pid").display().to_string();
    let script = format!("echo $$ >'{file}'; exec \"$@\"");
    log.wrapper = ["sh", "-c", &script, "sh"].map(Into::into).to_vec();
    log.start_again().await;
    log
}

/// The memory that it has now, in KiB.
fn resident(log: &Log) -> f64 {
    let process = std::fs::read_to_string(log.beside("pid")).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.trim())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// So many, each with the stream of its own.
fn writers(authority: &Authority, log: &Log, count: u16) -> Writers {
    let one = |number: u16| {
        let [grant, run] = number.to_be_bytes();
        Writer::proxy(authority, log, grant, run)
    };
    Writers((0..count).map(one).collect())
}

async fn connections(authority: &Authority) {
    let count = u16::try_from(asked("KEYHOLE_CONNECTIONS", 1000)).unwrap();
    let log = started(authority).await;
    let idle = resident(&log);
    row("memory of keyhole-log, idle", &format!("{:.1} MiB", idle / 1024.0), "24 MiB");
    let connected = writers(authority, &log, count);
    // A record of each says that it is connected; no text, so that no key of a grant is made for it.
    for writer in &connected.0 {
        writer.puts(record::About::default(), record::samples::open(), Vec::new());
    }
    connected.are_heard().await;
    let each = (resident(&log) - idle) / f64::from(count);
    row(&format!("the same, for each of {count} connections"), &format!("{each:.1} KiB"), "24 KiB");
}

/// All say statements, as fast as they are acknowledged, while something else happens.
async fn load_while<T>(writers: &Writers, happens: impl Future<Output = T>) -> T {
    let talk = async {
        loop {
            for writer in &writers.0 {
                if writer.said() < writer.acknowledged() + WAITING {
                    writer.tries_to_say(writer.said());
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        happened = happens => happened,
        () = talk => unreachable!("it talks for ever"),
    }
}

async fn kills(authority: &Authority) {
    let mut log = started(authority).await;
    let connected = writers(authority, &log, WRITERS);
    let load = Duration::from_secs(asked("KEYHOLE_SECONDS", 10));
    let mut took = Vec::new();
    for _ in 0..KILLS {
        load_while(&connected, tokio::time::sleep(load)).await;
        log.kill();
        let began = Instant::now();
        load_while(&connected, log.start_again()).await;
        took.push(began.elapsed().as_secs_f64());
    }
    connected.are_heard().await;
    took.sort_by(f64::total_cmp);
    let measured = format!("{:.2} s (longest of {KILLS}: {:.2} s)", took[KILLS / 2], took[KILLS - 1]);
    row("it takes records again after a kill under full load", &measured, "2 s");
}

fn main() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let authority = Authority::new();
        connections(&authority).await;
        kills(&authority).await;
    });
}
