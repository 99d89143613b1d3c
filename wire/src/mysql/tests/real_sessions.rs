//! Replays sessions of real clients with a real server (`golden/mysql/README.md`): every packet is read, those that we
//! also write come out byte for byte, and every answer ends exactly where the server stopped.

#![allow(clippy::arithmetic_side_effects)]

use crate::mysql::command::Command;
use crate::mysql::command::execute_params::{ExecuteParams, Statement};
use crate::mysql::connect::auth::{Authenticator, Transport};
use crate::mysql::connect::auth_reply::AuthReply;
use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::connect::greeting::Greeting;
use crate::mysql::connect::handshake_response::HandshakeResponse;
use crate::mysql::frame::{HEADER_LEN, Header, Sequence};
use crate::mysql::response::column::Column;
use crate::mysql::response::eof::EofPacket;
use crate::mysql::response::err::ErrPacket;
use crate::mysql::response::ok::OkPacket;
use crate::mysql::response::prepare_ok::PrepareOk;
use crate::mysql::response::{Answer, ResponseTracker, Seen};
use crate::mysql::rows::text_row::TextRow;
use std::collections::HashMap;

const PASSWORD: &[u8] = b"example-password";

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum From {
    Client,
    Server,
}

struct Frames(std::iter::Peekable<std::vec::IntoIter<(From, Vec<u8>)>>);

impl Frames {
    fn of(session: &str) -> Self {
        let frame = |line: &str| {
            let (from, hex) = line.split_once(' ').unwrap();
            let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
            (if from == ">" { From::Client } else { From::Server }, bytes.collect())
        };
        Self(session.lines().map(frame).collect::<Vec<_>>().into_iter().peekable())
    }

    /// The next frame's payload, which must be from there.
    fn body(&mut self, from: From) -> Vec<u8> {
        let frame = self.0.next_if(|(found, _)| *found == from).unwrap().1;
        assert_eq!(Header::decode(*frame.first_chunk().unwrap()).len, frame.len() - HEADER_LEN);
        frame[HEADER_LEN..].to_vec()
    }

    /// All the server sends until the client speaks again.
    fn answer(&mut self) -> Vec<u8> {
        std::iter::from_fn(|| self.0.next_if(|(from, _)| *from == From::Server))
            .flat_map(|(_, frame)| frame)
            .collect()
    }
}

/// What happened in a session, as far as tests ask.
#[derive(Default)]
struct Told {
    commands: Vec<&'static str>,
    answers: Vec<Vec<Seen>>,
    rows: u64,
    /// What was said of columns beyond their type, in results.
    extended: Vec<String>,
}

fn replayed(session: &str) -> Told {
    let mut frames = Frames::of(session);
    let capabilities = connection_phase(&mut frames);
    let mut told = Told::default();
    let mut prepared = HashMap::new();
    while frames.0.peek().is_some() {
        let body = frames.body(From::Client);
        let command = Command::decode(&body, capabilities).unwrap();
        told.commands.push(command.name());
        if let Command::ChangeUser(user) = &command {
            assert_eq!((user.user, user.database), (b"requester".as_slice(), b"shop".as_slice()));
            authenticated(&mut frames, capabilities);
            continue;
        }
        // An unsupported command gets an ERR from the server.
        let answer = frames.answer();
        let shape = command.answer().unwrap_or(Answer::Simple);
        let (seen, rows) = followed(shape, capabilities, &answer);
        told.extended.extend(extended(shape, capabilities, &answer));
        told.rows += rows;
        if let Some(Seen::PrepareOk(statement)) = seen.first() {
            prepared.insert(statement.id, statement.parameters);
        }
        if let Command::StmtExecute(execute) = &command {
            prepared.get(&execute.id).into_iter().for_each(|count| executed(execute.parameters, *count));
        }
        told.answers.push(seen);
    }
    told
}

