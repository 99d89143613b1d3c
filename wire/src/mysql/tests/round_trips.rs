//! What we write we read again; what is cut short is refused; and no bytes at all make a decoder panic.

use crate::mysql::command::execute_params::{ExecuteParams, ParameterType, Statement};
use crate::mysql::command::{self, Command};
use crate::mysql::connect::auth_more_data::AuthMoreData;
use crate::mysql::connect::auth_reply::AuthReply;
use crate::mysql::connect::auth_switch::AuthSwitch;
use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::connect::connect_attributes::ConnectAttributes;
use crate::mysql::connect::greeting::{CHALLENGE_LEN, Greeting};
use crate::mysql::connect::handshake_response::HandshakeResponse;
use crate::mysql::connect::ssl_request::SslRequest;
use crate::mysql::reader::Malformed;
use crate::mysql::response::column::Column;
use crate::mysql::response::column_type::ColumnType;
use crate::mysql::response::eof::EofPacket;
use crate::mysql::response::err::{ErrPacket, ErrSummary};
use crate::mysql::response::extended_metadata::ExtendedMetadata;
use crate::mysql::response::ok::{OkPacket, OkSummary};
use crate::mysql::response::prepare_ok::PrepareOk;
use crate::mysql::response::status_flags::StatusFlags;
use crate::mysql::rows::text_row::TextRow;
use proptest::prelude::*;

/// What a MySQL server and its client can do.
const MODERN: Capabilities =
    Capabilities::OWN_DOWNSTREAM.union(Capabilities::RELAYED).without(Capabilities::EXTENDED_METADATA);

/// The same of a MariaDB.
const MARIADB: Capabilities =
    Capabilities::OWN_DOWNSTREAM.union(Capabilities::RELAYED).without(Capabilities::LONG_PASSWORD);

/// Each prefix of a packet whose every byte is needed must be refused.
fn refused_when_cut<T>(body: &[u8], decode: impl Fn(&[u8]) -> Result<T, Malformed>) {
    assert!(decode(body).is_ok());
    for len in 0..body.len() {
        assert!(decode(&body[..len]).is_err(), "{len} of {} bytes", body.len());
    }
    let longer = [body, &[0]].concat();
    assert!(decode(&longer).is_err(), "one byte more");
}

fn greeting(challenge: Vec<u8>) -> Greeting<'static> {
    Greeting {
        server_version: b"8.4.3",
        connection_id: 7,
        challenge,
        capabilities: MODERN,
        collation: 45,
        status: StatusFlags::AUTOCOMMIT,
        auth_plugin: b"mysql_clear_password",
    }
}

fn response<'a>(
    user: &'a [u8],
    auth_response: &'a [u8],
    capabilities: Capabilities,
) -> HandshakeResponse<'a> {
    HandshakeResponse {
        head: SslRequest { capabilities, max_packet: 1 << 24, collation: 45 },
        user,
        auth_response,
        database: capabilities.contains(Capabilities::CONNECT_WITH_DB).then_some(b"shop"),
        auth_plugin: b"caching_sha2_password",
        attributes: ConnectAttributes::default(),
    }
}

#[test]
fn cut_packets_are_refused() {
    let asked = Capabilities::OWN_UPSTREAM;
    refused_when_cut(&greeting(vec![b'c'; CHALLENGE_LEN]).encode().unwrap(), |body| {
        Greeting::decode(body).map(|_| ())
    });
    for capabilities in [asked, MARIADB] {
        let ssl = SslRequest { capabilities, max_packet: 1, collation: 45 };
        refused_when_cut(&ssl.encode(), SslRequest::decode);
        assert_eq!(
            SslRequest::decode(&ssl.encode()).unwrap().capabilities,
            capabilities.union(Capabilities::SSL)
        );
    }
    refused_when_cut(&response(b"reader", b"12345678901234567890", asked).encode().unwrap(), |body| {
        HandshakeResponse::decode(body).map(|_| ())
    });
    refused_when_cut(
        &PrepareOk { id: 1, columns: 2, parameters: 3, warnings: 4 }.encode(),
        PrepareOk::decode,
    );
    refused_when_cut(&EofPacket::default().encode(), EofPacket::decode);
    for (capabilities, extended) in [
        (Capabilities::NONE, ExtendedMetadata::default()),
        (Capabilities::EXTENDED_METADATA, ExtendedMetadata::default()),
        (
            Capabilities::EXTENDED_METADATA,
            ExtendedMetadata { type_name: Some(b"point"), format: Some(b"json"), others: vec![(2, b"x")] },
        ),
    ] {
        let column = Column { extended, ..Column::text(b"name") };
        let body = column.encode(capabilities);
        refused_when_cut(&body, |body| Column::decode(body, capabilities).map(|_| ()));
    }
    let row = TextRow { values: vec![Some(b"abc"), None, Some(b"")] };
    refused_when_cut(&row.encode(), |body| TextRow::decode(body, 3).map(|_| ()));
    for command in [
        b"\x0c\x01\0\0\0".as_slice(),
        b"\x19\x01\0\0\0",
        b"\x1a\x01\0\0\0",
        b"\x1b\x01\0",
        b"\x1c\x01\0\0\0\x05\0\0\0",
    ] {
        refused_when_cut(command, |body| Command::decode(body, MODERN).map(|_| ()));
    }
}

