//! Each kind of system call by which the log works on its files fails once, or is the last one that it makes: at the first, at the second,
//! and so on, while writers write. Then the log is started again, and has everything that it acknowledged.
//!
//! The log makes such calls elsewhere, too: for libraries, its identity, sockets. At which moments it makes one in its folder, a life without
//! faults shows before; and of each kind one fault at least must have come there.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::authority::Authority;
use super::log::{Log, Reader};
use super::story::Cast;
use super::strace::{Trace, is_one};
use super::writer::{Writer, Writers};
use super::{dice, is_soak, runtime};

/// The calls that change files. When there is no room, these fail.
const WRITES: &[&str] = &["openat", "pwrite64", "fdatasync", "/^rename", "/^mkdir", "ftruncate"];

/// The other calls that name a file or a folder, or one that is open.
const OTHERS: &[&str] = &[
    "fsync",
    "/^unlink",
    "rmdir",
    "read",
    "pread64",
    "statx",
    "newfstatat",
    "getdents64",
    "statfs",
    "flock",
    "fcntl",
];

/// What the log does with files besides. Nobody looks how it went; and `mmap` is the index's alone, which is made again.
const NOT_TRIED: &[&str] = &["close", "execve", "fadvise64", "fchown", "lseek", "mmap", "munmap"];

/// What a fault may harm that the log goes on without, and does not end: a reader is told that there is no such file, a writer that it has to
/// try again, the index is made again, and an empty folder stays.
const SPARED: &[&str] = &["/checkpoint\"", "/keys/", "/index.sqlite", "rmdir("];

/// What reads. While the log runs, most of that is for readers, the index and the scrub, which tell it; and how long a file is that is read,
/// need not be known.
const READS: &[&str] = &["openat(", "read(", "statx(", "newfstatat(", "getdents64(", "fcntl("];

/// How long the life without faults is.
const REHEARSAL: Duration = Duration::from_millis(1_500);

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a log may go on until the call is made so often. What is done at a start depends on what the life before has left, so that the call
/// may be made less often than in the life without faults.
const COMES: Duration = Duration::from_secs(5);

/// How long a log that was not ended by its fault must go on.
const HARMLESS: Duration = Duration::from_millis(300);

/// How many grants have a proxy that talks meanwhile.
const GRANTS: usize = 4;

/// How often each proxy says something.
const PAUSE: Duration = Duration::from_millis(5);

/// What goes wrong, and when.
struct Fault {
    call: &'static str,
    /// As strace has it.
    what: &'static str,
    /// In which call of that kind, of whatever thread makes so many first.
    number: u64,
}

impl Fault {
    fn inject(&self) -> String {
        let Self { call, what, number } = self;
        format!("{call}:{what}:when={number}")
    }

    fn kills(&self) -> bool {
        self.what == "signal=KILL"
    }
}

/// What a fault led to.
#[derive(Debug)]
struct Came {
    /// The call that it met, with the names of its files.
    call: String,
    /// How the process ended; `None`: it went on.
    ended: Option<ExitStatus>,
    /// Whether the thread of that call wrote to the journal after it.
    journal_after: bool,
}

/// A log, its proxies, and what goes wrong.
struct Trial {
    log: Log,
    cast: Cast,
    trace: Trace,
}