/// Returns the agreed capabilities.
fn connection_phase(frames: &mut Frames) -> Capabilities {
    let body = frames.body(From::Server);
    let greeting = Greeting::decode(&body).unwrap();
    assert_eq!(greeting.encode().unwrap(), body);
    let response = frames.body(From::Client);
    let response = HandshakeResponse::decode(&response).unwrap();
    assert!(response.user.ends_with(b"requester"));
    let mut native = Authenticator::start(response.auth_plugin, PASSWORD, Transport::Plain).unwrap();
    assert_eq!(native.answer(&greeting.challenge).unwrap().unwrap().as_slice(), response.auth_response);
    let capabilities = response.head.capabilities.intersection(greeting.capabilities);
    authenticated(frames, capabilities);
    capabilities
}

/// Goes on until the server's OK, and checks that we would have answered as the client did.
fn authenticated(frames: &mut Frames, capabilities: Capabilities) {
    loop {
        let reply = frames.body(From::Server);
        match AuthReply::decode(&reply, capabilities).unwrap() {
            AuthReply::Ok(_) => return,
            AuthReply::Switch(switch) => {
                assert_eq!(switch.encode().unwrap(), reply);
                let mut plugin = Authenticator::start(switch.plugin, PASSWORD, Transport::Plain).unwrap();
                let answer = plugin.answer(switch.challenge).unwrap().unwrap();
                assert_eq!(answer.as_slice(), frames.body(From::Client));
            }
            other => panic!("{other:?}"),
        }
    }
}

fn followed(answer: Answer, capabilities: Capabilities, stream: &[u8]) -> (Vec<Seen>, u64) {
    let mut tracker = ResponseTracker::new(answer, capabilities, Sequence::starting_at(1));
    let (mut rest, mut seen, mut columns) = (stream, Vec::new(), 0);
    while !rest.is_empty() {
        let observed = tracker.observe(rest).unwrap().unwrap();
        let (frame, behind) = rest.split_at(observed.len);
        if let Seen::ColumnCount(count) = observed.seen {
            columns = count;
        }
        written_as_read(answer, &observed.seen, &frame[HEADER_LEN..], (capabilities, columns));
        seen.push(observed.seen);
        rest = behind;
    }
    assert!(tracker.is_complete(), "{answer:?} {seen:?}");
    assert_eq!(tracker.bytes(), stream.len() as u64);
    (seen, tracker.rows())
}

/// What is said of the columns of an answer.
fn extended(answer: Answer, capabilities: Capabilities, stream: &[u8]) -> Vec<String> {
    let mut tracker = ResponseTracker::new(answer, capabilities, Sequence::starting_at(1));
    let (mut rest, mut said) = (stream, Vec::new());
    while !rest.is_empty() {
        let observed = tracker.observe(rest).unwrap().unwrap();
        if observed.seen == Seen::Definition && answer != Answer::FieldList {
            let column = Column::decode(&rest[HEADER_LEN..observed.len], capabilities).unwrap();
            let names = [column.extended.type_name, column.extended.format].into_iter().flatten();
            said.extend(names.map(|name| String::from_utf8(name.to_vec()).unwrap()));
        }
        rest = &rest[observed.len..];
    }
    said
}

fn written_as_read(answer: Answer, seen: &Seen, body: &[u8], (capabilities, columns): (Capabilities, u16)) {
    let written = match seen {
        Seen::Ok(_) => OkPacket::decode(body, capabilities).unwrap().encode(capabilities),
        Seen::RowsEnd { .. } if capabilities.contains(Capabilities::DEPRECATE_EOF) => {
            OkPacket::decode(body, capabilities).unwrap().encode_after_rows(capabilities)
        }
        Seen::DefinitionsEnd(_) | Seen::RowsEnd { .. } => EofPacket::decode(body).unwrap().encode(),
        Seen::Err(_) => ErrPacket::decode(body).unwrap().encode(),
        Seen::PrepareOk(_) => PrepareOk::decode(body).unwrap().encode(),
        Seen::Definition if answer != Answer::FieldList => {
            Column::decode(body, capabilities).unwrap().encode(capabilities)
        }
        Seen::Row if answer == Answer::Query => TextRow::decode(body, columns).unwrap().encode(),
        _ => return,
    };
    assert_eq!(written, body, "{seen:?}");
}

