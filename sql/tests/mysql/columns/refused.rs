//! What is refused: whatever tells of a masked column, any reading of a hidden one, and what can't be traced.

use super::{check, shown, trace};
use sql::mysql::Server;

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
