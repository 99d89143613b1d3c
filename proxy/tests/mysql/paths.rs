//! One table of ways into the proxy and of what must not pass by any of them: a rule that holds on one way and not on another is
//! the commonest hole of systems of this kind. A command that `wire` learns does not compile here until it is in the table. Whether
//! a text may have several statements is tried both ways, with each text at every place among others.

use access::{ColumnAccess, ColumnRule};
use wire::mysql::command::{Command, encode_init_db, encode_ping, encode_prepare, encode_query};
use wire::mysql::connect::capabilities::Capabilities;

use crate::support::databases::both;
use crate::support::proxy::{Proxy, grant_on, wide};
use crate::support::raw::{self, CAPABILITIES, RawTls, UTF8MB4, error};

/// How many statements a text of the client's may have: a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Texts {
    One,
    /// It asked for that in its handshake.
    Several,
}

impl Texts {
    fn capabilities(self) -> Capabilities {
        match self {
            Self::One => CAPABILITIES,
            Self::Several => {
                CAPABILITIES.union(Capabilities::MULTI_STATEMENTS).union(Capabilities::MULTI_RESULTS)
            }
        }
    }

    /// The value of COM_SET_OPTION that leaves it so.
    fn option(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Several => 0,
        }
    }

    /// A statement by itself, and at every place among others.
    fn with(self, statement: &str) -> Vec<String> {
        let alone = statement.to_owned();
        match self {
            Self::One => vec![alone],
            Self::Several => {
                let among =
                    ["{}; SELECT 1", "SET @a = 1; {}", "USE shop; {}; SELECT 1", "/* ; */ SELECT 1;\n{};;"];
                let among = among.map(|text| text.replace("{}", statement));
                [alone].into_iter().chain(among).collect()
            }
        }
    }
}

/// What of a client's a command can bring to the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brings {
    /// A text: every statement of [`TEXTS`] is tried.
    Text,
    /// The name of a schema: every one of [`SCHEMAS`] is tried.
    Schema,
    /// The name of a table: every one of [`TABLES`] is tried.
    Table,
    /// The number of a statement that the gate let pass when it was prepared: numbers that are none are tried.
    Statement,
    /// Nothing that the database reads.
    Nothing,
    /// It never gets there.
    Refused,
}

fn brings(command: &Command<'_>) -> Brings {
    match command {
        Command::Query(_) | Command::StmtPrepare(_) => Brings::Text,
        Command::InitDb(_) | Command::ChangeUser(_) => Brings::Schema,
        Command::FieldList { .. } => Brings::Table,
        Command::StmtExecute(_)
        | Command::StmtSendLongData { .. }
        | Command::StmtClose(_)
        | Command::StmtReset(_)
        | Command::StmtFetch { .. } => Brings::Statement,
        Command::Quit
        | Command::Statistics
        | Command::ProcessKill(_)
        | Command::Ping
        | Command::ResetConnection
        | Command::SetOption(_) => Brings::Nothing,
        Command::ProcessInfo | Command::Unsupported(_) => Brings::Refused,
    }
}

/// One text for each kind of thing that must not happen.
const TEXTS: [&str; 30] = [
    "DELETE FROM shop.orders",
    "UPDATE shop.orders SET note = 'x'",
    "INSERT INTO shop.orders VALUES (9, 'x', NULL)",
    "REPLACE INTO shop.orders VALUES (1, 'x', NULL)",
    "TRUNCATE shop.orders",
    "CREATE TABLE shop.mine (a INT)",
    "CREATE TEMPORARY TABLE shop.mine (a INT)",
    "CALL shop.change()",
    "DO SLEEP(1)",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE shop.orders",
    "HANDLER shop.orders OPEN",
    "LOCK TABLES shop.orders READ",
    "WITH x AS (SELECT 1) DELETE FROM shop.orders",
    "/*!50000 DELETE */ FROM shop.orders",
    "SELECT 1; DELETE FROM shop.orders",
    "SELECT 1 FROM shop.orders FOR UPDATE",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "SELECT SLEEP(1)",
    "SELECT LOAD_FILE('/etc/passwd')",
    "SELECT shop.change()",
    "SELECT @a := 1",
    "SELECT * FROM mysql.user",
    "SELECT pin FROM shop.customers",
    "SELECT UPPER(email) FROM shop.customers",
    "SET GLOBAL max_connections = 1",
    "SET PASSWORD = 'x'",
    "PREPARE s FROM 'DELETE FROM shop.orders'",
    "EXECUTE s",
    "XA START 'x'",
    "EXPLAIN ANALYZE SELECT 1",
];

/// Schemas that are closed.
const SCHEMAS: [&str; 6] =
    ["mysql", "MySQL", "sys", "performance_schema", "#mysql50#mysql", "#MYSQL50#performance_schema"];

/// Tables that are closed, while `information_schema` is the current schema.
const TABLES: [&str; 3] = ["innodb_cmp_reset", "INNODB_CMP_RESET", "user_statistics"];