/// Executions in these sessions that name no types are of a statement that bound an integer and a text before.
fn executed(block: &[u8], parameters: u16) {
    let bound = ExecuteParams::decode(
        &[0, 1, 3, 0, 0xfd, 0, 0, 0, 0, 0, 0],
        Statement { parameters: 2, types: &[], long_data: &[] },
    );
    let types = bound.unwrap().types;
    let decode = |long_data| ExecuteParams::decode(block, Statement { parameters, types: &types, long_data });
    // Where the second value is missing it came as long data.
    let decoded = decode(&[]).or_else(|_| decode(&[1])).unwrap();
    assert_eq!(decoded.values.len(), usize::from(parameters));
}

#[test]
fn the_mariadb_client_queries() {
    let told = replayed(include_str!("../../../golden/mysql/mariadb-client.txt"));
    assert_eq!(told.commands, ["COM_QUERY", "COM_QUERY", "COM_INIT_DB", "COM_QUERY", "COM_QUIT"]);
    assert_eq!(told.rows, 3);
    assert!(matches!(told.answers[3][..], [Seen::Err(err)] if err.code == 1146 && &err.sqlstate == b"42S02"));
}

#[test]
fn the_mariadb_client_calls_a_procedure_with_two_results() {
    let told = replayed(include_str!("../../../golden/mysql/mariadb-client-call.txt"));
    let ends = |seen: &Vec<Seen>| seen.iter().filter(|seen| matches!(seen, Seen::RowsEnd { .. })).count();
    assert_eq!(ends(&told.answers[0]), 2);
    assert!(matches!(told.answers[0].last(), Some(Seen::Ok(_))));
}

#[test]
fn the_mariadb_client_logs_in_with_ed25519() {
    assert_eq!(replayed(include_str!("../../../golden/mysql/mariadb-client-ed25519.txt")).rows, 1);
}

#[test]
fn the_mariadb_client_asks_for_extended_metadata_and_gets_it_in_every_definition() {
    let told = replayed(include_str!("../../../golden/mysql/mariadb-client-extended.txt"));
    assert_eq!(told.extended, ["json", "point", "inet6", "json"]);
    let listed = told.commands.iter().position(|command| *command == "COM_FIELD_LIST").unwrap();
    let definitions = told.answers[listed].iter().filter(|seen| **seen == Seen::Definition);
    assert_eq!(definitions.count(), 5);
}

#[test]
fn mysql_connector_python_prepares_resets_and_changes_the_user() {
    let told = replayed(include_str!("../../../golden/mysql/mysql-connector-python.txt"));
    for command in ["COM_STMT_PREPARE", "COM_STMT_EXECUTE", "COM_RESET_CONNECTION", "COM_CHANGE_USER"] {
        assert!(told.commands.contains(&command), "{command}");
    }
}

#[test]
fn pymysql_queries() {
    assert_eq!(replayed(include_str!("../../../golden/mysql/pymysql.txt")).rows, 2);
}

/// Every command, with its answers in both dialects.
fn every_command(session: &str) {
    let told = replayed(session);
    assert!(told.commands.len() > 50);
    assert_eq!(told.answers.last().unwrap(), &[Seen::LocalInfile]);
    let writable = |seen: &Seen| seen.status().is_some_and(|status| status.in_writable_transaction());
    // BEGIN and the SELECT inside it; not START TRANSACTION READ ONLY and its SELECT.
    let in_transaction: Vec<_> =
        (0..told.answers.len()).filter(|at| told.answers[*at].iter().any(writable)).collect();
    assert_eq!(in_transaction, [7, 8]);
}

#[test]
fn every_command_and_answer_without_deprecate_eof() {
    every_command(include_str!("../../../golden/mysql/raw-eof.txt"));
}

#[test]
fn every_command_and_answer_with_deprecate_eof() {
    every_command(include_str!("../../../golden/mysql/raw-deprecate-eof.txt"));
}
