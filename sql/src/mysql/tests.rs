//! Properties of the gate over its corpora: what must never change a verdict, and what must always refuse.

#![allow(clippy::arithmetic_side_effects)]

use crate::Reason;
use crate::mysql::text::lexer::{self, Kind, Lexed};
use crate::mysql::{Flavour, Gate, Server, SqlMode, Verdict, Version};
use access::Allowances;
use proptest::prelude::*;

const ALLOWED: &str = include_str!("../../tests/mysql/corpus/allowed.txt");
const REFUSED: &str = include_str!("../../tests/mysql/corpus/refused.txt");

fn server(flavour: Flavour) -> Server {
    let (major, minor, patch) = if flavour == Flavour::MySql { (8, 4, 3) } else { (10, 11, 6) };
    Server { flavour, version: Version { major, minor, patch } }
}

fn decide(flavour: Flavour, text: &[u8]) -> Verdict {
    Gate::new(server(flavour), Allowances::default()).decide(text, Some("shop"))
}

/// The reason of a refusal, or nothing.
fn reason(flavour: Flavour, text: &str) -> Option<Reason> {
    match decide(flavour, text.as_bytes()) {
        Verdict::Refuse(refusal) => Some(refusal.reason),
        Verdict::Forward(_) | Verdict::Answer(_) => None,
    }
}

/// The statements of a corpus with a server that each is meant for.
fn statements(corpus: &'static str) -> Vec<(Flavour, &'static str)> {
    let lines = corpus.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("# "));
    let lines = lines.map(|line| match line.strip_prefix("mariadb> ") {
        Some(rest) => (Flavour::MariaDb, rest),
        None => (Flavour::MySql, line.strip_prefix("mysql> ").unwrap_or(line)),
    });
    lines.map(|(flavour, line)| (flavour, line.split_once(" | ").map_or(line, |(_, rest)| rest))).collect()
}

fn queries() -> Vec<(Flavour, &'static str)> {
    const FIRST: &[&str] = &["SELECT", "WITH", "(", "TABLE", "VALUES", "EXPLAIN SELECT"];
    let is_query = |text: &str| FIRST.iter().any(|first| text.starts_with(first)) && !text.contains("--");
    statements(ALLOWED).into_iter().filter(|(_, text)| is_query(text)).collect()
}

/// The text with other white space between lexemes that have some, and words in another case.
fn disguised(lexed: &Lexed<'_>, choices: &[u8]) -> String {
    const GAPS: &[&str] = &[" ", "\t", "\n", "\r\n  ", " /* x */ ", "/**/", " -- x\n", " # x\n", "/* '\" */"];
    let mut out = String::new();
    let mut end = 0;
    for (index, lexeme) in lexed.lexemes.iter().enumerate() {
        let choice = usize::from(choices[index % choices.len()]);
        if lexeme.start > end {
            out.push_str(GAPS[choice % GAPS.len()]);
        }
        let text = lexed.text(index);
        match lexeme.kind {
            Kind::Word { .. } if choice.is_multiple_of(3) => out.push_str(&text.to_ascii_uppercase()),
            Kind::Word { .. } if choice % 3 == 1 => out.push_str(&text.to_ascii_lowercase()),
            _ => out.push_str(text),
        }
        end = lexeme.end;
    }
    out
}

/// Texts where white space decides what is a comment: version comments, and two minus signs.
fn white_space_matters(text: &str) -> bool {
    text.contains("/*!") || text.contains("/*M!") || text.contains("--")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn white_space_comments_and_case_never_change_a_verdict(choices in prop::collection::vec(any::<u8>(), 1..40)) {
        for (flavour, text) in statements(ALLOWED).into_iter().chain(statements(REFUSED)) {
            if white_space_matters(text) {
                continue;
            }
            let Ok(lexed) = lexer::lex(text.as_bytes(), server(flavour), SqlMode::default()) else { continue };
            if lexed.lexemes.len() < 2 {
                continue;
            }
            let other = disguised(&lexed, &choices);
            prop_assert_eq!(reason(flavour, text), reason(flavour, &other), "{} became {}", text, other);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_gate_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decide(Flavour::MySql, &bytes);
        let _ = decide(Flavour::MariaDb, &bytes);
    }

    #[test]
    fn no_shuffle_of_sql_makes_the_gate_panic(picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60)) {
        const PIECES: &[&str] = &[
            "SELECT", "FROM", "WHERE", "(", ")", ",", ".", "t", "a", "`q`", "1", "'x'", "@v", "@@s", "?", "*", "=", "+",
            "-", "NOT", "IN", "AND", "CASE", "WHEN", "THEN", "END", "INTERVAL", "DAY", "CAST", "AS", "CHAR", "UNION",
            "ALL", "TABLE", "VALUES", "ROW", "WITH", "JOIN", "ON", "USING", "{", "}", "OJ", "JSON_TABLE", "COLUMNS",
            "PATH", "NESTED", "MATCH", "AGAINST", "OVER", "PARTITION", "BY", "ORDER", "GROUP", "LIMIT", "ROWS",
            "EXAMINED", "FOR", "SYSTEM_TIME", "OF", "TO", "BETWEEN", "FETCH", "FIRST", "COLLATE", "_utf8mb4", "x'41'",
            "/*!40000", "*/", "/* c */", "-- c\n", ";", "SET", "SHOW", "EXPLAIN", "NAMES", "GLOBAL", "LIKE", "ESCAPE",
            "DATE", "BINARY", "EXISTS", "TRIM", "SUBSTRING", "EXTRACT", "CONVERT", "SEPARATOR", "DISTINCT", "\\N",
            "LATERAL", "USE", "INDEX", "MEMBER", "SOUNDS", "DIV", "MOD", "->", "->>", ":=", "!", "~", "INTO",
        ];
        let text = picks.iter().map(|pick| *pick.get(PIECES)).collect::<Vec<_>>().join(" ");
        for flavour in [Flavour::MySql, Flavour::MariaDb] {
            let verdict = decide(flavour, text.as_bytes());
            if let Verdict::Forward(permit) = verdict {
                // Behind a dot any word is a name. SHOW takes any word for one: the server refuses the reserved ones there.
                let writes = text.replace(". INTO", "").contains("INTO") || text.contains(":=");
                prop_assert!(!writes || text.starts_with("SET") || text.starts_with("SHOW"), "{}", text);
                prop_assert_eq!(permit.forwarded().len(), text.len());
            }
        }
    }
}

