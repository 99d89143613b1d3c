//! The corpora of statements that must pass and that must be refused, for both servers.

use crate::lines::{MARIADB, MYSQL, SERVERS, lines, productions};
use access::Allowances;
use sql::mysql::{Flavour, Gate, Server, Version};
use sql::{Reason, Verdict};
use std::collections::BTreeMap;

fn gate(server: Server) -> Gate {
    Gate::new(server, Allowances::default())
}

#[test]
fn every_statement_of_the_allowed_corpus_passes() {
    let mut wrong = Vec::new();
    for (server, statement) in lines(include_str!("corpus/allowed.txt")) {
        match gate(server).decide(statement.as_bytes(), Some("shop")) {
            Verdict::Forward(permit) => {
                assert_eq!(permit.forwarded().len(), statement.len(), "{statement}");
            }
            Verdict::Answer(_) => {}
            Verdict::Refuse(refusal) => {
                wrong.push(format!("{:?}: {statement}\n    {}", server.flavour, refusal.message()))
            }
        }
    }
    assert!(wrong.is_empty(), "{} refused:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_production_passes_in_every_version_that_has_it() {
    let (mut wrong, mut seen) = (Vec::new(), BTreeMap::<String, usize>::new());
    for (server, statement) in productions(include_str!("corpus/productions.txt")) {
        *seen.entry(format!("{server:?}")).or_default() += 1;
        if let Verdict::Refuse(refusal) = gate(server).decide(statement.as_bytes(), Some("shop")) {
            wrong.push(format!("{server:?}: {statement}\n    {}", refusal.message()));
        }
    }
    assert!(wrong.is_empty(), "{} refused:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(seen.len(), SERVERS.len());
    assert!(seen.values().all(|count| *count >= 550), "{seen:?}");
}

#[test]
fn every_statement_of_the_refused_corpora_is_refused_for_its_reason() {
    let mut wrong = Vec::new();
    let clients = lines(include_str!("corpus/clients_refused.txt"));
    for (server, line) in lines(include_str!("corpus/refused.txt")).chain(clients) {
        let (reason, statement) = line.split_once(" | ").expect("a reason and a statement");
        match gate(server).decide(statement.as_bytes(), Some("shop")) {
            Verdict::Refuse(refusal) if format!("{:?}", refusal.reason) == reason => {}
            Verdict::Refuse(refusal) => {
                wrong.push(format!(
                    "{:?}: {line}\n    but {:?}: {}",
                    server.flavour,
                    refusal.reason,
                    refusal.message()
                ));
            }
            Verdict::Forward(_) | Verdict::Answer(_) => {
                wrong.push(format!("{:?}: {line}\n    PASSED", server.flavour))
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Each client of a corpus, by its heading, and its lines.
fn clients(corpus: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    corpus.split("\n# --- ").skip(1).filter_map(|section| section.split_once('\n'))
}

#[test]
fn every_statement_of_real_clients_passes() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (client, section) in clients(include_str!("corpus/clients.txt")) {
        let (all, refused) =
            lines(section).fold((0, Vec::new()), |(all, mut refused), (server, statement)| {
                if let Verdict::Refuse(refusal) = gate(server).decide(statement.as_bytes(), Some("shop")) {
                    refused.push(format!("  {:?}: {statement}\n    {}", server.flavour, refusal.message()));
                }
                (all + 1, refused)
            });
        seen += 1;
        if !refused.is_empty() {
            wrong.push(format!("{client}: {} of {all} refused\n{}", refused.len(), refused.join("\n")));
        }
    }
    assert!(seen >= 40, "only {seen} clients");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// In an older server `ROLLUP(..)` would be a call of a stored function.
#[test]
fn grouping_sets_and_new_functions_pass_where_the_server_has_them() {
    let version = Version { major: 9, minor: 7, patch: 0 };
    let newest = gate(Server { flavour: Flavour::MySql, version });
    for text in [
        "SELECT a, COUNT(*) FROM t GROUP BY ROLLUP (a, b)",
        "SELECT a FROM (SELECT a FROM t GROUP BY ROLLUP(a)) x GROUP BY CUBE(a, a + 1) HAVING a > 1",
        "SELECT a FROM t GROUP BY GROUPING SETS ((a), (a, b)) ORDER BY a",
        "SELECT ETAG(a, b), CURRENT_USER_IN('x'), VERSION_WITH_UPDATE() FROM t",
    ] {
        assert!(matches!(newest.decide(text.as_bytes(), Some("shop")), Verdict::Forward(_)), "{text}");
        assert!(matches!(gate(MYSQL).decide(text.as_bytes(), Some("shop")), Verdict::Refuse(_)), "{text}");
        assert!(matches!(gate(MARIADB).decide(text.as_bytes(), Some("shop")), Verdict::Refuse(_)), "{text}");
    }
    for text in [
        "SELECT ROLLUP(a) FROM t",
        "SELECT a FROM t GROUP BY a, ROLLUP(b)",
        "SELECT a FROM t GROUP BY `ROLLUP`(b)",
        "SELECT a FROM t ORDER BY ROLLUP(b)",
        "SELECT a FROM t GROUP BY shop.ROLLUP(b)",
        "SELECT a FROM t GROUP BY ROLLUP(SLEEP(1))",
        "SELECT a FROM t GROUP BY CUBE((SELECT 1 FROM mysql.user))",
        "SELECT SUM(a) OVER (PARTITION BY ROLLUP(b)) FROM t",
        "SELECT a FROM t GROUP BY GROUPING SETS ((a), (), (SLEEP(1)))",
        "SELECT a FROM t GROUP BY GROUPING SETS ((), (a)) HAVING f()",
        "SELECT () FROM t GROUP BY GROUPING SETS ((a), ())",
        "SELECT a FROM t GROUP BY (), a",
    ] {
        assert!(matches!(newest.decide(text.as_bytes(), Some("shop")), Verdict::Refuse(_)), "{text}");
    }
}

/// What a word or a name before a parenthesis means depends on the server's version.
#[test]
fn words_and_functions_follow_the_version() {
    let passes = |greeting: &str, text: &str| {
        let verdict = gate(Server::from_greeting(greeting).unwrap()).decide(text.as_bytes(), Some("shop"));
        matches!(verdict, Verdict::Forward(_))
    };
    let clause = "SELECT a FROM t QUALIFY RANK() OVER (ORDER BY a) = 1";
    let column = "SELECT qualify, t.qualify AS qualify FROM t qualify ORDER BY qualify";
    assert!(passes("8.0.36", column) && !passes("8.0.36", clause));
    assert!(!passes("8.4.3", column) && passes("8.4.3", clause));

    let (old, new) = ("10.6.18-MariaDB", "10.11.6-MariaDB");
    let numbered = "SELECT ROW_NUMBER() OVER (ORDER BY a) AS row_number FROM t";
    assert!(passes(old, numbered) && !passes(new, numbered) && !passes("8.4.3", numbered));
    let spaced = "SELECT ROW_NUMBER () OVER (ORDER BY a) FROM t";
    assert!(!passes(old, spaced) && passes(new, spaced) && passes("8.4.3", spaced));
    let aliased = "SELECT a FROM t intersect";
    assert!(passes("8.0.30", aliased) && !passes("8.0.31", aliased) && !passes(new, aliased));
    assert!(!passes("8.0.30", "SELECT a FROM t INTERSECT SELECT b FROM u"));

    assert!(passes("8.4.3", "SELECT library, external FROM t") && !passes("9.2.0", "SELECT library FROM t"));
    assert!(passes("8.0.36", "SELECT tablesample FROM t") && !passes("8.4.3", "SELECT tablesample FROM t"));
    assert!(!passes("8.0.20", "SELECT JSON_VALUE(j, '$.a') FROM t"));
    assert!(passes("8.0.21", "SELECT JSON_VALUE(j, '$.a') FROM t"));
    assert!(passes(new, "SELECT SYSDATE ()") && !passes("8.4.3", "SELECT SYSDATE ()"));
}

#[test]
fn what_would_weaken_a_lock_or_show_a_hash_is_answered_without_the_database() {
    for text in
        ["SET max_statement_time = 0", "SET @@SESSION.MAX_EXECUTION_TIME=0", "SHOW GRANTS", "KILL QUERY 7"]
            .into_iter()
            .chain(["SET SESSION TRANSACTION READ WRITE", "SET TRANSACTION READ WRITE"])
    {
        assert!(matches!(gate(MARIADB).decide(text.as_bytes(), None), Verdict::Answer(_)), "{text}");
    }
}

#[test]
fn a_refusal_tells_what_and_where() {
    let Verdict::Refuse(refusal) = gate(MYSQL).decide(b"SELECT 1,\n  SLEEP(5)", None) else {
        panic!("SLEEP passed");
    };
    assert_eq!(refusal.reason, Reason::Function);
    assert_eq!(refusal.message(), "SLEEP holds a session and reads nothing (line 2, column 3)");
}

#[test]
fn debug_output_shows_no_sql() {
    let shown = format!("{:?}", gate(MYSQL).decide(b"SELECT secret_column FROM secret_table", None));
    assert!(!shown.contains("secret"), "{shown}");
    let shown = format!("{:?}", gate(MYSQL).decide(b"SELECT secret_function()", None));
    assert!(!shown.contains("secret"), "{shown}");
}
