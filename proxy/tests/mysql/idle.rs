//! A session that holds locks or a cursor and reads nothing is told and cut; nobody else is.

use std::time::Duration;

use keyhole_proxy::engines::mysql::packets::{read_packet, write_packet};
use tokio::io::AsyncWriteExt;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use wire::mysql::command;
use wire::mysql::frame::Sequence;

use crate::support::databases::{DatabaseServer, both};
use crate::support::proxy::{Proxy, grant_on, wide};
use crate::support::raw::{self, RawTls, error};

/// Much shorter than the bound.
const SHORT: Duration = Duration::from_millis(100);

/// Much longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A table of a test's own, with rows.
fn table(server: &DatabaseServer, name: &str, engine: &str) {
    server.admin(&format!(
        "SET autocommit = 1; CREATE TABLE shop.{name} (n INT PRIMARY KEY) ENGINE = {engine}; \
         INSERT INTO shop.{name} VALUES (1), (2), (3)"
    ));
}

async fn bounded(server: &DatabaseServer, seconds: u32) -> Proxy {
    let mut limits = wide();
    limits.idle_transaction_seconds = seconds;
    Proxy::of(grant_on(server, limits)).await
}

/// The owner's `ALTER TABLE`, which waits five seconds for its lock.
async fn altered(server: &'static DatabaseServer, table: &str) {
    let sql = format!("SET lock_wait_timeout = 5; ALTER TABLE shop.{table} COMMENT = 'altered'");
    spawn_blocking(move || server.asks(&sql)).await.unwrap().unwrap();
}

/// Sends texts; the last packet of the last answer.
async fn asks(raw: &mut RawTls, texts: &[&str]) -> Vec<u8> {
    let mut last = Vec::new();
    for text in texts {
        last = raw.asks(&command::encode_query(text.as_bytes())).await.unwrap();
        let mut rows = !matches!(last[0], 0 | 0xff);
        while rows {
            last = raw.reads().await.unwrap();
            rows = !matches!(last[0], 0xfe | 0xff);
        }
    }
    last
}

async fn is_cut(mut raw: RawTls) {
    let Ok(last) = timeout(PATIENCE, raw.reads_out_of_band()).await else { panic!("the session is not cut") };
    let (code, message) = error(&last);
    assert!(code == 4031 && message.contains("nothing was read for "), "{code} {message}");
    raw.is_closed().await;
}

/// Opens a transaction, reads nothing, and hears its end.
async fn one_is_cut(proxy: &Proxy) -> JoinHandle<()> {
    let mut raw = raw::session(proxy).await;
    asks(&mut raw, &["BEGIN"]).await;
    tokio::spawn(is_cut(raw))
}

#[tokio::test]
async fn the_owners_alter_table_gets_its_lock_from_whoever_is_idle_in_a_transaction() {
    for server in both() {
        let proxy = bounded(server, 1).await;
        table(server, "held", "InnoDB");
        let read = "SELECT n FROM shop.held";
        let fails = "SELECT n FROM shop.held WHERE n = (SELECT n FROM shop.held)";
        for texts in [["BEGIN", read], ["SET autocommit = 0", read], ["SET autocommit = 0", fails]] {
            let mut raw = raw::session(&proxy).await;
            let last = asks(&mut raw, &texts).await;
            assert_eq!(last[0] == 0xff, texts[1] == fails, "{texts:?}");
            altered(server, "held").await;
            is_cut(raw).await;
        }
    }
}

#[tokio::test]
async fn an_open_cursor_is_held_open_no_longer_than_a_transaction() {
    for server in both() {
        let proxy = bounded(server, 1).await;
        let mut raw = raw::session(&proxy).await;
        let sql = b"SELECT n FROM shop.numbers ORDER BY n LIMIT 20";
        let prepared = raw.asks(&command::encode_prepare(sql)).await.unwrap();
        raw.reads().await.unwrap();
        let open_cursor = [&[0x17_u8], &prepared[1..5], &[1, 1, 0, 0, 0]].concat();
        assert_eq!(raw.asks(&open_cursor).await.unwrap(), [1]);
        while raw.reads().await.unwrap()[0] != 0xfe {}
        is_cut(raw).await;
    }
}

