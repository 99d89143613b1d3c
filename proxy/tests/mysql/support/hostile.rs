//! A database that logs everybody in and then answers queries with whatever a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use access::{ColumnRule, Grant, Limits, ServerAddress, Tls};
use keyhole_proxy::audit::Journal;
use keyhole_proxy::ending::Ending;
use keyhole_proxy::engines::mysql::packets::{read_packet, write_packet};
use keyhole_proxy::engines::mysql::server::{Dialer, ServerInfo};
use keyhole_proxy::usage::UsageMeter;
use sql::mysql::Server;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::connect::greeting::Greeting;
use wire::mysql::connect::handshake_response::HandshakeResponse;
use wire::mysql::frame::{self, Sequence};
use wire::mysql::response::column::Column;
use wire::mysql::response::err::{ErrPacket, ErrSummary};
use wire::mysql::response::ok::{OkPacket, OkSummary};
use wire::mysql::response::status_flags::StatusFlags;
use wire::mysql::response::text_result::TextResult;
use wire::mysql::rows::text_row::TextRow;

use super::proxy::{Proxy, credential, grant, kept_nowhere, wide};

/// What it greets with.
const VERSION: &str = "5.5.5-10.11.6-MariaDB";

/// What it can do: as much as a session needs.
const CAPABILITIES: Capabilities = Capabilities::REQUIRED
    .union(Capabilities::TRANSACTIONS)
    .union(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(Capabilities::DEPRECATE_EOF);

/// An OK packet with this status.
pub fn ok(status: StatusFlags) -> Vec<u8> {
    let summary = OkSummary { status, ..OkSummary::default() };
    OkPacket { summary, ..OkPacket::default() }.encode(CAPABILITIES)
}

/// What this database does with its clients.
#[derive(Clone)]
enum Manner {
    /// Logs them in and answers every query but the proxy's own settings with these bytes, headers included.
    Answers(Vec<u8>),
    /// Refuses their login with this code.
    Refuses(u16),
    /// Greets, and says nothing more.
    Hangs,
    /// Gives its connections other numbers than those it greets them with, as a pool in front of servers does.
    Renumbers,
    /// Answers a query when somebody stops it.
    Stopped(Arc<Stop>),
    /// Answers what the script has an answer for, after so long.
    Scripted(Script, Duration),
}

/// Which server a connection meets.
#[derive(Clone, Copy)]
pub struct Character {
    /// The version in its greeting.
    pub greeting: &'static str,
    /// Its version in its own words.
    pub version: &'static str,
    /// Its host.
    pub host: &'static str,
    /// What the user may do on it.
    pub grants: &'static str,
    /// Whether SET does what it says.
    pub keeps_pins: bool,
    /// The schema in which it begins sessions.
    pub begins_in: Option<&'static str>,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// The one that nearly every test meets.
pub const USUAL: Character = Character {
    greeting: VERSION,
    version: "10.11.6-MariaDB",
    host: "host",
    grants: "SELECT",
    keeps_pins: true,
    begins_in: None,
    capabilities: CAPABILITIES,
};

/// The frames that a database answers a command with, headers included; `None`: it does as a good one would.
pub type Script = Arc<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// A stop on its way.
pub struct Stop {
    /// The database has the query.
    pub asked: Notify,
    /// The database was told to close a prepared statement.
    pub closed: Notify,
    sent: Notify,
    came: Came,
}

/// When a stop comes to the database.
pub enum Came {
    /// Too late: the query is answered with this packet, as if nothing had been, and the stop hits whatever command comes
    /// next. So do real servers, in a window that a test can't hit at will.
    Late(Vec<u8>),
    /// In time: it changes nothing.
    InTime,
}

/// A proxy in front of a database that answers every query but the proxy's own settings with these bytes, headers
/// included.
pub async fn proxy_before(answer: Vec<u8>) -> Proxy {
    proxy_before_on_record(answer, kept_nowhere).await
}

/// The same, with a record that is kept.
pub async fn proxy_before_on_record(
    answer: Vec<u8>,
    journal: impl FnOnce(Arc<UsageMeter>, Ending) -> Journal,
) -> Proxy {
    proxy_on_record(grant_before(Manner::Answers(answer)).await, journal).await
}

/// A proxy in front of a database that answers queries when somebody stops them.
pub async fn proxy_before_stops(came: Came, limits: Limits) -> (Proxy, Arc<Stop>) {
    let stop = Arc::new(Stop { asked: Notify::new(), closed: Notify::new(), sent: Notify::new(), came });
    let mut grant = grant_before(Manner::Stopped(Arc::clone(&stop))).await;
    grant.limits = limits;
    (proxy_of(grant).await, stop)
}

/// A proxy in front of a database that answers by a script, for a grant with these column rules.
pub async fn proxy_before_script(script: Script, columns: Vec<ColumnRule>) -> Proxy {
    proxy_before_slow_script(script, Duration::ZERO, columns).await
}

/// The same, where each answer by the script takes so long: the clock of the test's runtime is put forward.
pub async fn proxy_before_slow_script(script: Script, takes: Duration, columns: Vec<ColumnRule>) -> Proxy {
    let mut grant = grant_before(Manner::Scripted(script, takes)).await;
    grant.target.columns = columns;
    proxy_of(grant).await
}

/// The same without rules, in front of a database that can do this besides.
pub async fn proxy_before_capable_script(script: Script, more: Capabilities) -> Proxy {
    let capable = Character { capabilities: CAPABILITIES.union(more), ..USUAL };
    let manner = Manner::Scripted(script, Duration::ZERO);
    Proxy::of(grant_before_servers(manner, vec![capable]).await).await
}

/// A proxy in front of an address at which each connection meets the next of these servers, and at last always the last.
/// The first one is met by preflight.
pub async fn proxy_before_servers(servers: Vec<Character>, limits: Limits) -> (Proxy, Arc<AtomicUsize>) {
    let kills = Arc::new(AtomicUsize::new(0));
    let script = {
        let kills = Arc::clone(&kills);
        move |command: &[u8]| {
            if command.starts_with(b"\x03KILL ") {
                kills.fetch_add(1, Ordering::Relaxed);
            }
            None
        }
    };
    let mut grant = grant_before_servers(Manner::Scripted(Arc::new(script), Duration::ZERO), servers).await;
    grant.limits = limits;
    (Proxy::of(grant).await, kills)
}

async fn proxy_of(grant: Grant) -> Proxy {
    proxy_on_record(grant, kept_nowhere).await
}

/// The same, with a record that is kept.
async fn proxy_on_record(grant: Grant, journal: impl FnOnce(Arc<UsageMeter>, Ending) -> Journal) -> Proxy {
    let server = Server::from_greeting(VERSION).unwrap();
    let database = Dialer::new(&grant.target).unwrap().connect(&credential(), Capabilities::NONE).await;
    let answerer = database.unwrap().answerer().unwrap().clone();
    let info = ServerInfo {
        answerer,
        server,
        version_text: VERSION.into(),
        capabilities: CAPABILITIES,
        secret_variables: Vec::new(),
        component_functions: Vec::new(),
    };
    Proxy::before_on_record(grant, info, journal).await
}

/// A grant whose database refuses every login with this code.
pub async fn grant_refused_with(code: u16) -> Grant {
    grant_before(Manner::Refuses(code)).await
}

/// A grant whose database greets, and answers no login.
pub async fn grant_before_silence() -> Grant {
    grant_before(Manner::Hangs).await
}

/// A grant with something before its database that has numbers of its own for its connections.
pub async fn grant_before_a_pool() -> Grant {
    grant_before(Manner::Renumbers).await
}

async fn grant_before(manner: Manner) -> Grant {
    grant_before_servers(manner, vec![USUAL]).await
}

async fn grant_before_servers(manner: Manner, servers: Vec<Character>) -> Grant {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut grant = grant(wide());
    grant.target.address =
        ServerAddress::new("127.0.0.1", listener.local_addr().unwrap().port().into()).unwrap();
    grant.target.tls = Tls::Disabled;
    tokio::spawn(async move {
        let last = *servers.last().unwrap();
        for character in servers.into_iter().chain(std::iter::repeat(last)) {
            let (stream, _) = listener.accept().await.unwrap();
            // It ends with its client.
            tokio::spawn(serve(stream, manner.clone(), character));
        }
    });
    grant
}

/// Logs a client in; what holds with it.
async fn log_in(stream: &mut TcpStream, manner: &Manner, character: &Character) -> Option<Capabilities> {
    let greeting = Greeting {
        server_version: character.greeting.as_bytes(),
        connection_id: 7,
        challenge: vec![b'c'; 20],
        capabilities: character.capabilities,
        collation: 45,
        status: StatusFlags::AUTOCOMMIT,
        auth_plugin: b"mysql_native_password",
    };
    let mut sequence = Sequence::default();
    write_packet(stream, &mut sequence, &greeting.encode().ok()?).await.ok()?;
    let response = read_packet(stream, &mut sequence, 1 << 16).await.ok()?;
    let agreed = HandshakeResponse::decode(&response).ok()?.head.capabilities;
    if let Manner::Hangs = manner {
        std::future::pending::<()>().await;
    }
    if let Manner::Refuses(code) = manner {
        write_packet(stream, &mut sequence, &error((*code, *b"28000"))).await.ok()?;
        return None;
    }
    write_packet(stream, &mut sequence, &ok(StatusFlags::AUTOCOMMIT)).await.ok()?;
    Some(agreed)
}

async fn serve(mut stream: TcpStream, manner: Manner, character: Character) -> Option<()> {
    let agreed = log_in(&mut stream, &manner, &character).await?;
    let schema = character.begins_in.map(str::to_owned);
    let mut session = Session { agreed, character, number: "7", schema, limit: String::new() };
    if let Manner::Renumbers = manner {
        session.number = "8";
    }
    let mut hit = false;
    loop {
        let mut sequence = Sequence::default();
        let command = read_packet(&mut stream, &mut sequence, 1 << 24).await.ok()?;
        let mut enters = command.strip_prefix(b"\x03USE ").or(command.strip_prefix(b"\x02"));
        let mut answer = match &manner {
            Manner::Scripted(script, _) => script(&command),
            _ => None,
        };
        if let (Manner::Scripted(_, takes), Some(_)) = (&manner, &answer) {
            passes(*takes).await;
        }
        answer = answer.or_else(|| session.answers(&command));
        match &manner {
            _ if command.starts_with(b"\x01") => return None,
            Manner::Stopped(stop) if command.starts_with(b"\x19") => {
                stop.closed.notify_one();
                continue;
            }
            Manner::Stopped(_) if std::mem::take(&mut hit) => answer = Some(framed(&error(INTERRUPTED))),
            Manner::Stopped(stop) if command.starts_with(b"\x03KILL ") => stop.sent.notify_one(),
            Manner::Stopped(stop) if answer.is_none() && matches!(command.first(), Some(0x03 | 0x16)) => {
                stop.asked.notify_one();
                stop.sent.notified().await;
                hit = matches!(stop.came, Came::Late(_));
                enters = enters.filter(|_| hit);
                answer = Some(match &stop.came {
                    Came::Late(answer) => framed(answer),
                    Came::InTime => framed(&error(INTERRUPTED)),
                });
            }
            Manner::Answers(raw) if command.starts_with(b"\x03") => answer = answer.or(Some(raw.clone())),
            _ => {}
        }
        session.schema = enters.map(|name| String::from_utf8_lossy(name).into_owned()).or(session.schema);
        let answer = answer.unwrap_or_else(|| framed(&ok(StatusFlags::AUTOCOMMIT)));
        stream.write_all(&answer).await.ok()?;
    }
}

/// Lets time pass for everybody in this runtime, which may have no other clock that stands.
async fn passes(time: Duration) {
    if !time.is_zero() {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }
}

/// "Query execution was interrupted".
const INTERRUPTED: (u16, [u8; 5]) = (1317, *b"70100");

/// What a connection knows of itself.
struct Session {
    agreed: Capabilities,
    character: Character,
    number: &'static str,
    schema: Option<String>,
    limit: String,
}

impl Session {
    /// The answers to the proxy's own questions.
    fn answers(&mut self, command: &[u8]) -> Option<Vec<u8>> {
        let sql = std::str::from_utf8(command.strip_prefix(b"\x03")?).ok()?;
        if let Some((_, limit)) = sql.split_once("max_statement_time=") {
            self.limit = limit.to_owned();
        }
        let auto = StatusFlags::AUTOCOMMIT;
        let read_only = auto.with(StatusFlags::IN_TRANS).with(StatusFlags::IN_TRANS_READONLY);
        match sql {
            "BEGIN" => return Some(framed(&ok(read_only))),
            "SHOW GRANTS" => {
                let grant = format!("GRANT {} ON `shop`.* TO `v`@`%`", self.character.grants);
                return Some(row_for(self.agreed, &[Some(grant.as_bytes())], auto));
            }
            _ if sql.starts_with("SET ") || sql == "ROLLBACK" => return Some(framed(&ok(auto))),
            _ if sql.contains(".global_variables ") => return Some(row_for(self.agreed, &[], auto)),
            _ => {}
        }
        let asked = sql.strip_prefix("SELECT ")?.strip_suffix(" LIMIT 1")?;
        let told: Option<Vec<Option<String>>> = asked.split(", ").map(|value| self.tells(value)).collect();
        let told = told?;
        let values: Vec<_> = told.iter().map(|value| value.as_deref().map(str::as_bytes)).collect();
        Some(row_for(self.agreed, &values, auto))
    }

    /// A value of its own.
    fn tells(&self, value: &str) -> Option<Option<String>> {
        let pinned = |value: &str| if self.character.keeps_pins { value.to_owned() } else { String::new() };
        let bare = value.strip_prefix("CONVERT(").and_then(|value| value.strip_suffix(" USING binary)"));
        let value = bare.unwrap_or(value);
        Some(Some(match value {
            "CONNECTION_ID()" => self.number.to_owned(),
            "@@GLOBAL.version" => self.character.version.to_owned(),
            "@@GLOBAL.hostname" => self.character.host.to_owned(),
            "@@GLOBAL.port" => "3306".to_owned(),
            "@@GLOBAL.server_id" | "@@SESSION.autocommit" => "1".to_owned(),
            "@@GLOBAL.lower_case_table_names" => "0".to_owned(),
            "@@SESSION.tx_read_only" | "@@SESSION.transaction_read_only" => pinned("1"),
            "@@SESSION.tx_isolation" | "@@SESSION.transaction_isolation" => pinned("REPEATABLE-READ"),
            "@@SESSION.max_statement_time" => pinned(&self.limit),
            "@@SESSION.sql_mode" => {
                pinned("STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION")
            }
            _ if value.starts_with("@@SESSION.character_set_") => pinned("utf8mb4"),
            r"_utf8mb4'\\' = 0x5c" => "1".to_owned(),
            _ if value.contains("DATABASE()") => return Some(self.schema.clone()),
            _ => return None,
        }))
    }
}

/// A packet that is a whole answer, with its header.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode(body, &mut Sequence::starting_at(1), &mut out);
    out
}

/// A result of one row for a session, headers included.
pub fn row(values: &[Option<&[u8]>], status: StatusFlags) -> Vec<u8> {
    row_for(CAPABILITIES, values, status)
}

fn row_for(agreed: Capabilities, values: &[Option<&[u8]>], status: StatusFlags) -> Vec<u8> {
    // Without values there is no row.
    let columns = (0..values.len().max(1)).map(|_| Column::text(b"x")).collect();
    let rows = if values.is_empty() { vec![] } else { vec![TextRow { values: values.to_vec() }] };
    let result = TextResult { columns, rows, status };
    result.encode(agreed, &mut Sequence::starting_at(1)).unwrap()
}

fn error((code, sqlstate): (u16, [u8; 5])) -> Vec<u8> {
    ErrPacket { summary: ErrSummary { code, sqlstate }, message: b"refused" }.encode()
}
