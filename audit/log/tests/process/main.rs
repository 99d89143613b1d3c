//! The log as a process, with writers over TLS: what is acknowledged is there, whatever happens to the process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod age;
mod answers;
mod authority;
mod bucket;
mod caller;
mod callers;
mod calls;
mod crowds;
mod fence;
mod figures;
mod foreign;
mod log;
mod memory;
mod mirror;
mod mounts;
mod power;
mod protocol;
mod prune;
mod reading;
mod room;
mod scrub;
mod story;
mod strace;
mod writer;

use std::time::Duration;

use record::What;
use tlog::{Bundle, Hash, Holds, Note, TileName};

use self::authority::Authority;
use self::log::Log;
use self::story::Cast;
use self::writer::Writer;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Whether all of it is to be tried that takes long.
fn is_soak() -> bool {
    std::env::var_os("KEYHOLE_SOAK").is_some()
}

/// Numbers that look random, each below the one that is asked: the same in every run for one name and one KEYHOLE_SEED.
fn dice(name: &str) -> impl FnMut(u64) -> u64 {
    let seed: u64 = std::env::var("KEYHOLE_SEED").map_or(0, |seed| seed.parse().unwrap());
    println!("KEYHOLE_SEED={seed}");
    let mut state = name.bytes().fold(seed, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    move |below| {
        // SplitMix64, as Steele, Lea and Flood give it.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}

/// A log that has acknowledged 300 records of one proxy, which is there still.
async fn with_300_records() -> (Log, Writer) {
    let authority = Authority::new();
    let log = Log::start(&authority).await;
    let writer = Writer::proxy(&authority, &log, 1, 1);
    for number in 0..300 {
        writer.says(number);
    }
    writer.is_acknowledged(300).await;
    (log, writer)
}

#[test]
fn what_is_acknowledged_is_in_the_tree_that_the_log_signs() {
    runtime().block_on(async {
        let (mut log, _writer) = with_300_records().await;
        let note: Note = log.get("/v1/checkpoint").await.unwrap().parse().unwrap();
        let checkpoint: tlog::Checkpoint = note.text().parse().unwrap();
        assert!(note.verify(&[log.verifier.parse().unwrap()]).is_ok());
        // Two of its own: that it started, and its key.
        assert_eq!(checkpoint.size, 302);
        log.stop().await;
        let (mut range, mut own) = (tlog::Range::default(), 0);
        for name in TileName::all(checkpoint.size).filter(|name| name.holds == Holds::Entries) {
            let bytes = std::fs::read(log.folder().join(name.to_string())).unwrap();
            for entry in Bundle::parse(name, &bytes).unwrap().entries() {
                range.push(Hash::of_leaf(entry), |_, _| ()).unwrap();
                let record = record::Record::decode(entry).unwrap();
                own += u64::from(matches!(record.what, What::Start(_) | What::Key(_)));
            }
        }
        assert_eq!((range.root(), own), (checkpoint.root, 2));
    });
}

#[test]
fn a_log_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    let kills = if is_soak() { 100 } else { 20 };
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let mut cast = Cast::begins((&authority, &log), 16).await;
        for kill in 0..kills {
            let life = tokio::time::sleep(Duration::from_millis(20 + 17 * (kill % 20)));
            cast.say_while(Duration::from_millis(1), life).await;
            log.kill();
            log.start_again().await;
        }
        cast.end((&authority, &log)).await;
        log.stop().await;
        cast.are_in(&log);
        println!("{kills} kills: {} records", cast.writers().map(Writer::said).sum::<u64>());
    });
}

#[test]
fn a_log_reads_all_that_it_has_and_names_the_file_that_was_changed() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let writer = Writer::proxy(&authority, &log, 1, 1);
        for number in 0..700 {
            writer.says(number);
        }
        writer.is_acknowledged(700).await;
        assert!(log.check().contains("another process has the log"), "{}", log.check());
        log.stop().await;
        assert!(log.check().starts_with("clean: 702 records in the tree"), "{}", log.check());
        for path in ["tile/0/000", "tile/entries/001", "tile/entries/002.p/190", "sealed/001", "checkpoint"] {
            let file = log.folder().join(path);
            let whole = std::fs::read(&file).unwrap();
            let mut changed = whole.clone();
            // The first byte of a length, or of a hash, or of the origin.
            changed[0] ^= 1;
            std::fs::write(&file, &changed).unwrap();
            let said = log.check();
            assert!(!said.starts_with("clean"), "{path}: {said}");
            assert!(said.contains(path), "{path}: {said}");
            std::fs::write(&file, &whole).unwrap();
        }
        assert!(log.check().starts_with("clean"), "{}", log.check());
    });
}

#[test]
fn a_volume_that_was_set_back_is_refused_and_given_up_only_by_somebodys_word() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let writer = Writer::proxy(&authority, &log, 1, 1);
        writer.says(0);
        writer.is_acknowledged(1).await;
        log.stop().await;
        let older = log.copy_of_folder();
        log.start_again().await;
        writer.says(1);
        writer.is_acknowledged(2).await;
        let seen = log.get("/v1/checkpoint").await.unwrap();
        log.stop().await;
        std::fs::write(log.anchor(), &seen).unwrap();
        log.start_again().await;
        log.stop().await;
        log.set_back_to(&older);
        let (code, said) = log.does_not_start();
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("others have seen") && said.contains("accept-loss"), "{said}");
        let keys = log.accepts_loss();
        assert_ne!(keys, log.verifier);
        log.start_again().await;
        let checkpoint = log.get("/v1/checkpoint").await.unwrap();
        assert!(checkpoint.contains(keys.split('+').next().unwrap()), "{checkpoint}");
        log.stop().await;
        let bundle = std::fs::read(log.folder().join("tile/entries/000.p/3")).unwrap();
        let text = String::from_utf8_lossy(&bundle).into_owned();
        // The start, its key and one statement were on the volume that was set back.
        assert!(text.contains(r#""what":{"from":3,"to":"#), "{text}");
        assert!(
            text.contains(r#""kind":"loss""#) && text.contains(log.verifier.split('+').next().unwrap()),
            "{text}"
        );
    });
}

#[test]
fn a_log_whose_volume_is_lost_is_followed_by_one_that_names_it() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let seen = log.get("/v1/checkpoint").await.unwrap();
        log.stop().await;
        std::fs::write(log.anchor(), &seen).unwrap();
        std::fs::remove_dir_all(log.folder()).unwrap();
        let (code, said) = log.does_not_start();
        assert_eq!(code, Some(4), "nobody begins anew by himself: {said}");
        assert!(said.contains("others have seen 2 records of log keyhole.internal/log/"), "{said}");
        assert!(said.contains("restore a copy") && said.contains("accept-loss --dir"), "{said}");
        let keys = log.accepts_loss();
        assert!(keys.starts_with("keyhole.internal/log/") && keys != log.verifier, "{keys}");
        log.start_again().await;
        log.stop().await;
        let bundle = std::fs::read(log.folder().join("tile/entries/000.p/3")).unwrap();
        let text = String::from_utf8_lossy(&bundle).into_owned();
        assert!(text.contains(r#""what":{"from":0,"to":1,"#), "{text}");
        assert!(text.contains(log.verifier.split('+').next().unwrap()), "{text}");
    });
}
