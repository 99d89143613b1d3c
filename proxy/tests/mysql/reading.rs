//! What readers do works unchanged; what is not reading is refused, and says why.

use mysql_async::prelude::Queryable;

use crate::support::clients::Person;
use crate::support::databases::{both, mariadb};
use crate::support::proxy::{Proxy, grant_on, wide};
use crate::support::raw::{self, error};
use wire::mysql::command;

/// Refused with this code, and with a message of ours.
async fn refused(person: &Person, sql: &str, code: u16) {
    let said = person.runs(sql).await;
    let expected = format!("ERROR {code} ");
    assert!(said.err.contains(&expected) && said.err.contains("Keyhole: "), "{sql}: {said:?}");
    assert_eq!(said.out, "", "{sql}");
}

#[tokio::test]
async fn writing_is_refused_with_a_message_that_says_why() {
    let proxy = Proxy::start().await;
    let person = Person::of(&proxy);
    for (sql, code) in [
        ("DELETE FROM shop.orders", 1792),
        ("INSERT INTO shop.orders VALUES (3, 'x', NULL)", 1792),
        ("UPDATE shop.orders SET note = 'x'", 1792),
        ("DROP TABLE shop.orders", 1792),
        ("/*!50000 DELETE */ FROM shop.orders", 1792),
        ("SELECT * FROM shop.orders INTO OUTFILE '/tmp/orders'", 1235),
        ("SELECT * FROM shop.orders FOR UPDATE", 1235),
        ("KILL 1", 1094),
    ] {
        refused(&person, sql, code).await;
    }
    assert_eq!(mariadb().admin("SELECT COUNT(*) FROM shop.orders"), "2");
    assert_eq!(proxy.usage.so_far().refused, 8);
}

#[tokio::test]
async fn a_refused_statement_leaves_the_session_as_it_was() {
    let proxy = Proxy::start().await;
    let said = Person::of(&proxy)
        .runs("USE shop; DELETE FROM orders; SELECT DATABASE(), COUNT(*) FROM orders")
        .await;
    assert!(said.err.contains("ERROR 1792"), "{said:?}");
    assert_eq!(said.out, "shop\t2", "{said:?}");
}

#[tokio::test]
async fn the_ordinary_client_reads_rows() {
    let proxy = Proxy::start().await;
    let person = Person::of(&proxy);
    let said = person.runs("SELECT id, note, paid FROM shop.orders ORDER BY id").await;
    assert_eq!(said.out, "1\tfirst\t2026-01-02 03:04:05\n2\tzwei ☕\tNULL", "{said:?}");
    let usage = proxy.usage.so_far();
    assert_eq!((usage.rows >= 2, usage.sessions), (true, 1));
}

/// What else than the rows is in an answer is in that character set too.
#[tokio::test]
async fn in_every_character_set_that_results_may_have_answers_are_read() {
    for server in both() {
        let proxy = Proxy::of(grant_on(server, wide())).await;
        let mut conn = Person::of(&proxy).connects().await;
        let sets: Vec<String> =
            conn.query("SELECT character_set_name FROM information_schema.character_sets").await.unwrap();
        assert!(sets.len() >= 36, "{sets:?}");
        let mut refused = Vec::new();
        for set in &sets {
            let mut raw = raw::session(&proxy).await;
            let sql = format!("SET character_set_results = {set}");
            match raw.asks(&command::encode_query(sql.as_bytes())).await.unwrap() {
                answer if answer[0] == 0 => {}
                answer => {
                    assert_eq!(error(&answer).0, 1115, "{set}");
                    refused.push(set.as_str());
                }
            }
            let answer = raw.result(&command::encode_query(b"SELECT id FROM shop.orders")).await;
            assert_eq!(answer.last().unwrap()[0], 0xfe, "{set}: {answer:?}");
        }
        refused.sort_unstable();
        assert_eq!(refused, ["swe7", "ucs2", "utf16", "utf16le", "utf32"], "{:?}", server.kind);
    }
}

#[tokio::test]
async fn bytes_of_a_binary_value_reach_either_server_as_they_are() {
    for server in both() {
        let proxy = Proxy::of(grant_on(server, wide())).await;
        let query = command::encode_query(b"SELECT HEX('\\0\xff'), HEX(_binary '\xc3''\xe2')");
        let rows = raw::session(&proxy).await.result(&query).await;
        assert!(rows.contains(&b"\x0400FF\x06C327E2".to_vec()), "{rows:?}");
        // To a client of another character set they are letters.
        let mut raw = raw::secured(&proxy, Some(&proxy.session_certificate())).await;
        raw.collation = 8;
        raw.responds(b"anybody", b"", b"mysql_native_password").await;
        assert_eq!(raw.reads().await.unwrap()[0], 0, "OK");
        let (code, message) = error(&raw.asks(&query).await.unwrap());
        assert!(code == 1064 && message.contains("connect with utf8mb4"), "{code} {message}");
    }
}

