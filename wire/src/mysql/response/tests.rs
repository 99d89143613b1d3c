//! Answers made by hand: the attacks and the corners that no ordinary server shows.

#![allow(clippy::arithmetic_side_effects)]

use super::*;
use crate::mysql::frame::{self, MAX_PAYLOAD};
use crate::mysql::response::column::Column;
use crate::mysql::response::err::ErrPacket;
use crate::mysql::response::ok::OkPacket;
use proptest::prelude::*;

const PLAIN: Capabilities = Capabilities::NONE;
const DEPRECATE: Capabilities = Capabilities::DEPRECATE_EOF;
const EXTENDED: Capabilities = Capabilities::EXTENDED_METADATA;
const COLUMN: &[u8] = b"\x03def\0\0\0\x01a\0\x0c\x2d\0\0\x04\0\0\xfd\0\0\0\0\0";
/// The same with extended metadata: none, and a format.
const COLUMNS_EXTENDED: [&[u8]; 2] = [
    b"\x03def\0\0\0\x01a\0\0\x0c\x2d\0\0\x04\0\0\xfd\0\0\0\0\0",
    b"\x03def\0\0\0\x01a\0\x06\x01\x04json\x0c\x2d\0\0\x04\0\0\xfd\0\0\0\0\0",
];

fn tracker(answer: Answer, capabilities: Capabilities) -> ResponseTracker {
    ResponseTracker::new(answer, capabilities, Sequence::starting_at(1))
}

fn wire(packets: &[&[u8]]) -> Vec<u8> {
    let (mut sequence, mut out) = (Sequence::starting_at(1), Vec::new());
    packets.iter().for_each(|packet| frame::encode(packet, &mut sequence, &mut out));
    out
}

/// Follows a whole stream; it must end where the answer does.
fn followed(
    mut tracker: ResponseTracker,
    stream: &[u8],
) -> Result<(Vec<Seen>, ResponseTracker), ResponseError> {
    let (mut rest, mut seen) = (stream, Vec::new());
    while !rest.is_empty() {
        let observed = tracker.observe(rest)?.expect("a whole frame");
        seen.push(observed.seen);
        rest = &rest[observed.len..];
    }
    Ok((seen, tracker))
}

fn seen(answer: Answer, capabilities: Capabilities, packets: &[&[u8]]) -> Vec<Seen> {
    let (seen, tracker) = followed(tracker(answer, capabilities), &wire(packets)).unwrap();
    assert!(tracker.is_complete());
    seen
}

fn refused(answer: Answer, capabilities: Capabilities, packets: &[&[u8]]) -> ResponseError {
    followed(tracker(answer, capabilities), &wire(packets)).map(|(seen, _)| seen).unwrap_err()
}

fn eof(status: StatusFlags) -> Vec<u8> {
    EofPacket { warnings: 0, status }.encode()
}

fn ok(status: StatusFlags) -> Vec<u8> {
    OkPacket { summary: OkSummary { status, ..OkSummary::default() }, ..OkPacket::default() }.encode(PLAIN)
}

fn ok_after_rows(status: StatusFlags) -> Vec<u8> {
    let mut packet = ok(status);
    packet[0] = 0xfe;
    packet
}

fn err() -> Vec<u8> {
    ErrPacket { summary: ErrSummary { code: 1317, sqlstate: *b"70100" }, message: b"interrupted" }.encode()
}

const NO_FLAGS: StatusFlags = StatusFlags::AUTOCOMMIT;
const MORE: StatusFlags = StatusFlags::MORE_RESULTS_EXISTS;

#[test]
fn a_request_for_a_local_file_is_told_and_ends_the_answer() {
    for answer in [Answer::Query, Answer::Execute] {
        assert_eq!(seen(answer, PLAIN, &[b"\xfb/etc/passwd"]), [Seen::LocalInfile]);
    }
    assert_eq!(refused(Answer::Query, PLAIN, &[b"\xfbfile", &ok(NO_FLAGS)]), ResponseError::AfterEnd);
}

