//! A database that was taken over, or is broken, harms no client and gets no further than its session. One that does what no
//! read-only session does has no other session either.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use access::{ColumnAccess, ColumnRule, EndReason};
use keyhole_proxy::audit::{Acknowledgements, Journal, Keeper, NotRecorded, Number, Record};
use keyhole_proxy::database::LoginProbe;
use record::What;
use wire::mysql::command;
use wire::mysql::frame::{self, Sequence};
use wire::mysql::response::status_flags::StatusFlags;

use crate::support::hostile::{
    grant_refused_with, ok, proxy_before, proxy_before_on_record, proxy_before_script,
    proxy_before_slow_script, row,
};
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

/// Keeps why the grant ends.
#[derive(Clone, Default)]
struct Violations {
    why: Arc<Mutex<Vec<String>>>,
    acknowledged: Acknowledgements,
}

impl Keeper for Violations {
    fn keep(&mut self, number: Number, record: &Record<'_>) -> Result<(), NotRecorded> {
        if let Record::Life(What::Violation(violation)) = record {
            self.why.lock().unwrap().push(violation.why.clone());
        }
        self.acknowledged.up_to(number);
        Ok(())
    }
}

#[tokio::test]
async fn what_ends_the_grant_is_on_record() {
    let violations = Violations::default();
    let (keeper, acknowledged) = (Box::new(violations.clone()), violations.acknowledged.clone());
    let journal = |usage, ending| Journal::new(usage, ending, acknowledged, keeper);
    let proxy = proxy_before_on_record(framed(&[b"\xfb/etc/passwd"]), journal).await;
    let mut raw = raw::session(&proxy).await;
    raw.asks(&command::encode_query(b"SELECT 1")).await.unwrap();
    raw.is_closed().await;
    assert_eq!(*violations.why.lock().unwrap(), ["grant ended: the database asked for a file of yours"]);
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

/// A database whose status says, when it is asked for the first time, that it reads backslashes otherwise now, and which tells
/// this mode then, and how it reads a backslash. The second statement's error, and the end of the grant.
async fn reads_otherwise(
    mode: &'static str,
    escapes: &'static str,
) -> (Option<(u16, String)>, Option<EndReason>) {
    let script = move |command: &[u8]| {
        let auto = StatusFlags::AUTOCOMMIT;
        let other = auto.with(StatusFlags::NO_BACKSLASH_ESCAPES);
        let asks = command.starts_with(b"\x03SELECT CONVERT(@@SESSION.sql_mode");
        let told = asks.then(|| row(&[Some(mode.as_bytes()), Some(escapes.as_bytes())], other));
        told.or_else(|| command.starts_with(b"\x03SELECT").then(|| framed(&[&ok(other)])))
            .filter(|_| !command.ends_with(b"LIMIT 1") || asks)
    };
    let proxy = proxy_before_script(Arc::new(script), Vec::new()).await;
    let mut raw = raw::session(&proxy).await;
    assert_eq!(raw.asks(&command::encode_query(b"SELECT 1")).await.unwrap()[0], 0);
    let answer = raw.asks(&command::encode_query(br"SELECT '\', SLEEP(1) -- '")).await.unwrap();
    let cause = proxy.ending.cause().map(|cause| cause.reason);
    ((answer[0] == 0xff).then(|| error(&answer)), cause)
}

#[tokio::test]
async fn a_status_that_tells_of_another_sql_mode_makes_the_proxy_ask_for_it() {
    assert_eq!(reads_otherwise("ONLY_FULL_GROUP_BY", "1").await, (None, None), "a string as before");
    let (closed, cause) = reads_otherwise("NO_BACKSLASH_ESCAPES", "0").await;
    assert_eq!((closed.unwrap().0, cause), (1370, None), "a call now");
    let (unread, cause) = reads_otherwise("ORACLE", "1").await;
    let (code, message) = unread.unwrap();
    assert!(code == 1053 && message.contains("sql_mode has ORACLE") && cause.is_none(), "{code} {message}");
}

#[tokio::test]
async fn a_database_that_reads_otherwise_than_by_the_sql_mode_that_it_tells_ends_the_grant() {
    for (mode, escapes) in [("ONLY_FULL_GROUP_BY", "0"), ("NO_BACKSLASH_ESCAPES", "1")] {
        let (words, cause) = reads_otherwise(mode, escapes).await;
        let (code, message) = words.unwrap();
        assert!(code == 1053 && message.contains("SQL mode"), "{code} {message}");
        assert_eq!(cause, Some(EndReason::Violation));
    }
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

/// A name in one of the proxy's questions about tables.
fn asked_about(question: &str) -> Option<String> {
    let (_, rest) = question.split_once("t.table_name = _utf8mb4 0x")?;
    let (hex, _) = rest.split_once(' ')?;
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    Some((0..hex.len()).step_by(2).map(|at| char::from(byte(at))).collect())
}

/// Tells of `table_0`, and of views that each read the one before: `view_1` reads `table_0`.
fn tells_of_views(command: &[u8]) -> Option<Vec<u8>> {
    let question = std::str::from_utf8(command).unwrap();
    let name = asked_about(question)?;
    let (kind, number) = name.split_once('_').unwrap();
    let before = match number.parse::<u32>().unwrap() {
        1 => "table_0".to_owned(),
        number => format!("view_{}", number.saturating_sub(1)),
    };
    let text = format!("select `t`.`a` AS `a` from `shop`.`{before}` `t`");
    let view = kind == "view";
    let (tag, schema, kind): (&[u8], &[u8], &[u8]) =
        (b"0", b"shop", if view { b"VIEW" } else { b"BASE TABLE" });
    let mut values = vec![Some(tag), Some(schema), Some(name.as_bytes())];
    if question.contains("information_schema.columns t") {
        values.extend([Some(b"a".as_slice()), Some(b"1"), None, None]);
    } else {
        values.extend([Some(kind), view.then_some(text.as_bytes())]);
    }
    Some(row(&values, StatusFlags::AUTOCOMMIT))
}

/// Two answers of a second for each table: no statement waits for more than ten seconds of them, however many there are.
#[tokio::test]
async fn all_that_a_statement_asks_about_tables_takes_no_longer_than_one_question_may() {
    let rule = ColumnRule {
        schema: "shop".into(),
        table: "other".into(),
        column: "pin".into(),
        access: ColumnAccess::Hide,
    };
    let slow =
        || proxy_before_slow_script(Arc::new(tells_of_views), Duration::from_secs(1), vec![rule.clone()]);
    let proxy = slow().await;
    let mut raw = raw::session(&proxy).await;
    // Four tables, one after the other; and a second statement has a time of its own.
    for _ in 0..2 {
        let answer = raw.asks(&command::encode_query(b"SELECT a FROM shop.view_3")).await.unwrap();
        assert_eq!(answer[0], 0, "{}", answer.escape_ascii());
    }
    let several_on = [0x1b, 0, 0];
    for text in ["SELECT a FROM shop.view_5", "SELECT a FROM shop.view_2; SELECT a FROM shop.view_2"] {
        let proxy = slow().await;
        let mut raw = raw::session(&proxy).await;
        raw.asks(&several_on).await.unwrap();
        let (code, message) = error(&raw.asks(&command::encode_query(text.as_bytes())).await.unwrap());
        assert!(code == 1053 && message.contains("the database closed"), "{text}: {code} {message}");
        raw.is_closed().await;
    }
}
