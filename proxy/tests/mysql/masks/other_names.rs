//! Values of a masked or hidden column under another name: the servers' own for a table's key, and columns made of it.

use access::ColumnAccess;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};
use servers::mysql::Kind;

use super::{proxy_with, rule};
use crate::support::clients::Person;
use crate::support::databases::{DatabaseServer, both};
use crate::support::proxy::wide;

/// What tells of `badges.number`; `?` stands for a key's name.
const OF_A_KEY: [&str; 20] = [
    "SELECT (SELECT ? FROM badges LIMIT 1) FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a INT PATH '$')) j",
    "SELECT 1+1, (SELECT ? FROM badges LIMIT 1)",
    "SELECT 'x', (SELECT MAX(badges.?) FROM badges)",
    "SELECT 1+1 FROM orders WHERE EXISTS (SELECT 1 FROM badges WHERE ? = 4111111111111111)",
    "SELECT (SELECT ? FROM badges LIMIT 1) FROM (SELECT 1 AS _rowid) d",
    "SELECT UPPER(owner) FROM badges ORDER BY ? DESC",
    "SELECT UPPER(owner) FROM badges GROUP BY ?",
    "SELECT UPPER(owner) AS u, COUNT(*) FROM badges GROUP BY badges.?, u",
    "SELECT 1+1, (SELECT SUM(?) OVER (ORDER BY owner) FROM badges LIMIT 1)",
    "SELECT UPPER(owner), ROW_NUMBER() OVER (ORDER BY ?) FROM badges",
    "SELECT 1+1, (SELECT COUNT(*) FROM badges b JOIN orders o ON b.? > o.id)",
    "WITH c AS (SELECT 1+1, (SELECT ? FROM badges LIMIT 1) AS k) SELECT k FROM c",
    "SELECT 1+1 UNION ALL SELECT (SELECT ? FROM badges LIMIT 1)",
    "SELECT 1+1, 4111111111111111 IN (SELECT ? FROM badges)",
    "SELECT GROUP_CONCAT(?) FROM badges",
    "SELECT * FROM (SELECT 1+1) d, (SELECT ? FROM badges) e",
    "SELECT CASE WHEN ? > 4111111111111111 THEN owner END FROM badges",
    "SELECT ? FROM badges",
    "SELECT shop.badges.? FROM shop.badges, orders",
    "SELECT b.? + 0 FROM badges b",
];

const KEYS: [&str; 4] = ["_rowid", "_ROWID", "`_RowId`", "`_row\u{130}d`"];

async fn connected(server: &DatabaseServer, columns: Vec<access::ColumnRule>) -> Conn {
    let proxy = proxy_with(server, wide(), columns).await;
    let mut conn = Person::of(&proxy).connects().await;
    conn.query_drop("USE shop").await.unwrap();
    conn
}

async fn refused(conn: &mut Conn, text: &str) -> u16 {
    match conn.query::<mysql_async::Row, _>(text).await {
        Ok(rows) => panic!("passed: {text}: {rows:?}"),
        Err(mysql_async::Error::Server(error)) => error.code,
        Err(other) => panic!("{text}: {other}"),
    }
}