fn change_user(schema: &str) -> Vec<u8> {
    let mut body = b"\x11anybody\0\0".to_vec();
    body.extend_from_slice(schema.as_bytes());
    body.extend_from_slice(&[0, UTF8MB4, 0]);
    body.extend_from_slice(b"mysql_native_password\0");
    body
}

/// Bodies that decode to each command, by their first byte; for those that bring something, all that is tried.
fn bodies(byte: u8, texts: Texts) -> Vec<Vec<u8>> {
    let all = TEXTS.iter().flat_map(|text| texts.with(text));
    let with = |rest: &[u8]| vec![[&[byte], rest].concat()];
    match byte {
        0x02 => SCHEMAS.iter().map(|schema| encode_init_db(schema.as_bytes())).collect(),
        0x03 => all.map(|text| encode_query(text.as_bytes())).collect(),
        0x04 => TABLES.iter().map(|table| [b"\x04", table.as_bytes(), b"\0"].concat()).collect(),
        0x0c => with(&0x7fff_ffff_u32.to_le_bytes()),
        0x11 => SCHEMAS.iter().map(|schema| change_user(schema)).collect(),
        0x16 => all.map(|text| encode_prepare(text.as_bytes())).collect(),
        0x17 => with(&[7, 0, 0, 0, 0, 1, 0, 0, 0]),
        0x18 => with(&[7, 0, 0, 0, 0, 0, b'x']),
        0x19 | 0x1a => with(&[7, 0, 0, 0]),
        0x1b => with(&[texts.option(), 0]),
        0x1c => with(&[7, 0, 0, 0, 1, 0, 0, 0]),
        _ => with(&[]),
    }
}

/// Sends what has an answer; the code of the error that it is.
async fn refused(raw: &mut RawTls, body: &[u8]) -> u16 {
    let answer = raw.asks(body).await.unwrap();
    assert_eq!(answer.first(), Some(&0xff), "passed: {}", String::from_utf8_lossy(body));
    let (code, message) = error(&answer);
    assert!(message.starts_with("Keyhole: "), "the database answered: {message}");
    code
}

async fn tried(raw: &mut RawTls, byte: u8, texts: Texts) {
    for body in bodies(byte, texts) {
        let command = Command::decode(&body, CAPABILITIES).unwrap();
        match (brings(&command), &command) {
            (Brings::Statement, Command::StmtSendLongData { .. } | Command::StmtClose(_)) => {
                // They have no answer: the next command's must be its own.
                raw.sequence = Default::default();
                raw.writes(&body).await;
                assert_eq!(raw.asks(&encode_ping()).await.unwrap()[0], 0);
            }
            (Brings::Text | Brings::Schema | Brings::Table, _) => {
                refused(raw, &body).await;
            }
            (Brings::Statement, _) => assert_eq!(refused(raw, &body).await, 1243, "{command:?}"),
            (Brings::Refused, _) => assert_eq!(refused(raw, &body).await, 1047, "{command:?}"),
            (Brings::Nothing, Command::ProcessKill(_)) => assert_eq!(refused(raw, &body).await, 1094),
            (Brings::Nothing, Command::Quit) => {}
            (Brings::Nothing, _) => assert_ne!(raw.asks(&body).await.unwrap()[0], 0xff, "{command:?}"),
        }
    }
}

#[tokio::test]
async fn what_must_not_pass_passes_on_no_path() {
    for server in both() {
        let mut grant = grant_on(server, wide());
        let rule = |column: &str, access| ColumnRule {
            schema: "shop".into(),
            table: "customers".into(),
            column: column.into(),
            access,
        };
        grant.target.columns = vec![rule("pin", ColumnAccess::Hide), rule("email", ColumnAccess::Mask)];
        let proxy = Proxy::of(grant).await;
        let mut texts_refused = 0;
        for texts in [Texts::One, Texts::Several] {
            let mut raw = raw::session_with(&proxy, texts.capabilities()).await;
            assert_eq!(raw.asks(&encode_init_db(b"information_schema")).await.unwrap()[0], 0);
            for byte in 0..=u8::MAX {
                tried(&mut raw, byte, texts).await;
            }
            assert_eq!(raw.asks(&encode_ping()).await.unwrap()[0], 0, "the session goes on");
            texts_refused += 2 * TEXTS.len() * texts.with("").len();
            let passed = proxy.usage.so_far();
            assert!(passed.refused > texts_refused as u64, "{passed:?}");
        }
        assert_eq!(server.admin("SELECT COUNT(*) FROM shop.orders WHERE note <> 'x' OR note IS NULL"), "2");
    }
}

#[tokio::test]
async fn a_closed_schema_in_the_handshake_opens_no_session() {
    let proxy = Proxy::start().await;
    for schema in SCHEMAS {
        let mut raw = raw::secured(&proxy, Some(&proxy.session_certificate())).await;
        raw.responds_in(schema.as_bytes()).await;
        let (code, message) = raw.hears_error().await;
        assert!(code == 1044 && message.starts_with("Keyhole: "), "{schema}: {code} {message}");
    }
}
