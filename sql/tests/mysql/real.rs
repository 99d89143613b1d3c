//! The corpora of what is allowed on real servers: what the gate lets through is something that the server reads.
//! A statement may fail for want of a table, a column or the like, never as a whole.

use crate::lines::{MARIADB, MYSQL, NEWEST_MYSQL, lines, productions};
use access::Allowances;
use servers::mysql::Database;
use sql::Verdict;
use sql::mysql::{Gate, Server};

/// What the corpus finds.
const TABLES: &str = "CREATE DATABASE shop; USE shop; \
    CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT, c INT, d DATETIME, e INT, f INT, j JSON, g GEOMETRY, x INT); \
    CREATE TABLE u LIKE t; CREATE VIEW v AS SELECT * FROM t; CREATE TABLE orders (id INT, name VARCHAR(10));";

/// Errors that name something missing, or a table of another kind than the statement is for.
const WANTS: &[&str] = &[
    "1049", // no such database
    "1054", // no such column
    "1146", // no such table
    "1176", // no such index
    "1191", // no full-text index
    "1222", // another number of columns than in the rest of the union
    "1231", // a user variable that was not set, as a value
    "1298", // no such time zone: the tables of time zones are empty
    "1360", // no such trigger
    "1539", // no such event
    "1747", // a table without partitions
    "3889", // a table without a secondary engine: grouping sets and samples
    "4091", // no such sequence
    "4124", // a table without versions
    "6037", // QUALIFY: another optimizer than the default one
];

fn is_for_want(error: &str) -> bool {
    let wants = WANTS.iter().any(|code| error.contains(&format!("ERROR {code} (")));
    // A savepoint, a stored program; and what MySQL 9.6 has no more.
    let routine = error.contains("ERROR 1305 (");
    wants
        || (routine
            && (!error.contains("FUNCTION")
                || ["shop.f ", "FUNCTION f ", "shop.MD5 "].iter().any(|f| error.contains(f))))
}

/// The line in `ERROR 1064 (42000) at line 5: ..`.
fn line_of(error: &str) -> usize {
    let (_, line) = error.split_once(") at line ").unwrap_or_else(|| panic!("{error}"));
    line.split(':').next().unwrap().parse().unwrap()
}

/// The corpora for `server`; productions are those of `newest`, the version that runs here.
fn check(server: Server, newest: Server, database: &Database) {
    database.admin(TABLES);
    let run = |text: &str| database.asks(&format!("USE shop;\n{text}")).map_err(|error| error.to_string());
    let nonsense = run("SELECT 1 1").expect_err("the server reads nonsense");
    assert!(!is_for_want(&nonsense), "{nonsense}");

    let all = lines(include_str!("corpus/allowed.txt"));
    let ours = all.filter(|(of, _)| of.flavour == server.flavour);
    let produced = productions(include_str!("corpus/productions.txt")).filter(|(of, _)| *of == newest);
    let forwarded = ours.chain(produced).filter_map(|(of, statement)| {
        match Gate::new(of, Allowances::default()).decide(statement.as_bytes(), Some("shop")) {
            Verdict::Forward(permit) => Some(String::from_utf8(permit.forwarded().to_vec()).unwrap()),
            Verdict::Answer(_) | Verdict::Refuse(_) => None,
        }
    });
    let texts: Vec<String> = forwarded.map(|text| text.trim_end_matches(';').replace('?', "1")).collect();
    assert!(texts.len() > 1_000, "{} statements", texts.len());
    let mut wrong = Vec::new();
    let mut rest = texts.as_slice();
    // The client stops at the first error and tells its line: two for each statement, behind the first.
    while let Err(error) = run(&rest
        .iter()
        .map(|text| format!("{text}\n; ROLLBACK; SET sql_mode = DEFAULT;\n"))
        .collect::<String>())
    {
        let failed = line_of(&error) / 2 - 1;
        if !is_for_want(&error) {
            wrong.push(format!("{}\n    {}", rest[failed], error.trim()));
        }
        rest = &rest[failed + 1..];
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn mariadb_reads_what_passes() {
    check(MARIADB, MARIADB, &Database::mariadb(&[]));
}

#[test]
fn mysql_reads_what_passes() {
    check(MYSQL, NEWEST_MYSQL, &Database::mysql(&[]));
}

/// Outside a query the server takes row locks for what a query reads; of what passes, nothing does.
#[test]
fn nothing_that_passes_locks_rows() {
    let database = Database::mysql(&[]);
    database.admin(TABLES);
    let locks = |text: &str| {
        let count = "SELECT COUNT(*) FROM performance_schema.data_locks WHERE lock_type = 'RECORD'";
        let said = database.admin(&format!("USE shop; BEGIN; {text}; {count}"));
        said.lines().last().unwrap().parse::<u32>().unwrap()
    };
    let gate = Gate::new(MYSQL, Allowances::default());
    let refused = |text: &str| matches!(gate.decide(text.as_bytes(), Some("shop")), Verdict::Refuse(_));
    for text in [
        "SELECT * FROM t LOCK IN SHARE MODE",
        "SET @x = (SELECT COUNT(*) FROM t)",
        "SET autocommit = (SELECT COUNT(*) FROM t)",
        "SHOW TABLES WHERE (SELECT COUNT(*) FROM t) = 0",
        "SHOW COLUMNS FROM t WHERE EXISTS (SELECT * FROM u)",
    ] {
        assert!(refused(text) && locks(text) > 0, "{text}");
    }
    for text in [
        "SELECT (SELECT COUNT(*) FROM t), EXISTS (SELECT * FROM u) FROM t",
        "WITH c AS (SELECT a FROM t) SELECT * FROM c UNION TABLE c",
        "VALUES ROW((SELECT COUNT(*) FROM t))",
        "EXPLAIN SELECT * FROM (SELECT COUNT(*) FROM t) x",
        "SET @x = (SELECT COUNT(*) FROM information_schema.tables)",
        "SHOW TABLES WHERE (SELECT COUNT(*) FROM information_schema.columns) = 0",
        "SHOW TABLE STATUS",
    ] {
        assert!(!refused(text) && locks(text) == 0, "{text}");
    }
}
