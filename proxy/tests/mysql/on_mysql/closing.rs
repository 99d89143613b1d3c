//! Limits of time, and the end: statements stop on the server, sessions are gone from its list.

use std::time::{Duration, Instant};

use keyhole_proxy::engines::mysql::packets::read_packet;
use keyhole_proxy::engines::mysql::server::{Dialer, Pins};
use sql::mysql::Flavour;
use wire::mysql::command;
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::frame::Sequence;

use super::{grant, proxy, with_limits};
use crate::support::databases::mysql;
use crate::support::proxy::{credential, wide};
use crate::support::raw::{self, error};

/// A statement without end, that differs from all others by a number.
fn slow(number: u8) -> Vec<u8> {
    let sql = format!(
        "SELECT COUNT(*) FROM shop.numbers a, shop.numbers b, shop.numbers c WHERE a.n * b.n = c.n + {number}"
    );
    command::encode_query(sql.as_bytes())
}

fn running(number: u8) -> String {
    format!(
        "SELECT COUNT(*) FROM performance_schema.processlist WHERE info LIKE 'SELECT COUNT%c.n + {number}'"
    )
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped_on_the_server_too() {
    let mut limits = wide();
    limits.statement.seconds = 1;
    let proxy = with_limits(limits).await;
    let mut raw = raw::session(&proxy).await;
    let began = Instant::now();
    let (code, message) = error(&raw.asks(&slow(11)).await.unwrap());
    assert!(code == 3024 && message.contains("limit of 1 seconds per statement"), "{code} {message}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "the session goes on");
    mysql().becomes(&running(11), "0").await;
}

#[tokio::test]
async fn the_server_has_a_clock_of_its_own() {
    let mut limits = wide();
    limits.statement.seconds = 1;
    let dialer = Dialer::new(&grant().target).unwrap();
    let mut database = dialer.connect(&credential(), Capabilities::NONE).await.unwrap();
    Pins::new(Flavour::MySql, &limits).apply(&mut database, None).await.unwrap();
    // Nobody kills it.
    database.send(&slow(14)).await.unwrap();
    let mut sequence = Sequence::starting_at(1);
    let mut packet = read_packet(&mut database.stream, &mut sequence, 1024).await.unwrap();
    while packet[0] != 0xff {
        packet = read_packet(&mut database.stream, &mut sequence, 1024).await.unwrap();
    }
    assert_eq!(error(&packet).0, 3024);
    database.quit().await;
}

#[tokio::test]
async fn the_row_after_the_last_allowed_one_is_an_error_and_the_session_goes_on() {
    let mut limits = wide();
    limits.statement.rows = 5;
    let proxy = with_limits(limits).await;
    let mut raw = raw::session(&proxy).await;
    for sql in ["SELECT n FROM shop.numbers", "SELECT a.n FROM shop.numbers a, shop.numbers b"] {
        let mut packet = raw.asks(&command::encode_query(sql.as_bytes())).await.unwrap();
        while packet[0] != 0xff {
            packet = raw.reads().await.unwrap();
        }
        let (code, message) = error(&packet);
        assert!(code == 1104 && message.contains("limit of 5 rows"), "{code} {message}");
        assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "the session goes on");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing_running() {
    let proxy = proxy().await;
    let mut raw = raw::session(&proxy).await;
    raw.sequence = Default::default();
    raw.writes(&slow(13)).await;
    mysql().becomes(&running(13), "1").await;
    drop(raw);
    mysql().becomes(&running(13), "0").await;
}

#[tokio::test]
async fn a_session_that_the_database_ends_is_told_so() {
    let proxy = proxy().await;
    let mut raw = raw::session(&proxy).await;
    raw.asks(&command::encode_query(b"SELECT CONNECTION_ID()")).await.unwrap();
    raw.reads().await.unwrap();
    let row = raw.reads().await.unwrap();
    raw.reads().await.unwrap();
    mysql().admin(&format!("KILL CONNECTION {}", String::from_utf8_lossy(&row[1..])));
    let (code, message) = error(&raw.reads_out_of_band().await);
    assert!(code == 1053 && message.contains("the database closed the session"), "{code} {message}");
}