/// Its client heard of a limit, and the server still has the rest of the rows.
#[tokio::test]
async fn a_cursor_whose_fetch_met_a_limit_is_an_open_one() {
    for server in both() {
        let mut limits = wide();
        (limits.idle_transaction_seconds, limits.statement.rows) = (1, 5);
        let proxy = Proxy::of(grant_on(server, limits)).await;
        let mut raw = raw::session(&proxy).await;
        let sql = b"SELECT n FROM shop.numbers ORDER BY n LIMIT 2000";
        let prepared = raw.asks(&command::encode_prepare(sql)).await.unwrap();
        raw.reads().await.unwrap();
        let open_cursor = [&[0x17_u8], &prepared[1..5], &[1, 1, 0, 0, 0]].concat();
        assert_eq!(raw.asks(&open_cursor).await.unwrap(), [1]);
        while raw.reads().await.unwrap()[0] != 0xfe {}
        let fetch = [&[0x1c_u8], &prepared[1..5], &[10, 0, 0, 0]].concat();
        let mut packet = raw.asks(&fetch).await.unwrap();
        while packet[0] != 0xff {
            packet = raw.reads().await.unwrap();
        }
        assert_eq!(error(&packet).0, 1104);
        is_cut(raw).await;
    }
}

#[tokio::test]
async fn who_goes_on_reading_is_not_cut_until_they_stop() {
    for server in both() {
        let proxy = bounded(server, 3).await;
        let mut raw = raw::session(&proxy).await;
        let read = "SELECT id FROM shop.orders";
        asks(&mut raw, &["BEGIN", read]).await;
        let mut other = one_is_cut(&proxy).await;
        while timeout(SHORT, &mut other).await.is_err() {
            assert_eq!(asks(&mut raw, &[read]).await[0], 0xfe);
        }
        assert_eq!(asks(&mut raw, &[read]).await[0], 0xfe);
        is_cut(raw).await;
    }
}

/// Sends the same command again and again; whatever its answers are, the last one is the session's end.
async fn is_cut_though_it_says(raw: RawTls, noise: Vec<u8>, pause: Duration) {
    let (mut reading, mut writing) = tokio::io::split(raw.stream);
    let says = async {
        loop {
            if write_packet(&mut writing, &mut Sequence::default(), &noise).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(pause).await;
        }
    };
    let hears = async {
        loop {
            let packet = read_packet(&mut reading, &mut Sequence::starting_at(1), 1024).await.unwrap();
            if packet[0] == 0xff && error(&packet).0 == 4031 {
                break;
            }
        }
    };
    tokio::select! {
        () = says => {}
        heard = timeout(PATIENCE, hears) => assert!(heard.is_ok(), "{} keeps it alive", noise.escape_ascii()),
    }
}

/// Commands that read nothing. `own`: the id of a statement that the session has prepared.
fn noises(own: &[u8]) -> [Vec<u8>; 10] {
    let none = [9, 9, 9, 9];
    [
        command::encode_ping(),
        vec![0x09],                                            // COM_STATISTICS
        vec![0x1b, 1, 0],                                      // COM_SET_OPTION
        [&[0x1a], own].concat(),                               // COM_STMT_RESET
        [&[0x18], own, &[0, 0, b'x']].concat(),                // COM_STMT_SEND_LONG_DATA
        [&[0x19], none.as_slice()].concat(),                   // COM_STMT_CLOSE
        [&[0x17], none.as_slice(), &[0, 1, 0, 0, 0]].concat(), // COM_STMT_EXECUTE
        command::encode_query(b"DELETE FROM shop.orders"),
        command::encode_query(b"SET SESSION TRANSACTION READ WRITE"),
        command::encode_query(b"-- nothing"),
    ]
}

#[tokio::test]
async fn commands_that_are_sent_ahead_keep_no_lock_either() {
    for server in both() {
        let proxy = bounded(server, 1).await;
        let mut raw = raw::session(&proxy).await;
        asks(&mut raw, &["BEGIN", "SELECT id FROM shop.orders"]).await;
        // So many that the proxy never waits for the next one.
        let mut ahead = Vec::new();
        for _ in 0..1_000 {
            wire::mysql::frame::encode(&command::encode_ping(), &mut Sequence::default(), &mut ahead);
        }
        let (mut reading, mut writing) = tokio::io::split(raw.stream);
        let says = async { while writing.write_all(&ahead).await.is_ok() {} };
        let hears = async {
            while read_packet(&mut reading, &mut Sequence::starting_at(1), 1024).await.unwrap()[0] != 0xff {}
        };
        let both = async { tokio::join!(says, hears) };
        assert!(timeout(PATIENCE, both).await.is_ok(), "pings keep it alive");
    }
}

