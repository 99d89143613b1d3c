//! A database that is slow, broken or taken over: what it does to its session is noticed where it happens, or the session ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use access::{ColumnAccess, ColumnRule, EndReason, Limits};
use tokio::io::AsyncWriteExt;
use wire::mysql::command;
use wire::mysql::frame::{self, Sequence};
use wire::mysql::response::prepare_ok::PrepareOk;
use wire::mysql::response::status_flags::StatusFlags;

use super::last_words;
use crate::support::hostile::{
    Came, Character, USUAL, ok, proxy_before, proxy_before_script, proxy_before_servers, proxy_before_stops,
    row,
};
use crate::support::proxy::wide;
use crate::support::raw::{self, error};

const AUTO: StatusFlags = StatusFlags::AUTOCOMMIT;

/// A transaction that may write.
fn writable() -> StatusFlags {
    AUTO.with(StatusFlags::IN_TRANS)
}

fn one_second() -> Limits {
    let mut limits = wide();
    limits.statement.seconds = 1;
    limits
}

#[tokio::test]
async fn a_use_that_is_done_after_its_client_heard_of_a_limit_ends_the_session() {
    let (proxy, _stop) = proxy_before_stops(Came::Late(ok(AUTO)), one_second()).await;
    let mut raw = raw::session(&proxy).await;
    assert_eq!(raw.asks(&command::encode_init_db(b"shop")).await.unwrap()[0], 0);
    assert_eq!(error(&raw.asks(&command::encode_query(b"USE other")).await.unwrap()).0, 3024);
    let (code, message) = last_words(&mut raw).await;
    assert!(code == 1053 && message.contains("not in the schema"), "{code} {message}");
    raw.is_closed().await;
}

#[tokio::test]
async fn a_use_that_was_stopped_changes_nothing_and_the_session_goes_on() {
    let (proxy, _stop) = proxy_before_stops(Came::InTime, one_second()).await;
    let mut raw = raw::session(&proxy).await;
    assert_eq!(raw.asks(&command::encode_init_db(b"shop")).await.unwrap()[0], 0);
    assert_eq!(error(&raw.asks(&command::encode_query(b"USE other")).await.unwrap()).0, 3024);
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0);
}

#[tokio::test]
async fn a_statement_that_is_prepared_after_its_client_heard_of_a_limit_is_closed() {
    let prepared = PrepareOk { id: 9, columns: 0, parameters: 0, warnings: 0 };
    let (proxy, stop) = proxy_before_stops(Came::Late(prepared.encode()), one_second()).await;
    let mut raw = raw::session(&proxy).await;
    assert_eq!(error(&raw.asks(&command::encode_prepare(b"SELECT 1")).await.unwrap()).0, 3024);
    tokio::time::timeout(Duration::from_secs(10), stop.closed.notified()).await.unwrap();
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "and the session goes on");
}

#[tokio::test]
async fn a_transaction_that_may_write_is_noticed_in_an_answer_that_is_thrown_away() {
    let (proxy, _stop) = proxy_before_stops(Came::Late(ok(writable())), one_second()).await;
    let mut raw = raw::session(&proxy).await;
    assert_eq!(error(&raw.asks(&command::encode_query(b"SELECT 1")).await.unwrap()).0, 3024);
    let (code, message) = last_words(&mut raw).await;
    assert!(code == 1053 && message.contains("may write"), "{code} {message}");
}

#[tokio::test]
async fn a_transaction_that_may_write_is_noticed_when_the_proxy_asks_about_tables() {
    let script = |command: &[u8]| {
        let asks = command.starts_with(b"\x03SELECT CONVERT(CONVERT('0'");
        asks.then(|| row(&[None; 6], writable()))
    };
    let rule = ColumnRule {
        schema: "shop".into(),
        table: "orders".into(),
        column: "note".into(),
        access: ColumnAccess::Hide,
    };
    let proxy = proxy_before_script(Arc::new(script), vec![rule]).await;
    let mut raw = raw::session(&proxy).await;
    let asked = raw.asks(&command::encode_query(b"SELECT id FROM shop.orders")).await.unwrap();
    let (code, message) = error(&asked);
    assert!(code == 1053 && message.contains("may write"), "{code} {message}");
}

