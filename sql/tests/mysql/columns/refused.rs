//! What is refused: whatever tells of a masked column, any reading of a hidden one, and what can't be traced.

use super::{check, relation, rule, shown, trace, traced};
use access::{Allowances, ColumnAccess};
use sql::TableName;
use sql::mysql::{Gate, Server};

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
        ("(SELECT id, email FROM users) ORDER BY 2", "refused"),
        ("(SELECT id, email FROM users) ORDER BY email", "refused"),
        ("SELECT id, email FROM users UNION ALL SELECT id, name FROM users ORDER BY 2", "refused"),
        (
            "SELECT straße FROM (SELECT * FROM plain JOIN orders USING (id) UNION ALL SELECT 1, 2, 3, 4, 5, email FROM users) x",
            "refused",
        ),
        (
            "SELECT * FROM (SELECT * FROM plain JOIN orders USING (id) UNION ALL SELECT 1, 2, 3, 4, 5, 6) x, cards",
            "refused",
        ),
        ("SELECT email AS e FROM users HAVING e > 'm'", "refused"),
        ("SELECT COUNT(*) FROM users GROUP BY email", "refused"),
        ("SELECT COUNT(*), email AS e FROM users GROUP BY e", "refused"),
        ("SELECT COUNT(*), email FROM users GROUP BY 2", "refused"),
        ("SELECT COUNT(email) FROM users", "refused"),
    ]);
}

