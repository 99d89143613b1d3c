//! Several servers of one database: the first that answers and passes serves, new sessions go to the next when it answers no more,
//! and what ends is ended, and seen to be, on the server that it ran on.

use std::sync::OnceLock;

use access::{EndReason, Grant, Limits, ServerAddress, Standby};
use keyhole_proxy::credential::Credential;
use keyhole_proxy::database::{LoginProbe, Place, SessionsEnd};
use keyhole_proxy::engines::mysql::server::{Dialer, PreflightError, end_sessions, try_login};
use servers::mysql::Kind;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use wire::mysql::command;
use wire::mysql::connect::capabilities::Capabilities;

use crate::support::clients::Person;
use crate::support::databases::{DatabaseServer, mariadb, started};
use crate::support::proxy::{Proxy, credential_of, grant_on, preflight, wide};
use crate::support::raw::{self, RawTls, error};

const SLOW: &str =
    "SELECT COUNT(*) FROM shop.numbers a, shop.numbers b, shop.numbers c WHERE a.n * b.n = c.n + 11";

/// The other server, with the same data.
fn second() -> &'static DatabaseServer {
    static SERVER: OnceLock<DatabaseServer> = OnceLock::new();
    SERVER.get_or_init(|| started(Kind::MariaDb, &["--max-allowed-packet=64M"]))
}

/// A user of both servers with these rights there.
fn reader(name: &str, on_first: &str, on_second: &str) -> Credential {
    for (server, rights) in [(mariadb(), on_first), (second(), on_second)] {
        server.admin(&format!(
            "CREATE USER '{name}'@'%' IDENTIFIED BY 'pw'; GRANT {rights} ON shop.* TO '{name}'@'%'"
        ));
    }
    credential_of(name, "pw")
}

const READING: &str = "SELECT, SHOW VIEW";

/// A way to a server that can be cut, as when the server goes.
struct Way {
    address: ServerAddress,
    leads: JoinHandle<()>,
}

async fn way_to(server: &DatabaseServer) -> Way {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = ServerAddress::new("127.0.0.1", listener.local_addr().unwrap().port().into()).unwrap();
    let port = server.port;
    let leads = tokio::spawn(async move {
        // Dropped with this task, and all its connections with it.
        let mut under_way = tokio::task::JoinSet::new();
        loop {
            let (mut here, _) = listener.accept().await.unwrap();
            let mut there = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            under_way.spawn(async move { tokio::io::copy_bidirectional(&mut here, &mut there).await });
        }
    });
    Way { address, leads }
}

impl Way {
    async fn cut(self) {
        self.leads.abort();
        assert!(self.leads.await.unwrap_err().is_cancelled());
    }
}

/// A grant of the first server by this way, with the other one to stand in.
async fn two() -> (Grant, Way) {
    let way = way_to(mariadb()).await;
    let mut grant = grant_on(mariadb(), wide());
    grant.target.address = way.address.clone();
    grant.target.tls = access::Tls::Disabled;
    let address = ServerAddress::new("127.0.0.1", second().port.into()).unwrap();
    grant.target.standbys = vec![Standby { address, server_name: "second.example.com".into() }];
    (grant, way)
}

fn running(name: &str) -> String {
    format!("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{name}'")
}

async fn busy(proxy: &Proxy, server: &DatabaseServer, name: &str) -> RawTls {
    let mut raw = raw::session(proxy).await;
    raw.sequence = Default::default();
    raw.writes(&command::encode_query(SLOW.as_bytes())).await;
    server.becomes(&format!("{} AND info LIKE 'SELECT COUNT%c.n + 11'", running(name)), "1").await;
    raw
}

async fn ends(proxy: &mut Proxy, credential: &Credential) -> SessionsEnd {
    proxy.end(EndReason::Revoked);
    (&mut proxy.served).await.unwrap();
    end_sessions(&proxy.engine.dialer, credential).await
}

