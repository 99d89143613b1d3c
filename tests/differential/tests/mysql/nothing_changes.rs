//! The gate against both servers, with a seed; and the harness against holes that are there.

use differential::mysql::{Canary, Generator, Runner};
use servers::mysql::Kind;

/// Texts for each server.
const TEXTS: usize = 50_000;

async fn nothing_changes(kind: Kind, seed: u64) {
    let mut runner = Runner::new(Canary::start(kind).await).await;
    let began = std::time::Instant::now();
    runner.run(&Generator::new(seed).texts(TEXTS)).await;
    println!("{kind:?}: {} in {:?}", runner.counts, began.elapsed());
    let findings: Vec<_> = runner.findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} texts changed something:\n{}", findings.len(), findings.join("\n"));
    // A harness that executes next to nothing would prove nothing.
    assert!(runner.counts.executed > TEXTS / 20 && runner.counts.read > TEXTS / 20, "{}", runner.counts);
}

#[tokio::test]
async fn nothing_that_the_gate_forwards_changes_mariadb() {
    nothing_changes(Kind::MariaDb, 4).await;
}

#[tokio::test]
async fn nothing_that_the_gate_forwards_changes_mysql() {
    nothing_changes(Kind::MySql, 5).await;
}

/// A kind of hole and a statement that the harness must see when no gate holds it.
const HOLES: &[(&str, &str)] = &[
    ("rows", "UPDATE u SET a = 77 WHERE id = 1"),
    ("rows of a rolled back transaction", "BEGIN; INSERT INTO u (a) VALUES (1); ROLLBACK"),
    ("a stored function", "SELECT touch(1)"),
    ("a stored function with a built-in's name", "SELECT count (1)"),
    ("a procedure", "CALL p()"),
    ("a trigger", "INSERT INTO t (a) VALUES (1)"),
    ("DDL", "CREATE TABLE made (a INT)"),
    ("a temporary table", "CREATE TEMPORARY TABLE made (a INT)"),
    ("a column", "ALTER TABLE t ADD made INT"),
    ("an index", "CREATE INDEX made ON t (c)"),
    ("a view", "CREATE OR REPLACE VIEW v AS SELECT 1"),
    ("a schema", "CREATE DATABASE made"),
    ("a routine", "CREATE FUNCTION made() RETURNS INT DETERMINISTIC RETURN 1"),
    ("an event", "ALTER EVENT ev COMMENT 'made'"),
    ("a user", "CREATE USER made"),
    ("a right", "GRANT DELETE ON shop.* TO reader"),
    ("a variable of the server", "SET GLOBAL max_connections = 99"),
    ("a file", "SELECT 1 INTO OUTFILE 'FILES/made'"),
    ("a lock by name", "SELECT GET_LOCK('canary', 0)"),
    ("a lock of a table", "LOCK TABLES t WRITE"),
    ("locked rows", "BEGIN; SELECT * FROM t FOR UPDATE"),
    ("rows locked by a query inside SHOW", "BEGIN; SHOW TABLES WHERE (SELECT COUNT(*) FROM t) > 0"),
    ("rows locked by a query inside SET", "BEGIN; SET SESSION timestamp = (SELECT COUNT(*) FROM t)"),
    ("an open transaction that wrote", "BEGIN; DELETE FROM u"),
    ("several statements", "SELECT 1; SELECT 2"),
    ("a counter", "DO 1"),
    ("an auto increment", "ALTER TABLE t AUTO_INCREMENT = 5000"),
    ("a handler", "HANDLER t OPEN"),
    ("a user variable", "SELECT 1 INTO @into_canary"),
    ("a user variable in an expression", "SELECT @assigned_canary := 1"),
    ("the session's mode", "SET sql_mode = 'ANSI_QUOTES'"),
    ("the session's character set", "SET NAMES latin1"),
    ("the session's access mode", "SET SESSION TRANSACTION READ WRITE"),
];

/// And those of MariaDB alone.
const HOLES_OF_MARIADB: &[(&str, &str)] = &[
    ("a sequence", "SELECT NEXTVAL(s)"),
    ("a sequence that is set", "SELECT SETVAL(s, 500)"),
    ("a block", "BEGIN NOT ATOMIC DELETE FROM u; END"),
    ("an analysed statement", "ANALYZE SELECT touch(1)"),
];

async fn holes_are_found(kind: Kind, holes: impl Iterator<Item = &'static (&'static str, &'static str)>) {
    let mut runner = Runner::without_gate(Canary::small(kind).await).await;
    let mut unseen = Vec::new();
    for (what, text) in holes {
        let before = runner.findings.len();
        let text = text.replace("FILES", &runner.files().display().to_string());
        runner.run(&[b"SELECT a FROM t".to_vec(), text.clone().into_bytes()]).await;
        let found = runner.findings[before..].iter().any(|finding| finding.text == text);
        let harmless = runner.findings[before..].iter().any(|finding| finding.text != text);
        if !found || harmless {
            unseen.push(format!("{what}: {text}: {:?}", &runner.findings[before..]));
        }
    }
    assert!(unseen.is_empty(), "{kind:?}:\n{}", unseen.join("\n"));
}

#[tokio::test]
async fn the_harness_sees_every_kind_of_hole_in_mariadb() {
    holes_are_found(Kind::MariaDb, HOLES.iter().chain(HOLES_OF_MARIADB)).await;
}

#[tokio::test]
async fn the_harness_sees_every_kind_of_hole_in_mysql() {
    holes_are_found(Kind::MySql, HOLES.iter()).await;
}

#[tokio::test]
async fn reading_alone_is_no_finding() {
    let mut runner = Runner::without_gate(Canary::small(Kind::MariaDb).await).await;
    let reading = [
        "SELECT * FROM t ORDER BY a",
        "SHOW TABLE STATUS",
        "EXPLAIN SELECT * FROM t",
        "BEGIN",
        "SELECT a FROM v",
        "DESCRIBE t",
    ];
    runner.run(&reading.map(|text| text.as_bytes().to_vec())).await;
    assert!(runner.findings.is_empty(), "{:?}", runner.findings);
    assert_eq!(runner.counts.executed, reading.len());
}

#[tokio::test]
async fn a_hole_of_several_texts_is_found_by_its_last_one() {
    let mut runner = Runner::without_gate(Canary::small(Kind::MariaDb).await).await;
    let texts = [
        "SELECT 1",
        "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "BEGIN",
        "SELECT * FROM t",
        "SELECT 2",
    ];
    runner.run(&texts.map(|text| text.as_bytes().to_vec())).await;
    let found: Vec<_> = runner.findings.iter().map(|finding| finding.text.as_str()).collect();
    assert_eq!(found, [texts[3]]);
}
