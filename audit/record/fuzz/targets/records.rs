//! Records: of any bytes, and of each kind with a part exchanged. What is accepted has no other text, and follows or does not follow
//! another one without a panic. Payloads, on the same bytes.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use record::{Head, Payload, Record, Salt, samples};
use tlog::Hash;

/// A record of each kind, and a payload behind its salt.
static KINDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let records = samples::every_kind().into_iter().map(|leaf| leaf.text);
    records.chain([samples::salted("SELECT total FROM orders")]).collect()
});

fn is_its_only_text(text: &[u8]) {
    if let Ok(record) = Record::decode(text) {
        assert_eq!(record.encode().unwrap(), text);
        _ = Head::default().after(&record, Hash::of_leaf(text));
    }
}

/// What is kept of a payload is what is checked, and is read again as the same.
fn is_kept(bytes: &[u8]) {
    let Ok(payload) = Payload::decode(bytes) else {
        assert!(Payload::check(bytes).is_err());
        return;
    };
    assert!(Payload::check(bytes).is_ok());
    let (salt, _) = bytes.split_first_chunk().unwrap();
    assert_eq!(Payload::decode(&payload.encode(Salt(*salt))).unwrap(), payload);
}

fuzz_target!(|input: (u8, u16, u8, &[u8])| {
    let (kind, at, gone, bytes) = input;
    let mut text = KINDS[usize::from(kind) % KINDS.len()].clone();
    let begin = usize::from(at) % text.len();
    let end = text.len().min(begin + usize::from(gone));
    text.splice(begin..end, bytes.iter().copied());
    for any in [bytes, &text] {
        is_its_only_text(any);
        is_kept(any);
    }
});
