//! The log as a process, with writers over TLS: what is acknowledged is there, whatever happens to the process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod authority;
mod log;
mod writer;

use std::time::Duration;

use record::{Count, What};
use tlog::{Bundle, Hash, Holds, Note, TileName};

use self::authority::Authority;
use self::log::Log;
use self::writer::Writer;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn what_is_acknowledged_is_in_the_tree_that_the_log_signs() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let writer = Writer::proxy(&authority, &log, 1, 1);
        for number in 0..300 {
            writer.says(number);
        }
        writer.is_acknowledged(300).await;
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
    const KILLS: u64 = 20;
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let writers: Vec<Writer> = (0..16).map(|run| Writer::proxy(&authority, &log, run % 4, run)).collect();
        let mut said = 0;
        for kill in 0..KILLS {
            let until = tokio::time::Instant::now() + Duration::from_millis(20 + 17 * kill);
            while tokio::time::Instant::now() < until {
                writers.iter().for_each(|writer| writer.says(said));
                said += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            log.kill();
            log.start_again().await;
        }
        for writer in &writers {
            writer.is_acknowledged(said).await;
        }
        log.stop().await;
        let heads = log.heads();
        for writer in &writers {
            assert_eq!(heads[&writer.stream()], (Count::of(said), writer.head().last.unwrap()));
        }
    });
}
