//! The disk becomes full, or is taken away, while the log runs.

use std::path::PathBuf;
use std::time::Duration;

use record::frame::{Code, Frame};
use record::kinds::proxy::{SessionClose, SessionRefused};
use record::samples::{outcome, proxy_stream, salted, session_open, statement, uid};
use record::{About, Chain, Count, What};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::authority::Authority;
use super::caller::Caller;
use super::log::Log;
use super::mounts::{Kind, Mounted};
use super::reading::sample;
use super::runtime;
use super::writer::{Writer, Writers};

/// How soon the log notices.
const SOON: Duration = Duration::from_secs(2);

/// A log on a small disk.
struct Small {
    // Dropped in this order.
    log: Log,
    disk: Option<Mounted>,
    folder: TempDir,
}

impl Small {
    async fn new(authority: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let disk = Mounted::new(Kind::Ext4, &at("disk.img"), 900, &at("disk"));
        let mut log = Log::made(authority, Some(&at("disk/log")));
        log.start_again().await;
        Self { log, disk: Some(disk), folder }
    }

    fn filler(&self) -> PathBuf {
        self.folder.path().join("disk/filler")
    }

    /// Fills the disk until so many MiB are free.
    fn leaves(&self, mebibytes: u64) {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(self.filler()).unwrap();
        let system = rustix::fs::statvfs(self.folder.path().join("disk")).unwrap();
        let (free, has) = (system.f_bavail * system.f_frsize, file.metadata().unwrap().len());
        let length = has + free - (mebibytes << 20);
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length).unwrap();
    }
}

/// A writer that tries again and again until it hears what it waits for, and says how long it took.
struct Trying<'a> {
    authority: &'a Authority,
    log: &'a Log,
    chain: Chain,
}

impl Trying<'_> {
    /// Hands over one record over a connection of its own. What the log answers.
    async fn hands_over(&mut self, what: What) -> Frame {
        let payload = match &what {
            What::Statement(_) => salted("SELECT 1"),
            _ => Vec::new(),
        };
        let mut caller = Caller::proxy(self.authority, self.log, 1).await;
        caller.greets(&self.chain).await;
        let before = self.chain.clone();
        caller.sends(&mut self.chain, what, payload).await;
        let answer = caller.hears().await.unwrap().unwrap();
        if !matches!(answer, Frame::Ack(_)) {
            self.chain = before;
        }
        answer
    }

    async fn is_taken(&mut self, what: What) {
        let before = self.chain.head().count.get();
        let answer = self.hands_over(what).await;
        assert_eq!(answer, Frame::Ack(Count::of(before + 1)));
    }

    async fn is_refused(&mut self, what: What) {
        let late = Instant::now() + SOON;
        loop {
            match self.hands_over(what.clone()).await {
                Frame::Refuse(refuse) => {
                    assert_eq!(refuse.code, Code::Full);
                    assert_eq!(refuse.sentence, "the audit log is full: give its volume more room");
                    return;
                }
                answer => assert!(Instant::now() < late, "{answer:?} from a log that is full"),
            }
        }
    }

    async fn passes_again(&mut self, what: What) {
        let late = Instant::now() + SOON;
        while !matches!(self.hands_over(what.clone()).await, Frame::Ack(_)) {
            assert!(Instant::now() < late, "it is still full");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn asks() -> What {
    statement(1, &salted("SELECT 1"))
}

fn closes() -> What {
    What::SessionClose(SessionClose {
        counted: Count::of(0),
        session: Count::of(1),
        why: "the client left".into(),
    })
}

#[test]
fn a_disk_that_is_nearly_full_takes_endings_and_no_statements_until_there_is_room() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut small = Small::new(&authority).await;
        let mut chain = Chain::new(proxy_stream(1, 1));
        let mut trying = Trying { authority: &authority, log: &small.log, chain };
        trying.is_taken(session_open(1)).await;
        trying.is_taken(asks()).await;
        small.leaves(450);
        trying.is_refused(asks()).await;
        trying.is_taken(What::Outcome(outcome(Count::of(1)))).await;
        trying.is_taken(closes()).await;
        small.leaves(100);
        trying.is_refused(closes()).await;
        std::fs::remove_file(small.filler()).unwrap();
        trying.passes_again(asks()).await;
        chain = trying.chain;
        small.log.stop().await;
        assert_eq!(small.log.heads()[chain.stream()], chain.head());
    });
}

