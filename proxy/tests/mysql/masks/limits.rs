//! Limits, back-pressure and the end of the grant hold for masked answers as for any.

use std::time::{Duration, Instant};

use access::EndReason;
use mysql_async::prelude::Queryable;
use wire::mysql::command;

use super::{proxy, proxy_with, rules};
use crate::support::clients::Person;
use crate::support::databases::{both, mariadb};
use crate::support::proxy::wide;
use crate::support::raw::{self, error};

const PAIRS: &[u8] = b"SELECT n, secret FROM shop.pairs ORDER BY n";

#[tokio::test]
async fn the_row_after_the_last_allowed_one_is_an_error_and_the_session_goes_on() {
    for server in both() {
        let mut limits = wide();
        limits.statement.rows = 5_000;
        let proxy = proxy_with(server, limits, rules()).await;
        let mut raw = raw::session(&proxy).await;
        for _ in 0..3 {
            let packets = raw.result(&command::encode_query(PAIRS)).await;
            let (code, message) = error(packets.last().unwrap());
            assert!(code == 1104 && message.contains("limit of 5000 rows"), "{code} {message}");
            assert_eq!(packets.len(), 1 + 2 + 5_000 + 1);
        }
        assert_eq!(proxy.usage.so_far().rows, 15_000);
    }
}

#[tokio::test]
async fn bytes_of_masked_values_do_not_count_but_those_of_the_others_do() {
    let mut limits = wide();
    limits.statement.bytes = 300_000;
    let proxy = proxy_with(mariadb(), limits, rules()).await;
    let mut raw = raw::session(&proxy).await;
    let packets = raw.result(&command::encode_query(PAIRS)).await;
    let (code, message) = error(packets.last().unwrap());
    assert!(code == 1104 && message.contains("limit of 300000 bytes"), "{code} {message}");
    let sent: usize = packets.iter().map(Vec::len).sum();
    assert!((290_000..310_000).contains(&sent), "{sent}");
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0);
}

#[tokio::test]
async fn a_row_of_more_than_16_mib_is_an_error_and_the_session_goes_on() {
    for server in both() {
        let proxy = proxy(server).await;
        let mut conn = Person::of(&proxy).connects().await;
        for prepared in [false, true] {
            let sql = "SELECT id, bytes FROM shop.blobs ORDER BY id";
            let failed = match prepared {
                false => conn.query::<mysql_async::Row, _>(sql).await.unwrap_err().to_string(),
                true => conn.exec::<mysql_async::Row, _, _>(sql, ()).await.unwrap_err().to_string(),
            };
            assert!(failed.contains("1104") && failed.contains("select fewer columns"), "{failed}");
            let on: Vec<(i32, Option<String>)> =
                conn.query("SELECT id, bytes FROM shop.blobs WHERE id = 2").await.unwrap();
            assert_eq!(on, [(2, None)]);
        }
    }
}

#[tokio::test]
async fn a_long_row_within_a_frame_is_masked() {
    for server in both() {
        server.admin(
            "SET autocommit = 1; CREATE TABLE shop.long_rows (id INT PRIMARY KEY, secret LONGTEXT, note LONGTEXT); \
             INSERT INTO shop.long_rows VALUES (1, REPEAT('s', 5000000), REPEAT('n', 9000000)), (2, 's', 'n')",
        );
        let columns = vec![super::rule("long_rows", "secret", access::ColumnAccess::Mask)];
        let proxy = proxy_with(server, wide(), columns).await;
        let mut conn = Person::of(&proxy).connects().await;
        let sql = "SELECT id, secret, note FROM shop.long_rows ORDER BY id";
        let text: Vec<(i32, Option<String>, String)> = conn.query(sql).await.unwrap();
        let binary: Vec<(i32, Option<String>, String)> = conn.exec(sql, ()).await.unwrap();
        for rows in [text, binary] {
            let seen: Vec<_> = rows.iter().map(|row| (row.0, row.1.is_none(), row.2.len())).collect();
            assert_eq!(seen, [(1, true, 9_000_000), (2, true, 1)]);
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_when_the_time_is_over() {
    let mut limits = wide();
    limits.statement.seconds = 2;
    mariadb().admin(
        "SET autocommit = 1; CREATE TABLE shop.much (secret INT, note LONGTEXT); \
         INSERT INTO shop.much SELECT n, REPEAT('n', 100000) FROM shop.numbers WHERE n <= 400",
    );
    let columns = vec![super::rule("much", "secret", access::ColumnAccess::Mask)];
    let proxy = proxy_with(mariadb(), limits, columns).await;
    let mut raw = raw::session(&proxy).await;
    raw.sequence = Default::default();
    raw.writes(&command::encode_query(b"SELECT secret, note FROM shop.much")).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while proxy.usage.so_far().open_sessions > 0 {
        assert!(Instant::now() < deadline, "a client that does not read is cut");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(proxy.usage.so_far().rows < 400, "what was not read was not fetched");
    raw.is_closed().await;
}

#[tokio::test]
async fn the_end_of_the_grant_comes_between_two_whole_packets() {
    let proxy = proxy(mariadb()).await;
    let mut raw = raw::session(&proxy).await;
    assert_eq!(raw.asks(&command::encode_query(PAIRS)).await.unwrap(), [2]);
    for _ in 0..1_000 {
        raw.reads().await.unwrap();
    }
    proxy.end(EndReason::Revoked);
    loop {
        let Ok(packet) = raw.reads().await else { break };
        if packet[0] == 0xff {
            assert_eq!(error(&packet).0, 1053);
            break;
        }
    }
    raw.is_closed().await;
}

#[tokio::test]
async fn the_budget_binds_sessions_that_wait_for_the_rest_of_a_long_row_together() {
    mariadb().admin(
        "SET autocommit = 1; CREATE TABLE shop.shared (secret INT, note LONGTEXT); \
         INSERT INTO shop.shared VALUES (1, REPEAT('n', 3000000))",
    );
    let mut limits = wide();
    limits.budget.rows = 2;
    let columns = vec![super::rule("shared", "secret", access::ColumnAccess::Mask)];
    let proxy = proxy_with(mariadb(), limits, columns).await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(raw::session(&proxy).await);
    }
    // Each has the head of its row before any has all of it.
    let read = command::encode_query(b"SELECT secret, note FROM shop.shared");
    for raw in &mut sessions {
        raw.sequence = Default::default();
        raw.writes(&read).await;
    }
    let mut refused = 0;
    for raw in &mut sessions {
        let mut packet = raw.reads().await.unwrap();
        while !matches!(packet[0], 0xfe | 0xff) {
            packet = raw.reads().await.unwrap();
        }
        refused += usize::from(packet[0] == 0xff && error(&packet).1.contains("budget of 2 rows"));
    }
    assert_eq!((proxy.usage.so_far().rows, refused), (2, 2));
}