#[tokio::test]
async fn a_masked_key_is_not_read_under_the_servers_name_for_it() {
    for server in both() {
        server.admin(
            "SET autocommit = 1; CREATE TABLE IF NOT EXISTS shop.badges (number BIGINT PRIMARY KEY, owner VARCHAR(9)); \
             REPLACE INTO shop.badges VALUES (4111111111111111, 'ann'), (4222222222222222, 'bob')",
        );
        for access in [ColumnAccess::Mask, ColumnAccess::Hide] {
            let mut conn = connected(server, vec![rule("badges", "number", access)]).await;
            for form in OF_A_KEY {
                for key in KEYS {
                    let text = form.replace('?', key);
                    assert_eq!(
                        refused(&mut conn, &text).await,
                        1143,
                        "{:?}: {access:?}: {text}",
                        server.kind
                    );
                }
                // The server itself reads it.
                server.admin(&format!("USE shop; {}", form.replace('?', KEYS[0])));
            }
            let own: &[&str] = match server.kind {
                Kind::MariaDb => &["SELECT (SELECT _rowid FROM badges LIMIT 1) FROM (VALUES (1)) t"],
                Kind::MySql => &[
                    "SELECT 1+1, l.k FROM orders, LATERAL (SELECT _rowid AS k FROM badges LIMIT 1) l",
                    "SELECT UPPER(owner) FROM badges GROUP BY owner, _rowid HAVING _rowid > 4111111111111111",
                ],
            };
            for text in own {
                assert_eq!(refused(&mut conn, text).await, 1143, "{:?}: {text}", server.kind);
                server.admin(&format!("USE shop; {text}"));
            }
            let open: Vec<i32> = conn.query("SELECT _rowid FROM orders ORDER BY _rowid").await.unwrap();
            assert_eq!(open, [1, 2]);
        }
    }
}

#[tokio::test]
async fn a_generated_column_is_as_closed_as_what_it_is_made_of() {
    for server in both() {
        server.admin(
            "SET autocommit = 1; CREATE TABLE IF NOT EXISTS shop.derived (id INT PRIMARY KEY, email VARCHAR(40), \
             domain VARCHAR(40) AS (SUBSTRING_INDEX(EMAIL, '@', -1)) VIRTUAL, \
             shout VARCHAR(40) GENERATED ALWAYS AS (UPPER(domain)) STORED, `straße` VARCHAR(9), \
             kurz CHAR(1) AS (LEFT(`straße`, 1)) VIRTUAL, half INT AS (id DIV 2)); \
             REPLACE INTO shop.derived (id, email, `straße`) VALUES (4, 'a@example.com', 'weg')",
        );
        let rules = |access| vec![rule("derived", "email", access), rule("derived", "straße", access)];
        let mut conn = connected(server, rules(ColumnAccess::Mask)).await;
        for setting in ["SET sql_quote_show_create = 1", "SET sql_quote_show_create = 0"] {
            conn.query_drop(setting).await.unwrap();
            let read: Vec<mysql_async::Row> =
                conn.exec("SELECT half, domain, kurz, shout, email FROM derived", ()).await.unwrap();
            let read: Vec<Value> = read.into_iter().flat_map(mysql_async::Row::unwrap).collect();
            let null = Value::NULL;
            assert_eq!(read, [Value::Int(2), null.clone(), null.clone(), null.clone(), null]);
            for text in [
                "SELECT id FROM derived WHERE domain = 'example.com'",
                "SELECT COUNT(*) FROM derived GROUP BY shout",
                "SELECT CONCAT(kurz) FROM derived",
            ] {
                assert_eq!(refused(&mut conn, text).await, 1143, "{:?}: {text}", server.kind);
            }
        }
        let mut conn = connected(server, rules(ColumnAccess::Hide)).await;
        for text in ["SELECT domain FROM derived", "SELECT shout FROM derived", "SELECT kurz FROM derived"] {
            assert_eq!(refused(&mut conn, text).await, 1143, "{:?}: {text}", server.kind);
        }
        let open: Vec<i32> = conn.query("SELECT half FROM derived").await.unwrap();
        assert_eq!(open, [2]);
    }
}

/// A server for which case doesn't count gives the columns of both tables for `i.*`.
#[tokio::test]
async fn a_star_never_takes_in_a_second_table() {
    for server in crate::support::databases::folding() {
        let mut conn = connected(server, vec![rule("customers", "email", ColumnAccess::Mask)]).await;
        let text = "SELECT i.* FROM orders i, (SELECT email FROM customers) AS `\u{130}`";
        assert!(server.admin(&format!("USE shop; {text}")).contains("a@example.com"));
        assert_eq!(refused(&mut conn, text).await, 1143, "{:?}", server.kind);
    }
}
