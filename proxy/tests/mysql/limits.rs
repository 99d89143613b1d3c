//! A client hears which limit it met; nothing is cut silently, and the session goes on.

use std::time::{Duration, Instant};

use crate::support::clients::Person;
use crate::support::databases::mariadb;
use crate::support::proxy::{Proxy, grant, wide};
use access::{EndReason, Used};
use wire::mysql::command;

use crate::support::raw::{self, error};

#[tokio::test]
async fn the_row_after_the_last_allowed_one_is_an_error_and_the_session_goes_on() {
    let mut limits = wide();
    limits.statement.rows = 10_000;
    let proxy = Proxy::with_limits(limits).await;
    let person = Person::of(&proxy);
    let mut client = person.opens();
    client.sends("SELECT n FROM shop.numbers ORDER BY n LIMIT 10000;");
    for n in 1..=10_000 {
        assert_eq!(client.line().await, n.to_string());
    }
    client.sends("SELECT n FROM shop.numbers;");
    client.sends("SELECT 'still here';");
    loop {
        let line = client.line().await;
        if line == "still here" {
            break;
        }
        assert!(line.parse::<u32>().is_ok_and(|n| n <= 10_000), "{line}");
    }
    let errors = client.leaves().await;
    assert!(errors.contains("limit of 10000 rows per statement reached"), "{errors}");
}

