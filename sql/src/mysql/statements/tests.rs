//! The table of session statements in `docs/mysql.md`, made of what the gate decides and of the tables in this folder.
//! `BLESS=1 cargo test -p sql statements` writes it.

use super::show;
use super::variables::{self, Rule};
use crate::Verdict;
use crate::mysql::{Gate, LocalAnswer, Server};
use access::Allowances;
use std::fmt::Write;

/// One of each kind.
const STATEMENTS: &[&str] = &[
    "SET NAMES utf8mb4",
    "SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",
    "SET NAMES latin1",
    "SET CHARACTER SET utf8mb4",
    "SET autocommit = 0",
    "SET time_zone = '+00:00'",
    "SET sql_mode = 'STRICT_TRANS_TABLES'",
    "SET sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')",
    "SET sql_mode = 'ANSI_QUOTES'",
    "SET sql_mode = 'ORACLE'",
    "SET sql_mode = @saved",
    "SET @x = 1",
    "SET @x = (SELECT MAX(id) FROM orders)",
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION TRANSACTION READ WRITE",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET max_execution_time = 1000",
    "SET max_statement_time = 1",
    "SET GLOBAL time_zone = '+00:00'",
    "SET PERSIST time_zone = '+00:00'",
    "SET PASSWORD = 'x'",
    "SET ROLE ALL",
    "SET STATEMENT sql_select_limit = 10 FOR SELECT 1",
    "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
    "SELECT @@version_comment, @@session.sql_mode",
    "SELECT @x",
    "SELECT @x := 1",
    "USE shop",
    "USE mysql",
    "DESCRIBE orders",
    "EXPLAIN SELECT 1",
    "EXPLAIN FORMAT = JSON SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN FOR CONNECTION 7",
    "EXPLAIN DELETE FROM orders",
    "HELP 'SELECT'",
    "BEGIN",
    "START TRANSACTION",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    "START TRANSACTION READ WRITE",
    "COMMIT",
    "COMMIT AND CHAIN",
    "COMMIT RELEASE",
    "ROLLBACK",
    "ROLLBACK TO SAVEPOINT s",
    "SAVEPOINT s",
    "RELEASE SAVEPOINT s",
    "LOCK TABLES orders READ",
    "UNLOCK TABLES",
    "SHOW GRANTS",
    "SHOW GRANTS FOR root",
    "SHOW CREATE USER root",
    "SHOW ENGINE INNODB STATUS",
    "KILL 7",
    "KILL QUERY 7",
    "KILL USER root",
    "PREPARE s FROM 'SELECT 1'",
    "FLUSH TABLES",
    "/* a comment alone */",
];

fn outcome(greeting: &str, text: &str) -> String {
    let gate = Gate::new(Server::from_greeting(greeting).unwrap(), Allowances::default());
    match gate.decide(text.as_bytes(), Some("shop")) {
        Verdict::Forward(_) => "forwarded".into(),
        Verdict::Answer(LocalAnswer::Ok) => "answered: OK".into(),
        Verdict::Answer(LocalAnswer::Rows { .. }) => "answered: a row".into(),
        Verdict::Answer(LocalAnswer::Kill { .. }) => "answered by the proxy".into(),
        Verdict::Refuse(refusal) => format!("refused: {}", refusal.reason.word()),
    }
}

/// Does a rule belong to the kind?
type Is = fn(Rule) -> bool;

fn table() -> String {
    let mut text = String::from("| statement | MySQL | MariaDB |\n|---|---|---|\n");
    for statement in STATEMENTS {
        let (mysql, mariadb) = (outcome("8.4.3", statement), outcome("10.11.6-MariaDB", statement));
        writeln!(text, "| `{statement}` | {mysql} | {mariadb} |").unwrap();
    }
    let forms = show::FORMS.iter().map(|(words, _)| format!("`{}`", words.join(" "))).collect::<Vec<_>>();
    write!(text, "\nForms of `SHOW` that are forwarded: {}.\n", forms.join(", ")).unwrap();
    text.push_str("\nVariables that may be set for the session; any other is refused.\n\n| to | variables |\n|---|---|\n");
    let kinds: [(&str, Is); 8] = [
        ("any value", |rule| rule == Rule::Any),
        (
            "modes in which statements are read, also put together (the server is asked what came of it)",
            |rule| rule == Rule::SqlMode,
        ),
        ("a character set or collation of utf8", |rule| rule == Rule::Utf8),
        ("a character set in which ASCII is ASCII, `NULL`", |rule| rule == Rule::Ascii),
        ("an isolation level that takes no locks", |rule| rule == Rule::Isolation),
        ("on", |rule| rule == Rule::OnOnly),
        ("anything, and it stays as it is: answered with OK", |rule| rule == Rule::Kept),
        ("nothing, each with its reason", |rule| matches!(rule, Rule::Never(_))),
    ];
    for (to, is) in kinds {
        let names = variables::VARIABLES.iter().filter(|(_, rule)| is(*rule));
        let names: Vec<String> = names.map(|(name, _)| format!("`{name}`")).collect();
        writeln!(text, "| {to} | {} |", names.join(", ")).unwrap();
    }
    text
}

#[test]
fn a_reserved_word_names_nothing_to_describe_or_use_unless_it_is_quoted_or_stands_behind_a_dot() {
    for text in ["EXPLAIN INTO", "DESCRIBE GROUP", "DESC ORDER", "EXPLAIN INTO.t", "DESC t INTO", "USE INTO"]
    {
        assert_eq!(outcome("8.4.3", text), "refused: Syntax", "{text}");
        assert_eq!(outcome("10.11.6-MariaDB", text), "refused: Syntax", "{text}");
    }
    for text in
        ["EXPLAIN `into`", "DESCRIBE shop.order", "DESC `group` id", "DESCRIBE shop.`select`", "USE `into`"]
    {
        assert_eq!(outcome("8.4.3", text), "forwarded", "{text}");
        assert_eq!(outcome("10.11.6-MariaDB", text), "forwarded", "{text}");
    }
}

#[test]
fn the_table_of_session_statements_in_the_docs_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/mysql.md");
    let docs = std::fs::read_to_string(path).unwrap();
    let (before, rest) = docs.split_once("<!-- session statements -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let wanted = format!("{before}<!-- session statements -->\n{}<!-- end -->{after}", table());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap();
    assert!(found == wanted, "docs/mysql.md is stale: run BLESS=1 cargo test -p sql statements");
}
