//! What MariaDB says of a column beyond its type arrives as it does directly, at clients that ask for it, and nowhere else.

use std::sync::Arc;

use access::{ColumnAccess, ColumnRule};
use tokio::io::{AsyncRead, AsyncWrite};
use wire::mysql::command::{encode_init_db, encode_prepare, encode_query, encode_reset_connection};
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::frame::{self, Sequence};
use wire::mysql::response::column::Column;
use wire::mysql::response::extended_metadata::ExtendedMetadata;
use wire::mysql::rows::mask::NOT_NULL;

use crate::support::clients::{Person, said};
use crate::support::databases::{DatabaseServer, both, mariadb};
use crate::support::hostile::{Script, proxy_before_capable_script};
use crate::support::proxy::{Proxy, grant_on, wide};
use crate::support::raw::{self, CAPABILITIES, Raw, RawTls, UTF8MB4, error};
use servers::mysql::Kind;

/// Of a client that asks for it.
const ASKS: Capabilities =
    CAPABILITIES.without(Capabilities::LONG_PASSWORD).union(Capabilities::EXTENDED_METADATA);

/// Everything that is extended.
const EXTENDED: u64 = 0xffff_ffff_0000_0000;

const READ: &str = "SELECT d.*, JSON_EXTRACT(doc, '$.a') AS a, 'text' AS b FROM shop.described d";

/// A table with columns of which there is something to say, and others.
fn make(server: &DatabaseServer) {
    let more = match server.kind {
        Kind::MariaDb => "address INET6 NULL, name UUID NULL, ",
        Kind::MySql => "",
    };
    server.admin(&format!(
        "SET autocommit = 1; CREATE TABLE IF NOT EXISTS shop.described (id INT PRIMARY KEY, doc JSON NOT NULL, {more}\
         place POINT NULL, shape GEOMETRY NULL, area POLYGON NULL, note VARCHAR(40) DEFAULT 'none', \
         long_note VARCHAR(20000) CHARACTER SET latin1 DEFAULT '{}'); \
         REPLACE INTO shop.described (id, doc, place) VALUES (1, '{{\"a\": 1}}', ST_GeomFromText('POINT(1 2)'));",
        "x".repeat(20_000)
    ));
}

fn definitions_in(packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    packets.into_iter().filter(|packet| packet.starts_with(b"\x03def")).collect()
}

/// All definitions of a table's columns, in each of the ways to get at them.
async fn definitions<S: AsyncRead + AsyncWrite + Unpin>(raw: &mut Raw<S>) -> [Vec<Vec<u8>>; 4] {
    // Results in the same collation, whatever sessions begin with.
    for command in [encode_init_db(b"shop"), encode_query(b"SET NAMES utf8mb4")] {
        assert_eq!(raw.asks(&command).await.unwrap()[0], 0);
    }
    let text = definitions_in(raw.result(&encode_query(READ.as_bytes())).await);
    let prepared =
        raw.asks(&encode_prepare(format!("{READ} WHERE id = ? OR ? = doc").as_bytes())).await.unwrap();
    assert_eq!(prepared[0], 0, "{:?}", error(&prepared));
    let count = |at: usize| usize::from(u16::from_le_bytes([prepared[at], prepared[at + 1]]));
    let mut of_prepared = Vec::new();
    for _ in 0..count(5) + count(7) {
        of_prepared.push(raw.reads().await.unwrap());
    }
    // Both as text: NULL bits, new types, values.
    let parameters = b"\0\x01\xfd\0\xfd\0\x011\x01x";
    let execute = [&[0x17_u8], &prepared[1..5], &[0, 1, 0, 0, 0], parameters].concat();
    let binary = definitions_in(raw.result(&execute).await);
    let listed = definitions_in(raw.result(b"\x04described\0%").await);
    let found = [text, of_prepared, binary, listed];
    assert!(found.iter().all(|found| found.len() >= 7), "{:?}", found.each_ref().map(Vec::len));
    found
}

/// What is said of a column. In a list there is a default value behind its definition.
fn said_of<'a>(definitions: &'a [Vec<u8>], name: &str) -> ExtendedMetadata<'a> {
    let column =
        |packet: &'a Vec<u8>| (0..=packet.len()).find_map(|len| Column::decode(&packet[..len], ASKS).ok());
    let mut columns = definitions.iter().map(|packet| column(packet).unwrap());
    columns.find(|column| column.name == name.as_bytes()).unwrap().extended
}