#[tokio::test]
async fn a_late_kill_never_hits_the_next_statement() {
    let mut limits = wide();
    limits.statement.rows = 5;
    let proxy = Proxy::with_limits(limits).await;
    let mut raw = raw::session(&proxy).await;
    for _ in 0..20 {
        // The database has ended the statement by itself when the sixth row is held back.
        let six = command::encode_query(b"SELECT n FROM shop.numbers LIMIT 6");
        let mut packet = raw.asks(&six).await.unwrap();
        while packet[0] != 0xff {
            packet = raw.reads().await.unwrap();
        }
        assert_eq!(error(&packet).0, 1104);
        let five = command::encode_query(b"SELECT n FROM shop.numbers LIMIT 5");
        let mut packet = raw.asks(&five).await.unwrap();
        while packet[0] != 0xfe {
            assert_ne!(packet[0], 0xff, "{:?}", error(&packet));
            packet = raw.reads().await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_byte_limit_is_told_before_the_row_that_breaks_it() {
    let mut limits = wide();
    limits.statement.bytes = 1_000_000;
    let proxy = Proxy::with_limits(limits).await;
    let said =
        Person::of(&proxy).runs("SELECT bytes FROM shop.blobs WHERE id = 1; SELECT 'still here'").await;
    assert!(said.err.contains("limit of 1000000 bytes per statement reached"), "{}", said.err);
    assert_eq!(said.out, "still here");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_stopped_on_the_server_too() {
    let mut limits = wide();
    limits.statement.seconds = 1;
    let proxy = Proxy::with_limits(limits).await;
    let mut raw = raw::session(&proxy).await;
    let began = Instant::now();
    let slow =
        "SELECT COUNT(*) FROM shop.numbers a, shop.numbers b, shop.numbers c WHERE a.n * b.n = c.n + 7";
    let (code, message) = error(&raw.asks(&command::encode_query(slow.as_bytes())).await.unwrap());
    assert!(code == 3024 && message.contains("limit of 1 seconds per statement"), "{code} {message}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "the session goes on");
    let running =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%a.n * b.n = c.n + 7'";
    mariadb().becomes(&format!("{running} AND id <> CONNECTION_ID()"), "0").await;
}

#[tokio::test]
async fn the_budget_of_the_grant_binds_all_its_sessions() {
    let mut limits = wide();
    limits.budget.rows = 100;
    let proxy = Proxy::with_limits(limits).await;
    let person = Person::of(&proxy);
    let first = person.runs("SELECT n FROM shop.numbers LIMIT 60").await;
    assert_eq!(first.out.lines().count(), 60);
    let second = person.runs("SELECT n FROM shop.numbers LIMIT 60").await;
    assert!(second.err.contains("the grant's budget of 100 rows is used up"), "{second:?}");
    let third = person.runs("SELECT 1").await;
    assert!(third.err.contains("the grant's budget of 100 rows is used up"), "{third:?}");
    assert!(third.out.is_empty());
    assert_eq!(proxy.usage.so_far().rows, 100);
}

#[tokio::test]
async fn the_budget_goes_on_where_an_earlier_proxy_of_the_grant_left_it() {
    let mut limits = wide();
    limits.budget.rows = 100;
    let mut left = grant(limits);
    left.used = Used { statements: 3, refused: 1, rows: 90, bytes: 5_000 };
    let proxy = Proxy::of(left.clone()).await;
    let mut raw = raw::session(&proxy).await;
    let statistics = String::from_utf8(raw.asks(&[0x09]).await.unwrap()).unwrap();
    assert!(statistics.contains("rows used: 90  rows in all: 100  bytes used: 5000"), "{statistics}");
    let person = Person::of(&proxy);
    assert_eq!(person.runs("SELECT n FROM shop.numbers LIMIT 10").await.out.lines().count(), 10);
    let said = person.runs("SELECT 1").await;
    assert!(said.err.contains("the grant's budget of 100 rows is used up"), "{said:?}");
    assert_eq!(proxy.usage.so_far().rows, 100);

    left.used.rows = 100;
    let said = Person::of(&Proxy::of(left).await).runs("SELECT 1").await;
    assert!(said.err.contains("the grant's budget of 100 rows is used up"), "{said:?}");
}

#[tokio::test]
async fn the_last_refusal_that_the_terms_bear_ends_the_grant_and_every_session_hears_why() {
    const WHY: &str = "3 statements were refused, the most that its terms bear";
    let mut bounded = grant(wide());
    (bounded.limits.refusals, bounded.used.refused) = (Some(3), 1);
    let proxy = Proxy::of(bounded).await;
    let (mut raw, mut beside) = (raw::session(&proxy).await, raw::session(&proxy).await);
    let delete = command::encode_query(b"DELETE FROM shop.numbers");
    let (code, message) = error(&raw.asks(&delete).await.unwrap());
    assert!(code == 1792 && !message.contains("grant ended"), "{code} {message}");
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "the session goes on");
    assert_eq!(proxy.ending.cause(), None);

    let (code, message) = error(&beside.asks(&delete).await.unwrap());
    assert!(code == 1053 && message.contains(WHY), "{code} {message}");
    beside.is_closed().await;
    let (code, message) = error(&raw.reads_out_of_band().await);
    assert!(code == 1053 && message.contains(WHY), "{code} {message}");
    raw.is_closed().await;
    let cause = proxy.ending.cause().unwrap();
    assert!(cause.reason == EndReason::Violation && cause.message.contains(WHY), "{cause:?}");
    assert_eq!(proxy.usage.so_far().refused, 3);
}

#[tokio::test]
async fn a_schema_that_is_refused_at_the_door_counts_too() {
    let mut limits = wide();
    limits.refusals = Some(1);
    let proxy = Proxy::with_limits(limits).await;
    let mut raw = raw::secured(&proxy, Some(&proxy.session_certificate())).await;
    raw.responds_in(b"mysql").await;
    let (code, message) = raw.hears_error().await;
    assert!(code == 1053 && message.contains("1 statements were refused"), "{code} {message}");
    assert_eq!(proxy.ending.cause().map(|cause| cause.reason), Some(EndReason::Violation));
}

#[tokio::test]
async fn one_session_more_than_the_grant_allows_is_turned_away() {
    let mut limits = wide();
    limits.sessions = 1;
    let proxy = Proxy::with_limits(limits).await;
    let person = Person::of(&proxy);
    let mut first = person.opens();
    first.sends("SELECT 'in';");
    assert_eq!(first.line().await, "in");
    let said = person.runs("SELECT 1").await;
    assert!(said.err.contains("ERROR 1040") && said.err.contains("the most for this grant"), "{said:?}");
    first.leaves().await;
    let deadline = Instant::now() + Duration::from_secs(5);
    while proxy.usage.so_far().open_sessions > 0 {
        assert!(Instant::now() < deadline, "the place is given back");
        tokio::task::yield_now().await;
    }
    assert_eq!(person.runs("SELECT 1").await.out, "1");
}

#[tokio::test]
async fn a_client_that_does_not_read_does_not_fill_the_proxys_memory() {
    let mut limits = wide();
    limits.statement.seconds = 2;
    let proxy = Proxy::with_limits(limits).await;
    let mut raw = raw::session(&proxy).await;
    raw.sequence = Default::default();
    raw.writes(&command::encode_query(b"SELECT bytes FROM shop.blobs WHERE id = 1")).await;
    // It reads nothing: the answer waits in the sockets' buffers, and the statement's time runs out.
    let deadline = Instant::now() + Duration::from_secs(10);
    while proxy.usage.so_far().open_sessions > 0 {
        assert!(Instant::now() < deadline, "a client that does not read is cut");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    raw.is_closed().await;
}
