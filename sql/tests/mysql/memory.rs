//! What the gate takes of memory while it decides one text: each in a process of its own, by the kernel's own measure, so
//! that trees, stacks and what the allocator keeps all count. Prints a table; no text may take more than the bound.
//!
//! `cargo test -p sql --test memory` decides the texts with a name of their own and a few of the repeated ones. All of them
//! take minutes, and a build as it is shipped: `cargo test --release -p sql --test memory -- --all`, a part of `make fuzz`.

// A measurement that fails may panic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};

use access::{Allowances, ColumnAccess, ColumnRule};
use sql::Verdict;
use sql::mysql::{Catalogue, Gate, Server};

/// The most that one text may take, in KiB.
const MOST_KIB: u64 = 46 * 1024;

/// Which share of the repeated pieces is tried when not all are asked for: one of this many.
const EVERY: usize = 12;

/// The variable that tells a process to decide the text on its standard input.
const CHILD: &str = "MEMORY_OF_TEXT";

fn main() -> ExitCode {
    if std::env::var_os(CHILD).is_some() { child() } else { parent() }
}

fn parent() -> ExitCode {
    println!("{:>44}  {:>9}  {:>7}  {:>10}  {:>8}", "text", "bytes", "verdict", "KiB", "a byte");
    let all = std::env::args().any(|argument| argument == "--all");
    let every = if all { 1 } else { EVERY };
    let mut over = 0;
    for (name, text) in texts(every) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let child = child.wait_with_output().unwrap();
        let said = String::from_utf8(child.stdout).unwrap();
        assert!(child.status.success(), "{name}");
        let (verdict, kib) = said.trim().split_once(' ').expect("a verdict and a figure");
        let kib: u64 = kib.parse().unwrap();
        let each = kib * 1024 / u64::try_from(text.len()).unwrap();
        println!("{name:>44}  {:>9}  {verdict:>7}  {kib:>10}  {each:>8}", text.len());
        over += usize::from(kib > MOST_KIB);
    }
    if over == 0 {
        return ExitCode::SUCCESS;
    }
    println!("{over} texts take more than {MOST_KIB} KiB");
    ExitCode::FAILURE
}

/// A gate for a database with a column rule, so that texts are traced too.
fn gate() -> Gate {
    let server = Server::from_greeting("10.11.6-MariaDB").unwrap();
    let rule = ColumnRule {
        schema: "shop".into(),
        table: "users".into(),
        column: "email".into(),
        access: ColumnAccess::Hide,
    };
    Gate::new(server, Allowances::default()).with_columns(vec![rule])
}

fn passes(text: &str) -> bool {
    !matches!(gate().decide(text.as_bytes(), Some("shop")), Verdict::Refuse(_))
}

/// Decides one text and says how, and what it took.
fn child() -> ExitCode {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).unwrap();
    // As the proxy has it: a thread of its own.
    let decide = move || {
        let gate = gate();
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = peak_kib();
        let verdict = gate.decide(&text, Some("shop"));
        drop(gate.trace(&text, Some("shop"), &Catalogue::default()));
        let kib = peak_kib() - before;
        let word = if matches!(verdict, Verdict::Refuse(_)) { "refused" } else { "passes" };
        println!("{word} {kib}");
    };
    std::thread::Builder::new().stack_size(16 << 20).spawn(decide).unwrap().join().unwrap();
    ExitCode::SUCCESS
}