#[test]
fn writers_that_wait_for_room_lose_nothing() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut small = Small::new(&authority).await;
        let writers = Writers::new(&authority, &small.log, 4);
        let pause = Duration::from_millis(5);
        writers.say_while(pause, sleep(Duration::from_millis(300))).await;
        small.leaves(450);
        writers.say_while(pause, sleep(SOON)).await;
        assert!(writers.0.iter().all(|one| one.acknowledged() < one.said()), "statements are taken");
        std::fs::remove_file(small.filler()).unwrap();
        let before = Instant::now();
        writers.are_heard().await;
        let waited = before.elapsed();
        assert!(waited <= SOON, "{waited:?} until they pass again");
        small.log.stop().await;
        writers.are_in(&small.log);
    });
}

#[test]
fn a_proxy_that_floods_the_log_leaves_room_for_the_operators_ends_and_for_the_logs_next_start() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut small = Small::new(&authority).await;
        small.leaves(400);
        let about = || About { grant: Some(uid(1)), id: None };
        let mut chain = Chain::new(proxy_stream(1, 1));
        let mut flood = Caller::proxy(&authority, &small.log, 1).await;
        flood.greets(&chain).await;
        let refused = loop {
            flood.sends(&mut chain, refuses_at_length(), Vec::new()).await;
            match flood.hears().await.unwrap().unwrap() {
                Frame::Ack(_) => assert!(chain.head().count.get() < MOST, "it is never refused"),
                Frame::Refuse(refuse) => break refuse,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused.code, Code::Full);
        let operator = Writer::operator(&authority, &small.log);
        operator.puts(about(), sample("receipt"), Vec::new());
        operator.is_heard().await;
        small.log.kill();
        small.log.start_again().await;
        operator.puts(about(), sample("receipt"), Vec::new());
        operator.is_heard().await;
        small.log.stop().await;
        assert_eq!(small.log.heads()[&operator.stream()], operator.head());
    });
}

/// How many of the longest records 400 MiB have room for.
const MOST: u64 = 6_500;

/// A record that is nearly as long as one may be.
fn refuses_at_length() -> What {
    What::SessionRefused(SessionRefused {
        more: Count::of(0),
        peer: "127.0.0.1:1".into(),
        session: Count::of(1),
        why: "x".repeat(65_000),
    })
}

/// The log's only segment, as it runs so short.
const SEGMENT: &str = "journal/0000000000000000";

/// Writers write, something happens to the log's folder, and the log ends within two seconds with exit code 3.
async fn ends_by(log: &mut Log, authority: &Authority, happens: impl FnOnce(&Log)) -> Writers {
    let writers = Writers::new(authority, log, 4);
    let pause = Duration::from_millis(5);
    writers.say_while(pause, sleep(Duration::from_millis(300))).await;
    happens(log);
    let status = writers.say_while(pause, log.ends(SOON)).await;
    assert_eq!(status.code(), Some(3));
    writers
}

#[test]
fn a_log_whose_journal_is_removed_ends() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        ends_by(&mut log, &authority, |log| std::fs::remove_file(log.folder().join(SEGMENT)).unwrap()).await;
        assert!(log.said().contains("the journal's file was removed or replaced while it was written"));
    });
}

#[test]
fn a_log_whose_journal_is_replaced_ends() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let replace = |log: &Log| {
            let (file, copy) = (log.folder().join(SEGMENT), log.folder().join("copy"));
            std::fs::copy(&file, &copy).unwrap();
            std::fs::rename(&copy, &file).unwrap();
        };
        ends_by(&mut log, &authority, replace).await;
        assert!(log.said().contains("the journal's file was removed or replaced while it was written"));
    });
}

#[test]
fn a_log_whose_volume_becomes_read_only_ends_and_goes_on_when_it_is_mended() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut small = Small::new(&authority).await;
        let disk = small.disk.take().unwrap();
        let writers = ends_by(&mut small.log, &authority, |_| disk.becomes_read_only()).await;
        drop(disk);
        let at = |name: &str| small.folder.path().join(name);
        small.disk = Some(Mounted::of(&at("disk.img"), &at("disk")));
        small.log.start_again().await;
        writers.are_heard().await;
        small.log.stop().await;
        writers.are_in(&small.log);
    });
}
