//! How much memory the log takes.

use record::samples::{salted, statement};
use record::texts::Texts;
use record::{About, What};
use tlog::{Holds, TileName};

use super::authority::Authority;
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
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let before = log.most_memory();
        let first = all.first("kind=statement").await;
        assert_eq!(all.gets(&format!("/v1/texts/{}", first + 40)).await, payloads[40]);
        let one = log.most_memory();
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
    });
}
