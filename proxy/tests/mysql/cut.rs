//! The end of the grant: every session is cut and told, at once, whatever its client does.

use std::time::{Duration, Instant};

use access::EndReason;
use keyhole_proxy::database::LoginProbe;
use keyhole_proxy::sessions::Served;
use wire::mysql::command;

use crate::support::clients::Person;
use crate::support::databases::mariadb;
use crate::support::proxy::{Proxy, credential, credential_of, grant, try_login, wide};
use crate::support::raw::{self, error};

const SLOW: &str =
    "SELECT COUNT(*) FROM shop.numbers a, shop.numbers b, shop.numbers c WHERE a.n * b.n = c.n + 1";

/// Ends the grant and waits for the proxy: how many clients were not told, and how long it took.
async fn ended(proxy: Proxy) -> (usize, Duration) {
    let began = Instant::now();
    proxy.end(EndReason::Revoked);
    let Served { untold } = proxy.served.await.unwrap();
    (untold, began.elapsed())
}

#[tokio::test]
async fn an_idle_client_is_told_why_at_its_next_statement() {
    let proxy = Proxy::start().await;
    let person = Person::of(&proxy);
    let mut client = person.opens();
    client.sends("SELECT 'in';");
    assert_eq!(client.line().await, "in");
    let (untold, took) = ended(proxy).await;
    assert!(untold == 0 && took < Duration::from_millis(500), "{untold} {took:?}");
    client.sends("SELECT 'out';");
    let errors = client.leaves().await;
    assert!(errors.contains("Keyhole: grant revoked"), "{errors}");
}

#[tokio::test]
async fn a_client_that_waits_for_an_answer_hears_it_in_its_place() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    raw.sequence = Default::default();
    raw.writes(&command::encode_query(SLOW.as_bytes())).await;
    let running =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT COUNT%c.n + 1'";
    mariadb().becomes(running, "1").await;
    let (untold, took) = ended(proxy).await;
    assert!(untold == 0 && took < Duration::from_millis(500), "{untold} {took:?}");
    let (code, message) = raw.hears_error().await;
    assert!(code == 1053 && message.contains("grant revoked"), "{code} {message}");
    raw.is_closed().await;
    mariadb().admin(&format!("KILL CONNECTION {}", mariadb().admin(&running.replace("COUNT(*)", "id"))));
}

#[tokio::test]
async fn a_client_in_the_middle_of_rows_hears_it_as_the_next_packet() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    raw.asks(&command::encode_query(b"SELECT a.n, b.n FROM shop.numbers a, shop.numbers b")).await.unwrap();
    for _ in 0..1000 {
        raw.reads().await.unwrap();
    }
    let reader = tokio::spawn(async move {
        // The rows of this result are short: only an error begins like this.
        loop {
            match raw.reads().await {
                Ok(packet) if packet[0] == 0xff => return Some(error(&packet)),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    });
    let (_, took) = ended(proxy).await;
    assert!(took < Duration::from_millis(500), "{took:?}");
    let (code, message) = reader.await.unwrap().unwrap();
    assert!(code == 1053 && message.contains("grant revoked"), "{code} {message}");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nothing_up() {
    let proxy = Proxy::start().await;
    let mut silent = raw::session(&proxy).await;
    silent.sequence = Default::default();
    silent.writes(&command::encode_query(b"SELECT bytes FROM shop.blobs WHERE id = 1")).await;
    let bytes = || proxy.usage.so_far().bytes;
    let deadline = Instant::now() + Duration::from_secs(10);
    while bytes() < 1_000_000 {
        assert!(Instant::now() < deadline, "the answer is under way");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (untold, took) = ended(proxy).await;
    assert!(untold == 1 && took < Duration::from_millis(500), "{untold} {took:?}");
    // What was under way is not completed, and ends without a whole packet.
    silent.reads().await.unwrap();
    silent.is_closed().await;
}

#[tokio::test]
async fn connections_in_their_handshake_are_closed_and_nobody_new_gets_in() {
    let proxy = Proxy::start().await;
    let port = proxy.native;
    let leaf = proxy.session_certificate();
    let mut half = raw::secured(&proxy, Some(&leaf)).await;
    let (_, took) = ended(proxy).await;
    assert!(took < Duration::from_millis(500), "{took:?}");
    half.is_closed().await;
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn twenty_sessions_are_cut_together() {
    let proxy = Proxy::start().await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(raw::session(&proxy).await);
    }
    let (untold, took) = ended(proxy).await;
    assert!(untold == 0 && took < Duration::from_millis(500), "{untold} {took:?}");
    for mut session in sessions {
        let (code, _) = error(&session.reads_out_of_band().await);
        assert_eq!(code, 1053);
    }
}

#[tokio::test]
async fn a_login_is_dead_only_when_the_server_says_access_denied() {
    let mut grant = grant(wide());
    assert_eq!(try_login(&grant, &credential()).await, LoginProbe::Accepted);
    let wrong = credential_of("v-shop-reader", "wrong");
    assert_eq!(try_login(&grant, &wrong).await, LoginProbe::Refused);
    assert_eq!(try_login(&grant, &credential_of("v-dropped", "x")).await, LoginProbe::Refused);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    grant.target.address = access::ServerAddress::new("127.0.0.1", closed.into()).unwrap();
    assert!(matches!(try_login(&grant, &credential()).await, LoginProbe::Unknown(_)));
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_nothing_running() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    raw.sequence = Default::default();
    let slow = SLOW.replace("+ 1", "+ 2");
    raw.writes(&command::encode_query(slow.as_bytes())).await;
    let running =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT COUNT%c.n + 2'";
    mariadb().becomes(running, "1").await;
    drop(raw);
    mariadb().becomes(running, "0").await;
}

#[tokio::test]
async fn a_session_that_the_database_ends_is_told_so() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    raw.sequence = Default::default();
    raw.writes(&command::encode_query(b"SELECT CONNECTION_ID()")).await;
    for _ in 0..2 {
        raw.reads().await.unwrap();
    }
    let row = raw.reads().await.unwrap();
    raw.reads().await.unwrap();
    let id = String::from_utf8_lossy(&row[1..]).into_owned();
    mariadb().admin(&format!("KILL CONNECTION {id}"));
    let (code, message) = error(&raw.reads_out_of_band().await);
    assert!(code == 1053 && message.contains("the database closed the session"), "{code} {message}");
}
