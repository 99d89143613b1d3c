//! Frames of any kind with any body: what is accepted is written as it came, and with a byte less or more it is none of that length. The
//! files of texts beside the tree, on the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use record::frame::{Frame, LONGEST_BODY};
use record::texts::Texts;
use tlog::{Holds, TileName, WIDTH};

fn header(length: usize, kind: u8) -> [u8; 5] {
    let [a, b, c, d] = u32::try_from(length).unwrap().to_be_bytes();
    [a, b, c, d, kind]
}

fuzz_target!(|input: (u8, u32, &[u8])| {
    let (kind, length, body) = input;
    // Whatever stands before a body says how much is taken, at the most.
    let [a, b, c, d] = length.to_be_bytes();
    if let Ok(length) = Frame::body_length([a, b, c, d, kind]) {
        assert!(length <= LONGEST_BODY);
    }
    let right = header(body.len(), kind);
    if let Ok(frame) = Frame::decode(right, body) {
        let mut again = Vec::new();
        frame.encode(&mut again).unwrap();
        assert_eq!(again, [right.as_slice(), body].concat());
        assert!(Frame::decode(header(body.len() + 1, kind), body).is_err());
    }
    let width = u16::from(kind);
    let name = TileName { holds: Holds::Entries, index: length.into(), width: if width == 0 { WIDTH } else { width } };
    if let Ok(texts) = Texts::parse(name, body) {
        let mut again = Vec::new();
        texts.texts().iter().for_each(|text| Texts::put(*text, &mut again).unwrap());
        assert_eq!(again, body);
    }
});
