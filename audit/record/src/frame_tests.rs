//! Frames: their layout, their bounds, and what comes from outside.

use proptest::prelude::*;

use super::*;

fn bytes(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes).unwrap();
    bytes
}

fn parsed(bytes: &[u8]) -> Result<Frame, BadFrame> {
    let (header, body) = bytes.split_first_chunk().unwrap();
    Frame::decode(*header, body)
}

fn hello() -> Frame {
    let head = Head { count: Count::of(2), last: Some(Hash([9; 32])) };
    Frame::Hello(Hello { head, stream: "operator/7".parse().unwrap() })
}

#[test]
fn the_layout_is_that_of_the_table() {
    let expected = [&[0, 0, 0, 50, 1, 0, 0, 0, 0, 0, 0, 0, 2], [9; 32].as_slice(), b"operator/7"].concat();
    assert_eq!(bytes(&hello()), expected);
    assert_eq!(bytes(&Frame::Ack(Count::of(258))), [0, 0, 0, 8, 4, 0, 0, 0, 0, 0, 0, 1, 2]);
    let records = vec![Carried { leaf: b"{}".to_vec(), payload: b"p".to_vec() }];
    let append = bytes(&Frame::Append(Append { n: Count::of(3), records }));
    assert_eq!(append, b"\0\0\0\x13\x03\0\0\0\0\0\0\0\x03\0\0\0\x02{}\0\0\0\x01p");
    let refuse = Frame::Refuse(Refuse { code: Code::Full, sentence: "full".to_owned() });
    assert_eq!(bytes(&refuse), b"\0\0\0\x05\x05\x08full");
}

#[test]
fn a_length_is_refused_before_anything_is_allocated_for_it() {
    assert_eq!(Frame::body_length([0, 0x40, 0, 0, 3]), Ok(LONGEST_BODY));
    assert_eq!(Frame::body_length([0, 0x40, 0, 1, 3]), Err(BadFrame::TooLong(LONGEST_BODY + 1)));
    assert_eq!(Frame::body_length([0, 0, 0, 0, 6]), Err(BadFrame::Kind(6)));
    assert_eq!(Frame::body_length([0, 0, 0, 0, 0]), Err(BadFrame::Kind(0)));
    let carried = Carried { leaf: vec![b'x'; LONGEST], payload: vec![0; LONGEST_BODY] };
    let append = Frame::Append(Append { n: Count::of(0), records: vec![carried] });
    assert!(matches!(append.encode(&mut Vec::new()), Err(BadFrame::TooLong(_))));
}

#[test]
fn a_body_that_is_short_long_or_contradicts_itself_is_refused() {
    let good = bytes(&hello());
    for length in HEADER..good.len() {
        assert_eq!(parsed(&good[..length]), Err(BadFrame::Body), "{length} bytes");
    }
    let with_length = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        parsed(&[length.as_slice(), &[kind], body].concat())
    };
    let no_head = [0; 40];
    assert!(with_length(1, &[no_head.as_slice(), b"log/1"].concat()).is_ok());
    let head_of_nothing = [[0; 8].as_slice(), &[1; 32], b"log/1"].concat();
    assert_eq!(with_length(1, &head_of_nothing), Err(BadFrame::Body));
    assert_eq!(with_length(3, &[0; 8]), Err(BadFrame::Body), "no record");
    assert_eq!(with_length(3, b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), Err(BadFrame::Body), "an empty record");
    assert_eq!(with_length(4, &[0xff; 8]), Err(BadFrame::Body), "more than can be counted");
    assert_eq!(with_length(4, &[0; 9]), Err(BadFrame::Body));
    assert_eq!(with_length(5, &[11]), Err(BadFrame::Body), "an unknown code");
    assert_eq!(with_length(5, &[[1].as_slice(), &[b'x'; 1025]].concat()), Err(BadFrame::Body));
}

#[test]
fn debug_shows_no_record() {
    let carried = Carried { leaf: b"leaf".to_vec(), payload: b"secret".to_vec() };
    assert_eq!(format!("{carried:?}"), "Carried { leaf: 4, payload: 6 }");
}

fn heads() -> impl Strategy<Value = Head> {
    let some = (1..1_u64 << 53, any::<[u8; 32]>());
    prop_oneof![
        Just(Head::default()),
        some.prop_map(|(count, hash)| Head { count: Count::of(count), last: Some(Hash(hash)) }),
    ]
}

fn frames() -> impl Strategy<Value = Frame> {
    let count = || (0..1_u64 << 53).prop_map(Count::of);
    let carried = (prop::collection::vec(any::<u8>(), 1..200), any::<Vec<u8>>())
        .prop_map(|(leaf, payload)| Carried { leaf, payload });
    let used = (count(), count(), count(), count()).prop_map(|(statements, refused, rows, bytes)| Used {
        statements,
        refused,
        rows,
        bytes,
    });
    prop_oneof![
        (heads(), "[a-z0-9-]{1,40}/[0-9a-f]{16}").prop_filter_map("a reserved word", |(head, stream)| {
            Some(Frame::Hello(Hello { head, stream: stream.parse().ok()? }))
        }),
        (heads(), count(), any::<[u8; 32]>(), used).prop_map(|(head, size, root, used)| {
            Frame::Welcome(Welcome { head, size, root: Hash(root), used })
        }),
        (count(), prop::collection::vec(carried, 1..20))
            .prop_map(|(n, records)| Frame::Append(Append { n, records })),
        count().prop_map(Frame::Ack),
        (prop::sample::select(Code::ALL), ".{0,100}")
            .prop_map(|(code, sentence)| Frame::Refuse(Refuse { code, sentence })),
    ]
}

proptest! {
    #[test]
    fn what_was_sent_arrives(frame in frames()) {
        prop_assert_eq!(parsed(&bytes(&frame)), Ok(frame));
    }

    #[test]
    fn nothing_that_comes_from_outside_panics_and_there_is_one_form(
        frame in frames(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index, kind in 1_u8..=5,
    ) {
        let mut changed = bytes(&frame);
        let at = at.index(changed.len());
        changed[at] = byte;
        changed[4] = kind;
        changed.truncate(HEADER.max(cut.index(changed.len())));
        if let Ok(frame) = parsed(&changed) {
            prop_assert_eq!(bytes(&frame), changed);
        }
    }
}
