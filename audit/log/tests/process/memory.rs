//! How much memory the log takes.

use std::time::Duration;

use record::frame::{HEADER, LONGEST_BODY};
use record::samples::{proxy_stream, salted, statement, uid};
use record::texts::Texts;
use record::{About, Chain, What};
use tlog::{Holds, TileName};
use tokio::io::AsyncReadExt as _;

use super::authority::Authority;
use super::caller::Caller;
use super::log::Log;
use super::reading::Reader;
use super::runtime;
use super::writer::Writer;

const MIB: u64 = 1 << 20;

/// How many digits a text has.
const LONG: usize = 1 << 20;

/// Texts of so many in one bundle.
const TEXTS: u64 = 64;

#[test]
fn of_a_bundle_of_long_texts_one_is_in_memory_whether_one_is_read_or_all() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let writer = Writer::proxy(&authority, &log, 1, 1);
        let payloads: Vec<Vec<u8>> =
            (0..TEXTS).map(|number| salted(&format!("SELECT {number}{}", "0".repeat(LONG)))).collect();
        for (said, payload) in (1..).zip(&payloads) {
            let what: What = statement(1, payload);
            writer.puts(About::default(), what, payload.clone());
            writer.is_acknowledged(said).await;
        }
        log.stop().await;
        log.start_again().await;
        let all = Reader::new(&authority, &log, "keyhole://audit/*");
        while all.hears(200, "/v1/search?limit=1").await["indexed"].as_u64().unwrap() < TEXTS + 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let before = log.memory_now();
        log.forgets_most_memory();
        let first = all.first("kind=statement").await;
        assert_eq!(all.gets(&format!("/v1/texts/{}", first + 40)).await, payloads[40]);
        let one = log.most_memory();
        log.forgets_most_memory();
        let file = all.gets("/v1/texts?from=0&to=66").await;
        let name = TileName::in_tree(Holds::Entries, 0, 66).unwrap();
        let texts = Texts::parse(name, &file).unwrap();
        assert!(texts.texts().iter().flatten().copied().eq(payloads.iter().map(Vec::as_slice)));
        let copied = log.most_memory();
        println!(
            "before {} KiB, one text {} KiB more, all {} KiB more",
            before >> 10,
            (one - before) >> 10,
            (copied - before) >> 10
        );
        assert!(one - before < 12 * MIB, "{} KiB", (one - before) >> 10);
        assert!(copied - before < 16 * MIB, "{} KiB", (copied - before) >> 10);

        // Somebody takes a copy slowly, and the texts are erased meanwhile.
        let mut slow = all.asks("GET", "/v1/texts?from=0&to=66", "").await.unwrap();
        slow.read_exact(&mut [0; 1024]).await.unwrap();
        let eraser = Reader::new(&authority, &log, "keyhole://erase/*");
        let order = format!(r#"{{"grant":"{}"}}"#, uid(1));
        assert_eq!(eraser.sends("POST", "/v1/erase", &order).await.unwrap().0, 200);
        let mut rest = Vec::new();
        let _ = slow.read_to_end(&mut rest).await;
        assert!(rest.len() < file.len() / 2, "{} of {} bytes came", rest.len(), file.len());
    });
}

#[test]
fn idle_the_log_takes_little_memory_and_little_for_each_connection() {
    const CONNECTIONS: u8 = 200;
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        // What it needed to read its journal is given back.
        log.stop().await;
        log.start_again().await;
        let mut callers = Vec::new();
        // The first ones make what all of them use.
        let mut idle = 0;
        for grant in 0..CONNECTIONS + 10 {
            if grant == 10 {
                idle = log.memory_now();
            }
            let mut caller = Caller::proxy(&authority, &log, grant).await;
            caller.greets(&Chain::new(proxy_stream(grant, 1))).await;
            callers.push(caller);
        }
        let each = (log.memory_now() - idle) / u64::from(CONNECTIONS);
        println!("idle {} KiB, and {each} bytes for each connection", idle >> 10);
        assert!(idle <= 24 * MIB, "{} KiB", idle >> 10);
        assert!(each <= 24 << 10, "{each} bytes");
    });
}

#[test]
fn of_frames_that_do_not_end_only_so_much_is_in_memory_and_who_writes_short_records_does_not_wait() {
    const GRANTS: u8 = 12;
    runtime().block_on(async {
        let authority = Authority::new();
        let log = Log::start(&authority).await;
        let writer = Writer::proxy(&authority, &log, 200, 1);
        writer.says(0);
        writer.is_heard().await;
        let before = log.memory_now();
        log.forgets_most_memory();
        // All but the last byte of the longest frame. Who is not read on cannot send it.
        let mut frame = vec![0; HEADER + LONGEST_BODY - 1];
        frame[..4].copy_from_slice(&u32::try_from(LONGEST_BODY).unwrap().to_be_bytes());
        frame[4] = 3;
        let mut sending = tokio::task::JoinSet::new();
        for grant in 0..GRANTS {
            for run in 0..3 {
                let mut caller = Caller::proxy(&authority, &log, grant).await;
                caller.greets(&Chain::new(proxy_stream(grant, run))).await;
                let frame = frame.clone();
                sending.spawn(async move {
                    let _ = caller.puts_bytes(&frame).await;
                    caller.hears().await
                });
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let begun = std::time::Instant::now();
        for number in 1..=20 {
            writer.says(number);
            writer.is_heard().await;
        }
        let (took, more) = (begun.elapsed(), log.most_memory() - before);
        println!("{} KiB more, and 20 acknowledgements in {took:?}", more >> 10);
        assert!(more < 64 * MIB, "{} KiB", more >> 10);
        assert!(took < Duration::from_secs(3), "{took:?}");
        sending.abort_all();
    });
}
