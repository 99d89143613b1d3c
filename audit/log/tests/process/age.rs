//! Texts are kept for so many days.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use record::Time;
use record::samples::uid;
use tokio::time::{Instant, sleep};

use super::authority::Authority;
use super::log::Log;
use super::reading::Reader;
use super::runtime;
use super::strace::Trace;
use super::writer::Writer;

const SOON: Duration = Duration::from_secs(60);

/// A day in 2020: older than any limit. All other writers of these tests write in 2027.
fn old() -> Time {
    Time::from_micros(1_600_000_000_000_000).unwrap()
}

/// Whether the key of a grant's texts is there.
fn has_key(log: &Log, grant: u8) -> bool {
    log.folder().join(format!("keys/{}", uid(grant))).exists()
}

/// A log with texts of three grants: all of the first are old, of the second one record is not, of the third all are new. It has stopped.
async fn log_with_old_texts(authority: &Authority) -> Log {
    let mut log = Log::start(authority).await;
    for (grant, run) in [(1, 1), (2, 1)] {
        let writer = Writer::proxy(authority, &log, grant, run).dated(old());
        writer.says(0);
        writer.is_acknowledged(1).await;
    }
    for (grant, run) in [(2, 2), (3, 1)] {
        let writer = Writer::proxy(authority, &log, grant, run);
        writer.says(0);
        writer.is_acknowledged(1).await;
    }
    log.get("/v1/checkpoint").await.unwrap();
    assert!((1..=3).all(|grant| has_key(&log, grant)));
    log.stop().await;
    log
}

async fn says(log: &Log, what: &str) {
    let late = Instant::now() + SOON;
    while !log.said().contains(what) {
        assert!(Instant::now() < late, "it does not say {what:?}:\n{}", log.said());
        sleep(Duration::from_millis(20)).await;
    }
}

/// What the `erase` records of a log say, each with its grant.
async fn erasures(authority: &Authority, log: &Log) -> Vec<(String, serde_json::Value)> {
    let reader = Reader::new(authority, log, "keyhole://audit/*");
    reader.gets("/v1/checkpoint").await;
    let late = Instant::now() + SOON;
    loop {
        let answer = reader.hears(200, "/v1/search?kind=erase").await;
        if answer["complete"] == true {
            let records = answer["records"].as_array().unwrap().iter().map(|told| &told["record"]);
            return records
                .map(|one| (one["grant"].as_str().unwrap().to_owned(), one["what"].clone()))
                .collect();
        }
        assert!(Instant::now() < late, "{answer}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn texts_of_a_grant_that_is_silent_for_longer_than_the_limit_are_erased_on_record_and_no_others() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = log_with_old_texts(&authority).await;
        // Without a limit they stay.
        log.start_again().await;
        assert!(erasures(&authority, &log).await.is_empty() && has_key(&log, 1));
        let reader = Reader::new(&authority, &log, "keyhole://audit/*");
        let old = reader.first(&format!("kind=statement&grant={}", uid(1))).await;
        // To read a text does not keep it.
        reader.gets(&format!("/v1/texts/{old}")).await;
        log.stop().await;

        log.more = ["--texts-for".to_owned(), "90".to_owned()].into();
        log.start_again().await;
        says(&log, "texts that were kept long enough are erased grants=1").await;
        assert_eq!([1, 2, 3].map(|grant| has_key(&log, grant)), [false, true, true]);
        // Nobody asked for it: so it stands on record.
        let on_record = erasures(&authority, &log).await;
        assert_eq!(on_record, [(uid(1).to_string(), serde_json::json!({}))]);
        reader.is_refused(410, &format!("/v1/texts/{old}")).await;
        log.stop().await;

        log.start_again().await;
        says(&log, "texts that were kept long enough are erased grants=0").await;
        assert_eq!(erasures(&authority, &log).await, on_record);
        log.stop().await;
        assert!(log.check().starts_with("clean"), "{}", log.check());
    });
}

#[test]
fn a_clock_that_is_ahead_of_everybodys_erases_nothing() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let writer = Writer::proxy(&authority, &log, 1, 1).dated(old());
        writer.says(0);
        writer.is_acknowledged(1).await;
        log.stop().await;
        // For all that the writers say it is still that day in 2020.
        log.more = ["--texts-for".to_owned(), "90".to_owned()].into();
        log.start_again().await;
        says(&log, "texts that were kept long enough are erased grants=0").await;
        assert!(has_key(&log, 1) && erasures(&authority, &log).await.is_empty());
        log.stop().await;
    });
}

