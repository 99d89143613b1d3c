//! What passes: masked columns on their way to the result, and what no rule concerns.

use super::{check, shown, trace};
use sql::mysql::Server;

#[test]
fn a_masked_column_is_followed_to_its_place_in_the_result() {
    check(&[
        ("SELECT email FROM users", "email"),
        ("SELECT id, EMAIL FROM users", "_ EMAIL"),
        ("SELECT users.email, shop.users.id FROM users", "email _"),
        ("SELECT u.email AS e FROM users AS u", "e"),
        ("SELECT u.`email` 'mail' FROM users u", "mail"),
        // Fewer names than columns: the server will refuse it.
        ("SELECT a FROM (SELECT id, email FROM users) t (a)", "a"),
        // The server may write these otherwise.
        ("SELECT email AS `x y`, number FROM users, cards", "? number"),
        // Masked under the empty name, as the servers call it.
        ("SELECT email AS ``, `number` `` FROM users, cards ``", " "),
        ("SELECT * FROM (SELECT id, email AS `` FROM users) ``", "_ "),
        ("WITH t AS (SELECT email AS ``, id FROM users) SELECT id FROM t", "open"),
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
        ("SELECT shop.cards.* FROM cards, plain", "_ _ number"),
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
        ("SELECT (SELECT users.name FROM orders LIMIT 1) FROM users", "open"),
        ("SELECT (SELECT straße FROM orders LIMIT 1) FROM users", "open"),
        ("SELECT id, total FROM orders ORDER BY total, straße", "open"),
        ("SELECT áb FROM plain", "open"),
        ("SELECT name FROM users JOIN plain USING (id)", "open"),
        ("SELECT @x, @@version", "open"),
        ("SELECT a FROM plain ORDER BY 5", "open"),
        // The innermost table that has the column is meant.
        ("SELECT (SELECT email FROM (SELECT 'x' AS email) d) FROM users", "open"),
        ("SELECT p.a FROM plain p, (SELECT email AS a FROM users) x ORDER BY p.a", "open"),
        ("SELECT U.name FROM users u", "open"),
        ("WITH T AS (SELECT name FROM users) SELECT T.name FROM T", "open"),
        ("SELECT (SELECT 1 FROM orders WHERE strase = 1) FROM (SELECT 1 AS strase) d", "open"),
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

/// A masked column in sight closes nothing that is known by its name, whatever else there has none.
#[test]
fn what_has_a_name_is_open_beside_a_masked_column() {
    check(&[
        ("SELECT COUNT(*) 'n' FROM users GROUP BY name ORDER BY n", "open"),
        (
            "SELECT name AS 'who', COUNT(*) AS \"n\" FROM users GROUP BY name HAVING n > 1 ORDER BY who",
            "open",
        ),
        ("SELECT COALESCE(name, '-') 'label', 1 + 1 FROM users ORDER BY label", "open"),
        ("SELECT CASE WHEN id > 1 THEN 'a' END 'kind', email FROM users ORDER BY kind", "_ email"),
        ("SELECT id, x FROM users, JSON_TABLE('[1]', '$[*]' COLUMNS (x INT PATH '$')) j", "open"),
        (
            "SELECT email, x, `y z`, o FROM users, JSON_TABLE('[1]', '$[*]' COLUMNS (x DECIMAL(10, 2) PATH '$' DEFAULT '1' ON EMPTY, \
             NESTED PATH '$.b' COLUMNS (`y z` CHAR(9) PATH '$', e INT EXISTS PATH '$.e'), o FOR ORDINALITY)) j",
            "email _ _ _",
        ),
        (
            "SELECT users.id, (SELECT x FROM JSON_TABLE(id, '$' COLUMNS (x INT PATH '$')) j) FROM users",
            "open",
        ),
        (
            "SELECT * FROM cards, JSON_TABLE('[1]', '$' COLUMNS (x INT PATH '$', y INT PATH '$')) j",
            "_ _ number _ _",
        ),
        ("SELECT name, (SELECT COUNT(*) FROM orders WHERE user_id = users.id) FROM users", "open"),
        ("SELECT 1 + 1, (SELECT COUNT(*) FROM users WHERE users.id = user_id) FROM orders", "open"),
        ("SELECT total, (SELECT name FROM users WHERE users.id = user_id) FROM orders", "open"),
        ("SELECT straße, (SELECT COUNT(*) FROM users WHERE id = total) FROM orders", "open"),
        ("SELECT 1 + 1, name FROM users ORDER BY name", "open"),
        ("SELECT 1 + 1, (SELECT name FROM users LIMIT 1)", "open"),
        ("SELECT UPPER(name), id FROM users GROUP BY name, id HAVING id > 1 ORDER BY id DESC", "open"),
        ("SELECT COUNT(*) FROM users HAVING `COUNT(*)` > 1 ORDER BY `COUNT(*)`", "open"),
        ("SELECT name, total FROM users JOIN orders USING (id) ORDER BY total, name", "open"),
        (
            "SELECT d.n, email FROM users JOIN (SELECT user_id, COUNT(*) n FROM orders GROUP BY 1) d ON d.user_id = users.id",
            "_ email",
        ),
        (
            "WITH d AS (SELECT user_id, SUM(total) AS s FROM orders GROUP BY user_id) SELECT s, name FROM d JOIN users ON id = user_id",
            "open",
        ),
        ("SELECT u.name FROM users u WHERE u.id IN (SELECT user_id FROM cards WHERE cards.id > 3)", "open"),
        ("SELECT SUM(id) OVER (ORDER BY name) s FROM users ORDER BY s", "open"),
    ]);
    let mysql = Server::from_greeting("8.4.3").unwrap();
    assert_eq!(shown(&trace(mysql, "SELECT column_0, name FROM (VALUES ROW(1)) x, users")), "open");
}

#[test]
fn a_generated_column_is_as_strict_as_what_it_is_made_of() {
    check(&[
        ("SELECT id, year, decade, born, even FROM people", "_ year decade born _"),
        ("SELECT even FROM people WHERE even = 1 ORDER BY id", "open"),
        ("SELECT decade FROM people ORDER BY id", "decade"),
        ("SELECT COUNT(*) FROM people GROUP BY decade", "refused"),
        ("SELECT id FROM people WHERE year > 1980", "refused"),
        ("SELECT tax FROM people", "refused"),
        ("SELECT `sum` FROM people", "refused"),
        ("SELECT * FROM people", "refused"),
        ("SELECT 1 FROM people WHERE tax > 5", "refused"),
    ]);
}

#[test]
fn a_key_is_open_where_all_columns_of_its_table_are() {
    check(&[
        ("SELECT _rowid FROM plain", "open"),
        ("SELECT p._rowid, u.name FROM plain p, users u", "open"),
        ("SELECT a FROM plain ORDER BY _rowid", "open"),
        ("SELECT users.name, (SELECT plain._rowid FROM plain LIMIT 1) FROM users", "open"),
    ]);
}

#[test]
fn a_query_that_set_statement_bounds_is_followed() {
    let server = Server::from_greeting("5.5.5-10.11.6-MariaDB").unwrap();
    for (query, expected) in [
        ("SELECT id, email FROM users", "_ email"),
        ("SELECT id FROM users", "open"),
        ("SELECT id FROM users ORDER BY email", "Keyhole: "),
        ("SELECT ssn FROM users", "Keyhole: "),
    ] {
        let found = shown(&trace(server, &format!("SET STATEMENT sql_select_limit = 2 FOR {query}")));
        assert!(
            found == expected || (expected == "Keyhole: " && found.starts_with(expected)),
            "{query}: {found}"
        );
    }
}
