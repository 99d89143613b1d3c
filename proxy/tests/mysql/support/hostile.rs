//! A database that logs everybody in and then answers queries with whatever a test says.

use std::sync::Arc;

use access::{Grant, ServerAddress, Tls};
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
    /// Hears of a stop too late for the statement that is meant.
    StopsLate(Arc<LateStop>),
    /// Greets, and says nothing more.
    Hangs,
    /// Gives its connections other numbers than those it greets them with, as a pool in front of servers does.
    Renumbers,
}

/// A stop on its way: a query is answered when somebody stops it, as if nothing had been, and the stop hits whatever
/// command comes next. So do real servers, in a window that a test can't hit at will.
#[derive(Default)]
pub struct LateStop {
    /// The database has the query.
    pub asked: Notify,
    sent: Notify,
}

/// A proxy in front of a database that answers every query but the proxy's own settings with these bytes, headers
/// included.
pub async fn proxy_before(answer: Vec<u8>) -> Proxy {
    proxy_of(Manner::Answers(answer)).await
}

/// A proxy in front of a database that hears of every stop too late.
pub async fn proxy_before_late_stops() -> (Proxy, Arc<LateStop>) {
    let stop = Arc::new(LateStop::default());
    (proxy_of(Manner::StopsLate(Arc::clone(&stop))).await, stop)
}

async fn proxy_of(manner: Manner) -> Proxy {
    let grant = grant_before(manner).await;
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

/// What it calls itself, for a client with these capabilities.
fn name(connection: &str, agreed: Capabilities) -> Vec<u8> {
    let value = |text: &'static str| Some(text.as_bytes());
    let result = TextResult {
        columns: (0..4).map(|_| Column::text(b"x")).collect(),
        rows: vec![TextRow {
            values: vec![Some(connection.as_bytes()), value("host"), value("3306"), value("1")],
        }],
        status: StatusFlags::AUTOCOMMIT,
    };
    result.encode(agreed, Sequence::starting_at(1)).unwrap()
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

async fn serve(mut stream: TcpStream, manner: Manner) -> Option<()> {
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
    write_packet(&mut stream, &mut sequence, &greeting.encode().ok()?).await.ok()?;
    let response = read_packet(&mut stream, &mut sequence, 1 << 16).await.ok()?;
    let agreed = HandshakeResponse::decode(&response).ok()?.head.capabilities;
    if let Manner::Hangs = manner {
        std::future::pending::<()>().await;
    }
    if let Manner::Refuses(code) = manner {
        return write_packet(&mut stream, &mut sequence, &error((code, *b"28000"))).await.ok();
    }
    write_packet(&mut stream, &mut sequence, &ok(StatusFlags::AUTOCOMMIT)).await.ok()?;
    let mut hit = false;
    loop {
        let mut sequence = Sequence::default();
        let command = read_packet(&mut stream, &mut sequence, 1 << 24).await.ok()?;
        let own = command.starts_with(b"\x03SET ") || !command.starts_with(b"\x03");
        let mut answer = ok(StatusFlags::AUTOCOMMIT);
        if command.starts_with(b"\x03SELECT CONNECTION_ID()") {
            let number = if let Manner::Renumbers = manner { "8" } else { "7" };
            stream.write_all(&name(number, agreed)).await.ok()?;
            continue;
        }
        if command.starts_with(b"\x01") {
            return None;
        }
        match &manner {
            Manner::StopsLate(_) if std::mem::take(&mut hit) => answer = error((1317, *b"70100")),
            Manner::StopsLate(stop) if command.starts_with(b"\x03KILL ") => stop.sent.notify_one(),
            Manner::StopsLate(stop) if !own => {
                stop.asked.notify_one();
                stop.sent.notified().await;
                hit = true;
            }
            Manner::Answers(raw) if !own => {
                stream.write_all(raw).await.ok()?;
                continue;
            }
            _ => {}
        }
        write_packet(&mut stream, &mut sequence, &answer).await.ok()?;
    }
}

fn error((code, sqlstate): (u16, [u8; 5])) -> Vec<u8> {
    ErrPacket { summary: ErrSummary { code, sqlstate }, message: b"refused" }.encode()
}