#[test]
fn a_log_that_dies_between_the_record_of_an_erasure_and_the_key_removes_the_key_when_it_starts() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = log_with_old_texts(&authority).await;
        let key = log.folder().join(format!("keys/{}", uid(1)));
        log.more = ["--texts-for".to_owned(), "90".to_owned()].into();
        log.wrapper = Trace::new(&log.beside("trace")).wrapper("/^unlink:signal=KILL");
        log.wrapper.extend(["-P".into(), key.clone().into()]);
        log.spawn();
        assert_eq!(log.ends(SOON).await.signal(), Some(9), "{}", log.said());
        assert!(key.exists());
        log.wrapper.clear();
        // Without a limit: nobody erases anew.
        log.more.clear();
        log.start_again().await;
        assert!(!key.exists());
        assert_eq!(erasures(&authority, &log).await, [(uid(1).to_string(), serde_json::json!({}))]);
        log.stop().await;
    });
}

/// Says whether the texts of an old grant are erased where a bundle cannot be read: the second of the log, behind which all are old, or the
/// third, behind which some are not.
async fn erases_where_is_damaged(bundle: &str) -> bool {
    let authority = Authority::new();
    let mut log = Log::start(&authority).await;
    let writer = Writer::proxy(&authority, &log, 1, 1).dated(old());
    for number in 0..800 {
        writer.says(number);
    }
    writer.is_heard().await;
    let writer = Writer::proxy(&authority, &log, 2, 1);
    writer.says(0);
    writer.is_acknowledged(1).await;
    log.get("/v1/checkpoint").await.unwrap();
    log.stop().await;
    std::fs::write(log.folder().join("tile/entries").join(bundle), b"rotten").unwrap();
    for file in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        let _ = std::fs::remove_file(log.folder().join(file));
    }
    log.more = ["--texts-for".to_owned(), "90".to_owned()].into();
    log.start_again().await;
    says(&log, "texts that were kept long enough are erased grants=").await;
    assert!(has_key(&log, 2));
    !has_key(&log, 1)
}

#[test]
fn a_bundle_that_cannot_be_read_holds_up_the_erasure_by_age_only_until_one_behind_it_is_old() {
    runtime().block_on(async {
        assert!(erases_where_is_damaged("001").await);
        assert!(!erases_where_is_damaged("002").await);
    });
}

#[test]
fn the_keys_of_a_log_that_was_given_up_are_erased_by_who_may_erase_everywhere() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = log_with_old_texts(&authority).await;
        for segment in std::fs::read_dir(log.folder().join("journal")).unwrap() {
            std::fs::remove_file(segment.unwrap().path()).unwrap();
        }
        log.accepts_loss();
        let given_up = std::fs::read_dir(log.folder().join("old")).unwrap().next().unwrap().unwrap().path();
        let has_old_key = |grant| given_up.join(format!("keys/{}", uid(grant))).exists();
        assert!((1..=3).all(has_old_key));
        log.more = ["--texts-for".to_owned(), "90".to_owned()].into();
        log.start_again().await;
        says(&log, "texts that were kept long enough are erased grants=0").await;
        let erases = async |uri, grant| {
            let order = format!(r#"{{"grant":"{}"}}"#, uid(grant));
            Reader::new(&authority, &log, uri).sends("POST", "/v1/erase", &order).await.unwrap().0
        };
        assert_eq!(erases("keyhole://erase/shop", 1).await, 403);
        assert_eq!(erases("keyhole://erase/*", 77).await, 404, "it has no key either");
        assert!((1..=3).all(has_old_key));
        assert_eq!(erases("keyhole://erase/*", 1).await, 200);
        assert_eq!([1, 2, 3].map(has_old_key), [false, true, true]);
        let on_record: Vec<String> =
            erasures(&authority, &log).await.into_iter().map(|(grant, _)| grant).collect();
        assert_eq!(on_record, [uid(1).to_string()]);
        log.stop().await;
    });
}