#[test]
fn a_request_for_a_local_file_where_no_statement_runs_is_refused() {
    for answer in [Answer::Simple, Answer::Prepare, Answer::FieldList, Answer::Fetch] {
        let refusal = refused(answer, PLAIN, &[b"\xfbfile"]);
        assert_eq!(refusal, ResponseError::Unexpected { header: 0xfb, len: 5 });
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    assert_eq!(refused(Answer::Simple, PLAIN, &[&ok(NO_FLAGS), &ok(NO_FLAGS)]), ResponseError::AfterEnd);
    assert_eq!(refused(Answer::Query, PLAIN, &[&err(), &ok(NO_FLAGS)]), ResponseError::AfterEnd);
}

#[test]
fn a_command_without_an_answer_is_complete_at_once() {
    assert!(tracker(Answer::Nothing, PLAIN).is_complete());
    assert_eq!(refused(Answer::Nothing, PLAIN, &[&ok(NO_FLAGS)]), ResponseError::AfterEnd);
}

#[test]
fn a_frame_out_of_order_is_refused() {
    let mut stream = wire(&[&ok(NO_FLAGS)]);
    stream[3] = 9;
    let refusal = followed(tracker(Answer::Simple, PLAIN), &stream).map(|(seen, _)| seen);
    assert_eq!(refusal, Err(ResponseError::Order(OutOfOrder { expected: 1, found: 9 })));
}

#[test]
fn neither_end_nor_row_is_refused() {
    // A first column of 16 MiB and more cannot be in a frame this short, nor is this an EOF.
    for len in [6, 9, 100, MAX_PAYLOAD - 1] {
        let mut row = vec![0; len];
        row[0] = 0xfe;
        let refusal = refused(Answer::Query, PLAIN, &[&[1], COLUMN, &eof(NO_FLAGS), &row]);
        assert_eq!(refusal, ResponseError::Unexpected { header: 0xfe, len });
    }
}

#[test]
fn control_packets_of_a_whole_frame_are_refused() {
    for header in [0x00, 0xff] {
        let mut packet = vec![0; MAX_PAYLOAD];
        packet[0] = header;
        let refusal = refused(Answer::Query, PLAIN, &[&packet]);
        assert_eq!(refusal, ResponseError::Unexpected { header, len: MAX_PAYLOAD });
    }
}

#[test]
fn a_text_row_is_no_binary_row() {
    let refusal = refused(Answer::Execute, DEPRECATE, &[&[1], COLUMN, b"\x01a"]);
    assert_eq!(refusal, ResponseError::Unexpected { header: 1, len: 2 });
}

#[test]
fn rows_before_all_definitions_are_refused() {
    let refusal = refused(Answer::Query, DEPRECATE, &[&[2], COLUMN, b"\x01a"]);
    assert_eq!(refusal, ResponseError::Unexpected { header: 1, len: 2 });
    let refusal = refused(Answer::Query, PLAIN, &[&[1], COLUMN, b"\x01a"]);
    assert_eq!(refusal, ResponseError::Unexpected { header: 1, len: 2 });
}

fn one_parameter() -> Vec<u8> {
    PrepareOk { id: 1, columns: 0, parameters: 1, warnings: 0 }.encode()
}

/// Each answer with a definition, up to it and as it goes on.
fn with_definition(definition: &[u8]) -> [(Answer, Vec<Vec<u8>>); 4] {
    let (one, definition) = (vec![1], definition.to_vec());
    let listed = [&definition[..], b"\xfb"].concat();
    [
        (Answer::Query, vec![one.clone(), definition.clone(), eof(NO_FLAGS), eof(NO_FLAGS)]),
        (Answer::Execute, vec![one, definition.clone(), eof(NO_FLAGS), eof(NO_FLAGS)]),
        (Answer::Prepare, vec![one_parameter(), definition, eof(NO_FLAGS)]),
        (Answer::FieldList, vec![listed, eof(NO_FLAGS)]),
    ]
}

#[test]
fn definitions_have_the_shape_that_was_agreed_on_in_every_answer() {
    let each = |definition: &[u8], capabilities| {
        with_definition(definition).map(|(answer, packets)| {
            let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
            followed(tracker(answer, capabilities), &wire(&packets)).map(|(_, tracker)| tracker.is_complete())
        })
    };
    assert_eq!(each(COLUMN, PLAIN), [Ok(true); 4]);
    COLUMNS_EXTENDED.iter().for_each(|column| assert_eq!(each(column, EXTENDED), [Ok(true); 4]));
    let refused = |answers: [Result<bool, ResponseError>; 4]| {
        answers.iter().all(|answer| matches!(answer, Err(ResponseError::Packet(_))))
    };
    assert!(refused(each(COLUMN, EXTENDED)), "it was omitted though agreed on");
    assert!(COLUMNS_EXTENDED.iter().all(|column| refused(each(column, PLAIN))), "it was not agreed on");
    for len in 1..COLUMN.len() {
        assert!(refused(each(&COLUMN[..len], PLAIN)), "{len}");
    }
    for column in COLUMNS_EXTENDED {
        (1..column.len()).for_each(|len| assert!(refused(each(&column[..len], EXTENDED)), "{len}"));
    }
}

#[test]
fn a_definition_is_waited_for_as_a_whole_and_the_default_value_behind_it_is_not() {
    for capabilities in [PLAIN, EXTENDED] {
        let column = Column { original_name: &[b'n'; HEAD_LEN], ..Column::text(b"a") }.encode(capabilities);
        let stream = wire(&[&[1], &column]);
        let mut tracker = tracker(Answer::Query, capabilities);
        let before = tracker.observe(&stream).unwrap().unwrap().len;
        for len in before..stream.len() {
            assert_eq!(tracker.observe(&stream[before..len]), Ok(None));
        }
        assert_eq!(tracker.observe(&stream[before..]).unwrap().unwrap().seen, Seen::Definition);
    }
    let listed = wire(&[&[COLUMN, b"\xfd\0\0\x02", &[b'd'; 0x2_0000]].concat()]);
    let here = &listed[..HEADER_LEN + column::LONGEST];
    let seen = tracker(Answer::FieldList, PLAIN).observe(here).unwrap().unwrap();
    assert_eq!((seen.seen, seen.len), (Seen::Definition, listed.len()));
}

#[test]
fn a_definition_longer_than_any_is_refused_before_it_is_here() {
    let named = |len: usize| Column { name: &vec![b'n'; len], ..Column::text(b"") }.encode(PLAIN);
    // Beside a name of two bytes more of length.
    let rest = COLUMN.len() - 1 + 2;
    let (longest, longer) = (named(column::LONGEST - rest), named(column::LONGEST - rest + 1));
    assert_eq!(seen(Answer::Query, DEPRECATE, &[&[1], &longest, &ok_after_rows(NO_FLAGS)]).len(), 3);
    let stream = wire(&[&[1], &longer]);
    let mut tracker = tracker(Answer::Query, DEPRECATE);
    let count = tracker.observe(&stream).unwrap().unwrap().len;
    let front = &stream[count..count + HEADER_LEN + column::LONGEST];
    let unexpected = ResponseError::Unexpected { header: DEFINITION, len: longer.len() };
    assert_eq!(tracker.observe(front), Err(unexpected));
}

#[test]
fn column_counts_that_no_server_sends_are_refused() {
    for count in [b"\xfd\0\0\x01".as_slice(), b"\xfc\0\0", b"\x01\x01", b"\xfe\0\0"] {
        let refusal = refused(Answer::Query, PLAIN, &[count]);
        assert!(matches!(refusal, ResponseError::Unexpected { .. } | ResponseError::Packet(_)), "{count:?}");
    }
}

#[test]
fn an_empty_packet_is_refused() {
    let empty = ResponseError::Packet(Malformed::Truncated { missing: 1 });
    assert_eq!(refused(Answer::Query, PLAIN, &[b""]), empty);
    assert_eq!(refused(Answer::Query, DEPRECATE, &[&[1], COLUMN, b""]), empty);
}

#[test]
fn an_error_may_come_in_the_midst_of_a_result() {
    let error = Seen::Err(ErrSummary { code: 1317, sqlstate: *b"70100" });
    let with_row = seen(Answer::Query, DEPRECATE, &[&[1], COLUMN, b"\x01a", &err()]);
    assert_eq!(with_row, [Seen::ColumnCount(1), Seen::Definition, Seen::Row, error]);
    assert_eq!(
        seen(Answer::Query, PLAIN, &[&[2], COLUMN, &err()]),
        [Seen::ColumnCount(2), Seen::Definition, error]
    );
    assert_eq!(seen(Answer::Fetch, PLAIN, &[&[0, 0, 1], &err()]), [Seen::Row, error]);
}

#[test]
fn a_row_whose_first_column_has_16_mib_is_a_row_and_not_an_end() {
    let mut row = vec![b'x'; MAX_PAYLOAD + 9];
    row[..9].copy_from_slice(&[0xfe, 0, 0, 0, 1, 0, 0, 0, 0]);
    for (capabilities, end) in [(PLAIN, eof(NO_FLAGS)), (DEPRECATE, ok_after_rows(NO_FLAGS))] {
        let mut packets: Vec<&[u8]> = vec![&[1], COLUMN];
        let eof = eof(NO_FLAGS);
        if capabilities == PLAIN {
            packets.push(&eof);
        }
        packets.extend([row.as_slice(), &end]);
        let (seen, tracker) = followed(tracker(Answer::Query, capabilities), &wire(&packets)).unwrap();
        let expected = [Seen::Row, Seen::Continuation, Seen::RowsEnd { status: NO_FLAGS, warnings: 0 }];
        assert_eq!(seen[seen.len() - 3..], expected);
        assert_eq!((tracker.rows(), tracker.is_complete()), (1, true));
    }
}

#[test]
fn a_continuation_that_looks_like_an_error_or_an_end_is_neither() {
    for look in [err(), eof(NO_FLAGS), b"\xfbfile".to_vec(), Vec::new()] {
        let row = [vec![b'x'; MAX_PAYLOAD], look].concat();
        let row = [&[0xfa], &row[1..]].concat();
        let seen = seen(Answer::Query, DEPRECATE, &[&[1], COLUMN, &row, &ok_after_rows(NO_FLAGS)]);
        assert_eq!(seen[2..4], [Seen::Row, Seen::Continuation]);
    }
}

#[test]
fn an_answer_goes_on_while_more_results_exist() {
    let packets: [&[u8]; 7] = [
        &[1],
        COLUMN,
        b"\x01a",
        &ok_after_rows(MORE),
        &ok(MORE),
        &ok(MORE.with(StatusFlags::IN_TRANS)),
        &ok(NO_FLAGS),
    ];
    let seen = seen(Answer::Query, DEPRECATE, &packets);
    assert_eq!(seen.iter().filter(|seen| matches!(seen, Seen::Ok(_))).count(), 3);
    assert!(seen[5].status().unwrap().in_writable_transaction());
}

#[test]
fn a_prepared_statement_without_parameters_or_columns_is_one_packet() {
    let prepared = |columns, parameters| PrepareOk { id: 1, columns, parameters, warnings: 0 };
    for capabilities in [PLAIN, DEPRECATE] {
        let none = prepared(0, 0);
        assert_eq!(seen(Answer::Prepare, capabilities, &[&none.encode()]), [Seen::PrepareOk(none)]);
    }
    let both = prepared(1, 2);
    let with_eof = seen(
        Answer::Prepare,
        PLAIN,
        &[&both.encode(), COLUMN, COLUMN, &eof(NO_FLAGS), COLUMN, &eof(NO_FLAGS)],
    );
    assert_eq!(with_eof.len(), 6);
    let without = seen(Answer::Prepare, DEPRECATE, &[&both.encode(), COLUMN, COLUMN, COLUMN]);
    assert_eq!(without, [Seen::PrepareOk(both), Seen::Definition, Seen::Definition, Seen::Definition]);
}

#[test]
fn a_cursor_ends_the_answer_with_the_definitions_but_only_of_an_execution() {
    let cursor = eof(StatusFlags::CURSOR_EXISTS);
    assert_eq!(seen(Answer::Execute, PLAIN, &[&[1], COLUMN, &cursor]).len(), 3);
    let query = wire(&[&[1], COLUMN, &cursor]);
    let (_, tracker) = followed(tracker(Answer::Query, PLAIN), &query).unwrap();
    assert!(!tracker.is_complete());
}

#[test]
fn bytes_count_headers_and_all_frames() {
    let stream = wire(&[&[1], COLUMN, b"\x01a", &ok_after_rows(NO_FLAGS)]);
    let (_, tracker) = followed(tracker(Answer::Query, DEPRECATE), &stream).unwrap();
    assert_eq!((tracker.bytes(), tracker.rows()), (stream.len() as u64, 1));
    assert_eq!(tracker.sequence().peek(), 5);
}

#[test]
fn too_few_bytes_change_nothing() {
    let stream = wire(&[&ok(NO_FLAGS)]);
    let mut tracker = tracker(Answer::Simple, PLAIN);
    for len in 0..stream.len() {
        assert_eq!(tracker.observe(&stream[..len]), Ok(None));
    }
    assert!(tracker.observe(&stream).unwrap().is_some() && tracker.is_complete());
}

proptest! {
    #[test]
    fn no_stream_of_bytes_panics_or_counts_backwards(
        stream in proptest::collection::vec(prop_oneof![0..4_u8, 0xfa..=0xff_u8, any::<u8>()], 0..200),
        answer in prop_oneof![
            Just(Answer::Query), Just(Answer::Execute), Just(Answer::Prepare), Just(Answer::Fetch),
            Just(Answer::FieldList), Just(Answer::Statistics), Just(Answer::Simple),
        ],
        deprecate: bool,
        extended: bool,
    ) {
        let capabilities = if deprecate { DEPRECATE } else { PLAIN };
        let mut tracker = tracker(answer, if extended { capabilities.union(EXTENDED) } else { capabilities });
        let mut rest = stream.as_slice();
        while let Ok(Some(observed)) = tracker.observe(rest) {
            prop_assert!(observed.len >= HEADER_LEN);
            rest = rest.get(observed.len..).unwrap_or_default();
        }
    }
}
