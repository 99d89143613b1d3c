//! Texts of several statements are cut where the servers cut them. What they do with each text here was seen on both servers;
//! the proxy's tests ask them again.

use crate::lines::{MARIADB, MYSQL};
use access::Allowances;
use sql::mysql::{Gate, SqlMode};
use sql::{Reason, Refusal, Verdict};

fn split_in(modes: &str, text: &[u8]) -> [Result<Vec<Vec<u8>>, Refusal>; 2] {
    let mode = SqlMode::of_variable(modes).unwrap();
    [MARIADB, MYSQL].map(|server| {
        let ranges = Gate::new(server, Allowances::default()).split(text, mode)?;
        Ok(ranges.into_iter().map(|range| text[range].to_vec()).collect())
    })
}

fn cut_in(modes: &str, text: &str, expected: &[&str]) {
    for parts in split_in(modes, text.as_bytes()) {
        let parts = parts.unwrap_or_else(|refusal| panic!("{text}: {}", refusal.message()));
        let parts: Vec<_> = parts.iter().map(|part| std::str::from_utf8(part).unwrap()).collect();
        assert_eq!(parts, expected, "{text}");
    }
}

fn cut(text: &str, expected: &[&str]) {
    cut_in("", text, expected);
}

fn refused(text: &str, reason: Reason, message: &str) {
    for parts in split_in("", text.as_bytes()) {
        let refusal = parts.unwrap_err();
        assert_eq!(refusal.reason, reason, "{text}");
        assert!(refusal.message().contains(message), "{text}: {}", refusal.message());
    }
}

#[test]
fn an_empty_statement_before_another_one_is_refused_by_its_number() {
    for text in
        [";SELECT 1", " ; SELECT 1", "/* c */; SELECT 1", "# x\n; SELECT 1", "/*!999999 x */; SELECT 3"]
    {
        refused(text, Reason::Empty, "statement 1: ");
    }
    for text in
        ["SELECT 1;; SELECT 2", "SELECT 1; /* c */; SELECT 2", "SELECT 1; /*!999999 SELECT 9 */ ; SELECT 3"]
    {
        refused(text, Reason::Empty, "statement 2: ");
    }
}

#[test]
fn what_the_lexer_refuses_is_cut_nowhere() {
    refused("SELECT 1; SELECT 'abc", Reason::Unterminated, "");
    refused("SELECT 'abc; SELECT 2", Reason::Unterminated, "");
    refused("SELECT 1; /* SELECT 2", Reason::Unterminated, "");
    refused("SELECT 1; \u{1}", Reason::Character, "");
    let refusals = split_in("", b"SELECT 1; SELECT \xff");
    assert!(
        refusals.into_iter().all(|refusal| refusal.is_err_and(|refusal| refusal.reason == Reason::Character))
    );
}

#[test]
fn statements_are_bounded_in_number_and_together_in_length() {
    cut(&"DO 1;".repeat(1_000), &["DO 1"; 1_000]);
    refused(&"DO 1;".repeat(1_001), Reason::TooLarge, "1000 statements");
    refused(&format!("SELECT 1; SELECT '{}'", "x".repeat(1 << 20)), Reason::TooLarge, "longer");
}

#[test]
fn semicolons_and_white_space_at_the_end_are_nothing() {
    cut("", &[]);
    cut(" ;; ", &[]);
    cut("SELECT 1", &["SELECT 1"]);
    cut("SELECT 1;", &["SELECT 1"]);
    cut(" SELECT 1 ; \n;\t", &["SELECT 1"]);
    cut("SET @a = 1;\nSELECT @a", &["SET @a = 1", "SELECT @a"]);
    cut("SELECT 1 ; SELECT 2 ;SELECT 3;;", &["SELECT 1", "SELECT 2", "SELECT 3"]);
}

#[test]
fn comments_alone_are_a_statement_at_the_end() {
    cut("-- x", &["-- x"]);
    cut("SELECT 1; -- tail; \n", &["SELECT 1", "-- tail"]);
    cut("SELECT 1; /* c */", &["SELECT 1", "/* c */"]);
    cut("SELECT 1; /* c */;", &["SELECT 1", "/* c */"]);
    cut("SELECT 1; /*!999999 SELECT 9 */", &["SELECT 1", "/*!999999 SELECT 9 */"]);
}

#[test]
fn semicolons_in_strings_names_and_comments_cut_nothing() {
    cut("SELECT 'a;b'; SELECT `a;b`; SELECT \";\"", &["SELECT 'a;b'", "SELECT `a;b`", "SELECT \";\""]);
    cut(
        "SELECT 1 /* ; */; SELECT 2 -- ;\n; SELECT 3 # ; x",
        &["SELECT 1 /* ; */", "SELECT 2 -- ;", "SELECT 3 # ; x"],
    );
    // The servers take it off the end before they read anything.
    cut("SELECT 1; SELECT 3 # ;", &["SELECT 1", "SELECT 3 #"]);
    cut(r"SELECT '\'; SELECT 2', 3; SELECT 4", &[r"SELECT '\'; SELECT 2', 3", "SELECT 4"]);
}

#[test]
fn the_sessions_mode_says_what_a_string_is() {
    let text = r#"SELECT "\"; SELECT 1 -- ""#;
    cut(text, &[text]);
    cut_in("NO_BACKSLASH_ESCAPES", text, &[r#"SELECT "\""#, r#"SELECT 1 -- ""#]);
}

#[test]
fn bytes_that_are_no_utf8_move_no_cut() {
    let text = b"SELECT _binary '\xff;\xfe'; SELECT '\xc3'";
    for parts in split_in("", text) {
        assert_eq!(parts.unwrap(), [&b"SELECT _binary '\xff;\xfe'"[..], b"SELECT '\xc3'"]);
    }
}

/// A server ends the statement in the middle of the comment, and finds neither half to be one.
#[test]
fn a_semicolon_inside_a_version_comment_leaves_halves_that_are_refused() {
    for text in [
        "SELECT 1; /*!50000 SELECT 2; SELECT 3 */",
        "/*!50000 SELECT 1; */ SELECT 2",
        "/*! SELECT 1; SELECT */ 2",
    ] {
        for server in [MARIADB, MYSQL] {
            let gate = Gate::new(server, Allowances::default());
            let ranges = gate.split(text.as_bytes(), SqlMode::default()).unwrap();
            let refused = |range: &std::ops::Range<usize>| {
                matches!(gate.decide(&text.as_bytes()[range.clone()], None), Verdict::Refuse(_))
            };
            assert!(ranges.iter().any(refused), "{text}");
        }
    }
}

/// Each statement is read by itself as it was read among the others.
#[test]
fn a_statement_is_decided_alike_alone_and_cut_out() {
    let statements =
        ["SELECT id FROM t WHERE note = 'a;b'", "SHOW TABLES", "SET @a = 1", "DELETE FROM t", "USE shop"];
    for server in [MARIADB, MYSQL] {
        let gate = Gate::new(server, Allowances::default());
        let text = statements.join(";\n/* ; */");
        let ranges = gate.split(text.as_bytes(), SqlMode::default()).unwrap();
        let passes = |text: &[u8]| matches!(gate.decide(text, Some("shop")), Verdict::Forward(_));
        let cut: Vec<bool> = ranges.into_iter().map(|range| passes(&text.as_bytes()[range])).collect();
        let alone: Vec<bool> = statements.iter().map(|statement| passes(statement.as_bytes())).collect();
        assert_eq!(cut, alone);
        assert_eq!(alone, [true, true, true, false, true]);
    }
}