/// A length that wraps where somebody counts in 32 bits: pgx (CVE-2024-27304), diesel (RUSTSEC-2024-0365).
#[test]
fn a_length_beyond_the_packet_is_refused_however_large_it_is() {
    let lengths =
        [0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32, (1 << 32) + 5, 1 << 63, u64::MAX - 8, u64::MAX];
    for length in lengths {
        let text = [&[0xfe], length.to_le_bytes().as_slice(), b"12345"].concat();
        let behind = |front: &[u8]| [front, &text].concat();
        assert!(TextRow::decode(&text, 1).is_err(), "{length}: a row's value");
        assert!(Column::decode(&behind(b"\x03def"), MODERN).is_err(), "{length}: a definition's name");
        assert!(OkPacket::decode(&behind(&[0, 0, 0, 2, 0, 0, 0]), MODERN).is_err(), "{length}: a message");
        let asked = Capabilities::OWN_UPSTREAM;
        let response = response(b"reader", b"", asked).encode().unwrap();
        let name = response.iter().position(|byte| *byte == b'r').unwrap();
        // The password's length follows the name and its NUL.
        let cut = response.get(..name + b"reader".len() + 1).unwrap();
        assert!(HandshakeResponse::decode(&behind(cut)).is_err(), "{length}: a password");
        let one = Statement { parameters: 1, types: &[], long_data: &[] };
        assert!(ExecuteParams::decode(&behind(&[0, 1, 0xfd, 0]), one).is_err(), "{length}: a parameter");
    }
}

#[test]
fn a_cut_execution_is_refused() {
    for len in 0..9 {
        assert!(Command::decode(&b"\x17\x01\0\0\0\0\x01\0\0"[..len], MODERN).is_err(), "{len}");
    }
}

#[test]
fn the_last_prepared_statement_is_named_where_a_statement_is_and_nowhere_else() {
    let named = |body: &[u8]| {
        let mut body = body.to_vec();
        command::name_last_prepared(&mut body, 7);
        body
    };
    for byte in [0x17, 0x18, 0x19, 0x1a, 0x1c] {
        let by = |id: u32| [&[byte], id.to_le_bytes().as_slice(), b"rest"].concat();
        assert_eq!(named(&by(command::LAST_PREPARED)), by(7));
        assert_eq!(named(&by(8)), by(8));
    }
    for other in [&b""[..], b"\x17", b"\x17\xff\xff\xff", b"\x03\xff\xff\xff\xff", b"\x0c\xff\xff\xff\xff"] {
        assert_eq!(named(other), other);
    }
}

#[test]
fn of_a_command_that_cannot_be_read_is_known_whether_it_awaits_an_answer() {
    for body in [&b""[..], b"\x0e\x01", b"\x17\x01", b"\x1a", b"\x1c", b"\x04orders"] {
        assert!(command::awaits_answer(body), "{body:?}");
    }
    for body in [&b"\x01\x01"[..], b"\x11anybody", b"\x18\x01", b"\x19\x01"] {
        assert!(!command::awaits_answer(body), "{body:?}");
    }
}

#[test]
fn an_execution_of_another_count_is_refused() {
    let twice = b"\x17\x01\0\0\0\0\x02\0\0\0";
    assert_eq!(Command::decode(twice, MODERN), Err(Malformed::Invalid { field: "iteration count" }));
}

#[test]
fn commands_that_nobody_may_send_are_named_by_their_byte() {
    // Sleep, create and drop database, refresh, shutdown, debug, binlog and replica commands, bulk execution, none.
    for byte in [0x00, 0x05, 0x06, 0x07, 0x08, 0x0d, 0x12, 0x15, 0x1e, 0xfa, 0xfe, 0xff] {
        assert_eq!(Command::decode(&[byte, 1, 2], MODERN), Ok(Command::Unsupported(byte)));
    }
}

