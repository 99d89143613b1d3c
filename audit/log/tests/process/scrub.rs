//! A log that runs reads everything again, and names what is damaged.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::authority::Authority;
use super::figures::becomes;
use super::log::Log;
use super::runtime;
use super::writer::Writer;

const FAILURES: &str = "keyhole_log_scrub_failures_total";

/// How long a round may take.
const SOON: Duration = Duration::from_secs(60);

/// Waits until the log has said this behind the first `from` bytes of what it said.
async fn says(log: &Log, from: usize, what: &str) {
    let late = Instant::now() + SOON;
    while !log.said()[from..].contains(what) {
        assert!(Instant::now() < late, "it does not say {what:?}:\n{}", &log.said()[from..]);
        sleep(Duration::from_millis(20)).await;
    }
}

/// A log that rests so long between two rounds.
async fn log(authority: &Authority, rest: u64) -> Log {
    let mut log = Log::made(authority, None);
    log.more = ["--scrub-rest".to_owned(), rest.to_string()].into();
    log.start_again().await;
    log
}

/// Changes a byte of a file until the log has said this of it.
async fn names_changed(log: &Log, file: &Path, at: usize, finding: &str) {
    let whole = std::fs::read(file).unwrap();
    let mut changed = whole.clone();
    changed[at] ^= 1;
    let (before, said) = (becomes(log, FAILURES, |_| true).await, log.said().len());
    std::fs::write(file, &changed).unwrap();
    says(log, said, finding).await;
    becomes(log, FAILURES, |failures| failures > before).await;
    std::fs::write(file, &whole).unwrap();
}

/// Takes a file away until the log has said this of it.
async fn names_missing(log: &Log, file: &Path, finding: &str) {
    let said = log.said().len();
    std::fs::rename(file, log.beside("kept")).unwrap();
    says(log, said, finding).await;
    std::fs::rename(log.beside("kept"), file).unwrap();
}

#[test]
fn a_byte_that_is_changed_under_a_running_log_is_found_by_the_name_of_its_file_and_the_log_goes_on() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = log(&authority, 1).await;
        let writer = Writer::proxy(&authority, &log, 1, 1);
        for number in 0..700 {
            writer.says(number);
        }
        writer.is_acknowledged(700).await;
        log.get("/v1/checkpoint").await.unwrap();
        says(&log, 0, "records=702").await;
        assert!(log.said().contains("damaged=0") && !log.said().contains("is damaged"), "{}", log.said());
        let (last, part) = ("tile/entries/002.p/190", "tile/0/002.p/190");
        // The length of an entry, something within one, a hash, the length of a text.
        for (path, at, finding) in [
            ("tile/entries/001", 0, "tile/entries/001 ends within entry"),
            ("tile/entries/001", 1_000, "tile/entries/001 has other bytes"),
            ("tile/0/000", 40, "tile/0/000 has other bytes"),
            ("tile/1/000.p/2", 40, "tile/1/000.p/2 has other bytes"),
            ("sealed/001", 0, "sealed/001 is torn"),
            (last, 1_000, "tile/entries/002.p/190 has other bytes"),
            (part, 40, "tile/0/002.p/190 has other bytes"),
        ] {
            names_changed(&log, &log.folder().join(path), at, finding).await;
        }
        names_missing(&log, &log.folder().join("tile/entries/000"), "tile/entries/000 is missing").await;
        // The key of the grant's texts, which the log has still in memory.
        let key = std::fs::read_dir(log.folder().join("keys")).unwrap().next().unwrap().unwrap().path();
        names_changed(&log, &key, 40, "is no key of a grant").await;
        // What the log signed last: its text, a signature, and the whole of it.
        let file = log.folder().join("checkpoint");
        for at in [0, std::fs::read(&file).unwrap().len() - 10] {
            names_changed(&log, &file, at, "checkpoint is not what the log signed last").await;
        }
        names_missing(&log, &file, "checkpoint is missing, or cannot be read").await;
        // One finding for each that was damaged, and none of what stands beside it.
        let said = log.said();
        let findings = said.lines().filter(|line| line.contains("is damaged: restore it"));
        assert!(findings.clone().count() >= 9, "{said}");
        assert!(!said.contains("another root") && !said.contains("contradict"), "{said}");

        assert!(log.is_alive().await, "{}", log.said());
        writer.says(700);
        writer.is_acknowledged(701).await;
        log.stop().await;
        assert!(log.check().starts_with("clean"), "{}", log.check());
    });
}

#[test]
fn a_scrub_finds_nothing_in_a_log_that_grows_meanwhile() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = log(&authority, 0).await;
        let writer = Writer::proxy(&authority, &log, 1, 1);
        // Each look makes a checkpoint, and with it other files in the place of those that are not whole.
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            (0..20).for_each(|_| _ = writer.tries_to_say(writer.said()));
            log.get("/v1/checkpoint").await.unwrap();
        }
        writer.is_heard().await;
        becomes(&log, "keyhole_log_scrub_position_records", |position| position > 256.0).await;
        let said = log.said();
        let rounds = said.matches("has read everything again").count();
        assert!(rounds > 3, "{rounds} rounds: {said}");
        assert_eq!(becomes(&log, FAILURES, |_| true).await, 0.0, "{said}");
        log.stop().await;
    });
}
