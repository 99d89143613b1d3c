//! Parser, dialect and walker: each byte stands for a word of SQL. A word of a writing statement, of a function with an
//! effect or of a lock must not pass where it means that.
#![no_main]

use libfuzzer_sys::fuzz_target;
use access::Allowances;
use sql::Verdict;
use sql::mysql::{Gate, Server, StatementKind};

/// Each byte is one of these; the last ones are dangerous as they stand.
const WORDS: &[&str] = &[
    "SELECT", "FROM", "WHERE", "a", "b", "t", "u", "*", "(", ")", ",", ".", "1", "'x'", "=", "AND", "OR", "NOT", "IN",
    "JOIN", "LEFT", "ON", "USING", "GROUP", "BY", "ORDER", "LIMIT", "OFFSET", "HAVING", "UNION", "ALL", "EXCEPT", "WITH",
    "RECURSIVE", "AS", "EXISTS", "CASE", "WHEN", "THEN", "ELSE", "END", "COUNT", "SUM", "OVER", "PARTITION", "ROWS",
    "BETWEEN", "UNBOUNDED", "PRECEDING", "CURRENT", "ROW", "INTERVAL", "DAY", "CAST", "CHAR", "CONVERT", "SIGNED",
    "EXTRACT", "DATE", "TIMESTAMP", "TABLE", "VALUES", "LATERAL", "NATURAL", "CROSS", "STRAIGHT_JOIN", "DISTINCT", "NULL",
    "TRUE", "IS", "LIKE", "ESCAPE", "REGEXP", "DIV", "MOD", "XOR", "BINARY", "COLLATE", "utf8mb4_bin", "_utf8mb4", "x'00'",
    "@a", "@@sql_mode", "?", ";", "+", "-", "~", "!", "||", "&&", "->", "->>", "<=>", ":=", "`a`", "{", "}", "d", "oj",
    "JSON_TABLE", "COLUMNS", "PATH", "NESTED", "FOR", "ORDINALITY", "SYSTEM_TIME", "OF", "TO", "WINDOW", "w", "FORCE",
    "INDEX", "MEMBER", "MATCH", "AGAINST", "BOOLEAN", "MODE", "GROUP_CONCAT", "SEPARATOR", "SHOW", "TABLES", "SET",
    "NAMES", "utf8mb4", "SESSION", "EXPLAIN", "DESCRIBE", "USE", "BEGIN", "COMMIT", "FORMAT", "JSON", "TRANSACTION", "READ",
    "ONLY", "/*", "*/", "--", "#", "/*!80000", "/*M!", "\n", "ROLLUP", "CUBE", "VALUE", "NEXT", "SKIP", "LOCKED",
    "INTO", "OUTFILE", "UPDATE", "SHARE", "LOCK", "DELETE", "INSERT", "SLEEP", "GET_LOCK", "NEXTVAL", "PROCEDURE",
];

/// Reserved everywhere, so each is what it says, but for a name behind a period.
const NEVER: &[&str] = &["INTO", "OUTFILE", "UPDATE", "DELETE", "PROCEDURE"];

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<&str> = bytes.iter().map(|byte| WORDS[usize::from(*byte) % WORDS.len()]).collect();
    let text = words.join(" ");
    for greeting in ["8.4.3", "10.11.6-MariaDB"] {
        let gate = Gate::new(Server::from_greeting(greeting).unwrap(), Allowances::default());
        let Verdict::Forward(permit) = gate.decide(text.as_bytes(), Some("shop")) else { continue };
        let forwarded = std::str::from_utf8(permit.forwarded()).unwrap();
        // Of session statements each has a small parser of its own; names there may be any word.
        if permit.kind() != StatementKind::Query {
            continue;
        }
        // Blanked comments are gone; what is left of these words is SQL.
        let plain = forwarded.split(['\'', '`']).step_by(2).collect::<Vec<_>>().join(" ");
        let left: Vec<&str> = plain.split_whitespace().collect();
        for (index, word) in left.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|before| left.get(before)).copied().unwrap_or_default();
            assert!(!NEVER.contains(word) || before == ".", "{word} in {text}");
            assert!(!(*word == "SHARE" && before == "FOR"), "{text}");
            assert!(*word != ":=", "{text}");
        }
        let facts = permit.facts();
        for function in ["sleep", "get_lock", "nextval"] {
            assert!(!facts.functions.contains(function), "{function} in {text}");
        }
    }
});