#[test]
fn a_greeting_with_another_challenge_is_not_written() {
    for challenge in [vec![b'c'; 19], vec![b'c'; 21], vec![0; 20]] {
        assert!(greeting(challenge).encode().is_err());
    }
}

#[test]
fn the_old_password_switch_is_refused() {
    assert!(AuthSwitch::decode(&[0xfe]).is_err());
}

#[test]
fn an_ssl_request_without_its_flag_is_none() {
    let mut body = SslRequest { capabilities: MODERN, max_packet: 1, collation: 45 }.encode();
    body[1] &= !0x08;
    assert_eq!(SslRequest::decode(&body), Err(Malformed::Invalid { field: "capabilities" }));
}

#[test]
fn an_error_from_before_the_handshake_has_no_sqlstate() {
    let err = ErrPacket::decode(b"\xff\x10\x04Too many connections").unwrap();
    assert_eq!(err.summary, ErrSummary { code: 1040, sqlstate: *b"HY000" });
    assert_eq!(err.message, b"Too many connections");
}

#[test]
fn nothing_secret_is_in_debug() {
    let secret = b"example-secret";
    let shown = [
        format!("{:?}", response(b"reader", secret, MODERN)),
        format!("{:?}", Command::Query(secret)),
        format!("{:?}", Command::StmtPrepare(secret)),
        format!("{:?}", ErrPacket { summary: ErrSummary { code: 1, sqlstate: *b"HY000" }, message: secret }),
        format!("{:?}", TextRow { values: vec![Some(secret)] }),
        format!("{:?}", OkPacket { info: secret, ..OkPacket::default() }),
    ];
    for text in shown {
        assert!(!text.contains("example") && !text.contains("101, 120"), "{text}");
    }
}

fn capability_sets() -> impl Strategy<Value = Capabilities> {
    let optional = [
        Capabilities::CONNECT_WITH_DB,
        Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA,
        Capabilities::DEPRECATE_EOF,
        Capabilities::SESSION_TRACK,
        Capabilities::EXTENDED_METADATA,
    ];
    proptest::sample::subsequence(optional.to_vec(), 0..=optional.len()).prop_map(|flags| {
        let all = flags.into_iter().fold(Capabilities::REQUIRED, Capabilities::union);
        let extended = all.contains(Capabilities::EXTENDED_METADATA);
        if extended { all } else { all.union(Capabilities::LONG_PASSWORD) }
    })
}