impl Trial {
    /// A life without faults: at which of its calls of each kind the log would meet a fault in its folder.
    async fn rehearses(&mut self, calls: &[&'static str]) -> BTreeMap<&'static str, Vec<u64>> {
        self.log.wrapper = self.trace.watches(&["%file", "%desc"]);
        self.log.start_again().await;
        let reader = self.log.reader();
        let life = async { _ = timeout(REHEARSAL, hurries(reader)).await };
        self.cast.say_while(PAUSE, life).await;
        self.log.kill();
        self.log.wrapper.clear();
        // What strace wrote is there a moment after the program is gone.
        sleep(Duration::from_millis(50)).await;
        let folder = self.log.folder().to_string_lossy().into_owned();
        let known = [WRITES, OTHERS, NOT_TRIED].concat();
        for name in self.trace.names_in(&folder) {
            assert!(
                known.iter().any(|call| is_one(&name, call)),
                "{name}: it is not known what a fault does there"
            );
        }
        let here = |call: &&'static str| {
            let firsts = self.trace.firsts(call).into_iter();
            (*call, firsts.filter(|(_, made)| made.contains(&folder)).map(|(number, _)| number).collect())
        };
        calls.iter().map(here).collect()
    }

    /// One life of the log, with this fault in it. `None`: it did not come.
    async fn lives(&mut self, fault: &Fault) -> Option<Came> {
        self.log.wrapper = self.trace.wrapper(&fault.inject());
        self.log.spawn();
        let Self { log, trace, cast } = self;
        let reader = log.reader();
        let came = async {
            tokio::select! {
                ended = comes(log, trace, cast) => ended,
                () = hurries(reader) => unreachable!("it hurries for ever"),
            }
        };
        let came = cast.say_while(PAUSE, came).await;
        log.wrapper.clear();
        let ended = came?;
        let late = Instant::now() + PATIENCE;
        loop {
            let met = if fault.kills() {
                trace.firsts(fault.call).remove(&fault.number).map(|call| (call, false))
            } else {
                trace.injected().map(|injected| (injected.call, injected.journal_after))
            };
            if let Some((call, journal_after)) = met {
                return Some(Came { call, ended, journal_after });
            }
            assert!(Instant::now() < late, "{}: {ended:?}, and not by the fault", fault.inject());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The next life, without faults: all is there that was ever said.
    async fn recovers(&mut self) {
        self.log.start_again().await;
        self.cast.are_heard().await;
        self.log.kill();
    }
}

/// Asks for checkpoints at every moment: else the tree would be made once a second.
async fn hurries(reader: Reader) {
    loop {
        let _ = timeout(Duration::from_secs(1), reader.get("/v1/checkpoint")).await;
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the fault came, and for what it leads to: how the process ended, or that it goes on. `None`: it did not come.
async fn comes(log: &mut Log, trace: &Trace, cast: &Cast) -> Option<Option<ExitStatus>> {
    let late = Instant::now() + COMES;
    while !trace.has_injected() {
        if log.ended().is_some() {
            return Some(Some(log.ends(PATIENCE).await));
        }
        if Instant::now() > late {
            log.kill();
            return None;
        }
        sleep(Duration::from_millis(20)).await;
    }
    let until = Instant::now() + HARMLESS;
    while Instant::now() < until {
        if log.ended().is_some() {
            return Some(Some(log.ends(PATIENCE).await));
        }
        sleep(Duration::from_millis(10)).await;
    }
    if log.is_ready(PATIENCE).await {
        cast.are_heard().await;
        log.kill();
        return Some(None);
    }
    Some(Some(log.ends(PATIENCE).await))
}

/// What a fault may lead to. Says in a word what it led to, and whether it came in this folder.
fn judge(fault: &Fault, came: &Came, folder: &str, said: &str) -> (&'static str, bool) {
    let (inject, is_here) = (fault.inject(), came.call.contains(folder));
    let is = |calls: &[&str]| calls.iter().any(|call| came.call.starts_with(call));
    let word = match came.ended {
        Some(status) if fault.kills() => {
            assert_eq!(status.signal(), Some(9), "{inject}: {came:?}");
            if is_here { "killed" } else { "killed elsewhere" }
        }
        Some(status) if is_here => {
            assert!(said.contains("os error"), "{inject}: {came:?} and it does not say why: {said}");
            // Before it is known which log it is.
            let is_first =
                ["/keys.json", "/lock", "/giving-up.json"].iter().any(|first| came.call.contains(first));
            let expected = if is_first { 1 } else { 3 };
            assert_eq!(status.code(), Some(expected), "{inject}: {came:?}");
            let is_journal = is(&["pwrite64(", "fdatasync("]) && came.call.contains("/journal/");
            assert!(!(is_journal && came.journal_after), "it went on after {came:?}");
            if is_journal { "ended by the journal" } else { "ended by a file" }
        }
        None if is_here => {
            let is_spared = SPARED.iter().any(|spared| came.call.contains(spared));
            // Of the journal only its length, for whoever reads it: whether it is still at its path must be known.
            let of_journal = came.call.contains("/journal/");
            let is_length = is(&["statx(", "newfstatat("]) && came.call.contains("AT_EMPTY_PATH");
            let is_read = is(READS) && !came.call.contains("O_CREAT") && (!of_journal || is_length);
            assert!(is_spared || is_read || came.call.contains("F_GETFD"), "{inject}: {came:?}");
            "harmless"
        }
        // A library, or the identity: whether it runs without is not the disk's matter.
        Some(status) => {
            assert!(status.code().is_some_and(|code| code != 0), "{inject}: {came:?}");
            "ended before it was open"
        }
        None => "elsewhere",
    };
    (word, is_here)
}

/// Lets each of these calls have this fault at so many of its moments in the log's folder, or at each of them if there are fewer.
fn tries(what: &'static str, calls: &[(&'static str, usize)]) {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let cast = Cast::begins((&authority, &log), GRANTS).await;
        log.kill();
        let folder = log.folder().to_string_lossy().into_owned();
        let trace = Trace::new(&log.beside("trace"));
        let (mut trial, mut dice) = (Trial { log, cast, trace }, dice(what));
        let mut dice = |below: usize| usize::try_from(dice(u64::try_from(below).unwrap())).unwrap();
        let names: Vec<_> = calls.iter().map(|(call, _)| *call).collect();
        let moments = trial.rehearses(&names).await;
        let mut counts: BTreeMap<_, u64> = BTreeMap::new();
        for (call, times) in calls {
            let (here, mut came_here) = (&moments[call], 0);
            assert!(!here.is_empty(), "{call}: the log makes none in its folder");
            // One of each part of them, from any part on.
            let parts: Vec<&[u64]> = here.chunks(here.len().div_ceil(PARTS.max(*times))).collect();
            let first = dice(parts.len());
            for part in parts.iter().cycle().skip(first).take(parts.len()) {
                let fault = Fault { call, what, number: part[dice(part.len())] };
                let before = trial.log.said().len();
                let word = match trial.lives(&fault).await {
                    None => "never came",
                    Some(came) => {
                        let said = trial.log.said().split_off(before);
                        let (word, is_here) = judge(&fault, &came, &folder, &said);
                        came_here += usize::from(is_here);
                        word
                    }
                };
                *counts.entry((*call, word)).or_insert(0) += 1;
                trial.recovers().await;
                if came_here == *times {
                    break;
                }
            }
            assert!(came_here > 0, "{call}: {what} never came in the log's folder: {counts:?}");
        }
        trial.log.start_again().await;
        trial.cast.end((&authority, &trial.log)).await;
        trial.log.stop().await;
        trial.cast.are_in(&trial.log);
        println!("{what}: {counts:?}, {} records", trial.cast.writers().map(Writer::said).sum::<u64>());
    });
}

/// Into how many parts the moments of a call are divided at least, each of which has its turn until a fault came in the log's folder.
const PARTS: usize = 4;

/// The calls that change files, and how often each fails.
fn writes() -> Vec<(&'static str, usize)> {
    let times = if is_soak() { 100 } else { 3 };
    WRITES.iter().map(|call| (*call, times)).collect()
}

/// All calls, and how often each fails.
fn all() -> Vec<(&'static str, usize)> {
    let times = if is_soak() { 100 } else { 1 };
    writes().into_iter().chain(OTHERS.iter().map(|call| (*call, times))).collect()
}

#[test]
fn a_log_that_is_killed_in_a_call_has_all_that_it_acknowledged() {
    tries("signal=KILL", &all());
}

#[test]
fn a_call_that_fails_ends_the_log_or_harms_nothing_and_it_has_all_that_it_acknowledged() {
    tries("error=EIO", &all());
}

/// What takes no space does not fail for want of it.
#[test]
fn a_disk_that_has_no_space_ends_the_log_and_it_has_all_that_it_acknowledged() {
    tries("error=ENOSPC", &writes());
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
