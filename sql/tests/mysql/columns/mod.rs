//! Column rules: what of a masked or hidden column gets through, by any way of naming it.

mod bounds;
mod followed;
mod names;
mod refused;

use access::{Allowances, ColumnAccess, ColumnRule};
use sql::mysql::{Catalogue, Column, Gate, Relation, Server, Trace};
use sql::{TableName, Verdict};

fn rule(table: &str, column: &str, access: ColumnAccess) -> ColumnRule {
    ColumnRule { schema: "shop".into(), table: table.into(), column: column.into(), access }
}

fn gate(server: Server) -> Gate {
    let rules = vec![
        rule("users", "email", ColumnAccess::Mask),
        rule("users", "ssn", ColumnAccess::Hide),
        rule("cards", "number", ColumnAccess::Mask),
        rule("typo", "nmae", ColumnAccess::Mask),
        rule("people", "born", ColumnAccess::Mask),
        rule("people", "salary", ColumnAccess::Hide),
    ];
    Gate::new(server, Allowances::default()).with_columns(rules)
}

const TABLES: &[(&str, &str)] = &[
    ("users", "id name email ssn -secret_hint"),
    ("cards", "id user_id number"),
    ("orders", "id user_id total straße"),
    ("plain", "id a b"),
    ("typo", "id name"),
    (
        "people",
        "id decade=`year`-`year`%10 year=year(`born`) born -tax=(`salary`*0.2) sum=concat(salary,born) salary even=(`id`%2)",
    ),
];

const VIEWS: &[(&str, &str, &str)] = &[
    ("contacts", "id address", "select `u`.`id` AS `id`,`u`.`email` AS `address` from `shop`.`users` `u`"),
    (
        "domains",
        "id domain",
        "select `shop`.`users`.`id` AS `id`,substr(`shop`.`users`.`email`,3) AS `domain` from `shop`.`users`",
    ),
    (
        "open_users",
        "id name",
        "select `shop`.`users`.`id` AS `id`,`shop`.`users`.`name` AS `name` from `shop`.`users` where (`shop`.`users`.`email` like '%.org')",
    ),
    (
        "second",
        "id address",
        "select `shop`.`contacts`.`id` AS `id`,`shop`.`contacts`.`address` AS `address` from `shop`.`contacts`",
    ),
    ("numbers", "n", "select max(`shop`.`users`.`ssn`) AS `n` from `shop`.`users`"),
    ("unreadable", "id", ""),
    ("broken", "id", "select from"),
    ("uneven", "id a", "select `p`.`id` AS `id` from `shop`.`plain` `p`"),
    (
        "unsure",
        "id a b user_id total straße x",
        "select * from `shop`.`plain` join `shop`.`orders` using (`id`)",
    ),
];

fn columns(list: &str) -> Vec<Column> {
    let column = |text: &str| {
        let (name, generated) = text.split_once('=').unwrap_or((text, ""));
        Column {
            name: name.trim_start_matches('-').to_owned(),
            invisible: name.starts_with('-'),
            generated: generated.to_owned(),
        }
    };
    list.split(' ').map(column).collect()
}

/// A table that the server calls so, or a view with its text.
fn relation(schema: &str, name: &str, list: &str, view: Option<&str>) -> Relation {
    Relation {
        schema: schema.into(),
        name: name.into(),
        columns: columns(list),
        view: view.map(str::to_owned),
    }
}

fn look_up(name: &TableName) -> Option<Relation> {
    let table = TABLES.iter().find(|(table, _)| *table == name.name);
    let view = VIEWS.iter().find(|(view, _, _)| *view == name.name);
    match (name.schema.as_deref(), table, view) {
        (Some("shop"), Some((table, list)), _) => Some(relation("shop", table, list, None)),
        (Some("shop"), _, Some((view, list, text))) => Some(relation("shop", view, list, Some(text))),
        (Some("information_schema"), _, _) => {
            Some(relation("information_schema", &name.name.to_uppercase(), "table_name histogram", None))
        }
        _ => None,
    }
}

/// What the gate says of a text once it was told of all tables that it asked about.
fn traced(gate: &Gate, text: &str, look_up: impl Fn(&TableName) -> Option<Relation>) -> Trace {
    let mut catalogue = Catalogue::default();
    for _ in 0..16 {
        match gate.trace(text.as_bytes(), Some("shop"), &catalogue) {
            Trace::Wanted(names) => {
                for name in names {
                    let relation = look_up(&name);
                    catalogue.insert(name, relation);
                }
            }
            other => return other,
        }
    }
    panic!("never done: {text}");
}

fn trace(server: Server, text: &str) -> Trace {
    let gate = gate(server);
    assert!(gate.has_column_rules());
    match gate.decide(text.as_bytes(), Some("shop")) {
        Verdict::Refuse(refusal) => panic!("refused without a trace: {text}: {}", refusal.message()),
        Verdict::Forward(_) | Verdict::Answer(_) => {}
    }
    traced(&gate, text, look_up)
}

/// `_` for an open column, its name for a masked one.
fn shown(trace: &Trace) -> String {
    match trace {
        Trace::Open => "open".into(),
        Trace::Refuse(refusal) => format!("Keyhole: {}", refusal.message()),
        Trace::Wanted(_) => "wanted".into(),
        Trace::Masked(columns) => {
            let one = |column: &sql::mysql::ResultColumn| match (&column.name, column.masked) {
                (Some(name), true) => name.clone(),
                (None, true) => "?".into(),
                (_, false) => "_".into(),
            };
            columns.iter().map(one).collect::<Vec<_>>().join(" ")
        }
    }
}

/// The texts of a section of the table file, with what is expected.
fn check(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        for greeting in ["8.4.3", "5.5.5-10.11.6-MariaDB"] {
            let server = Server::from_greeting(greeting).unwrap();
            let found = shown(&trace(server, text));
            let good = match *expected {
                "refused" => found.starts_with("Keyhole: "),
                exact => found == exact,
            };
            if !good {
                wrong.push(format!("{:?}: {text}\n    {found}, not {expected}", server.flavour));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