#[tokio::test]
async fn what_is_only_counted_answered_here_or_refused_keeps_no_lock() {
    for server in both() {
        let proxy = bounded(server, 1).await;
        let mut sessions = Vec::new();
        for which in 0..noises(&[]).len() {
            let mut raw = raw::session(&proxy).await;
            let prepared = raw.asks(&command::encode_prepare(b"SELECT ?")).await.unwrap();
            // Definitions: of a parameter and of a column.
            raw.reads().await.unwrap();
            raw.reads().await.unwrap();
            asks(&mut raw, &["BEGIN", "SELECT id FROM shop.orders"]).await;
            let noise = noises(&prepared[1..5])[which].clone();
            sessions.push(tokio::spawn(is_cut_though_it_says(raw, noise, SHORT)));
        }
        for session in sessions {
            session.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_command_that_never_becomes_whole_is_no_question() {
    let proxy = bounded(both()[0], 1).await;
    let mut raw = raw::session(&proxy).await;
    asks(&mut raw, &["BEGIN"]).await;
    let (mut reading, mut writing) = tokio::io::split(raw.stream);
    let trickle = async {
        writing.write_all(&[100, 0, 0, 0, 3]).await.unwrap();
        for _ in 0..99 {
            tokio::time::sleep(SHORT).await;
            if writing.write_all(b"x").await.is_err() {
                break;
            }
        }
        panic!("it was let write on");
    };
    let mut sequence = Sequence::starting_at(1);
    let reads = read_packet(&mut reading, &mut sequence, 1024);
    tokio::select! {
        packet = reads => assert_eq!(error(&packet.unwrap()).0, 4031),
        () = trickle => {}
    }
}

#[tokio::test]
async fn who_holds_nothing_may_be_idle() {
    for server in both() {
        let proxy = bounded(server, 1).await;
        let read = "SELECT n FROM shop.orders";
        let mut sessions = Vec::new();
        for texts in [
            &[read][..],
            &["BEGIN", "SELECT n FROM shop.numbers LIMIT 1", "COMMIT"],
            &["SET autocommit = 0", "SELECT n FROM shop.numbers LIMIT 1", "ROLLBACK"],
            &["SET autocommit = 0", "SELECT n FROM shop.numbers LIMIT 1", "SET autocommit = 1"],
            &["SELECT n FROM shop.numbers LIMIT 1", "SELECT n FROM shop.not_there"],
        ] {
            let mut raw = raw::session(&proxy).await;
            asks(&mut raw, texts).await;
            sessions.push(raw);
        }
        one_is_cut(&proxy).await.await.unwrap();
        for raw in &mut sessions {
            assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0);
        }
        let warnings = sessions[4].result(&command::encode_query(b"SHOW WARNINGS")).await;
        let told = warnings.iter().any(|packet| String::from_utf8_lossy(packet).contains("not_there"));
        assert!(told, "what the failed statement was told is still there: {warnings:?}");
    }
}

/// MySQL keeps the lock on such a table as long as autocommit is off, and its status says that no transaction is open.
#[tokio::test]
async fn locks_without_a_transaction_are_let_go_and_the_session_goes_on() {
    for server in both() {
        let proxy = bounded(server, 1).await;
        table(server, "isam", "MyISAM");
        let mut raw = raw::session(&proxy).await;
        let read = "SELECT n FROM shop.isam";
        asks(&mut raw, &["SET autocommit = 0", read]).await;
        altered(server, "isam").await;
        asks(&mut raw, &[read]).await;
        let mut altering = tokio::spawn(altered(server, "isam"));
        while timeout(SHORT, &mut altering).await.map(Result::unwrap).is_err() {
            assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0);
        }
        let variable = raw.result(&command::encode_query(b"SELECT @@autocommit")).await;
        assert_eq!(variable[2], b"\x010");
    }
}