#[tokio::test]
async fn the_first_that_answers_and_passes_serves() {
    let user = reader("s-first", READING, READING);
    let (grant, way) = two().await;
    let dialer = Dialer::new(&grant.target).unwrap();
    assert_eq!(dialer.places(), [Place(0), Place(1)]);
    way.cut().await;
    let info = keyhole_proxy::engines::mysql::server::preflight(&dialer, &grant, &user).await.unwrap();
    assert_eq!(dialer.places(), [Place(1), Place(0)]);
    assert!(info.version_text.contains("MariaDB"));

    let user = reader("s-down", READING, READING);
    let (grant, way) = two().await;
    way.cut().await;
    let proxy = Proxy::of_user(grant, user).await;
    let said = Person::of(&proxy).runs("SELECT @@GLOBAL.port").await;
    assert_eq!(said.out, second().port.to_string(), "{}", said.err);
}

#[tokio::test]
async fn a_credential_that_may_write_on_the_first_is_used_on_none() {
    let user = reader("s-writes-first", "SELECT, SHOW VIEW, INSERT", READING);
    let (grant, _way) = two().await;
    let refused = preflight(&grant, &user).await;
    assert!(refused.is_err(), "the second may only read, and was taken");
}

#[tokio::test]
async fn each_server_must_carry_its_own_name() {
    let user = reader("s-name", READING, READING);
    let (mut grant, way) = two().await;
    way.cut().await;
    let ca_pem = [mariadb().ca_pem.as_str(), second().ca_pem.as_str()].concat();
    grant.target.tls = access::Tls::Verify { ca_pem, server_name: "first.example.com".into() };
    let refused = preflight(&grant, &user).await;
    assert!(
        matches!(refused, Err(PreflightError::Connect(_))),
        "second.example.com is not its name: {refused:?}"
    );
    grant.target.standbys[0].server_name = "db.example.com".into();
    assert!(preflight(&grant, &user).await.is_ok());
}

#[tokio::test]
async fn what_may_write_on_one_that_answers_is_not_kept_for_one_that_does_not() {
    let (write, read) = ("SELECT, SHOW VIEW, INSERT", READING);
    let user = reader("s-none", write, write);
    let (mut grant, way) = two().await;
    let privileges = preflight(&grant, &user).await;
    assert!(matches!(privileges, Err(PreflightError::Privileges(_))), "{privileges:?}");
    way.cut().await;
    for _ in 0..2 {
        let down = preflight(&grant, &user).await;
        assert!(matches!(down, Err(PreflightError::Privileges(_))), "nothing is waited for: {down:?}");
        // The one that is down is the second now.
        let target = &mut grant.target;
        std::mem::swap(&mut target.address, &mut target.standbys[0].address);
    }
    let user = reader("s-second-writes", read, write);
    let (grant, _way) = two().await;
    assert!(preflight(&grant, &user).await.is_ok(), "the second is not asked");
}

#[tokio::test]
async fn new_sessions_go_to_the_next_when_the_first_answers_no_more_and_stay_there() {
    let user = reader("s-over", READING, READING);
    let (grant, way) = two().await;
    let proxy = Proxy::of_user(grant, user).await;
    let person = Person::of(&proxy);
    assert_eq!(person.runs("SELECT @@GLOBAL.port").await.out, mariadb().port.to_string());
    let mut before = raw::session(&proxy).await;
    way.cut().await;
    let (code, message) = error(&before.reads_out_of_band().await);
    assert!(code == 1053 && message.contains("connect again"), "{code} {message}");
    assert_eq!(person.runs("SELECT @@GLOBAL.port").await.out, second().port.to_string());
    assert_eq!(proxy.engine.dialer.places(), [Place(1), Place(0)], "the next one goes there at once");
}

#[tokio::test]
async fn a_server_that_does_not_pass_gets_no_session_when_the_first_answers_no_more() {
    let user = reader("s-writes", READING, "SELECT, SHOW VIEW, INSERT");
    let (grant, way) = two().await;
    let proxy = Proxy::of_user(grant, user).await;
    way.cut().await;
    let said = Person::of(&proxy).runs("SELECT 1").await;
    assert!(said.out.is_empty() && said.err.contains("ERROR"), "{said:?}");
    assert_eq!(proxy.engine.dialer.places(), [Place(0), Place(1)]);
}