/// The most memory that this process has had since it was last asked to forget, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// Texts of every shape that is long within the bounds on bytes, words, operators and levels; of the repeated pieces only
/// the first of each `every`.
fn texts(every: usize) -> impl Iterator<Item = (String, String)> {
    let numbered = |times: usize, piece: &dyn Fn(usize) -> String| -> String {
        (1..=times).map(piece).collect::<Vec<_>>().join(",")
    };
    let named = [
        (
            "pairs in IN",
            format!("SELECT 1 FROM t WHERE (a,b) IN ({})", numbered(30_000, &|n| format!("({n},{n})"))),
        ),
        ("numbers in IN", format!("SELECT 1 FROM t WHERE a IN ({})", numbered(120_000, &|n| n.to_string()))),
        (
            "strings in IN",
            format!("SELECT 1 FROM t WHERE a IN ({})", numbered(80_000, &|n| format!("'{n}'"))),
        ),
        (
            "rows of VALUES",
            format!("SELECT * FROM (VALUES {}) v", numbered(40_000, &|n| format!("({n},'x')"))),
        ),
        ("4,000 SELECTs", vec!["SELECT 1 FROM film"; 4_000].join(" UNION ALL ")),
        ("variables", format!("SELECT {}", numbered(100_000, &|n| format!("@a{n}")))),
        ("a long string", format!("SELECT '{}'", "x".repeat(1_048_000))),
        ("cases", format!("SELECT {}", vec!["CASE WHEN 1 THEN 1 END"; 11_900].join(","))),
        ("nested queries", format!("SELECT 1{}{}", " IN (SELECT 1".repeat(118), ")".repeat(118))),
        ("nested derived tables", format!("SELECT 1{}{}", " FROM (SELECT *".repeat(118), ") x".repeat(118))),
    ];
    let repeated = PIECES.iter().step_by(every).flat_map(|pieces @ (_, piece, between, _)| {
        // As often as the bounds on bytes and words allow, and then as often as passes.
        let most =
            [1_000_000 / (piece.len() + between.len()), 249_900 / lexemes(&format!("{piece}{between}"))];
        let most = most.into_iter().min().unwrap();
        let counts = [most, most / 2, most / 3, most / 4, most / 6, most / 8];
        let fewer = [most / 12, most / 16, most / 24, most / 32, most / 48];
        let passes = |count: &usize| passes(&repeated(pieces, *count));
        let passing = counts.into_iter().chain(fewer).find(passes);
        [Some(most), passing]
            .into_iter()
            .flatten()
            .map(move |count| (format!("{count} of {piece}{between}"), repeated(pieces, count)))
    });
    named.into_iter().map(|(name, text)| (name.to_owned(), text)).chain(repeated)
}

fn repeated((before, piece, between, after): &(&str, &str, &str, &str), count: usize) -> String {
    format!("{before}{}{after}", vec![*piece; count].join(between))
}

/// About how many lexemes a piece has: never too few.
fn lexemes(piece: &str) -> usize {
    let mut words = 0;
    let mut inside = false;
    for byte in piece.bytes() {
        let name = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'@';
        words += usize::from((name && !inside) || (!name && byte != b' '));
        inside = name;
    }
    words.max(1)
}

