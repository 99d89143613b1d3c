//! What a verdict costs: on a new text and on one seen before, next to a bare parse by sqlparser of the same text in the
//! same run. `cargo bench -p sql` prints medians; nothing depends on them.

// A measurement that fails may panic.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::hint::black_box;
use std::time::Instant;

use access::Allowances;
use sql::mysql::{Gate, Server, Session};
use sql::{Remembered, Verdict};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::Parser;

/// Runs of one measurement; its median is told.
const RUNS: usize = 41;

fn main() {
    let server = Server::from_greeting("10.11.6-MariaDB").unwrap();
    let gate = Gate::new(server, Allowances::default());
    println!("{:>6}  {:>10}  {:>10}  {:>6}  {:>10}", "bytes", "gate", "sqlparser", "ratio", "seen");
    for text in texts() {
        assert!(matches!(gate.decide(text.as_bytes(), Some("shop")), Verdict::Forward(_)), "{text}");
        let session = Session::from(Some("shop"));
        let mut seen = Remembered::bounded(1 << 20);
        seen.insert(text.as_bytes(), &session, &gate.decide(text.as_bytes(), Some("shop")));
        // Interleaved: whatever else the machine does meets all three.
        let (mut ours, mut bare, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            ours.push(nanoseconds(200, || gate.decide(black_box(text.as_bytes()), Some("shop"))));
            bare.push(nanoseconds(200, || Parser::parse_sql(&MySqlDialect {}, black_box(&text)).unwrap()));
            again.push(nanoseconds(2000, || seen.get(black_box(text.as_bytes()), &session).unwrap()));
        }
        let (ours, bare, again) = (median(ours), median(bare), median(again));
        println!("{:>6}  {ours:>7.0} ns  {bare:>7.0} ns  {:>6.2}  {again:>7.0} ns", text.len(), ours / bare);
    }
}

/// Of 35, 180 and 2,000 bytes, as people and tools write them.
fn texts() -> [String; 3] {
    let columns = (0..20).map(|n| format!("o.column_{n} AS value_{n}")).collect::<Vec<_>>().join(", ");
    let wanted = (0..195).map(|n| format!("{}", 1000 + n * 37)).collect::<Vec<_>>().join(", ");
    [
        "SELECT * FROM orders WHERE id = 471".to_owned(),
        "SELECT o.id, c.name, SUM(i.amount) AS n FROM orders o JOIN customers c ON c.id = o.customer_id \
         JOIN items i ON i.order_id = o.id WHERE o.paid IS NULL GROUP BY o.id, c.name LIMIT 50"
            .to_owned(),
        format!(
            "SELECT {columns} FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE o.id IN ({wanted}) AND \
             (c.name LIKE 'a%' OR c.name LIKE 'b%' OR c.city IN ('x', 'y', 'z')) AND o.created_at BETWEEN '2026-01-01' AND \
             '2026-02-01' AND EXISTS (SELECT 1 FROM items i WHERE i.order_id = o.id AND i.amount > 10 * 2 + 1) ORDER BY \
             o.created_at DESC, o.id LIMIT 100 OFFSET 2000000"
        ),
    ]
}

fn nanoseconds<T>(times: u32, mut work: impl FnMut() -> T) -> f64 {
    let began = Instant::now();
    for _ in 0..times {
        black_box(work());
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(times)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