proptest! {
    #[test]
    fn greetings_survive(challenge in proptest::collection::vec(1..=255_u8, CHALLENGE_LEN)) {
        for capabilities in [MODERN, MARIADB] {
            let greeting = Greeting { capabilities, ..greeting(challenge.clone()) };
            let body = greeting.encode().unwrap();
            prop_assert_eq!(Greeting::decode(&body), Ok(greeting));
        }
    }

    #[test]
    fn handshake_responses_survive(
        user in proptest::collection::vec(1..=255_u8, 0..40),
        auth_response in proptest::collection::vec(any::<u8>(), 0..=255),
        capabilities in capability_sets(),
    ) {
        let response = response(&user, &auth_response, capabilities);
        let body = response.encode().unwrap();
        prop_assert_eq!(HandshakeResponse::decode(&body), Ok(response));
    }

    #[test]
    fn authentication_steps_survive(data: Vec<u8>) {
        let more = AuthMoreData { data: &data };
        let body = more.encode();
        prop_assert_eq!(AuthReply::decode(&body, MODERN), Ok(AuthReply::MoreData(more)));
        let switch = AuthSwitch { plugin: b"client_ed25519", challenge: &data };
        let body = switch.encode().unwrap();
        prop_assert_eq!(AuthReply::decode(&body, MODERN), Ok(AuthReply::Switch(switch)));
    }

    #[test]
    fn ok_packets_survive(
        rows: u64, id: u64, bits: u16, warnings: u16,
        info in "[a-z]{0,20}", state_changes: Vec<u8>, capabilities in capability_sets(),
    ) {
        let track = capabilities.contains(Capabilities::SESSION_TRACK);
        let status = StatusFlags::from_bits(bits);
        let changed = track && status.contains(StatusFlags::SESSION_STATE_CHANGED);
        let ok = OkPacket {
            summary: OkSummary { affected_rows: rows, last_insert_id: id, status, warnings },
            info: info.as_bytes(),
            state_changes: if changed { &state_changes } else { &[] },
        };
        let body = ok.encode(capabilities);
        prop_assert_eq!(OkPacket::decode(&body, capabilities), Ok(ok));
        let body = ok.encode_after_rows(capabilities);
        prop_assert_eq!(OkPacket::decode(&body, capabilities), Ok(ok));
    }

    #[test]
    fn errors_survive(code: u16, sqlstate: [u8; 5], message: Vec<u8>) {
        let err = ErrPacket { summary: ErrSummary { code, sqlstate }, message: &message };
        let body = err.encode();
        prop_assert_eq!(ErrPacket::decode(&body), Ok(err));
    }

    #[test]
    fn definitions_rows_and_ends_survive(
        name: Vec<u8>, code: u8, flags: u16, values: Vec<Option<Vec<u8>>>, warnings: u16, bits: u16,
    ) {
        let column = Column { column_type: ColumnType(code), flags, ..Column::text(&name) };
        for capabilities in [Capabilities::NONE, Capabilities::EXTENDED_METADATA] {
            let body = column.encode(capabilities);
            prop_assert_eq!(Column::decode(&body, capabilities), Ok(column.clone()));
        }
        let row = TextRow { values: values.iter().map(Option::as_deref).collect() };
        let width = u16::try_from(values.len()).unwrap();
        let body = row.encode();
        prop_assert_eq!(TextRow::decode(&body, width), Ok(row));
        let eof = EofPacket { warnings, status: StatusFlags::from_bits(bits) };
        prop_assert_eq!(EofPacket::decode(&eof.encode()), Ok(eof));
    }

    #[test]
    fn extended_metadata_survives_and_is_read_only_where_it_was_agreed_on(
        type_name in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300)),
        format in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
        others in proptest::collection::vec((2..=255_u8, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let extended = ExtendedMetadata {
            type_name: type_name.as_deref(),
            format: format.as_deref(),
            others: others.iter().map(|(kind, said)| (*kind, said.as_slice())).collect(),
        };
        let agreed = Capabilities::EXTENDED_METADATA;
        let column = Column { extended, ..Column::text(b"name") };
        let body = column.encode(agreed);
        for len in 0..body.len() {
            prop_assert!(Column::decode(&body[..len], agreed).is_err(), "{} of {}", len, body.len());
        }
        prop_assert!(Column::decode(&body, Capabilities::NONE).is_err());
        prop_assert!(Column::decode(&column.encode(Capabilities::NONE), agreed).is_err());
        prop_assert_eq!(Column::decode(&body, agreed), Ok(column));
    }

    #[test]
    fn no_extended_metadata_panics(field: Vec<u8>, behind: Vec<u8>, honest: bool) {
        let length = if honest { vec![u8::try_from(field.len().min(0xfa)).unwrap()] } else { vec![] };
        let body = [b"\x03def\0\0\0\0\0", &length[..], &field, &behind].concat();
        let _ = Column::decode(&body, Capabilities::EXTENDED_METADATA);
        let _ = Column::check_listed(&body, body.len(), Capabilities::EXTENDED_METADATA);
    }

    #[test]
    fn no_bytes_panic(body: Vec<u8>, header in 0..=0x20_u8, flags: u32, parameters in 0..40_u16) {
        let capabilities = Capabilities::from_bits(flags.into());
        let headed = [&[header], body.as_slice()].concat();
        for body in [&body, &headed] {
            let _ = Greeting::decode(body);
            let _ = SslRequest::decode(body);
            let _ = HandshakeResponse::decode(body);
            let _ = AuthReply::decode(body, capabilities);
            let _ = Command::decode(body, capabilities);
            let _ = OkPacket::decode(body, capabilities);
            let _ = Column::decode(body, capabilities);
            let _ = TextRow::decode(body, parameters);
            let types = [ParameterType { column_type: ColumnType::TIME, unsigned: true }; 3];
            let _ = ExecuteParams::decode(body, Statement { parameters, types: &types, long_data: &[1] });
        }
    }

    #[test]
    fn no_handshake_with_any_tail_panics(flags: u32, tail: Vec<u8>) {
        let head = [&(flags | 0x200).to_le_bytes()[..], &[0; 28], b"user\0", &tail].concat();
        let _ = HandshakeResponse::decode(&head);
        let greeting = [b"\x0a8.4\0", &[1; 12][..], &[0], &flags.to_le_bytes(), &tail].concat();
        let _ = Greeting::decode(&greeting);
        let change = [b"\x11user\0\x01x\0", tail.as_slice()].concat();
        let _ = Command::decode(&change, Capabilities::from_bits(u64::from(flags)));
    }
}