#[tokio::test]
async fn definitions_are_the_servers_own_whether_a_client_asks_for_it_or_not() {
    for server in both() {
        make(server);
        let proxy = Proxy::of(grant_on(server, wide())).await;
        for capabilities in [ASKS, CAPABILITIES] {
            let expected = definitions(&mut raw::direct(server, capabilities).await).await;
            let mut raw = raw::session_with(&proxy, capabilities).await;
            assert!(definitions(&mut raw).await == expected, "{:?} {capabilities:?}", server.kind);
            let change = [b"\x11anybody\0\0\0", &[UTF8MB4, 0][..], b"mysql_native_password\0"].concat();
            for fresh in [encode_reset_connection(), change] {
                assert_eq!(raw.asks(&fresh).await.unwrap()[0], 0);
                assert!(definitions(&mut raw).await == expected, "{:?} {capabilities:?}", server.kind);
            }
        }
    }
}

/// More of them than the proxy holds at once, so that its buffer ends in the midst of some, and names as long as any.
#[tokio::test]
async fn many_definitions_and_the_longest_ones_pass_unchanged() {
    let name = "☕".repeat(64);
    let many: Vec<String> = (0..1_000).map(|n| format!("{n} AS `{name}`")).collect();
    let texts = [
        format!("SELECT {}", many.join(", ")),
        format!("SELECT '{0}', CONCAT('{0}', id) FROM shop.orders", "long ☕ ".repeat(20_000)),
        format!("SELECT `{0}`.id AS `{0}` FROM shop.orders `{0}`", "☕".repeat(64)),
    ];
    for server in both() {
        let proxy = Proxy::of(grant_on(server, wide())).await;
        for capabilities in [ASKS, CAPABILITIES] {
            let mut direct = raw::direct(server, capabilities).await;
            let mut raw = raw::session_with(&proxy, capabilities).await;
            let names = encode_query(b"SET NAMES utf8mb4");
            assert!(direct.asks(&names).await.unwrap()[0] == 0 && raw.asks(&names).await.unwrap()[0] == 0);
            for text in &texts {
                let command = encode_query(text.as_bytes());
                let (expected, found) = (direct.result(&command).await, raw.result(&command).await);
                assert_ne!(expected[0][0], 0xff, "{:?}", error(&expected[0]));
                let longest = found.iter().map(Vec::len).max();
                assert!(definitions_in(found) == definitions_in(expected), "{:?} {longest:?}", server.kind);
            }
        }
    }
}

#[tokio::test]
async fn json_and_points_are_called_so_in_every_kind_of_definition() {
    make(mariadb());
    let proxy = Proxy::start().await;
    let found = definitions(&mut raw::session_with(&proxy, ASKS).await).await;
    for definitions in &found {
        let json = ExtendedMetadata { format: Some(b"json"), ..ExtendedMetadata::default() };
        assert_eq!(said_of(definitions, "doc"), json);
        for (name, kind) in [("place", "point"), ("area", "polygon"), ("address", "inet6"), ("name", "uuid")]
        {
            let named = ExtendedMetadata { type_name: Some(kind.as_bytes()), ..ExtendedMetadata::default() };
            assert_eq!(said_of(definitions, name), named, "{name}");
        }
        for name in ["id", "note"] {
            assert_eq!(said_of(definitions, name), ExtendedMetadata::default(), "{name}");
        }
    }
    assert_eq!(said_of(&found[0], "a").format, Some(&b"json"[..]), "of a function");
}

#[tokio::test]
async fn only_a_mariadb_is_greeted_for_as_one_and_with_nothing_else_that_is_extended() {
    for server in both() {
        let proxy = Proxy::of(grant_on(server, wide())).await;
        let greeted = raw::greeted(&proxy).await;
        let extended = greeted.intersection(Capabilities::from_bits(EXTENDED));
        let expected = match server.kind {
            Kind::MariaDb => Capabilities::EXTENDED_METADATA,
            Kind::MySql => Capabilities::NONE,
        };
        assert_eq!(extended, expected);
        let long_password = greeted.contains(Capabilities::LONG_PASSWORD);
        assert_eq!(long_password, server.kind == Kind::MySql);
    }
}

#[tokio::test]
async fn the_ordinary_client_shows_it() {
    make(mariadb());
    let proxy = Proxy::start().await;
    let person = Person::of(&proxy);
    let mut command = person.mariadb();
    command.args(["--column-type-info", "--table", "-e", "SELECT doc, place FROM shop.described"]);
    let said = said(command).await;
    assert!(said.out.contains("(format=json)") && said.out.contains("(type=point)"), "{said:?}");
}

