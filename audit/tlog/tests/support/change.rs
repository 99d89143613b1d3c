//! What goes wrong with bytes on their way: a few of them changed, lost, added or doubled.

use proptest::prelude::*;
use proptest::sample::Index;

/// One thing that goes wrong, somewhere.
#[derive(Clone, Debug)]
pub struct Change {
    place: Index,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Flip(u8),
    Put(u8),
    Insert(u8),
    Double(usize),
    Lose(usize),
    EndHere,
}

/// One to four things that go wrong with the same bytes.
pub fn changes() -> impl Strategy<Value = Vec<Change>> {
    // The signs that these formats are made of, among them two that stand where a name may not have them.
    let sign = prop::sample::select(b"\n +=/0A9x.\t\r\x00\x7f\xe2".as_slice());
    let what = prop_oneof![
        4 => (0_u8..8).prop_map(What::Flip),
        2 => any::<u8>().prop_map(What::Put),
        2 => sign.clone().prop_map(What::Put),
        2 => sign.prop_map(What::Insert),
        1 => (1_usize..80).prop_map(What::Double),
        2 => (1_usize..80).prop_map(What::Lose),
        1 => Just(What::EndHere),
    ];
    let change = (any::<Index>(), what).prop_map(|(place, what)| Change { place, what });
    prop::collection::vec(change, 1..=4)
}

/// The bytes after all of that.
pub fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for Change { place, what } in changes {
        let at = place.index(bytes.len() + 1);
        let end = |length: usize| bytes.len().min(at + length);
        match *what {
            What::Flip(bit) => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit),
            What::Put(sign) => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = sign),
            What::Insert(sign) => bytes.insert(at, sign),
            What::Double(length) => bytes.splice(at..at, bytes[at..end(length)].to_vec()).for_each(drop),
            What::Lose(length) => drop(bytes.drain(at..end(length))),
            What::EndHere => bytes.truncate(at),
        }
    }
    bytes
}

/// The text after all of that; what is no text any more gets the sign for that.
pub fn changed_text(text: &str, changes: &[Change]) -> String {
    String::from_utf8_lossy(&changed(text.as_bytes(), changes)).into_owned()
}