#[tokio::test]
async fn a_transaction_that_may_write_is_noticed_after_a_reset() {
    let was_reset = AtomicBool::new(false);
    let script = move |command: &[u8]| {
        was_reset.fetch_or(command.starts_with(b"\x1f"), Ordering::Relaxed);
        let asks = was_reset.load(Ordering::Relaxed) && command.starts_with(b"\x03SELECT");
        asks.then(|| row(&[None], writable()))
    };
    let proxy = proxy_before_script(Arc::new(script), Vec::new()).await;
    let mut raw = raw::session(&proxy).await;
    let (code, message) = error(&raw.asks(&command::encode_reset_connection()).await.unwrap());
    assert!(code == 1053 && message.contains("may write"), "{code} {message}");
}

#[tokio::test]
async fn a_session_that_is_not_pinned_again_after_a_reset_ends_the_grant() {
    let was_reset = AtomicBool::new(false);
    let told = [
        None,
        Some("utf8mb4"),
        Some("1"),
        Some("utf8mb4"),
        Some("utf8mb4"),
        Some("ANSI_QUOTES"),
        Some("1"),
        Some("REPEATABLE-READ"),
        Some("1"),
        Some("31"),
        Some("7"),
        Some(USUAL.version),
        Some("0"),
        Some(USUAL.host),
        Some("3306"),
        Some("1"),
    ];
    let script = move |command: &[u8]| {
        was_reset.fetch_or(command.starts_with(b"\x1f"), Ordering::Relaxed);
        let asks = was_reset.load(Ordering::Relaxed) && command.starts_with(b"\x03SELECT DATABASE(), @@");
        asks.then(|| row(&told.map(|value| value.map(str::as_bytes)), AUTO))
    };
    let proxy = proxy_before_script(Arc::new(script), Vec::new()).await;
    let mut raw = raw::session(&proxy).await;
    let (code, message) = error(&raw.asks(&command::encode_reset_connection()).await.unwrap());
    assert!(code == 1053 && message.contains("does not keep the settings"), "{code} {message}");
    assert_eq!(proxy.ending.cause().map(|cause| cause.reason), Some(EndReason::Violation));
}

#[tokio::test]
async fn a_schema_that_the_server_begins_sessions_in_is_the_one_that_names_are_judged_by() {
    let begins_in = async |schema: &'static str| {
        let server = Character { begins_in: Some(schema), ..USUAL };
        proxy_before_servers(vec![server], wide()).await.0
    };
    let proxy = begins_in("information_schema").await;
    let mut raw = raw::session(&proxy).await;
    let closed = raw.asks(&command::encode_query(b"SELECT 1 FROM all_plugins")).await.unwrap();
    assert_eq!(error(&closed).0, 1142);

    let proxy = begins_in("mysql").await;
    let mut raw = raw::secured(&proxy, Some(&proxy.session_certificate())).await;
    raw.responds(b"anybody", b"", b"mysql_native_password").await;
    assert_eq!(raw.hears_error().await.0, 1044);
}

#[tokio::test]
async fn what_a_database_says_unasked_is_not_taken_for_the_next_answer() {
    let (mut answers, mut commands) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        frame::encode(&ok(AUTO), &mut Sequence::starting_at(1), &mut answers);
        frame::encode(&command::encode_query(b"SELECT 1"), &mut Sequence::default(), &mut commands);
    }
    let proxy = proxy_before(answers).await;
    let mut raw = raw::session(&proxy).await;
    // Both at once: the second is here when the first is answered.
    raw.stream.write_all(&commands).await.unwrap();
    assert_eq!(raw.reads_out_of_band().await[0], 0);
    let second = raw.reads_out_of_band().await;
    assert_eq!(second[0], 0xff, "the first answer's second half: {second:?}");
    assert_eq!(error(&second).0, 1053);
}
