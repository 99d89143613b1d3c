//! Each kind of system call by which the log works on its files fails once, or is the last one that it makes: at the first, at the second,
//! and so on, while writers write. Then the log is started again, and has everything that it acknowledged.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::authority::Authority;
use super::log::Log;
use super::strace::{Injected, Trace};
use super::writer::Writers;
use super::{dice, is_soak, runtime};

/// The calls, and how often a thread makes each within a second or two.
const CALLS: &[(&str, u64)] = &[
    ("openat", 90),
    ("pwrite64", 60),
    ("fdatasync", 60),
    ("fsync", 25),
    ("/^rename", 25),
    ("/^unlink", 12),
    ("/^mkdir", 6),
];

/// How long a log may go on until the call is made so often.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a log that was not ended by its fault must go on.
const HARMLESS: Duration = Duration::from_millis(300);

/// How a fault ended.
#[derive(Debug)]
enum Came {
    /// The process ended.
    Ended(ExitStatus, Option<Injected>),
    /// It went on.
    Harmless(Injected),
}

/// A log, its writers, and what goes wrong.
struct Trial {
    log: Log,
    writers: Writers,
    trace: Trace,
}

impl Trial {
    /// One life of the log, with this fault in it.
    async fn live(&mut self, inject: &str) -> Came {
        self.log.wrapper = self.trace.wrapper(inject);
        self.log.spawn();
        // Checkpoints at every moment: else the tree would be made once a second.
        let reader = self.log.reader();
        let hurry = async {
            loop {
                let _ = timeout(Duration::from_secs(1), reader.get("/v1/checkpoint")).await;
                sleep(Duration::from_millis(20)).await;
            }
        };
        let Self { log, trace, writers } = self;
        let came = async {
            tokio::select! {
                came = comes(log, trace, writers) => came,
                () = hurry => unreachable!("it hurries for ever"),
            }
        };
        let came = writers.say_while(Duration::from_millis(5), came).await;
        self.log.wrapper.clear();
        came
    }

    /// The next life, without faults: all is there that was ever said.
    async fn recovers(&mut self) {
        self.log.start_again().await;
        self.writers.are_heard().await;
        self.log.kill();
    }
}

async fn comes(log: &mut Log, trace: &Trace, writers: &Writers) -> Came {
    let late = Instant::now() + PATIENCE;
    let mut injected = None;
    while injected.is_none() {
        if let Some(status) = log.ended() {
            // What strace wrote is there a moment after the program is gone.
            sleep(Duration::from_millis(50)).await;
            return Came::Ended(
                log.ends(PATIENCE).await,
                trace.injected().filter(|_| status.code().is_some()),
            );
        }
        assert!(Instant::now() < late, "the fault did not come within {PATIENCE:?}");
        sleep(Duration::from_millis(20)).await;
        injected = trace.injected();
    }
    let until = Instant::now() + HARMLESS;
    while Instant::now() < until {
        if log.ended().is_some() {
            sleep(Duration::from_millis(50)).await;
            return Came::Ended(log.ends(PATIENCE).await, trace.injected());
        }
        sleep(Duration::from_millis(10)).await;
    }
    if log.is_ready(PATIENCE).await {
        writers.are_heard().await;
        log.kill();
        return Came::Harmless(injected.unwrap());
    }
    Came::Ended(log.ends(PATIENCE).await, trace.injected())
}

