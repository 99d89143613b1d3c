//! The trace of columns: each byte stands for a word of SQL over tables with masked columns. It must come to an end, and
//! a text without a word of a masked column, a star or a natural join has no masked result.
#![no_main]

use libfuzzer_sys::fuzz_target;
use access::{Allowances, ColumnAccess, ColumnRule};
use sql::mysql::{Catalogue, Column, Gate, Relation, Server, Trace};
use sql::{TableName, Verdict};

const WORDS: &[&str] = &[
    "SELECT", "FROM", "WHERE", "users", "u", "t", "email", "id", "name", "e", "*", "(", ")", ",", ".", "1", "2", "'e'",
    "=", "AND", "JOIN", "LEFT", "ON", "USING", "NATURAL", "LATERAL", "GROUP", "BY", "ORDER", "LIMIT", "HAVING", "UNION",
    "ALL", "EXCEPT", "WITH", "RECURSIVE", "AS", "EXISTS", "IN", "COUNT", "MAX", "VALUES", "ROW", "TABLE", "DISTINCT",
    "contacts", "EXPLAIN", "SET", "@x", "?", "`x y`", "shop",
];

fn relation(name: &str, columns: &[&str], view: Option<&str>) -> Relation {
    let column = |name: &&str| Column { name: (*name).to_owned(), invisible: false, generated: String::new() };
    Relation {
        schema: "shop".into(),
        name: name.into(),
        columns: columns.iter().map(column).collect(),
        view: view.map(str::to_owned),
    }
}

fn look_up(name: &TableName) -> Option<Relation> {
    let text = "select `u`.`id` AS `id`,concat(`u`.`email`) AS `e` from `shop`.`users` `u`";
    match name.name.to_lowercase().as_str() {
        "users" => Some(relation("users", &["id", "name", "email"], None)),
        "contacts" => Some(relation("contacts", &["id", "e"], Some(text))),
        _ => None,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<&str> = bytes.iter().map(|byte| WORDS[usize::from(*byte) % WORDS.len()]).collect();
    let text = words.join(" ").replace(" . ", ".");
    let rule = ColumnRule {
        schema: "shop".into(),
        table: "users".into(),
        column: "email".into(),
        access: ColumnAccess::Mask,
    };
    let server = Server::from_greeting("8.4.3").unwrap();
    let gate = Gate::new(server, Allowances::default()).with_columns(vec![rule]);
    let Verdict::Forward(_) = gate.decide(text.as_bytes(), Some("shop")) else { return };
    let mut catalogue = Catalogue::default();
    for _ in 0..16 {
        match gate.trace(text.as_bytes(), Some("shop"), &catalogue) {
            Trace::Wanted(names) => {
                assert!(!names.is_empty());
                for name in names {
                    let relation = look_up(&name);
                    catalogue.insert(name, relation);
                }
            }
            Trace::Masked(result) => {
                assert!(result.iter().any(|column| column.masked), "{text}");
                let named = ["email", "*", "TABLE", "contacts"].iter().any(|word| words.contains(word));
                assert!(named, "{text}");
                return;
            }
            Trace::Open | Trace::Refuse(_) => return,
        }
    }
    panic!("no end: {text}");
});