#[tokio::test]
async fn a_statement_is_stopped_on_the_server_that_it_runs_on_though_another_serves_now() {
    let user = reader("s-kill", READING, READING);
    let (mut grant, _way) = two().await;
    grant.limits = Limits { statement: access::StatementLimits { seconds: 2, ..wide().statement }, ..wide() };
    let proxy = Proxy::of_user(grant, user).await;
    let mut raw = busy(&proxy, mariadb(), "s-kill").await;
    proxy.engine.dialer.serves(Place(1));
    let (code, message) = error(&raw.reads().await.unwrap());
    assert!(code == 3024 && message.contains("limit of 2 seconds"), "{code} {message}");
    mariadb().becomes(&format!("{} AND info LIKE 'SELECT COUNT%c.n + 11'", running("s-kill")), "0").await;
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "the session goes on");
}

#[tokio::test]
async fn the_end_is_proved_on_every_server_that_had_a_session() {
    let user = reader("s-both", READING, READING);
    let (grant, way) = two().await;
    let mut proxy = Proxy::of_user(grant.clone(), credential_of("s-both", "pw")).await;
    let _on_first = busy(&proxy, mariadb(), "s-both").await;
    proxy.engine.dialer.serves(Place(1));
    let _on_second = busy(&proxy, second(), "s-both").await;
    let SessionsEnd::Gone(seen) = ends(&mut proxy, &user).await else { panic!("both were looked at") };
    assert!(seen.to_string().starts_with("2 killed and seen to be gone"), "{seen}");
    for server in [mariadb(), second()] {
        server.becomes(&running("s-both"), "0").await;
    }
    second().admin("DROP USER 's-both'@'%'");
    assert_eq!(
        try_login(&proxy.engine.dialer, &user).await,
        LoginProbe::Accepted,
        "the first still lets it in"
    );
    mariadb().admin("DROP USER 's-both'@'%'");
    assert_eq!(try_login(&proxy.engine.dialer, &user).await, LoginProbe::Refused);
    way.cut().await;
    assert!(matches!(try_login(&proxy.engine.dialer, &user).await, LoginProbe::Unknown(_)));
}

#[tokio::test]
async fn a_session_on_a_server_that_nobody_can_look_at_is_not_called_ended() {
    let user = reader("s-lost", READING, READING);
    let (grant, way) = two().await;
    let mut proxy = Proxy::of_user(grant, credential_of("s-lost", "pw")).await;
    let _on_first = busy(&proxy, mariadb(), "s-lost").await;
    let there = mariadb().admin(&running("s-lost").replace("COUNT(*)", "id"));
    way.cut().await;
    let _on_second = busy(&proxy, second(), "s-lost").await;
    let SessionsEnd::Open { why, ids } = ends(&mut proxy, &user).await else {
        panic!("the first was not seen")
    };
    assert!(why.contains("cannot reach the database"), "{why}");
    assert!(ids.iter().any(|id| id.to_string() == there), "{ids:?} {there}");
    second().becomes(&running("s-lost"), "0").await;
    mariadb().admin(&format!("KILL {there}"));
}

#[tokio::test]
async fn two_addresses_of_one_server_do_not_end_each_other() {
    let user = reader("s-same", READING, READING);
    let (mut grant, _way) = two().await;
    let same = ServerAddress::new("127.0.0.1", mariadb().port.into()).unwrap();
    grant.target.standbys[0].address = same;
    let dialer = Dialer::new(&grant.target).unwrap();
    let _idle = dialer.connect_to(Place(0), &user, Capabilities::NONE).await.unwrap();
    let _other = dialer.connect_to(Place(1), &user, Capabilities::NONE).await.unwrap();
    let end = end_sessions(&dialer, &user).await;
    assert!(matches!(end, SessionsEnd::Gone(_)), "one list has all: {end:?}");
    mariadb().becomes(&running("s-same"), "0").await;
}
