//! What readers do works unchanged, what is not reading is refused by the gate, and what went around the gate by the
//! server.

use keyhole_proxy::engines::mysql::server::{CommandError, Connection, Dialer, Pins};
use mysql_async::prelude::Queryable;
use sql::mysql::Flavour;
use wire::mysql::command;
use wire::mysql::connect::capabilities::Capabilities;

use super::{grant, proxy, user, with_limits};
use crate::support::clients::Person;
use crate::support::databases::mysql;
use crate::support::proxy::wide;
use crate::support::raw::{self, error};

#[tokio::test]
async fn writing_is_refused_with_a_message_that_says_why() {
    let proxy = proxy().await;
    let person = Person::of(&proxy);
    let mut wrong = Vec::new();
    for (sql, code) in [
        ("DELETE FROM shop.orders", 1792),
        ("INSERT INTO shop.orders VALUES (3, 'x', NULL)", 1792),
        ("DROP TABLE shop.orders", 1792),
        ("/*!50000 DELETE */ FROM shop.orders", 1792),
        ("/*!90000 DELETE */ FROM shop.orders", 1792),
        ("SELECT * FROM shop.orders INTO OUTFILE '/tmp/orders'", 1235),
        ("SELECT * FROM shop.orders FOR UPDATE", 1235),
        ("SELECT * FROM shop.orders FOR SHARE SKIP LOCKED", 1235),
        ("EXPLAIN ANALYZE SELECT * FROM shop.orders", 1792),
        ("EXPLAIN INTO @plan SELECT * FROM shop.orders", 1064),
        ("EXPLAIN FOR CONNECTION 1", 1792),
        ("SET PERSIST max_connections = 1", 1227),
        ("SET SESSION transaction_read_only = OFF", 1231),
        ("SELECT SLEEP(1)", 1370),
    ] {
        let said = person.runs(sql).await;
        let told = said.err.contains(&format!("ERROR {code} ")) && said.err.contains("Keyhole: ");
        if !told || !said.out.is_empty() {
            wrong.push((sql, said));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(mysql().admin("SELECT COUNT(*) FROM shop.orders"), "2");
}

#[tokio::test]
async fn a_reader_locks_no_rows_whatever_the_servers_default() {
    let (proxy, level) = (proxy().await, "SELECT @@transaction_isolation");
    assert_eq!(mysql().admin(level), "SERIALIZABLE");
    assert_eq!(Person::of(&proxy).runs(level).await.out, "REPEATABLE-READ");
}

async fn runs(database: &mut Connection, sql: &str) -> Result<(), CommandError> {
    database.simple("a test's statement", &command::encode_query(sql.as_bytes())).await
}

/// A session of a user who may write, made as the proxy makes its own.
#[tokio::test]
async fn what_went_around_the_gate_is_refused_by_the_server() {
    let writer = user("g-writer", &["GRANT ALL ON shop.* TO {}"]);
    mysql().admin("CREATE TABLE shop.plain (a INT) ENGINE=MyISAM");
    let mut database =
        Dialer::new(&grant().target).unwrap().connect(&writer, Capabilities::NONE).await.unwrap();
    let pins = Pins::new(Flavour::MySql, &wide());
    for fresh in [true, false] {
        match fresh {
            true => pins.apply(&mut database, None).await.unwrap(),
            false => pins.reset(&mut database, None).await.unwrap(),
        }
        for sql in [
            "INSERT INTO shop.orders VALUES (9, 'x', NULL)",
            "INSERT INTO shop.plain VALUES (9)",
            "UPDATE shop.orders SET note = 'x'",
            "CREATE TABLE shop.mine (a INT)",
            "CREATE TEMPORARY TABLE shop.mine (a INT)",
            "TRUNCATE shop.orders",
            "DROP TABLE shop.plain",
            "ALTER USER USER() IDENTIFIED BY 'other'",
        ] {
            match runs(&mut database, sql).await {
                Err(CommandError::Refused { error, .. }) => assert_eq!(error.code, 1792, "{sql}"),
                other => panic!("{sql}: {other:?}"),
            }
        }
        runs(&mut database, "BEGIN").await.unwrap();
        assert!(runs(&mut database, "DELETE FROM shop.orders").await.is_err());
        runs(&mut database, "COMMIT").await.unwrap();
    }
    runs(&mut database, "SET SESSION TRANSACTION READ WRITE").await.unwrap();
    runs(&mut database, "INSERT INTO shop.plain VALUES (9)").await.unwrap();
    database.quit().await;
}

#[tokio::test]
async fn a_reset_session_is_pinned_again_before_its_client_hears_ok() {
    let proxy = proxy().await;
    let mut conn = Person::of(&proxy).connects().await;
    let pins = "SELECT @@session.transaction_read_only, @@session.sql_mode, @@session.max_execution_time";
    let before: (u8, String, u64) = conn.query_first(pins).await.unwrap().unwrap();
    assert_eq!((before.0, before.2), (1, 31_000));
    assert!(conn.reset().await.unwrap(), "COM_RESET_CONNECTION");
    let after: (u8, String, u64) = conn.query_first(pins).await.unwrap().unwrap();
    assert_eq!(before, after);
    conn.change_user(mysql_async::ChangeUserOpts::default().with_db_name(Some("shop".into()))).await.unwrap();
    let after: (u8, String, u64) = conn.query_first(pins).await.unwrap().unwrap();
    assert_eq!(before, after);
    assert_eq!(conn.query_first::<String, _>("SELECT DATABASE()").await.unwrap().unwrap(), "shop");
}

#[tokio::test]
async fn rows_arrive_as_text_and_from_prepared_statements() {
    let proxy = proxy().await;
    let person = Person::of(&proxy);
    let said = person.runs("USE shop; SELECT id, note, paid FROM orders ORDER BY id").await;
    assert_eq!(said.out, "1\tfirst\t2026-01-02 03:04:05\n2\tzwei ☕\tNULL", "{said:?}");
    let mut conn = person.connects().await;
    let row: (i64, u64, f64, String, Option<i8>) = conn
        .exec_first("SELECT ?, ?, ?, ?, ?", (-5_i64, u64::MAX, 1.5_f64, "zwei ☕", None::<i8>))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(row, (-5, u64::MAX, 1.5, "zwei ☕".to_owned(), None));
    let find = conn.prep("SELECT note FROM shop.orders WHERE id = ?").await.unwrap();
    for (id, note) in [(1, Some("first")), (2, Some("zwei ☕")), (3, None)] {
        let found: Option<String> = conn.exec_first(&find, (id,)).await.unwrap();
        assert_eq!(found.as_deref(), note);
    }
    let new_types = "SELECT CAST('{\"a\": 1}' AS JSON), STRING_TO_VECTOR('[1, 2]'), 1.50, TIME '-01:02:03.5'";
    let row: (String, Vec<u8>, String, mysql_async::Value) =
        conn.exec_first(new_types, ()).await.unwrap().unwrap();
    assert_eq!((row.0.as_str(), row.1.len(), row.2.as_str()), (r#"{"a": 1}"#, 8, "1.50"));
    let refused = conn.prep("DELETE FROM shop.orders WHERE id = ?").await.unwrap_err().to_string();
    assert!(refused.contains("Keyhole: "), "{refused}");
    let rows: Vec<u32> = conn.query("SELECT n FROM shop.numbers ORDER BY n").await.unwrap();
    assert!(rows.iter().copied().eq(1..=50_000));
    let blob: Vec<u8> = conn.query_first("SELECT bytes FROM shop.blobs WHERE id = 1").await.unwrap().unwrap();
    assert_eq!(blob.len(), 20 * 1024 * 1024);
}

#[tokio::test]
async fn a_cursors_rows_come_in_pieces() {
    let mut limits = wide();
    limits.statement.rows = 5;
    let proxy = with_limits(limits).await;
    let mut raw = raw::session(&proxy).await;
    let prepared =
        raw.asks(&command::encode_prepare(b"SELECT n FROM shop.numbers ORDER BY n LIMIT 20")).await.unwrap();
    assert_eq!(prepared[0], 0);
    raw.reads().await.unwrap();
    let open = [&[0x17_u8], &prepared[1..5], &[1, 1, 0, 0, 0]].concat();
    assert_eq!(raw.asks(&open).await.unwrap(), [1]);
    while raw.reads().await.unwrap()[0] != 0xfe {}
    let fetch_three = [&[0x1c_u8], &prepared[1..5], &[3, 0, 0, 0]].concat();
    assert_eq!(raw.asks(&fetch_three).await.unwrap()[0], 0, "a row");
    while raw.reads().await.unwrap()[0] != 0xfe {}
    assert_eq!(raw.asks(&fetch_three).await.unwrap()[0], 0, "the fourth row");
    assert_eq!(raw.reads().await.unwrap()[0], 0, "the fifth row");
    let (code, message) = raw.hears_error().await;
    assert!(code == 1104 && message.contains("limit of 5 rows"), "{code} {message}");
}

/// The text as people send it, and the first line of its answer, or a part of it.
#[tokio::test]
async fn what_readers_ask_a_new_server_is_answered() {
    let proxy = proxy().await;
    let person = Person::of(&proxy);
    let mut wrong = Vec::new();
    for (sql, expected) in [
        ("SHOW VARIABLES LIKE 'transaction_read_only'", "transaction_read_only\tON"),
        ("SHOW SESSION STATUS LIKE 'Ssl_version'", "Ssl_version\tTLS"),
        ("SHOW DATABASES LIKE 'shop'", "shop"),
        ("SHOW TABLES FROM shop LIKE 'ord%'", "orders"),
        ("SHOW FULL COLUMNS FROM shop.orders", "id\tint"),
        ("SHOW CREATE TABLE shop.orders", "orders\tCREATE TABLE `orders`"),
        ("SHOW INDEX FROM shop.orders", "orders\t0\tPRIMARY"),
        ("DESCRIBE shop.orders", "id\tint\tNO\tPRI"),
        ("SHOW WARNINGS", ""),
        ("SHOW CHARACTER SET LIKE 'utf8mb4'", "utf8mb4"),
        ("SHOW COLLATION LIKE 'utf8mb4_0900_ai_ci'", "utf8mb4_0900_ai_ci"),
        (
            "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'shop' AND table_name = 'orders'",
            "orders\tBASE TABLE",
        ),
        (
            "SELECT column_name, column_type FROM information_schema.columns \
             WHERE table_schema = 'shop' AND table_name = 'orders' ORDER BY ordinal_position",
            "id\tint",
        ),
        ("EXPLAIN SELECT * FROM shop.orders WHERE id = 1", "-> Rows fetched before execution"),
        ("EXPLAIN FORMAT=TRADITIONAL SELECT * FROM shop.orders", "1\tSIMPLE\torders"),
        ("EXPLAIN FORMAT=JSON SELECT * FROM shop.orders", "{\\n"),
        ("EXPLAIN FORMAT=TREE SELECT * FROM shop.orders", "-> Table scan on orders"),
        (r#"SELECT JSON_EXTRACT('{"a": [1, 2]}', '$.a[1]')"#, "2"),
        (
            "SELECT d ->> '$.id' FROM (SELECT JSON_OBJECT('id', id) AS d FROM shop.orders) AS t ORDER BY 1",
            "1",
        ),
        ("SELECT t.v FROM JSON_TABLE('[1, 2]', '$[*]' COLUMNS (v INT PATH '$')) AS t", "1"),
        ("SELECT JSON_ARRAYAGG(id) FROM shop.orders", "[1, 2]"),
        ("SELECT id, ROW_NUMBER() OVER (ORDER BY id DESC) FROM shop.orders ORDER BY id", "1\t2"),
        ("SELECT SUM(n) OVER w FROM shop.numbers WINDOW w AS (ORDER BY n ROWS 1 PRECEDING) LIMIT 2", "1"),
        ("WITH o AS (SELECT id FROM shop.orders) SELECT COUNT(*) FROM o", "2"),
        (
            "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 5) SELECT MAX(n) FROM s",
            "5",
        ),
        ("SELECT id FROM shop.orders INTERSECT SELECT 1", "1"),
        ("SELECT id FROM shop.orders EXCEPT SELECT 1", "2"),
        ("SELECT o.id, l.m FROM shop.orders o, LATERAL (SELECT o.id * 2 AS m) AS l ORDER BY 1", "1\t2"),
        ("SELECT /*!90000 1 + */ 1", "2"),
        ("SELECT 1 /*!99999 + 1 */", "1"),
        (r#"SELECT "it's", 'it\'s', 0 || 1"#, "it's\tit's\t1"),
        ("TABLE shop.orders", "1\tfirst"),
        ("VALUES ROW(1, 2), ROW(3, 4)", "1\t2"),
        ("SELECT @@version_comment LIMIT 1", "(Debian)"),
    ] {
        let said = person.runs(sql).await;
        if !said.err.is_empty() || !said.out.starts_with(expected) {
            wrong.push((sql, said));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_clients_completion_learns_columns_of_open_tables_only() {
    let proxy = proxy().await;
    let mut raw = raw::session(&proxy).await;
    assert_eq!(raw.asks(&command::encode_init_db(b"shop")).await.unwrap()[0], 0);
    let definition = raw.asks(b"\x04orders\0%").await.unwrap();
    assert!(definition.starts_with(b"\x03def"), "a column: {:?}", error(&definition));
    while raw.reads().await.unwrap()[0] != 0xfe {}
    assert_eq!(raw.asks(b"\x04mysql.user\0").await.unwrap()[0], 0xff);
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0);
}
