//! What the receipt may say of the database's sessions: what the server's own list showed, and nothing more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use access::{EndReason, Grant, ServerAddress, Tls};
use keyhole_proxy::credential::Credential;
use keyhole_proxy::database::{Opened, SeenGone, SessionId, SessionsEnd};
use keyhole_proxy::engines::mysql::server::{Dialer, KillError, end_sessions};
use servers::mysql::Kind;
use tokio::net::{TcpListener, TcpStream};
use wire::mysql::command;
use wire::mysql::connect::capabilities::Capabilities;

use crate::support::databases::{DatabaseServer, both, mariadb, started};
use crate::support::hostile::{grant_before_a_pool, grant_before_silence};
use crate::support::proxy::{Proxy, credential, credential_of, grant_on, wide};
use crate::support::raw::{self, RawTls};

/// The end takes every session of its user, so each test has one of its own.
fn user(server: &DatabaseServer, name: &str) -> Credential {
    server.admin(&format!(
        "CREATE USER '{name}'@'%' IDENTIFIED BY 'pw'; GRANT SELECT, SHOW VIEW ON shop.* TO '{name}'@'%'"
    ));
    credential_of(name, "pw")
}

/// How many sessions of this user the server lists.
fn listed(name: &str) -> String {
    format!("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{name}'")
}

/// A session that executes a statement without end.
async fn busy(proxy: &Proxy, server: &DatabaseServer, name: &str) -> RawTls {
    let mut raw = raw::session(proxy).await;
    raw.sequence = Default::default();
    let endless =
        "SELECT COUNT(*) FROM shop.numbers a, shop.numbers b, shop.numbers c WHERE a.n * b.n = c.n + 1";
    raw.writes(&command::encode_query(endless.as_bytes())).await;
    server.becomes(&format!("{} AND info LIKE 'SELECT COUNT%c.n + 1'", listed(name)), "1").await;
    raw
}

/// Ends the grant, and then its sessions at the database.
async fn ends(proxy: &mut Proxy, credential: &Credential) -> SessionsEnd {
    proxy.end(EndReason::Revoked);
    (&mut proxy.served).await.unwrap();
    end_sessions(&proxy.engine.dialer, credential).await
}

fn proved(end: &SessionsEnd) -> String {
    match end {
        SessionsEnd::Gone(seen) => seen.to_string(),
        other => panic!("{other:?}"),
    }
}

