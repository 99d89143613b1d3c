//! A database that logs everybody in and then answers queries with whatever a test says.

use std::sync::Arc;

use access::{ColumnRule, Grant, Limits, ServerAddress, Tls};
use keyhole_proxy::engines::mysql::packets::{read_packet, write_packet};
use keyhole_proxy::engines::mysql::server::ServerInfo;
use sql::mysql::Server;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::connect::greeting::Greeting;
use wire::mysql::connect::handshake_response::HandshakeResponse;
use wire::mysql::frame::Sequence;
use wire::mysql::response::column::Column;
use wire::mysql::response::err::{ErrPacket, ErrSummary};
use wire::mysql::response::ok::{OkPacket, OkSummary};
use wire::mysql::response::status_flags::StatusFlags;
use wire::mysql::response::text_result::TextResult;
use wire::mysql::rows::text_row::TextRow;

use super::proxy::{Proxy, grant, wide};

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
    /// Answers what the script has an answer for.
    Scripted(Script),
}

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
    proxy_of(grant_before(Manner::Answers(answer)).await).await
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
    let mut grant = grant_before(Manner::Scripted(script)).await;
    grant.target.columns = columns;
    proxy_of(grant).await
}

async fn proxy_of(grant: Grant) -> Proxy {
    let server = Server::from_greeting(VERSION).unwrap();
    let info = ServerInfo {
        server,
        version_text: VERSION.into(),
        capabilities: CAPABILITIES,
        secret_variables: Vec::new(),
        component_functions: Vec::new(),
    };
    Proxy::before(grant, info).await
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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut grant = grant(wide());
    grant.target.address =
        ServerAddress::new("127.0.0.1", listener.local_addr().unwrap().port().into()).unwrap();
    grant.target.tls = Tls::Disabled;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // It ends with its client.
            tokio::spawn(serve(stream, manner.clone()));
        }
    });
    grant
}

/// Logs a client in; what holds with it.
async fn log_in(stream: &mut TcpStream, manner: &Manner) -> Option<Capabilities> {
    let greeting = Greeting {
        server_version: VERSION.as_bytes(),
        connection_id: 7,
        challenge: vec![b'c'; 20],
        capabilities: CAPABILITIES,
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

async fn serve(mut stream: TcpStream, manner: Manner) -> Option<()> {
    let agreed = log_in(&mut stream, &manner).await?;
    let (mut hit, mut schema) = (false, None);
    loop {
        let mut sequence = Sequence::default();
        let command = read_packet(&mut stream, &mut sequence, 1 << 24).await.ok()?;
        let where_it_is = command.starts_with(b"\x03SELECT CONVERT(CONVERT(DATABASE()");
        let asks = matches!(command.first(), Some(0x03 | 0x16));
        let own = command.starts_with(b"\x03SET ") || where_it_is || !asks;
        let mut answer = ok(StatusFlags::AUTOCOMMIT);
        let mut enters = command.strip_prefix(b"\x03USE ").or(command.strip_prefix(b"\x02"));
        if command.starts_with(b"\x03SELECT CONNECTION_ID()") {
            let number = if let Manner::Renumbers = manner { "8" } else { "7" };
            let name = [number, "host", "3306", "1"].map(|value| Some(value.as_bytes()));
            stream.write_all(&row_for(agreed, &name, StatusFlags::AUTOCOMMIT)).await.ok()?;
            continue;
        }
        if command.starts_with(b"\x01") {
            return None;
        }
        match &manner {
            Manner::Stopped(stop) if command.starts_with(b"\x19") => {
                stop.closed.notify_one();
                continue;
            }
            Manner::Stopped(_) if std::mem::take(&mut hit) => answer = error((1317, *b"70100")),
            Manner::Stopped(stop) if command.starts_with(b"\x03KILL ") => stop.sent.notify_one(),
            Manner::Stopped(stop) if !own => {
                stop.asked.notify_one();
                stop.sent.notified().await;
                (answer, hit) = match &stop.came {
                    Came::Late(answer) => (answer.clone(), true),
                    Came::InTime => (error((1317, *b"70100")), false),
                };
                enters = enters.filter(|_| hit);
            }
            Manner::Answers(raw) if !own => {
                stream.write_all(raw).await.ok()?;
                continue;
            }
            Manner::Scripted(script) => {
                if let Some(raw) = script(&command) {
                    stream.write_all(&raw).await.ok()?;
                    continue;
                }
            }
            _ => {}
        }
        schema = enters.map(<[u8]>::to_vec).or(schema);
        if where_it_is {
            stream.write_all(&row_for(agreed, &[schema.as_deref()], StatusFlags::AUTOCOMMIT)).await.ok()?;
            continue;
        }
        write_packet(&mut stream, &mut sequence, &answer).await.ok()?;
    }
}

/// A result of one row for a session, headers included.
pub fn row(values: &[Option<&[u8]>], status: StatusFlags) -> Vec<u8> {
    row_for(CAPABILITIES, values, status)
}

fn row_for(agreed: Capabilities, values: &[Option<&[u8]>], status: StatusFlags) -> Vec<u8> {
    let columns = values.iter().map(|_| Column::text(b"x")).collect();
    let result = TextResult { columns, rows: vec![TextRow { values: values.to_vec() }], status };
    result.encode(agreed, Sequence::starting_at(1)).unwrap()
}

fn error((code, sqlstate): (u16, [u8; 5])) -> Vec<u8> {
    ErrPacket { summary: ErrSummary { code, sqlstate }, message: b"refused" }.encode()
}
