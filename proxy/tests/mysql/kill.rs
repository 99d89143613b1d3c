//! KILL: a person stops and ends sessions of their own grant, and nobody else's.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use wire::mysql::command;
use wire::mysql::response::status_flags::StatusFlags;

use crate::support::clients::Person;
use crate::support::databases::{DatabaseServer, both, mariadb};
use crate::support::hostile::{Came, ok, proxy_before_stops};
use crate::support::proxy::{Proxy, grant_on, wide};
use crate::support::raw::{self, error};

/// Takes minutes. Each test has its own, for they share the servers.
fn statement(test: u32) -> String {
    format!(
        "SELECT COUNT(*) FROM shop.numbers a, shop.numbers b, shop.numbers c WHERE a.n * b.n = c.n + {test}"
    )
}

async fn proxy(server: &DatabaseServer) -> Proxy {
    Proxy::of(grant_on(server, wide())).await
}

fn code(error: &mysql_async::Error) -> u16 {
    match error {
        mysql_async::Error::Server(error) => error.code,
        other => panic!("{other}"),
    }
}

/// What a statement that is to be stopped comes to. One that isn't would go on for minutes.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work)
        .await
        .unwrap_or_else(|_| panic!("nobody stopped the statement"))
}

/// Waits until the database executes that statement, or doesn't.
async fn slow_runs(server: &DatabaseServer, test: u32, count: &str) {
    let running = "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID()";
    server.becomes(&format!("{running} AND info LIKE '%a.n * b.n = c.n + {test}'"), count).await;
}

#[tokio::test]
async fn a_statement_is_stopped_by_either_number_and_its_session_goes_on() {
    for server in both() {
        let proxy = proxy(server).await;
        let person = Person::of(&proxy);
        let (mut slow, mut other) = (person.connects().await, person.connects().await);
        assert!((0x4000_0001..0x8000_0000).contains(&slow.id()), "{}", slow.id());
        let own: u32 = slow.query_first("SELECT CONNECTION_ID()").await.unwrap().unwrap();
        for number in [slow.id(), own] {
            let executes = tokio::spawn(async move {
                let error = slow.query_drop(statement(1001)).await.unwrap_err();
                (slow, error)
            });
            slow_runs(server, 1001, "1").await;
            other.query_drop(format!("KILL QUERY {number}")).await.unwrap();
            let (back, error) = soon(executes).await.unwrap();
            slow = back;
            assert_eq!(code(&error), 1317);
            assert_eq!(slow.query_first::<u8, _>("SELECT 1").await.unwrap(), Some(1));
        }
    }
}

#[tokio::test]
async fn the_ordinary_clients_ctrl_c_stops_the_statement_and_the_client_goes_on() {
    let proxy = proxy(mariadb()).await;
    // Its files are read again by the connection that Ctrl-C opens.
    let person = Person::of(&proxy);
    let mut client = person.opens();
    client.sends("SELECT 'begun';");
    assert_eq!(client.line().await, "begun");
    client.sends(&format!("{};", statement(1002)));
    slow_runs(mariadb(), 1002, "1").await;
    client.interrupts();
    client.sends("SELECT 'still here';");
    let mut said = soon(client.line()).await;
    while !said.ends_with("still here") {
        said = format!("{said}\n{}", soon(client.line()).await);
    }
    assert!(said.contains("query killed"), "{said}");
    let errors = client.leaves().await;
    assert!(errors.contains("ERROR 1317"), "{errors}");
}

#[tokio::test]
async fn a_stop_that_comes_late_or_to_nobody_hits_no_other_statement() {
    for server in both() {
        let proxy = proxy(server).await;
        let person = Person::of(&proxy);
        let (mut idle, mut other) = (person.connects().await, person.connects().await);
        let kill = format!("KILL QUERY {}", idle.id());
        for _ in 0..10 {
            other.query_drop(&kill).await.unwrap();
            assert_eq!(idle.query_first::<u8, _>("SELECT 1").await.unwrap(), Some(1));
        }
        for n in 0..30 {
            // It ends about when it is stopped: it may hear of it, the next one may not.
            let quick = format!("SELECT COUNT(*) FROM shop.numbers WHERE n % 7 = {n}");
            let (_, stopped) = tokio::join!(idle.query_drop(&quick), other.query_drop(&kill));
            stopped.unwrap();
            assert_eq!(idle.query_first::<u8, _>("SELECT 1").await.unwrap(), Some(1));
        }
    }
}