fn open(end: SessionsEnd) -> (String, Vec<u64>) {
    match end {
        SessionsEnd::Open { why, ids } => (why, ids.into_iter().map(|SessionId(id)| id).collect()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_end_kills_what_the_servers_own_list_shows_also_what_nobody_here_knows_of() {
    for server in both() {
        let reader = user(server, "e-list");
        let grant = grant_on(server, wide());
        let stranger = Dialer::new(&grant.target).unwrap();
        let mut proxy = Proxy::of_user(grant, credential_of("e-list", "pw")).await;
        let _busy = busy(&proxy, server, "e-list").await;
        let _idle = raw::session(&proxy).await;
        let _unknown = stranger.connect(&reader, Capabilities::NONE).await.unwrap();
        let seen = proved(&ends(&mut proxy, &reader).await);
        assert!(seen.contains("killed and seen to be gone from the server's process list"), "{seen}");
        server.becomes(&listed("e-list"), "0").await;
        let again = proved(&end_sessions(&proxy.engine.dialer, &reader).await);
        assert_eq!(again, "the server's process list was read: none was there");
    }
}

#[tokio::test]
async fn a_session_whose_statement_could_not_be_killed_stays_on_the_list_and_is_killed_at_the_end() {
    let server = mariadb();
    let reader = user(server, "e-unkilled");
    server.admin("ALTER USER 'e-unkilled'@'%' WITH MAX_USER_CONNECTIONS 2");
    let grant = grant_on(server, wide());
    let stranger = Dialer::new(&grant.target).unwrap();
    let mut proxy = Proxy::of_user(grant, credential_of("e-unkilled", "pw")).await;
    let busy = busy(&proxy, server, "e-unkilled").await;
    // Nobody else gets in beside these two.
    let second = stranger.connect(&reader, Capabilities::NONE).await.unwrap();
    drop(busy);
    let deadline = Instant::now() + Duration::from_secs(10);
    while proxy.usage.so_far().open_sessions > 0 {
        assert!(Instant::now() < deadline, "the session ends here");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let is_busy = format!("{} AND command = 'Query'", listed("e-unkilled"));
    assert_eq!(server.admin(&is_busy), "1", "and goes on there");
    let (why, ids) = open(ends(&mut proxy, &reader).await);
    let there = server.admin(&is_busy.replace("COUNT(*)", "id"));
    assert!(why.contains("error 1226") && ids == [there.parse::<u64>().unwrap()], "{why} {ids:?}");
    second.quit().await;
    server.becomes(&listed("e-unkilled"), "1").await;
    let seen = proved(&end_sessions(&proxy.engine.dialer, &reader).await);
    assert!(seen.starts_with("1 killed and seen to be gone"), "{seen}");
    assert_eq!(server.admin(&listed("e-unkilled")), "0");
}

#[tokio::test]
async fn sessions_of_a_user_that_is_gone_are_proved_gone_only_where_the_server_closed_them() {
    for server in both() {
        let reader = user(server, "e-dropped");
        let mut proxy = Proxy::of_user(grant_on(server, wide()), credential_of("e-dropped", "pw")).await;
        let _idle = raw::session(&proxy).await;
        server.admin("DROP USER 'e-dropped'@'%'");
        assert_eq!(server.admin(&listed("e-dropped")), "1", "a user's end is not its sessions'");
        let seen = proved(&ends(&mut proxy, &reader).await);
        assert!(seen.contains("the credential is dead") && seen.contains("seen to close"), "{seen}");
        server.becomes(&listed("e-dropped"), "0").await;

        let reader = user(server, "e-dropped-busy");
        let mut proxy = Proxy::of_user(grant_on(server, wide()), credential_of("e-dropped-busy", "pw")).await;
        let (_busy, _idle) = (busy(&proxy, server, "e-dropped-busy").await, raw::session(&proxy).await);
        server.admin("DROP USER 'e-dropped-busy'@'%'");
        let (why, ids) = open(ends(&mut proxy, &reader).await);
        let left = server.admin(&listed("e-dropped-busy").replace("COUNT(*)", "id"));
        assert!(
            why.contains("nobody can look") && ids == [left.parse::<u64>().unwrap()],
            "{why} {ids:?} {left}"
        );
        server.admin(&format!("KILL {left}"));
    }
}

/// An address behind which now one server answers, now another.
pub async fn moving(server: &DatabaseServer) -> (Grant, Arc<AtomicU16>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut grant = grant_on(server, wide());
    let port = listener.local_addr().unwrap().port();
    grant.target.address = ServerAddress::new("127.0.0.1", port.into()).unwrap();
    grant.target.tls = Tls::Disabled;
    let leads_to = Arc::new(AtomicU16::new(server.port));
    let port = Arc::clone(&leads_to);
    tokio::spawn(async move {
        loop {
            let (mut here, _) = listener.accept().await.unwrap();
            let mut there = TcpStream::connect(("127.0.0.1", port.load(Ordering::SeqCst))).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut here, &mut there).await });
        }
    });
    (grant, leads_to)
}

#[tokio::test]
async fn a_list_of_another_server_behind_the_same_address_proves_nothing() {
    let (server, other) = (mariadb(), started(Kind::MariaDb, &["--max-allowed-packet=64M"]));
    let reader = user(server, "e-moved");
    user(&other, "e-moved");
    let (grant, leads_to) = moving(server).await;
    let mut proxy = Proxy::of_user(grant, credential_of("e-moved", "pw")).await;
    let _busy = busy(&proxy, server, "e-moved").await;
    let there = server.admin(&listed("e-moved").replace("COUNT(*)", "id")).parse().map(SessionId).unwrap();
    let beside = proxy.engine.dialer.connect(&reader, Capabilities::NONE).await.unwrap();
    let session = Opened { id: there, ..beside.opened() };
    beside.quit().await;
    leads_to.store(other.port, Ordering::SeqCst);
    let killed = proxy.engine.dialer.kill_query(&reader, &session).await;
    assert!(matches!(killed, Err(KillError::OtherServer { .. })), "its numbers are others': {killed:?}");
    let (why, ids) = open(ends(&mut proxy, &reader).await);
    assert!(why.contains("several servers answer") && ids == [there.0], "{why} {ids:?}");
    assert_eq!(server.admin(&listed("e-moved")), "1", "it is there still");
    leads_to.store(server.port, Ordering::SeqCst);
    let seen = proved(&end_sessions(&proxy.engine.dialer, &reader).await);
    assert!(seen.starts_with("1 killed"), "{seen}");
}

#[tokio::test]
async fn numbers_that_are_not_the_servers_own_prove_nothing() {
    let grant = grant_before_a_pool().await;
    let (why, _) = open(end_sessions(&Dialer::new(&grant.target).unwrap(), &credential()).await);
    assert!(why.contains("not the server itself"), "{why}");
}

#[tokio::test]
async fn a_connection_is_on_the_list_before_it_is_logged_in() {
    let grant = grant_before_silence().await;
    let dialer = Dialer::new(&grant.target).unwrap();
    assert!(SeenGone::never_opened(&dialer.connections).is_some());
    let credential = credential();
    let login = dialer.connect(&credential, Capabilities::NONE);
    assert!(tokio::time::timeout(Duration::from_millis(300), login).await.is_err(), "it hangs");
    assert!(SeenGone::never_opened(&dialer.connections).is_none());
}