#[tokio::test]
async fn a_schema_can_be_chosen_at_the_start_and_later() {
    let proxy = Proxy::start().await;
    let person = Person::of(&proxy);
    let mut command = person.mariadb();
    command.args(["shop", "-e", "SELECT COUNT(*) FROM orders; USE other; SELECT DATABASE()"]);
    let said = crate::support::clients::said(command).await;
    assert_eq!(said.out, "2\nother", "{said:?}");
}

#[tokio::test]
async fn a_reader_locks_no_rows_whatever_the_servers_default() {
    let (proxy, level) = (Proxy::start().await, "SELECT @@tx_isolation");
    assert_eq!(mariadb().admin(level), "SERIALIZABLE");
    assert_eq!(Person::of(&proxy).runs(level).await.out, "REPEATABLE-READ");
}

#[tokio::test]
async fn a_system_schema_is_not_opened_at_the_start() {
    let proxy = Proxy::start().await;
    let person = Person::of(&proxy);
    let mut command = person.mariadb();
    command.args(["mysql", "-e", "SELECT 1"]);
    let said = crate::support::clients::said(command).await;
    assert!(said.err.contains("ERROR 1044") && said.out.is_empty(), "{said:?}");
    assert_eq!(proxy.usage.so_far().open_sessions, 0);
}

#[tokio::test]
async fn a_schema_that_is_named_while_connecting_is_on_record_like_a_command() {
    let proxy = Proxy::start().await;
    let person = Person::of(&proxy);
    for (schema, statements, refused) in [("shop", 1, 0), ("mysql", 1, 1), ("no_such_schema", 2, 1)] {
        // With both told, the driver sends no statement of its own.
        let driver = person.driver().max_allowed_packet(Some(1 << 20)).wait_timeout(Some(600));
        let connected = mysql_async::Conn::new(driver.db_name(Some(schema))).await;
        assert_eq!(connected.is_ok(), schema == "shop", "{schema}");
        let used = proxy.usage.so_far();
        assert_eq!((used.statements, used.refused), (statements, refused), "after {schema}");
    }
}

#[tokio::test]
async fn a_row_of_20_mib_passes_when_the_limits_allow_it() {
    let proxy = Proxy::start().await;
    let mut conn = Person::of(&proxy).connects().await;
    let blob: Vec<u8> = conn.query_first("SELECT bytes FROM shop.blobs WHERE id = 1").await.unwrap().unwrap();
    assert!(blob.len() == 20 * 1024 * 1024 && blob.iter().all(|byte| *byte == b'x'));
    let small: Vec<u8> =
        conn.query_first("SELECT bytes FROM shop.blobs WHERE id = 2").await.unwrap().unwrap();
    assert_eq!(small, b"small");
}

#[tokio::test]
async fn fifty_thousand_rows_arrive_in_order() {
    let proxy = Proxy::start().await;
    let mut conn = Person::of(&proxy).connects().await;
    let rows: Vec<u32> = conn.query("SELECT n FROM shop.numbers ORDER BY n").await.unwrap();
    assert!(rows.iter().copied().eq(1..=50_000));
}

#[tokio::test]
async fn a_reset_session_is_pinned_again_before_its_client_hears_ok() {
    let proxy = Proxy::start().await;
    let mut conn = Person::of(&proxy).connects().await;
    let pins = "SELECT @@session.tx_read_only, @@session.sql_mode, @@session.max_statement_time";
    let before: (u8, String, f64) = conn.query_first(pins).await.unwrap().unwrap();
    assert_eq!(before.0, 1);
    assert!(conn.reset().await.unwrap(), "COM_RESET_CONNECTION");
    let after: (u8, String, f64) = conn.query_first(pins).await.unwrap().unwrap();
    assert_eq!(before, after);
    conn.change_user(mysql_async::ChangeUserOpts::default().with_db_name(Some("shop".into()))).await.unwrap();
    let after: (u8, String, f64) = conn.query_first(pins).await.unwrap().unwrap();
    assert_eq!(before, after);
    assert_eq!(conn.query_first::<String, _>("SELECT DATABASE()").await.unwrap().unwrap(), "shop");
}

#[tokio::test]
async fn a_transaction_is_read_only() {
    let proxy = Proxy::start().await;
    let said = Person::of(&proxy)
        .runs("BEGIN; SELECT COUNT(*) FROM shop.orders; COMMIT; START TRANSACTION READ WRITE")
        .await;
    assert_eq!(said.out, "2", "{said:?}");
    assert!(said.err.contains("ERROR"), "{said:?}");
}

#[tokio::test]
async fn the_clients_completion_learns_columns_of_open_tables_only() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    let no_schema = raw.asks(b"\x04orders\0").await.unwrap();
    assert_eq!(no_schema[0], 0xff, "a table of no schema");
    assert_eq!(raw.asks(&command::encode_init_db(b"shop")).await.unwrap()[0], 0);
    let definition = raw.asks(b"\x04orders\0%").await.unwrap();
    assert!(definition.starts_with(b"\x03def"), "a column");
    while raw.reads().await.unwrap()[0] != 0xfe {}
    for table in [&b"\x04mysql.user\0"[..], b"\x04x` FROM mysql.user -- \0", b"\x04\0"] {
        assert_eq!(raw.asks(table).await.unwrap()[0], 0xff);
    }
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0);
}