#[tokio::test]
async fn a_stop_that_the_database_hears_of_late_does_not_hit_the_next_statement() {
    let late = Came::Late(ok(StatusFlags::AUTOCOMMIT));
    let (proxy, stop) = proxy_before_stops(late, wide()).await;
    let (mut slow, mut other) = (raw::session(&proxy).await, raw::session(&proxy).await);
    let executes = tokio::spawn(async move {
        let answer = slow.asks(&command::encode_query(b"SELECT 1")).await.unwrap();
        (slow, answer)
    });
    soon(stop.asked.notified()).await;
    let kill = command::encode_query(format!("KILL QUERY {}", 0x4000_0001_u32).as_bytes());
    assert_eq!(other.asks(&kill).await.unwrap()[0], 0);
    let (mut slow, answer) = soon(executes).await.unwrap();
    assert_eq!(answer[0], 0, "it was answered before");
    assert_eq!(slow.asks(&command::encode_ping()).await.unwrap()[0], 0, "and this one was not meant");
}

#[tokio::test]
async fn sessions_of_others_are_not_known() {
    for server in both() {
        let (proxy, stranger) = (proxy(server).await, proxy(server).await);
        let person = Person::of(&proxy);
        let strangers = Person::of(&stranger).connects().await;
        let mut conn = person.connects().await;
        let theirs = strangers.id();
        // The first of a proxy has the same number as the first of another: ours, which is this one's own.
        assert_eq!(conn.id(), theirs);
        let admins = server.admin("SELECT MIN(id) FROM information_schema.processlist");
        for number in [admins.as_str(), "1", "2147483646", "4294967295", "4294967296", "18446744073709551615"]
        {
            for kill in ["KILL", "KILL QUERY", "KILL CONNECTION"] {
                let error = conn.query_drop(format!("{kill} {number}")).await.unwrap_err();
                assert_eq!(code(&error), 1094, "{kill} {number}");
                assert!(error.to_string().contains(&format!("Unknown thread id: {number}")), "{error}");
            }
        }
        drop(strangers);
    }
}

#[tokio::test]
async fn a_killed_session_ends_with_what_it_executes() {
    for server in both() {
        let proxy = proxy(server).await;
        let person = Person::of(&proxy);
        let (mut slow, mut idle, mut other) =
            (person.connects().await, person.connects().await, person.connects().await);
        let (first, second) = (slow.id(), idle.id());
        let executes = tokio::spawn(async move { slow.query_drop(statement(1003)).await.is_err() });
        slow_runs(server, 1003, "1").await;
        for number in [first, second] {
            other.query_drop(format!("KILL {number}")).await.unwrap();
        }
        assert!(soon(executes).await.unwrap());
        assert!(idle.query_drop("SELECT 1").await.is_err());
        slow_runs(server, 1003, "0").await;
        let deadline = Instant::now() + Duration::from_secs(5);
        while proxy.usage.so_far().open_sessions > 1 {
            assert!(Instant::now() < deadline, "their places are given back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(code(&other.query_drop(format!("KILL {first}")).await.unwrap_err()), 1094);
    }
}

#[tokio::test]
async fn whoever_kills_their_own_session_hears_of_it_and_is_out() {
    for server in both() {
        let proxy = proxy(server).await;
        let mut raw = raw::session(&proxy).await;
        let id = 0x4000_0001_u32;
        let query = raw.asks(&command::encode_query(format!("KILL QUERY {id}").as_bytes())).await.unwrap();
        assert_eq!(error(&query).0, 1317);
        assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "the session goes on");
        let own = raw.asks(&command::encode_query(format!("KILL {id}").as_bytes())).await.unwrap();
        assert_eq!(error(&own).0, 1317);
        raw.is_closed().await;
    }
}

#[tokio::test]
async fn the_command_kills_as_the_statement_does_and_all_of_it_is_on_record() {
    let proxy = proxy(mariadb()).await;
    let (mut one, mut two) = (raw::session(&proxy).await, raw::session(&proxy).await);
    let kill = |id: u32| [&[0x0c][..], &id.to_le_bytes()].concat();
    assert_eq!(error(&one.asks(&kill(7)).await.unwrap()).0, 1094);
    assert_eq!(one.asks(&kill(0x4000_0002)).await.unwrap()[0], 0);
    assert_eq!(error(&two.reads_out_of_band().await).0, 1053);
    two.is_closed().await;
    assert_eq!(one.asks(&command::encode_ping()).await.unwrap()[0], 0);
    let used = proxy.usage.so_far();
    assert_eq!((used.statements, used.refused), (2, 1));
}