#[test]
fn a_masked_column_is_not_compared() {
    check(&[
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
        ("EXPLAIN SELECT id FROM contacts WHERE id = 1", "refused"),
        ("SELECT 1 FROM users JOIN (SELECT 'guess' AS é) g USING (é)", "refused"),
        (
            "SELECT ROW(1, 'x') = (SELECT id, email FROM users LIMIT 1)",
            "Keyhole: the column email is masked: it can be selected as it is, and nothing can be made of it",
        ),
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
fn values_have_nothing_of_a_table() {
    let mysql = Server::from_greeting("8.4.3").unwrap();
    assert_eq!(shown(&trace(mysql, "SELECT email FROM users UNION ALL VALUES ROW('x')")), "email");
    assert_eq!(shown(&trace(mysql, "SELECT x.column_0, number FROM (VALUES ROW(1)) x, cards")), "_ number");
    assert_eq!(shown(&trace(mysql, "SELECT * FROM (VALUES ROW(1, 2)) x, cards")), "_ _ _ _ number");
}

#[test]
fn case_may_count_in_the_names_of_tables() {
    let mysql = Server::from_greeting("8.4.3").unwrap();
    for text in [
        "WITH Users AS (SELECT 1 AS email) SELECT email FROM users",
        "SELECT (SELECT u.email FROM (SELECT 1 AS email) U) FROM users u",
        "SELECT (SELECT USERS.email FROM (SELECT 1 AS email) Users) FROM users USERS",
    ] {
        assert!(shown(&trace(mysql, text)).starts_with("Keyhole: "), "{text}");
    }
    let mariadb = Server::from_greeting("10.11.6-MariaDB").unwrap();
    let text = "WITH Users AS (SELECT 1 AS e) SELECT e FROM users";
    assert!(shown(&trace(mariadb, text)).starts_with("Keyhole: "));
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
        ("SELECT áb FROM users", "refused"),
        ("SELECT plain.straße FROM orders, plain, users", "refused"),
        ("SELECT (SELECT users.nam FROM (SELECT 1 AS q) AS é LIMIT 1) FROM users", "refused"),
        ("SELECT a AS zz FROM plain WHERE zz = 1", "refused"),
        // An alias that the server takes for the name comes first in these clauses.
        ("SELECT email AS é FROM users, (SELECT 1 AS e) d HAVING e > 'm'", "refused"),
        ("SELECT email AS é FROM users, (SELECT 1 AS e) d ORDER BY e", "refused"),
        ("SELECT email AS e FROM users, (SELECT 1 AS é) d ORDER BY é", "refused"),
        ("SELECT email AS strase FROM users, orders ORDER BY straße", "refused"),
        ("SELECT (SELECT 1 FROM orders HAVING straße > 1) FROM users", "refused"),
        (
            "SELECT (SELECT é.x FROM (SELECT 1 AS x) e LIMIT 1) FROM (SELECT email AS x FROM users) é",
            "refused",
        ),
        ("SELECT id FROM typo", "refused"),
        ("SELECT nowhere FROM users", "refused"),
        ("SELECT _rowid FROM users", "refused"),
        ("SELECT x.* FROM plain", "refused"),
        ("SELECT u.* FROM cards u, plain U", "refused"),
        // The servers take é for e.
        ("SELECT émail FROM users", "refused"),
        ("SELECT (SELECT émail FROM users LIMIT 1) FROM (SELECT 1 AS émail) d", "refused"),
        (
            "SELECT (SELECT 1 FROM orders WHERE strase = 1) FROM (SELECT email AS strase FROM users) d",
            "refused",
        ),
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

/// MariaDB's statistics hold the least and the greatest value of each column, for whom the `Database` opens the schema.
#[test]
fn statistics_of_values_are_closed_where_there_are_rules() {
    let allowances = Allowances { schemas: vec!["mysql".into()], ..Allowances::default() };
    let gate = Gate::new(Server::from_greeting("10.11.6-MariaDB").unwrap(), allowances);
    let gate = gate.with_columns(vec![rule("users", "email", ColumnAccess::Mask)]);
    let look_up = |name: &TableName| Some(relation("mysql", &name.name, "db_name min_value", None));
    for (text, expected) in [
        ("SELECT min_value FROM mysql.column_stats", "Keyhole: "),
        ("SELECT * FROM MySQL.Column_Stats", "Keyhole: "),
        ("SELECT min_value FROM mysql.table_stats", "open"),
    ] {
        let found = shown(&traced(&gate, text, look_up));
        assert!(found.starts_with(expected), "{text}: {found}");
    }
}

/// A name that no catalogue has: the servers' own for a table's key. They look for it in the innermost table first.
#[test]
fn a_key_is_no_way_to_a_column_under_another_name() {
    let json = "JSON_TABLE('[1]', '$[*]' COLUMNS (a INT PATH '$')) j";
    for name in ["_rowid", "_ROWID", "`_rowid`", "`_RowId`", "`_row\u{130}d`", "`_rów\u{131}d`"] {
        let inner = format!("(SELECT {name} FROM cards LIMIT 1)");
        let mut texts = vec![
            format!("SELECT {inner} FROM {json}"),
            format!("SELECT 1+1, {inner}"),
            format!("SELECT 'x', {inner}"),
            format!("SELECT 1+1 FROM plain WHERE EXISTS (SELECT 1 FROM cards WHERE {name} = 4)"),
            format!("SELECT UPPER(id) FROM cards ORDER BY {name} DESC"),
            format!("SELECT UPPER(id) FROM cards ORDER BY cards.{name} DESC"),
            format!("SELECT UPPER(id) FROM cards GROUP BY {name}"),
            format!("SELECT UPPER(id) AS {name} FROM cards GROUP BY {name}"),
            format!("SELECT UPPER(id) AS {name} FROM cards ORDER BY {name}"),
            format!("SELECT UPPER(id) FROM cards HAVING {name} > 4"),
            format!("SELECT 1+1, (SELECT COUNT(*) FROM cards c JOIN plain p ON c.{name} = p.id)"),
            format!("SELECT 1+1, (SELECT COUNT(*) FROM cards c LEFT JOIN plain p ON {name} = 4)"),
            format!("SELECT 1+1 FROM cards JOIN plain USING ({name})"),
            format!("SELECT ROW_NUMBER() OVER (ORDER BY {name}) FROM cards"),
            format!("SELECT MAX(id) OVER w FROM cards WINDOW w AS (PARTITION BY {name})"),
            format!("SELECT 1+1, (SELECT MAX(id) OVER (ORDER BY {name}) FROM cards LIMIT 1)"),
            format!("WITH c AS (SELECT 1+1, {inner}) SELECT * FROM c"),
            format!("WITH c AS (SELECT 1+1) SELECT {inner} FROM c"),
            format!("SELECT * FROM (SELECT 1+1) d, LATERAL (SELECT {name} AS k FROM cards) l"),
            format!("SELECT * FROM {json}, LATERAL (SELECT {name} AS k FROM cards WHERE id = j.a) l"),
            format!("SELECT GROUP_CONCAT({name}) FROM cards"),
            format!("SELECT JSON_ARRAYAGG({name} + 0) FROM cards"),
            format!("SELECT id IN (SELECT {name} FROM cards) FROM (SELECT 1+1, 5 AS id) d"),
            format!("SELECT 1+1 UNION ALL SELECT {inner}"),
            format!("(SELECT 1+1, id FROM cards) ORDER BY {inner}"),
            format!("SELECT {inner} FROM (SELECT 1 AS _rowid) d"),
            format!("SELECT {inner} FROM (SELECT 1 AS {name}) d"),
            format!("SELECT (SELECT {name} FROM cards HAVING {name} > 3) FROM (SELECT 1 AS {name}) d"),
            format!("SELECT {inner} FROM orders"),
            format!("SELECT {name} FROM cards"),
            format!("SELECT c.{name} FROM cards c, plain"),
            format!("SELECT shop.cards.{name} FROM shop.cards"),
            format!("SELECT DEFAULT({name}) FROM cards"),
            format!("SELECT CASE WHEN {name} > 4 THEN 1 END FROM users"),
            format!("SELECT MIN({name}) FROM contacts"),
            format!("EXPLAIN SELECT 1+1, (SELECT 1 FROM cards WHERE {name} = 4)"),
        ];
        if name.is_ascii() {
            texts.push(format!("SET STATEMENT sql_select_limit = 2 FOR SELECT {inner} FROM {json}"));
        }
        for text in texts {
            for greeting in ["9.7.0", "5.5.5-10.11.6-MariaDB"] {
                let server = Server::from_greeting(greeting).unwrap();
                if text.starts_with("SET ") && greeting == "9.7.0" {
                    continue;
                }
                let found = shown(&trace(server, &text));
                assert!(found.starts_with("Keyhole: "), "{greeting}: {text}: {found}");
            }
        }
    }
    let mariadb = Server::from_greeting("10.11.6-MariaDB").unwrap();
    let text = "SELECT (SELECT _rowid FROM cards LIMIT 1) FROM (VALUES (1)) t";
    assert!(shown(&trace(mariadb, text)).starts_with("Keyhole: "));
}

/// The whole kind: what nobody knows is not open because something else in sight isn't known either.
#[test]
fn a_name_that_nothing_known_explains_is_closed_beside_a_masked_column() {
    for name in ["hidden_key", "row_start", "my_row_id", "DB_ROW_ID", "number_"] {
        let inner = format!("(SELECT {name} FROM cards LIMIT 1)");
        for text in [
            format!("SELECT 1+1, {inner}"),
            format!("SELECT 'x', {inner}"),
            format!("SELECT id 'x y', {inner} FROM plain"),
            format!("SELECT UPPER(id) FROM cards ORDER BY {name}"),
            format!("SELECT UPPER(id) FROM cards GROUP BY {name}"),
            format!("SELECT UPPER(id) FROM cards HAVING {name} > 4"),
            format!("SELECT {inner} FROM (SELECT 1+1) d"),
            format!("SELECT {inner} FROM (SELECT * FROM plain JOIN orders USING (id)) d"),
            format!("SELECT {name} FROM cards, (SELECT 1+1) d"),
            format!("SELECT d.{name} FROM (SELECT id + 1, number FROM cards) d"),
            format!("SELECT 1+1, number FROM cards UNION ALL SELECT 1, 2 ORDER BY {name}"),
        ] {
            for greeting in ["9.7.0", "5.5.5-10.11.6-MariaDB"] {
                let found = shown(&trace(Server::from_greeting(greeting).unwrap(), &text));
                assert!(found.starts_with("Keyhole: "), "{greeting}: {text}: {found}");
            }
        }
    }
    // A column beyond ASCII may be meant by another name, and is open; the table in between need not have it.
    check(&[("SELECT (SELECT strase FROM users LIMIT 1) FROM orders", "refused")]);
}

/// Where case does not count, a server gives the columns of both.
#[test]
fn a_star_that_could_take_in_two_tables_is_not_followed() {
    check(&[
        ("SELECT i.* FROM plain i, (SELECT email FROM users) AS \u{130}", "refused"),
        ("SELECT i.* FROM plain AS i JOIN users AS \u{130}", "refused"),
        ("SELECT σ.* FROM plain σ, (SELECT email FROM users) Σ", "refused"),
        ("SELECT t.* FROM plain t, (SELECT email FROM users) T", "refused"),
        ("SELECT \u{130}.* FROM (SELECT email FROM users) i", "email"),
        ("SELECT größe.* FROM plain größe, users u", "open"),
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
