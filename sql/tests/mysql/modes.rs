//! How texts are read in the modes of `sql_mode`: by the gate, and by real servers.

use crate::lines::{MARIADB, MYSQL};
use access::Allowances;
use servers::mysql::Database;
use sql::Facts;
use sql::mysql::{Gate, Server, Session, SessionEffect, SqlMode, Verdict};

const ANSI_QUOTES: &str = "ANSI_QUOTES";
const SPACE: &str = "IGNORE_SPACE";
const ESCAPES: &str = "NO_BACKSLASH_ESCAPES";
const BOTH: &str = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES";

/// Modes, a text, and what real servers answer: the first row, its columns with tabs between as their client writes them, or
/// nothing where they can't read it. Each text is read otherwise in another mode.
const READ: &[(&str, &str, Option<&str>)] = &[
    ("", r#"SELECT "id" FROM t"#, Some("id")),
    (ANSI_QUOTES, r#"SELECT "id" FROM t"#, Some("7")),
    (ANSI_QUOTES, r#"SELECT t."id", `t`."id" FROM "t""#, Some("7\t7")),
    (ANSI_QUOTES, r#"SELECT 1 AS "a""b" FROM t WHERE "id" = 7"#, Some("1")),
    ("", r#"SELECT "\"-- ", 2"#, Some("\"-- \t2")),
    (ANSI_QUOTES, r#"SELECT 1 AS "\"-- ", 2"#, Some("1")),
    (ANSI_QUOTES, r#"SELECT 1 AS "\", 2"#, Some("1\t2")),
    (ANSI_QUOTES, r"SELECT 'a\'b'", Some("a'b")),
    ("", r"SELECT '\' -- ', 2", Some("' -- \t2")),
    (ESCAPES, r"SELECT '\' -- ', 2", Some("\\\\")),
    (ESCAPES, r"SELECT '\', 3, '\'", Some("\\\\\t3\t\\\\")),
    (ESCAPES, r#"SELECT "\", 3, "\""#, Some("\\\\\t3\t\\\\")),
    (ESCAPES, r"SELECT N'\', 3", Some("\\\\\t3")),
    ("", r#"SELECT @"\"x", 3"#, Some("NULL\t3")),
    (ANSI_QUOTES, r#"SELECT @"\", 3, @"x""#, Some("NULL\t3\tNULL")),
    (ESCAPES, r"SELECT @'\', 3, @'x'", Some("NULL\t3\tNULL")),
    (BOTH, r#"SELECT 1 AS "\", '\', "id" FROM t"#, Some("1\t\\\\\t7")),
    ("", "SELECT COUNT (*) FROM t", None),
    (SPACE, "SELECT COUNT (*) FROM t", Some("1")),
    (SPACE, "SELECT MAX\n\t(id) FROM t", Some("7")),
    ("PIPES_AS_CONCAT", "SELECT 'a' || 'b'", Some("ab")),
    ("", "SELECT '1' || '0'", Some("1")),
    ("HIGH_NOT_PRECEDENCE", "SELECT NOT 1 BETWEEN -5 AND 5", Some("1")),
    ("", "SELECT NOT 1 BETWEEN -5 AND 5", Some("0")),
];

fn decide(server: Server, modes: &str, text: &str) -> Verdict {
    let mode = SqlMode::of_variable(modes).unwrap();
    let session = Session { mode, ..Session::from(Some("shop")) };
    Gate::new(server, Allowances::default()).decide(text.as_bytes(), session)
}

fn check(server: Server, database: &Database) {
    database.admin("CREATE DATABASE shop; CREATE TABLE shop.t (id INT); INSERT INTO shop.t VALUES (7)");
    for (modes, text, expected) in READ {
        let asked = format!("USE shop; SET sql_mode = '{modes}';\n{text}\n;");
        let said = database.asks(&asked);
        let row = said.as_ref().ok().and_then(|said| said.lines().next());
        assert_eq!(row, *expected, "{server:?} {modes}: {text}\n{said:?}");
        let passes = matches!(decide(server, modes, text), Verdict::Forward(_));
        assert_eq!(passes, expected.is_some(), "{server:?} {modes}: {text}");
    }
}

#[test]
fn mariadb_and_the_gate_read_alike() {
    check(MARIADB, &Database::mariadb(&[]));
}

#[test]
fn mysql_and_the_gate_read_alike() {
    check(MYSQL, &Database::mysql(&[]));
}

fn facts(server: Server, modes: &str, text: &str) -> Facts {
    match decide(server, modes, text) {
        Verdict::Forward(permit) => permit.facts().clone(),
        verdict => panic!("{modes}: {text}: {verdict:?}"),
    }
}

#[test]
fn a_name_in_double_quotes_is_judged_as_one_in_backticks() {
    for server in [MYSQL, MARIADB] {
        let tables = |text: &str| facts(server, ANSI_QUOTES, text).tables;
        assert_eq!(tables(r#"SELECT * FROM "a""b"."c d""#), tables("SELECT * FROM `a\"b`.`c d`"));
        assert_eq!(facts(server, "", r#"SELECT "x" FROM t"#).tables.len(), 1);
        for text in [
            r#"SELECT * FROM "mysql"."user""#,
            r##"SELECT * FROM "#mysql50#t""##,
            r#"SELECT "SLEEP"(1)"#,
            r#"SELECT 1 FROM """#,
            r#"SELECT 1 FROM "t"#,
            r#"USE "mysql""#,
            r#"DESCRIBE "mysql"."user""#,
        ] {
            assert!(matches!(decide(server, ANSI_QUOTES, text), Verdict::Refuse(_)), "{text}");
        }
    }
}

/// Each of these calls a function that is closed, in its mode and in no other.
#[test]
fn what_is_a_string_in_one_mode_hides_no_call_in_another() {
    for server in [MYSQL, MARIADB] {
        for (modes, text) in [
            (ESCAPES, r"SELECT '\', SLEEP(1) -- '"),
            (ESCAPES, r"SELECT N'\', SLEEP(1) -- '"),
            (ESCAPES, r#"SELECT "\", SLEEP(1) -- ""#),
            (ESCAPES, r"SELECT @'\', SLEEP(1) -- '"),
            (ANSI_QUOTES, r#"SELECT 1 AS "\", SLEEP(1) -- ""#),
            (ANSI_QUOTES, r#"SELECT @"\", SLEEP(1) -- ""#),
        ] {
            assert!(matches!(decide(server, modes, text), Verdict::Refuse(_)), "{modes}: {text}");
            assert!(matches!(decide(server, "", text), Verdict::Forward(_)), "{text}");
        }
        // A comment is no white space: this would be a stored function of the name.
        let spaced = decide(server, SPACE, "SELECT MAX /* x */ (id) FROM t");
        assert!(matches!(spaced, Verdict::Refuse(_)), "{spaced:?}");
        let null = decide(server, ESCAPES, r"SELECT \N");
        assert!(matches!(null, Verdict::Refuse(_)), "{null:?}");
    }
}

#[test]
fn whatever_sets_sql_mode_says_so() {
    for server in [MYSQL, MARIADB] {
        for text in [
            "SET sql_mode = 'ANSI,STRICT_TRANS_TABLES,TRADITIONAL'",
            "SET SESSION sql_mode = ''",
            "SET @@sql_mode := ANSI_QUOTES",
            "SET @@LOCAL.`sql_mode` = CONCAT(@@sql_mode, ',NO_BACKSLASH_ESCAPES')",
            "SET `sql_mode` = DEFAULT",
            "SET sql_mode = @saved",
            "SET sql_mode = ?",
            "SET sql_mode = 4",
            "SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = 'IGNORE_SPACE'",
        ] {
            match decide(server, "", text) {
                Verdict::Forward(permit) => assert_eq!(permit.effect(), SessionEffect::SetsSqlMode, "{text}"),
                verdict => panic!("{text}: {verdict:?}"),
            }
        }
        for text in ["SET time_zone = '+00:00'", "SET @sql_mode = 'ANSI'", "SELECT @@sql_mode"] {
            match decide(server, "", text) {
                Verdict::Forward(permit) => assert_eq!(permit.effect(), SessionEffect::None, "{text}"),
                verdict => panic!("{text}: {verdict:?}"),
            }
        }
        for text in [
            "SET sql_mode = 'ANSI,ORACLE'",
            "SET sql_mode = ORACLE",
            "SET sql_mode = 'MSSQL'",
            "SET sql_mode = 'nonsense'",
        ] {
            let verdict = decide(server, "", text);
            assert!(matches!(verdict, Verdict::Refuse(_)), "{text}: {verdict:?}");
        }
    }
}

#[test]
fn a_comment_is_blanked_in_the_mode_of_the_text() {
    for (modes, text, expected) in [
        (ESCAPES, r"SELECT '\' /* a */ , 1", r"SELECT '\' /*   */ , 1"),
        (ANSI_QUOTES, r#"SELECT 1 AS "\" /* a */ , 1"#, r#"SELECT 1 AS "\" /*   */ , 1"#),
        ("", r"SELECT '\' /* a */ , 1'", r"SELECT '\' /* a */ , 1'"),
    ] {
        match decide(MARIADB, modes, text) {
            Verdict::Forward(permit) => assert_eq!(permit.forwarded(), expected.as_bytes(), "{modes}"),
            verdict => panic!("{text}: {verdict:?}"),
        }
    }
}
