//! A log that lies alters entries, and signs the tree anew; the chains of the writers stay as they are.

use audit::samples::{Dice, Entry, Files};
use record::{Record, What};

use super::{Expected, Good, expects, relaid};

pub(super) fn drops_an_entry(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.followed(dice);
    Some((relaid(good, |entries| drop(entries.remove(at))), expects(&["gap"], good.stream(at))))
}

pub(super) fn doubles_an_entry(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.place(dice);
    let to = at + 1 + dice.below(good.entries.len() - at);
    let files = relaid(good, |entries| entries.insert(to, entries[at].clone()));
    Some((files, expects(&["two-histories", "after-close"], good.stream(at))))
}

pub(super) fn exchanges_two_entries(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let one = good.followed(dice);
    let other = good.next(one, &good.records[one])?;
    Some((
        relaid(good, |entries| entries.swap(one, other)),
        expects(&["gap", "two-histories"], good.stream(one)),
    ))
}

pub(super) fn alters_an_entry(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.followed(dice);
    let mut record = good.records[at].clone();
    record.at = record::Time::from_micros(record.at.micros() + 1).unwrap();
    let leaf = record.encode().unwrap();
    Some((relaid(good, |entries| entries[at].leaf = leaf), expects(&["not-after"], good.stream(at))))
}

pub(super) fn alters_the_last_entry_of_a_stream(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Close(_)))?;
    let mut record = good.records[at].clone();
    record.at = record::Time::from_micros(record.at.micros() + 1).unwrap();
    let leaf = record.encode().unwrap();
    Some((relaid(good, |entries| entries[at].leaf = leaf), expects(&["receipt-head"], None)))
}

pub(super) fn inserts_an_entry(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.followed(dice);
    let mut record = good.records[at].clone();
    record.n = record.n.next();
    record.prev = Some(tlog::Hash::of_leaf(&good.entries[at].leaf));
    let entry = Entry { leaf: record.encode().unwrap(), text: None };
    let files = relaid(good, |entries| entries.insert(at + 1, entry));
    Some((files, expects(&["two-histories"], good.stream(at))))
}

pub(super) fn writes_an_entry_otherwise(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.place(dice);
    let leaf = match dice.below(4) {
        0 => [good.entries[at].leaf.as_slice(), b" "].concat(),
        1 => String::from_utf8(good.entries[at].leaf.clone())
            .unwrap()
            .replacen("\"at\":", "\"at\": ", 1)
            .into_bytes(),
        2 => Vec::new(),
        _ => b"{}".to_vec(),
    };
    Some((relaid(good, |entries| entries[at].leaf = leaf), expects(&["no-record"], None)))
}

pub(super) fn renumbers_a_stream(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let from = good.any(dice, |_, record| record.n.get() > 0)?;
    let stream = good.records[from].stream.clone();
    let files = relaid(good, |entries| {
        for (entry, record) in entries.iter_mut().zip(&good.records).skip(from) {
            if record.stream == stream {
                let record = Record { n: record.n.next(), ..record.clone() };
                entry.leaf = record.encode().unwrap();
            }
        }
    });
    Some((files, expects(&["gap"], Some(stream))))
}
