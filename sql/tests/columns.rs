//! Column rules: what of a masked or hidden column gets through, by any way of naming it.

// All of this file is test code; the lints see that in the marked functions only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use sql::{
    Allowances, Catalogue, ColumnAccess, ColumnRule, Columns, Gate, Relation, Server, TableName, Trace,
    Verdict,
};

fn rule(table: &str, column: &str, access: ColumnAccess) -> ColumnRule {
    ColumnRule { schema: "shop".into(), table: table.into(), column: column.into(), access }
}

fn gate(server: Server) -> Gate {
    let rules = vec![
        rule("users", "email", ColumnAccess::Mask),
        rule("users", "ssn", ColumnAccess::Hide),
        rule("cards", "number", ColumnAccess::Mask),
        rule("typo", "nmae", ColumnAccess::Mask),
    ];
    Gate::new(server, Allowances::default()).with_columns(rules)
}

const TABLES: &[(&str, &str)] = &[
    ("users", "id name email ssn -secret_hint"),
    ("cards", "id user_id number"),
    ("orders", "id user_id total straße"),
    ("plain", "id a b"),
    ("typo", "id name"),
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

fn columns(list: &str) -> Columns {
    let column = |name: &str| match name.strip_prefix('-') {
        Some(name) => (name.to_owned(), true),
        None => (name.to_owned(), false),
    };
    Columns { names: list.split(' ').map(column).collect() }
}

fn look_up(name: &TableName) -> Relation {
    let table = TABLES.iter().find(|(table, _)| *table == name.name);
    let view = VIEWS.iter().find(|(view, _, _)| *view == name.name);
    match (name.schema.as_deref(), table, view) {
        (Some("shop"), Some((_, list)), _) => Relation::Table(columns(list)),
        (Some("shop"), _, Some((_, list, text))) => {
            Relation::View { columns: columns(list), definition: (*text).to_owned() }
        }
        (Some("information_schema"), _, _) => Relation::Table(columns("table_name histogram")),
        _ => Relation::Absent,
    }
}

fn trace(server: Server, text: &str) -> Trace {
    let gate = gate(server);
    assert!(gate.has_column_rules());
    match gate.decide(text.as_bytes(), Some("shop")) {
        Verdict::Refuse(refusal) => panic!("refused without a trace: {text}: {}", refusal.message()),
        Verdict::Forward(_) | Verdict::Answer(_) => {}
    }
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

/// `_` for an open column, its name for a masked one.
fn shown(trace: &Trace) -> String {
    match trace {
        Trace::Open => "open".into(),
        Trace::Refuse(refusal) => refusal.message(),
        Trace::Wanted(_) => "wanted".into(),
        Trace::Masked(columns) => {
            let one = |column: &sql::ResultColumn| match (&column.name, column.masked) {
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

#[test]
fn a_masked_column_is_followed_to_its_place_in_the_result() {
    check(&[
        ("SELECT email FROM users", "email"),
        ("SELECT id, EMAIL FROM users", "_ EMAIL"),
        ("SELECT users.email, shop.users.id FROM users", "email _"),
        ("SELECT u.email AS e FROM users AS u", "e"),
        ("SELECT u.`email` 'mail' FROM users u", "mail"),
        // The server may write these otherwise.
        ("SELECT email AS `x y`, number FROM users, cards", "? number"),
        ("SELECT email AS a123456789b123456789c123456789d123456789e123456789f123456789g1234 FROM users", "?"),
        (
            "SELECT email AS a123456789b123456789c123456789d123456789e123456789f123456789g123 FROM users",
            "a123456789b123456789c123456789d123456789e123456789f123456789g123",
        ),
        ("SELECT t.mail FROM (SELECT email AS \"mail\" FROM users) t", "mail"),
        ("SELECT t.mail FROM (SELECT name 'mail' FROM users) t", "open"),
        ("SELECT id, number FROM cards", "_ number"),
        ("SELECT * FROM cards", "_ _ number"),
        ("SELECT c.*, 1 FROM cards c", "_ _ number _"),
        ("SELECT 1, c.*, o.total FROM orders o, shop.cards c", "_ _ _ number _"),
        ("TABLE cards", "_ _ number"),
        ("SELECT * FROM (SELECT id, email FROM users) t", "_ email"),
        ("SELECT x, y FROM (SELECT id AS x, email AS y FROM users) t WHERE x > 5", "_ y"),
        ("WITH t AS (SELECT email AS e, id FROM users) SELECT id, t.e FROM t", "_ e"),
        ("WITH t(a, b) AS (SELECT email, id FROM users) SELECT b, a FROM t", "_ a"),
        ("WITH a AS (SELECT email FROM users), b AS (SELECT * FROM a) SELECT * FROM b", "email"),
        ("SELECT id, email FROM users UNION ALL SELECT id, name FROM users", "_ email"),
        ("SELECT id, name FROM users UNION ALL SELECT id, email FROM users", "_ name"),
        ("(SELECT email FROM users)", "email"),
        ("SELECT number FROM cards JOIN users u ON u.id = user_id ORDER BY u.id LIMIT 5", "number"),
        ("SELECT user_id, number FROM cards ORDER BY 1", "_ number"),
        ("SELECT user_id, COUNT(*) FROM cards GROUP BY user_id", "open"),
        ("SELECT id, address FROM contacts", "_ address"),
        ("SELECT * FROM contacts c WHERE id = 3", "_ address"),
        ("SELECT * FROM domains", "_ domain"),
        ("SELECT * FROM second", "_ address"),
        (
            "WITH RECURSIVE t AS (SELECT id, number FROM cards UNION ALL SELECT id + 1, number FROM t WHERE id < 5) \
             SELECT * FROM t",
            "_ number",
        ),
        (
            "SELECT email FROM users WHERE EXISTS (SELECT number FROM cards c WHERE c.user_id = users.id)",
            "email",
        ),
        ("SELECT u.email FROM users u ORDER BY (SELECT 1)", "email"),
        ("SELECT u.email FROM users u HAVING (SELECT COUNT(*) FROM plain) > 0", "email"),
        ("SELECT (SELECT 1), email, (SELECT a FROM plain LIMIT 1) FROM users", "_ email _"),
    ]);
}

#[test]
fn what_concerns_no_rule_passes_as_it_is() {
    check(&[
        ("SELECT 1", "open"),
        ("SELECT id, name FROM users", "open"),
        ("SELECT * FROM plain", "open"),
        ("SELECT a, SUM(b) s FROM plain GROUP BY a HAVING s > 3 ORDER BY s DESC, 1", "open"),
        ("SELECT COUNT(*) FROM users ORDER BY `COUNT(*)`", "open"),
        ("SELECT t.`COUNT(*)` FROM (SELECT COUNT(*) FROM users) t", "open"),
        ("SELECT * FROM plain JOIN orders USING (id)", "open"),
        ("SELECT * FROM plain NATURAL JOIN orders", "open"),
        ("SELECT users.name FROM users JOIN orders ON orders.user_id = users.id", "open"),
        ("SELECT total FROM orders WHERE user_id IN (SELECT id FROM users WHERE name = 'x')", "open"),
        ("SELECT COUNT(*) FROM users", "open"),
        ("SELECT u.name FROM users u WHERE EXISTS (SELECT email FROM users)", "open"),
        ("SELECT secret_hint FROM users", "open"),
        ("SELECT straße FROM orders ORDER BY straße", "open"),
        ("SELECT orders.straße FROM orders, plain", "open"),
        ("SELECT total FROM orders ORDER BY total", "open"),
        ("SELECT j.x FROM JSON_TABLE('[1]', '$[*]' COLUMNS (x INT PATH '$')) j", "open"),
        ("SELECT * FROM open_users", "open"),
        ("SELECT id FROM contacts", "open"),
        ("EXPLAIN SELECT name FROM users", "open"),
        ("SHOW TABLES WHERE `Tables_in_shop` LIKE 'u%'", "open"),
        ("SHOW COLUMNS FROM users WHERE Field = 'email'", "open"),
        ("SELECT table_name FROM information_schema.tables", "open"),
        ("SELECT a AS x, (SELECT x + 1) FROM plain", "open"),
        ("BEGIN", "open"),
        (
            "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n",
            "open",
        ),
    ]);
}

#[test]
fn nothing_can_be_made_of_a_masked_column() {
    check(&[
        ("SELECT CONCAT(email) FROM users", "refused"),
        ("SELECT (email) FROM users", "refused"),
        ("SELECT email + 0 FROM users", "refused"),
        ("SELECT id FROM users WHERE email = 'x'", "refused"),
        ("SELECT id FROM users ORDER BY email", "refused"),
        ("SELECT id, email FROM users ORDER BY 2", "refused"),
        ("SELECT id, email FROM users ORDER BY +(2)", "refused"),
        ("SELECT id, email FROM users ORDER BY ?", "refused"),
        ("SELECT email AS e FROM users ORDER BY e", "refused"),
        ("SELECT email AS e FROM users HAVING e > 'm'", "refused"),
        ("SELECT COUNT(*) FROM users GROUP BY email", "refused"),
        ("SELECT COUNT(*), email AS e FROM users GROUP BY e", "refused"),
        ("SELECT COUNT(*), email FROM users GROUP BY 2", "refused"),
        ("SELECT COUNT(email) FROM users", "refused"),
        ("SELECT DISTINCT email FROM users", "refused"),
        ("SELECT email 'e''x' FROM users", "refused"),
        ("SELECT t.e FROM (SELECT email 'e' FROM users) t WHERE t.e = 1", "refused"),
        ("SELECT email FROM users UNION SELECT 'guess'", "refused"),
        ("SELECT email FROM users INTERSECT SELECT 'guess'", "refused"),
        ("SELECT 1 FROM users JOIN contacts ON email = address", "refused"),
        ("SELECT 1 FROM users JOIN (SELECT 'guess' AS email) g USING (email)", "refused"),
        ("SELECT 1 FROM users NATURAL JOIN (SELECT 'guess' AS email) g", "refused"),
        ("SELECT (SELECT email FROM users LIMIT 1)", "refused"),
        ("SELECT 'x' IN (SELECT email FROM users)", "refused"),
        ("SELECT 'x' > ANY (SELECT email FROM users)", "refused"),
        ("SELECT ROW(1, 'x') = (SELECT id, email FROM users LIMIT 1)", "refused"),
        ("SELECT (SELECT u.email) FROM users u", "refused"),
        ("SELECT (SELECT e) FROM (SELECT email AS e FROM users) t", "refused"),
        ("SELECT email AS e, (SELECT e) FROM users", "refused"),
        ("SELECT address FROM contacts WHERE address LIKE 'a%'", "refused"),
        ("SELECT id FROM domains WHERE domain = 'x'", "refused"),
        ("SELECT ROW_NUMBER() OVER (ORDER BY email) FROM users", "refused"),
        ("SELECT GROUP_CONCAT(id ORDER BY email) FROM users", "refused"),
        ("SELECT MATCH (email) AGAINST ('x') FROM users", "refused"),
        ("SELECT CASE WHEN email = 'x' THEN 1 END FROM users", "refused"),
        ("EXPLAIN SELECT email FROM users WHERE id = 1", "refused"),
        ("EXPLAIN SELECT * FROM open_users WHERE id = 1", "refused"),
        ("SELECT histogram FROM information_schema.column_statistics", "refused"),
        ("SELECT id FROM users PARTITION (p0)", "refused"),
        ("SELECT DEFAULT(email) FROM users", "refused"),
        (
            "WITH RECURSIVE t AS (SELECT id, number FROM cards UNION ALL SELECT number, id FROM t) SELECT * FROM t",
            "refused",
        ),
        ("SELECT * FROM cards JOIN orders USING (id)", "refused"),
        ("SELECT JSON_ARRAYAGG(number) FROM cards", "refused"),
        ("SELECT * FROM cards c, JSON_TABLE(c.number, '$' COLUMNS (x INT PATH '$')) j", "refused"),
    ]);
}

#[test]
fn a_cycle_compares_columns_where_there_are_masked_ones() {
    let text = |table: &str, column: &str| {
        format!(
            "WITH RECURSIVE r AS (SELECT id, {column} FROM {table} UNION ALL SELECT id + 1, {column} FROM r) \
             CYCLE id RESTRICT SELECT id FROM r"
        )
    };
    let server = Server::from_greeting("10.11.6-MariaDB").unwrap();
    assert_eq!(shown(&trace(server, &text("plain", "a").replace("UNION ALL", "UNION"))), "open");
    assert!(shown(&trace(server, &text("cards", "number"))).starts_with("Keyhole: "));
}

#[test]
fn a_hidden_column_is_not_read_at_all() {
    check(&[
        ("SELECT ssn FROM users", "refused"),
        ("SELECT * FROM users", "refused"),
        ("SELECT u.* FROM users u", "refused"),
        ("TABLE users", "refused"),
        ("SELECT id FROM users WHERE ssn = 5", "refused"),
        ("SELECT 1 FROM users WHERE EXISTS (SELECT ssn FROM users)", "refused"),
        ("SELECT n FROM numbers", "refused"),
        ("SELECT * FROM numbers", "refused"),
        ("SELECT 1 FROM numbers", "open"),
    ]);
}

#[test]
fn what_cannot_be_traced_is_refused() {
    check(&[
        ("SELECT id FROM unreadable", "refused"),
        ("SELECT id FROM broken", "refused"),
        ("SELECT id FROM missing", "refused"),
        ("SELECT id FROM uneven", "refused"),
        ("SELECT id FROM unsure", "refused"),
        ("SELECT áb FROM plain", "refused"),
        ("SELECT plain.straße FROM orders, plain", "refused"),
        ("SELECT id FROM typo", "refused"),
        ("SELECT nowhere FROM users", "refused"),
        ("SELECT _rowid FROM users", "refused"),
        // The servers take é for e.
        ("SELECT émail FROM users", "refused"),
        ("SELECT (SELECT émail FROM users LIMIT 1) FROM (SELECT 1 AS émail) d", "refused"),
        ("SELECT (SELECT 1 FROM orders WHERE strasse = 1) FROM (SELECT 1 AS strasse) d", "refused"),
        // A name in ON means the joined tables' columns, or else an outer query's.
        (
            "SELECT (SELECT 1 FROM (SELECT 1 AS email) a, plain b JOIN plain c ON email = 'guess' LIMIT 1) FROM users",
            "refused",
        ),
        // In HAVING the server looks among the items, then outside.
        ("SELECT (SELECT 1 FROM (SELECT 1 AS email) a HAVING email = 'guess') FROM users", "refused"),
        // A derived table does not see its neighbours, but what is around them.
        (
            "SELECT (SELECT x FROM (SELECT 1 AS email) a, (SELECT email = 'guess' AS x) b) FROM users",
            "refused",
        ),
        ("SELECT (SELECT 1 AS email FROM plain WHERE email = 'guess') FROM users", "refused"),
    ]);
}

/// Forms that the newest MySQL alone reads.
#[test]
fn nothing_can_be_made_of_a_masked_column_by_the_newest_forms() {
    let server = Server::from_greeting("9.7.0").unwrap();
    for text in [
        "SELECT id FROM users QUALIFY email = 'x'",
        "SELECT email AS e FROM users QUALIFY e > 'm'",
        "SELECT id FROM users QUALIFY ROW_NUMBER() OVER (ORDER BY email) = 1",
        "SELECT COUNT(*) FROM users GROUP BY ROLLUP(email)",
        "SELECT COUNT(*) FROM users GROUP BY CUBE(id, email)",
        "SELECT COUNT(*) FROM users GROUP BY GROUPING SETS ((id), (email))",
        "SELECT ETAG(email) FROM users",
        "SELECT id FROM users WHERE email MEMBER ('[\"x\"]')",
        "EXPLAIN FOR SCHEMA shop SELECT email FROM users WHERE id = 1",
    ] {
        let found = shown(&trace(server, text));
        assert!(found.starts_with("Keyhole: "), "{text}: {found}");
    }
    for text in ["SELECT id FROM users GROUP BY ROLLUP(id)", "SELECT id FROM users QUALIFY id = 1"] {
        assert_eq!(shown(&trace(server, text)), "open", "{text}");
    }
}
