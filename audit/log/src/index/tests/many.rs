//! Many records: how long what is asked for most takes, and how large the index is.

use record::kinds::proxy::{Outcome, Statement, Tables};
use record::{Head, RunId, Time, Uid};

use super::*;

/// Grants that run at the same time.
const AT_ONCE: u64 = 64;

/// Statements of each.
const STATEMENTS: u64 = 1000;

/// Persons.
const PERSONS: u64 = 200;

/// So many records over a hundred days, in files as the log writes them.
fn years_work(records: u64) -> Lies {
    let mut lies = Lies::new();
    let micros_each = 100 * 24 * 3600 * 1_000_000 / records;
    let mut running: Vec<(u64, Chain)> = Vec::new();
    let mut begun = 0;
    while lies.size < records {
        while running.len() < usize::try_from(AT_ONCE).unwrap() {
            let grant: Uid = format!("0b3f5a5e-8a5c-4b5e-9d6e-{begun:012x}").parse().unwrap();
            running.push((begun, Chain::new(StreamName::Proxy { grant, run: RunId([1; 8]) })));
            begun += 1;
        }
        for (grant, chain) in &mut running {
            let now = at(i64::try_from(lies.size * micros_each).unwrap());
            let Head { count, .. } = chain.head();
            let what = match count.get() {
                0 => open(&format!("db-{}", *grant % 40), &format!("ns-{}", *grant % 20), &person(*grant)),
                n if n % 2 == 1 => reads(n, &format!("shop.table_{}", (*grant * 7 + n % 14) % 500)),
                n => {
                    What::Outcome(Outcome { of: Count::of(n - 1), error: None, rule: None, ..outcome(count) })
                }
            };
            lies.put(&chain.next(now, About::default(), what).unwrap().text);
        }
        running.retain(|(_, chain)| chain.head().count.get() <= 2 * STATEMENTS);
    }
    if !lies.open.is_empty() {
        lies.write();
    }
    lies
}

fn person(grant: u64) -> String {
    format!("person-{}@example.com", grant * 31 % PERSONS)
}

fn reads(n: u64, table: &str) -> What {
    let What::Statement(sample) = statement(1, &salted(&format!("SELECT {n}"))) else { panic!() };
    What::Statement(Statement { tables: Some(Tables::of([table.to_owned()])), of: None, ..sample })
}

/// The median of eleven, in milliseconds, each with a view of its own.
fn median(index: &Index, search: &Search, limit: usize) -> (f64, usize) {
    let mut times: Vec<(Duration, usize)> = (0..11)
        .map(|_| {
            let began = Instant::now();
            let view = index.view().unwrap();
            let count = view.page(search, None, limit).unwrap().records.len();
            (began.elapsed(), count)
        })
        .collect();
    times.sort();
    (times[5].0.as_secs_f64() * 1000.0, times[5].1)
}

/// `KEYHOLE_INDEX_RECORDS=10000000` says of how many records the figures are; otherwise this only shows that they can be had.
#[test]
fn a_person_and_a_day_are_found_among_many_records() {
    let asked = std::env::var("KEYHOLE_INDEX_RECORDS").ok().map(|records| records.parse().unwrap());
    let began = Instant::now();
    let lies = years_work(asked.unwrap_or(20_000));
    let written = began.elapsed();
    let began = Instant::now();
    let (index, _publisher) = lies.index();
    let indexed = began.elapsed();
    let bytes: u64 = ["", "-wal"]
        .iter()
        .filter_map(|end| std::fs::metadata(lies.path().join(format!("{FILE}{end}"))).ok())
        .map(|file| file.len())
        .sum();
    let day = |day: i64| Some(Time::from_micros(at(0).micros() + day * 24 * 3600 * 1_000_000).unwrap());
    let search = Search { from: day(60), to: day(61), ..Search::default() }.and(Sort::User, &person(5));
    let (search_ms, hits) = median(&index, &search, 1000);
    let middle = lies.size / 2 / (2 * STATEMENTS);
    let grant: Uid = format!("0b3f5a5e-8a5c-4b5e-9d6e-{middle:012x}").parse().unwrap();
    let (story_ms, told) = median(&index, &Search::story(&grant, None), 10_000);
    println!(
        "{} records, written in {written:?}, indexed in {indexed:?}; index {bytes} bytes, {:.1} per record; \
         a person and a day: {search_ms:.1} ms for {hits} records; a story: {story_ms:.1} ms for {told} records",
        lies.size,
        bytes as f64 / lies.size as f64,
    );
    if asked.is_some() {
        assert!(search_ms <= 200.0 && story_ms <= 300.0);
        assert!(hits > 0 && told as u64 > 2 * STATEMENTS);
    }
}
