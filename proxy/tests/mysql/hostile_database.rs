//! A database that was taken over, or is broken, harms no client and gets no further than its session. One that does what no
//! read-only session does has no other session either.

use access::EndReason;
use keyhole_proxy::database::LoginProbe;
use wire::mysql::command;
use wire::mysql::frame::{self, Sequence};
use wire::mysql::response::status_flags::StatusFlags;

use crate::support::hostile::{grant_refused_with, ok, proxy_before};
use crate::support::proxy::{credential, try_login};
use crate::support::raw::{self, error};

fn framed(bodies: &[&[u8]]) -> Vec<u8> {
    let (mut sequence, mut out) = (Sequence::starting_at(1), Vec::new());
    bodies.iter().for_each(|body| frame::encode(body, &mut sequence, &mut out));
    out
}

/// What a client gets to its first query, and that the grant is over then.
async fn violates(answer: Vec<u8>) -> (u16, String) {
    let proxy = proxy_before(answer).await;
    let (mut raw, mut beside) = (raw::session(&proxy).await, raw::session(&proxy).await);
    let packet = raw.asks(&command::encode_query(b"SELECT 1")).await.unwrap();
    let words = error(&packet);
    raw.is_closed().await;
    // What the report says of the end.
    assert_eq!(proxy.ending.cause().map(|cause| cause.reason), Some(EndReason::Violation));
    let (code, message) = error(&beside.reads_out_of_band().await);
    assert!(code == 1053 && message.contains(EndReason::Violation.sentence()), "{code} {message}");
    beside.is_closed().await;
    words
}

#[tokio::test]
async fn a_transaction_that_may_write_ends_the_grant_before_its_client_hears_of_it() {
    let writable = StatusFlags::AUTOCOMMIT.with(StatusFlags::IN_TRANS);
    let (code, message) = violates(framed(&[&ok(writable)])).await;
    assert!(code == 1053 && message.contains("a transaction was open that may write"), "{code} {message}");
}

#[tokio::test]
async fn a_read_only_transaction_does_not() {
    let held = StatusFlags::AUTOCOMMIT.with(StatusFlags::IN_TRANS).with(StatusFlags::IN_TRANS_READONLY);
    let proxy = proxy_before(framed(&[&ok(held)])).await;
    let mut raw = raw::session(&proxy).await;
    for _ in 0..3 {
        assert_eq!(raw.asks(&command::encode_query(b"SELECT 1")).await.unwrap()[0], 0);
    }
}

#[tokio::test]
async fn an_sql_mode_that_the_gate_does_not_read_ends_the_grant() {
    let other = StatusFlags::AUTOCOMMIT.with(StatusFlags::NO_BACKSLASH_ESCAPES);
    let (code, message) = violates(framed(&[&ok(other)])).await;
    assert!(code == 1053 && message.contains("SQL mode"), "{code} {message}");
}

#[tokio::test]
async fn a_database_that_asks_for_a_clients_file_ends_the_grant() {
    let (code, message) = violates(framed(&[b"\xfb/etc/passwd"])).await;
    assert!(code == 1053 && message.contains("asked for a file of yours"), "{code} {message}");
    assert!(!message.contains("passwd"), "{message}");
}

#[tokio::test]
async fn an_answer_that_breaks_the_protocol_is_not_passed_on() {
    let auto = ok(StatusFlags::AUTOCOMMIT);
    let mut out_of_order = Vec::new();
    frame::encode(&auto, &mut Sequence::starting_at(2), &mut out_of_order);
    for answer in [out_of_order, framed(&[b""]), framed(&[b"\x00"]), framed(&[b"\x02", b"garbage"])] {
        let proxy = proxy_before(answer).await;
        let mut raw = raw::session(&proxy).await;
        let mut packet = raw.asks(&command::encode_query(b"SELECT 1")).await.unwrap();
        if packet == [2] {
            packet = raw.reads().await.unwrap();
        }
        let (code, message) = error(&packet);
        assert!(code == 1053 && message.contains("cannot be read"), "{code} {message}");
        raw.is_closed().await;
    }
}

#[tokio::test]
async fn a_database_that_goes_on_after_its_answer_is_cut_off() {
    let auto = ok(StatusFlags::AUTOCOMMIT);
    let proxy = proxy_before([framed(&[&auto]), framed(&[&auto])].concat()).await;
    let mut raw = raw::session(&proxy).await;
    assert_eq!(raw.asks(&command::encode_query(b"SELECT 1")).await.unwrap()[0], 0);
    let (code, _) = error(&raw.reads_out_of_band().await);
    assert_eq!(code, 1053);
    raw.is_closed().await;
}

#[tokio::test]
async fn a_login_is_proved_dead_by_the_refusals_of_a_user_that_is_gone_and_by_nothing_else() {
    for denied in [1045, 1698] {
        let grant = grant_refused_with(denied).await;
        assert_eq!(try_login(&grant, &credential()).await, LoginProbe::Refused, "{denied}");
    }
    // Too many connections, host blocked, host not privileged, password expired, account locked.
    for other in [1040, 1129, 1130, 1820, 1862, 3118, 4151] {
        let grant = grant_refused_with(other).await;
        let probe = try_login(&grant, &credential()).await;
        assert!(matches!(probe, LoginProbe::Unknown(_)), "{other}: {probe:?}");
    }
}