/// What the proxy answers itself, and what it asks on the client's connection, have the agreed shape too.
#[tokio::test]
async fn the_proxys_own_answers_and_questions_have_the_field_as_well() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session_with(&proxy, ASKS).await;
    let packets = raw.answers("SHOW GRANTS").await;
    assert_eq!(Column::decode(&packets[1], ASKS).unwrap().extended, ExtendedMetadata::default());
    for text in ["SET sql_mode = 'ANSI_QUOTES'", "USE other", "USE shop"] {
        assert_eq!(raw.answers(text).await[0][0], 0, "{text}");
    }
    assert!(raw.answers("SELECT DATABASE()").await[2].ends_with(b"shop"));
}

#[tokio::test]
async fn a_masked_column_keeps_its_format_and_loses_its_values() {
    make(mariadb());
    let mut grant = grant_on(mariadb(), wide());
    let rule = |column: &str| ColumnRule {
        schema: "shop".into(),
        table: "described".into(),
        column: column.into(),
        access: ColumnAccess::Mask,
    };
    grant.target.columns = vec![rule("doc"), rule("place")];
    let proxy = Proxy::of(grant).await;
    let text = "SELECT id, doc, place, area, name FROM shop.described";
    for capabilities in [ASKS, CAPABILITIES] {
        let direct = raw::direct(mariadb(), capabilities).await.answers(text).await;
        let proxied = raw::session_with(&proxy, capabilities).await.answers(text).await;
        let expected = |packet: &[u8]| {
            let column = Column::decode(packet, capabilities).unwrap();
            let masked = matches!(column.name, b"doc" | b"place");
            let flags = if masked { column.flags & !NOT_NULL } else { column.flags };
            Column { flags, ..column }.encode(capabilities)
        };
        assert_eq!(proxied[1..6], direct[1..6].iter().map(|packet| expected(packet)).collect::<Vec<_>>());
        assert_eq!(proxied[6], b"\x011\xfb\xfb\xfb\xfb");
    }
}

/// The answer of a database that greets as one that has it.
async fn answered(definition: &[u8], capabilities: Capabilities) -> (RawTls, Vec<u8>) {
    let mut frames = Vec::new();
    let mut sequence = Sequence::starting_at(1);
    for body in [&[1][..], definition, b"\x011", b"\xfe\0\0\x02\0\0\0"] {
        frame::encode(body, &mut sequence, &mut frames);
    }
    let script: Script = Arc::new(move |command| (command == b"\x03SELECT 1").then(|| frames.clone()));
    let proxy = proxy_before_capable_script(script, Capabilities::EXTENDED_METADATA).await;
    let mut raw = raw::session_with(&proxy, capabilities).await;
    assert_eq!(raw.asks(&encode_query(b"SELECT 1")).await.unwrap(), [1]);
    let packet = raw.reads().await.unwrap();
    (raw, packet)
}

#[tokio::test]
async fn a_definition_of_another_shape_than_was_agreed_on_is_not_passed_on() {
    let column = Column {
        extended: ExtendedMetadata { format: Some(b"json"), ..Default::default() },
        ..Column::text(b"x")
    };
    let (with, without) = (column.encode(ASKS), column.encode(CAPABILITIES));
    for (definition, capabilities) in [(&with, ASKS), (&without, CAPABILITIES)] {
        assert_eq!(answered(definition, capabilities).await.1, *definition);
    }
    // Its kind, its length, and the length of it all: where they are is found from the end, 13 bytes of which are fixed.
    let spoiled = |from_end: usize, byte: u8| {
        let mut definition = with.clone();
        let at = definition.len() - 13 - from_end;
        definition[at] = byte;
        definition
    };
    let newer = spoiled(6, 7);
    assert_eq!(answered(&newer, ASKS).await.1, newer, "a kind of a newer server");
    for (definition, capabilities) in [
        (with.clone(), CAPABILITIES),
        (without, ASKS),
        (spoiled(5, 5), ASKS),
        (spoiled(5, 0xfb), ASKS),
        (spoiled(7, 5), ASKS),
        (spoiled(7, 0xfe), ASKS),
        (with[..with.len() - 1].to_vec(), ASKS),
    ] {
        let (mut raw, packet) = answered(&definition, capabilities).await;
        let (code, message) = error(&packet);
        assert!(code == 1053 && message.contains("cannot be read"), "{code} {message}");
        raw.is_closed().await;
    }
}