/// What a fault in this folder may lead to. Says in a word what it led to.
fn judge(inject: &str, came: &Came, folder: &str, said: &str) -> &'static str {
    let is_killed = inject.contains("signal=KILL");
    match came {
        Came::Ended(status, injected) if is_killed => {
            assert_eq!((status.signal(), injected.is_some()), (Some(9), false), "{inject}: {came:?}");
            "killed"
        }
        Came::Ended(status, Some(injected)) if injected.call.contains(folder) => {
            assert!(said.contains("os error"), "{inject}: {came:?} and it does not say why: {said}");
            let expected = if injected.call.contains("keys.json") { 1 } else { 3 };
            assert_eq!(status.code(), Some(expected), "{inject}: {came:?}");
            let is_journal = ["pwrite64(", "fdatasync("].iter().any(|call| injected.call.contains(call))
                && injected.call.contains("/journal/");
            assert!(!(is_journal && injected.journal_after), "it went on after {injected:?}");
            if is_journal { "ended by the journal" } else { "ended by a file" }
        }
        Came::Harmless(injected) if injected.call.contains(folder) => {
            // A reader is told that there is no such file, a writer that it has to try again, the index is made again, and an empty folder
            // stays.
            let may = ["/checkpoint\"", "/keys/", "/index.sqlite", "rmdir("];
            assert!(may.iter().any(|may| injected.call.contains(may)), "{inject}: {came:?}");
            "harmless"
        }
        // A library, or the identity: whether it runs without is not the disk's matter.
        Came::Ended(status, Some(_)) => {
            assert!(status.code().is_some_and(|code| code != 0), "{inject}: {came:?}");
            "ended before it was open"
        }
        Came::Harmless(_) => "elsewhere",
        Came::Ended(_, None) => panic!("{inject}: it ended, and not by the fault: {came:?}"),
    }
}

/// Lets each of these calls have this fault at `times` moments, or at each of its moments if there are fewer.
fn tries(fault: &str, calls: &[(&str, u64)], times: u64) {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        log.kill();
        let folder = log.folder().to_string_lossy().into_owned();
        let trace = Trace::new(&log.beside("trace"));
        let writers = Writers::new(&authority, &log, 4);
        let (mut trial, mut dice) = (Trial { log, writers, trace }, dice(fault));
        let mut counts = std::collections::BTreeMap::new();
        for (call, most) in calls {
            for time in 0..times.min(*most) {
                // One of each part of the spread.
                let (from, to) = (1 + time * most / times, 1 + (time + 1) * most / times);
                let nth = if times >= *most { time + 1 } else { from + dice(to - from) };
                let inject = format!("{call}:{fault}:when={nth}");
                let before = trial.log.said().len();
                let came = trial.live(&inject).await;
                let said = trial.log.said().split_off(before);
                *counts.entry(judge(&inject, &came, &folder, &said)).or_insert(0) += 1;
                trial.recovers().await;
            }
        }
        trial.log.start_again().await;
        trial.log.stop().await;
        trial.writers.are_in(&trial.log);
        println!(
            "{fault}: {counts:?}, {} records",
            trial.writers.0.iter().map(|one| one.said()).sum::<u64>()
        );
    });
}

/// How many moments of each call are tried.
fn times() -> u64 {
    if is_soak() { 100 } else { 3 }
}

#[test]
fn a_log_that_is_killed_in_a_call_has_all_that_it_acknowledged() {
    tries("signal=KILL", CALLS, times());
}

#[test]
fn a_call_that_fails_ends_the_log_and_it_has_all_that_it_acknowledged() {
    tries("error=EIO", CALLS, times());
}

#[test]
fn a_disk_that_has_no_space_ends_the_log_and_it_has_all_that_it_acknowledged() {
    let takes_space = |(call, _): &&(&str, u64)| !["/^unlink", "fsync"].contains(call);
    let calls: Vec<_> = CALLS.iter().filter(takes_space).copied().collect();
    tries("error=ENOSPC", &calls, times());
}

#[test]
fn on_a_slow_disk_acknowledgements_are_late_and_nothing_fails() {
    const SLOW: Duration = Duration::from_millis(200);
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::made(&authority, None);
        log.wrapper = Trace::new(&log.beside("trace")).wrapper("fdatasync:delay_enter=200ms");
        log.start_again().await;
        let writers = Writers::new(&authority, &log, 4);
        writers.says_once();
        writers.are_heard().await;
        for _ in 0..10 {
            let before = Instant::now();
            writers.says_once();
            writers.are_heard().await;
            let waited = before.elapsed();
            assert!(waited >= SLOW, "{waited:?}: the disk is not slow");
        }
        let moment = sleep(Duration::from_secs(3));
        writers.say_while(Duration::from_millis(20), moment).await;
        writers.are_heard().await;
        assert!(log.ended().is_none());
        // On a machine that has other work besides, a writer may call the log away for a moment; it waits, and loses nothing.
        let away: u64 = writers.0.iter().map(|writer| writer.was_away()).sum();
        println!("a slow disk: the log was away {away} times");
        log.stop().await;
        writers.are_in(&log);
    });
}