/// What stands before, the piece, what stands between two, what stands after.
const PIECES: &[(&str, &str, &str, &str)] = &[
    ("SELECT ", "a", ",", ""),
    ("SELECT ", "1", ",", ""),
    ("SELECT ", "a b", ",", ""),
    ("SELECT ", "t.*", ",", " FROM t"),
    ("SELECT ", "f.a", ",", " FROM f"),
    ("SELECT ", "1", "+", ""),
    ("SELECT 1 WHERE ", "a", " OR ", ""),
    ("SELECT 1 WHERE ", "a=1", " AND ", ""),
    ("SELECT 1 WHERE a ", "IS NULL", " ", ""),
    ("SELECT 1 WHERE a ", "IN (1)", " ", ""),
    ("SELECT 1 WHERE a ", "LIKE b", " ", ""),
    ("SELECT 1 WHERE a ", "COLLATE utf8mb4_bin", " ", ""),
    ("SELECT 1 WHERE a ", "BETWEEN 1 AND 2", " AND a ", ""),
    ("", "SELECT 1", " UNION ", ""),
    ("", "(SELECT 1)", " UNION ", ""),
    ("SELECT ", "(SELECT 1)", ",", ""),
    ("SELECT 1 WHERE ", "EXISTS (TABLE t)", " OR ", ""),
    ("SELECT * FROM t ", "JOIN u", " ", ""),
    ("SELECT * FROM t ", "JOIN u USING (a)", " ", ""),
    ("SELECT * FROM t ", "JOIN u ON a", " ", ""),
    ("SELECT * FROM ", "t", ",", ""),
    ("SELECT * FROM (", "t", ",", ")"),
    ("SELECT * FROM ", "(SELECT 1) x", ",", ""),
    ("WITH ", "x AS (SELECT 1)", ",", " SELECT 1"),
    ("SELECT 1 ORDER BY ", "a", ",", ""),
    ("SELECT 1 GROUP BY ", "a", ",", ""),
    ("SELECT GROUP_CONCAT(a ORDER BY ", "a", ",", ")"),
    ("SELECT 1 FROM t WINDOW ", "w AS ()", ",", ""),
    ("SELECT ", "SUM(a) OVER ()", ",", " FROM t"),
    ("SELECT ", "SUM(a) OVER (PARTITION BY a ORDER BY a)", ",", " FROM t"),
    ("SELECT CONCAT(", "'x'", ",", ")"),
    ("SELECT CONCAT(", "a", ",", ")"),
    ("SELECT ", "PI()", ",", ""),
    ("SELECT ", "ABS(1)", ",", ""),
    ("SELECT CONCAT(", "ABS(1)", ",", ")"),
    ("SELECT 1 WHERE a IN (", "ABS(1)", ",", ")"),
    ("SELECT 1 WHERE a IN (", "a", ",", ")"),
    ("SELECT 1 WHERE a IN (", "(a,1)", ",", ")"),
    ("SELECT 1 WHERE a IN (", "((1,1),2)", ",", ")"),
    ("SELECT ", "CAST(1 AS CHAR)", ",", ""),
    ("SELECT ", "BINARY 1", ",", ""),
    ("SELECT ", "DATE '2026-01-01'", ",", ""),
    ("SELECT ", "{d '2026-01-01'}", ",", ""),
    ("SELECT ", "1 + INTERVAL 1 DAY", ",", ""),
    ("SELECT ", "CURRENT_DATE", ",", ""),
    ("SELECT ", "CASE WHEN 1 THEN 1 END", ",", ""),
    ("SELECT CASE ", "WHEN 1 THEN 1", " ", " END"),
    ("SELECT ", "(1)", ",", ""),
    ("SELECT ", "(1,1)", ",", ""),
    ("SELECT ", "- 1", ",", ""),
    ("SELECT ", "'a' 'b'", ",", ""),
    ("SELECT ", "'a'", " ", ""),
    ("SELECT ", "MATCH (a) AGAINST ('x')", ",", " FROM t"),
    ("SELECT ", "TRIM(BOTH 'a' FROM b)", ",", ""),
    ("SELECT ", "EXTRACT(DAY FROM a)", ",", ""),
    ("SELECT 1 FROM t ", "USE INDEX (i)", " ", ""),
    ("SELECT 1 FROM t USE INDEX (", "i", ",", ")"),
    ("SELECT 1 FROM t PARTITION (", "p", ",", ")"),
    ("SELECT 1 FROM (SELECT 1) x (", "a", ",", ")"),
    ("SELECT 1 FROM ", "JSON_TABLE('[]', '$' COLUMNS (a INT PATH '$')) j", ",", ""),
    ("SELECT 1 FROM JSON_TABLE('[]', '$' COLUMNS (", "a INT PATH '$'", ",", ")) j"),
    ("VALUES ", "(1)", ",", ""),
    ("VALUES (", "1", ",", ")"),
    ("SET ", "@a = 1", ",", ""),
    ("SET @a = CONCAT(", "1", ",", ")"),
    ("EXPLAIN SELECT ", "a", ",", ""),
    ("SHOW COLUMNS FROM t WHERE ", "a", " OR ", ""),
];