#[test]
fn a_refused_expression_in_place_of_any_literal_makes_a_query_refused() {
    let fragments = [
        "SLEEP(1)",
        "f(1)",
        "(SELECT 1 FROM mysql.user)",
        "(@a := 1)",
        "IF(1,LOAD_FILE('x'),2)",
        "LAST_INSERT_ID(1)",
        "`sleep`(1)",
        "shop.f()",
        "(SELECT 1 FOR UPDATE)",
    ];
    for (flavour, text) in queries() {
        let Ok(lexed) = lexer::lex(text.as_bytes(), server(flavour), SqlMode::default()) else { continue };
        for lexeme in lexed.lexemes.iter() {
            if !matches!(lexeme.kind, Kind::Number | Kind::Text | Kind::Parameter) {
                continue;
            }
            for fragment in fragments {
                let other = format!("{} {fragment} {}", &text[..lexeme.start], &text[lexeme.end..]);
                assert!(reason(flavour, &other).is_some(), "passed: {other}");
            }
        }
    }
}

#[test]
fn a_refused_clause_between_any_two_lexemes_makes_a_query_refused() {
    let clauses = [
        " INTO OUTFILE 'x' ",
        " FOR UPDATE ",
        " LOCK IN SHARE MODE ",
        " ; DELETE FROM t ",
        " @a:=1 ",
        "/*!40000 INTO @x */",
    ];
    for (flavour, text) in queries() {
        let Ok(lexed) = lexer::lex(text.as_bytes(), server(flavour), SqlMode::default()) else { continue };
        for lexeme in lexed.lexemes.iter() {
            for clause in clauses {
                let other = format!("{}{clause}{}", &text[..lexeme.end], &text[lexeme.end..]);
                assert!(reason(flavour, &other).is_some(), "passed: {other}");
            }
        }
    }
}

#[test]
fn a_word_more_between_any_two_lexemes_is_no_way_to_another_table_or_function() {
    let words = [
        " mysql.user ",
        " , mysql.user ",
        " TABLE mysql.user ",
        " JOIN mysql.user ",
        " SLEEP(1) ",
        ", SLEEP(1) ",
    ];
    for (flavour, text) in queries() {
        let Ok(lexed) = lexer::lex(text.as_bytes(), server(flavour), SqlMode::default()) else { continue };
        for lexeme in lexed.lexemes.iter() {
            for word in words {
                let other = format!("{}{word}{}", &text[..lexeme.end], &text[lexeme.end..]);
                if let Verdict::Forward(permit) = decide(flavour, other.as_bytes()) {
                    // As a column (`SELECT mysql.user`) the words read nothing: the table would have to be named too.
                    let reads = permit
                        .facts()
                        .tables
                        .iter()
                        .any(|table| table.name == "user" && table.schema.as_deref() == Some("mysql"));
                    assert!(!reads && !word.contains("SLEEP"), "passed: {other}");
                }
            }
        }
    }
}

#[test]
fn forwarded_text_differs_from_the_original_inside_comments_only() {
    for (flavour, text) in statements(ALLOWED) {
        let Verdict::Forward(permit) = decide(flavour, text.as_bytes()) else { continue };
        let Ok(lexed) = lexer::lex(text.as_bytes(), server(flavour), SqlMode::default()) else {
            panic!("{text}")
        };
        let forwarded = permit.forwarded();
        for (offset, (before, after)) in text.bytes().zip(forwarded.iter().copied()).enumerate() {
            let blanked = lexed.blanks.iter().any(|blank| (blank.start..blank.end).contains(&offset));
            assert!(before == after || (blanked && after == b' '), "{text} at {offset}");
        }
        let again = decide(flavour, forwarded);
        assert!(matches!(again, Verdict::Forward(ref same) if same.facts() == permit.facts()), "{text}");
    }
}
