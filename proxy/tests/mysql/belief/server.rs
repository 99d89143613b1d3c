//! Each connection proves who answers it. Behind one address there may be several servers, and any of them may be replaced by
//! another one while a grant lasts: what the gate knows of one holds for no other.

use std::sync::atomic::Ordering;

use keyhole_proxy::engines::mysql::packets::read_packet;
use servers::mysql::Kind;
use tokio::net::TcpStream;
use wire::mysql::command;
use wire::mysql::frame::Sequence;

use super::last_words;
use crate::ends::moving;
use crate::support::databases::{mariadb, started};
use crate::support::hostile::{Character, USUAL, proxy_before_servers};
use crate::support::proxy::{Proxy, wide};
use crate::support::raw::{self, RawTls};

/// A session that is not to be: what its client hears.
async fn turned_away(proxy: &Proxy) -> (u16, String) {
    let mut raw = asks_in(proxy).await;
    raw.hears_error().await
}

async fn asks_in(proxy: &Proxy) -> RawTls {
    let mut raw = raw::secured(proxy, Some(&proxy.session_certificate())).await;
    raw.responds(b"anybody", b"", b"mysql_native_password").await;
    raw
}

#[tokio::test]
async fn there_is_no_session_on_a_server_of_another_version() {
    let replaced =
        Character { greeting: "5.5.5-11.4.2-MariaDB", version: "11.4.2-MariaDB", host: "host", ..USUAL };
    // The same greeting, and another server behind it.
    let disguised = Character { greeting: USUAL.greeting, ..replaced };
    for other in [replaced, disguised] {
        let (proxy, _) = proxy_before_servers(vec![USUAL, other], wide()).await;
        let (code, message) = turned_away(&proxy).await;
        let told = "another server answers at the database's address: its version is another one";
        assert!(code == 1053 && message.contains(told), "{code} {message}");
    }
}

#[tokio::test]
async fn a_greeting_says_nothing_about_the_version() {
    // Anybody on the way to the database can have written it.
    let greeted = Character { greeting: "5.5.5-11.4.2-MariaDB", ..USUAL };
    let (proxy, _) = proxy_before_servers(vec![USUAL, greeted], wide()).await;
    raw::session(&proxy).await;
    let (proxy, _) = proxy_before_servers(vec![greeted], wide()).await;
    let mut tcp = TcpStream::connect(("127.0.0.1", proxy.native)).await.unwrap();
    let hello = read_packet(&mut tcp, &mut Sequence::default(), 1024).await.unwrap();
    assert!(hello[1..].starts_with(b"10.11.6-MariaDB\0"), "{hello:?}");
}

#[tokio::test]
async fn there_is_no_session_on_a_server_that_does_not_do_what_set_says() {
    let (proxy, _) =
        proxy_before_servers(vec![USUAL, Character { keeps_pins: false, ..USUAL }], wide()).await;
    assert_eq!(turned_away(&proxy).await.0, 1053);
}

#[tokio::test]
async fn another_server_that_passes_its_own_preflight_is_as_good() {
    let other = Character { host: "other", ..USUAL };
    let (proxy, _) = proxy_before_servers(vec![USUAL, other, USUAL, other], wide()).await;
    for _ in 0..3 {
        raw::session(&proxy).await;
    }
}

#[tokio::test]
async fn a_server_on_which_the_user_may_do_more_than_read_has_no_session() {
    let other = Character { host: "other", grants: "SELECT, INSERT", ..USUAL };
    let (proxy, _) = proxy_before_servers(vec![USUAL, other], wide()).await;
    let (code, message) = turned_away(&proxy).await;
    assert!(code == 1053 && message.contains("it does not pass the checks"), "{code} {message}");
}

#[tokio::test]
async fn a_stop_is_not_sent_to_another_server_and_counts_for_nothing_there() {
    let mut limits = wide();
    limits.statement.rows = 0;
    let other = Character { host: "other", ..USUAL };
    let (proxy, kills) = proxy_before_servers(vec![USUAL, USUAL, other], limits).await;
    let mut raw = raw::session(&proxy).await;
    // The database gives a row, which is one too many: the statement is to be stopped.
    let first = raw.asks(&command::encode_query(b"SELECT DATABASE() LIMIT 1")).await.unwrap();
    assert_eq!(first, [1], "one column");
    raw.reads().await.unwrap();
    assert_eq!(raw.hears_error().await.0, 1104);
    assert_eq!(last_words(&mut raw).await.0, 1053, "and as it was not, the session ends");
    assert_eq!(kills.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_real_server_that_was_replaced_by_another_version_has_no_session() {
    let newer = started(Kind::MariaDb, &["--version=11.4.2-MariaDB", "--max-allowed-packet=64M"]);
    let (grant, leads_to) = moving(mariadb()).await;
    let proxy = Proxy::of(grant).await;
    let mut old = raw::session(&proxy).await;
    leads_to.store(newer.port, Ordering::SeqCst);
    for _ in 0..2 {
        let (code, message) = turned_away(&proxy).await;
        assert!(code == 1053 && message.contains("another server answers"), "{code} {message}");
    }
    assert_eq!(old.asks(&command::encode_ping()).await.unwrap()[0], 0, "who is on the old one goes on");
    leads_to.store(mariadb().port, Ordering::SeqCst);
    raw::session(&proxy).await;
}
