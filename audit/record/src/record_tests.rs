//! Records: that each has one text, and what is none.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{Leaf, samples};

/// A record of every kind as JSON, keys sorted.
fn every_kind() -> Vec<(Vec<u8>, Value)> {
    let leaves = samples::every_kind();
    leaves.into_iter().map(|leaf| (leaf.text.clone(), serde_json::from_slice(&leaf.text).unwrap())).collect()
}

/// The text of the sample of a kind.
fn text(kind: &str) -> String {
    let is_it = |leaf: &Leaf| Record::decode(&leaf.text).unwrap().what.kind().1 == kind;
    String::from_utf8(samples::every_kind().into_iter().find(is_it).unwrap().text).unwrap()
}

#[test]
fn there_is_a_sample_of_every_kind_and_each_is_read_as_it_was_written() {
    let found: Vec<_> =
        samples::every_kind().iter().map(|leaf| Record::decode(&leaf.text).unwrap().what.kind()).collect();
    let table: Vec<_> = What::KINDS.iter().map(|(writer, kind, _)| (*writer, *kind)).collect();
    assert_eq!(found, table);
    let places =
        samples::every_kind().into_iter().map(|leaf| Record::decode(&leaf.text).unwrap().what.place());
    assert!(places.eq(0..table.len()));
    assert_eq!(table.iter().collect::<BTreeSet<_>>().len(), table.len(), "no kind is there twice");
}

/// The map of this library sorts by bytes, which is RFC 8785's order for the keys that there are: all of them are ASCII.
#[test]
fn the_text_of_every_kind_is_canonical() {
    for (text, value) in every_kind() {
        assert_eq!(String::from_utf8(text).unwrap(), value.to_string());
    }
}

#[test]
fn a_record_looks_so() {
    assert_eq!(
        text("credential"),
        concat!(
            r#"{"at":"2026-01-01T12:00:00.000002Z","by":"proxy","grant":"0b3f5a5e-8a5c-4b5e-9d6e-000000000003","kind":"credential","#,
            r#""n":2,"prev":"gtvhGZjYF0/h1wyrxPQmWe1xuTWyuVLsGZ0d5CQXIuQ=","stream":"0b3f5a5e-8a5c-4b5e-9d6e-000000000003/0909090909090909","#,
            r#""v":1,"what":{"expires":"2026-01-01T12:30:00.000000Z","lease":"database/creds/orders/x","user":"v-keyhole-1"}}"#,
        )
    );
}

#[test]
fn another_text_for_the_same_record_is_refused() {
    let text = text("credential");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(Record::decode(text.as_bytes()).is_ok());
    let spaced = serde_json::to_string_pretty(&value).unwrap();
    for (other, why) in [
        (spaced, "white space"),
        (format!("{text}\n"), "a line feed behind it"),
        (text.replace("orders", "order\\u0073"), "an escape that need not be"),
        (text.replace("orders/x", "orders\\/x"), "an escaped slash"),
        (text.replace(".000002Z", ".000002+00:00"), "an offset"),
        (text.replace(".000000Z", "Z"), "fewer digits"),
        (text.replace(".000000Z", ".0000000Z"), "more digits"),
        (text.replace("\"n\":2", "\"n\":2.0"), "a fraction"),
        (text.replace("\"n\":2", "\"n\":02"), "a zero before"),
        (text.replace("\"kind\"", "\"id\":null,\"kind\""), "null"),
    ] {
        assert_ne!(other, text, "{why}");
        assert!(Record::decode(other.as_bytes()).is_err(), "{why}: {other}");
    }
    let (at, rest) = text.strip_prefix('{').unwrap().split_once(',').unwrap();
    let moved = format!("{{{},{at}}}", rest.strip_suffix('}').unwrap());
    assert_eq!(Record::decode(moved.as_bytes()), Err(BadRecord::NotCanonical), "another order");
    let twice = format!("{{{at},{}", text.strip_prefix('{').unwrap());
    assert!(Record::decode(twice.as_bytes()).is_err(), "a key twice");
}

#[test]
fn what_contradicts_itself_is_refused() {
    let (term, open, owner) = (text("term"), text("open"), text("owner"));
    let prev = r#""prev":"CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=","#;
    for (bad, expected) in [
        (open.replace("\"v\":1", "\"v\":2"), BadRecord::Version(2)),
        (open.replace("\"by\":\"proxy\"", "\"by\":\"operator\""), BadRecord::Kind),
        (open.replace("\"kind\":\"open\"", "\"kind\":\"opened\""), BadRecord::Kind),
        (open.replace("\"kind\":\"open\"", "\"kind\":\"owner\""), BadRecord::Body),
        (open.replace("\"user\"", "\"more\":1,\"user\""), BadRecord::Body),
        (
            open.replace(
                "\"stream\":\"0b3f5a5e-8a5c-4b5e-9d6e-000000000003/0909090909090909\"",
                "\"stream\":\"operator/7\"",
            ),
            BadRecord::Contradicts("a kind of another writer than the stream's"),
        ),
        (
            open.replace("000000000003\",\"kind", "000000000004\",\"kind"),
            BadRecord::Contradicts("a proxy's record that is not about its own grant"),
        ),
        (
            open.replace("\"stream\"", &format!("{prev}\"stream\"")),
            BadRecord::Contradicts("the first record names one before it, or a later one none"),
        ),
        (
            owner.replace("\"n\":1", "\"n\":0"),
            BadRecord::Contradicts("the first record names one before it, or a later one none"),
        ),
        (
            open.replace("\"kind\"", "\"id\":\"x\",\"kind\""),
            BadRecord::Contradicts("an id, which only the operator's records have"),
        ),
    ] {
        assert_eq!(Record::decode(bad.as_bytes()), Err(expected), "{bad}");
    }
    assert!(Record::decode(term.as_bytes()).is_ok() && Record::decode(owner.as_bytes()).is_ok());
}

#[test]
fn a_record_of_the_longest_names_fits_into_an_entry() {
    let name = |sign: &str| format!("{}.{}", sign.repeat(64), sign.repeat(64));
    // An identifier of MySQL has 64 characters of three bytes at most; of a control character JSON makes six.
    for sign in ["\u{ffff}", "\u{1}"] {
        let tables = crate::kinds::proxy::Tables::of((0..100).map(|_| name(sign)));
        assert_eq!((tables.names.len(), tables.more.get()), (64, 36));
        let What::Statement(statement) = samples::statement(1, &samples::salted("")) else { panic!() };
        let what = What::Statement(crate::kinds::proxy::Statement { tables: Some(tables), ..statement });
        let mut chain = crate::Chain::new(samples::proxy_stream(1, 1));
        assert!(chain.next(samples::at(0), crate::About::default(), what).is_ok(), "{sign:?}");
    }
}

#[test]
fn a_record_that_is_longer_than_an_entry_is_not_written_and_not_read() {
    let long = |length: usize| {
        let record = Record::decode(&samples::every_kind().remove(0).text).unwrap();
        let term =
            crate::kinds::operator::Term { after: None, holder: "x".repeat(length), release: String::new() };
        Record { what: What::Term(term), ..record }
    };
    let room = LONGEST - long(0).encode().unwrap().len();
    let longest = long(room).encode().unwrap();
    assert_eq!(longest.len(), LONGEST);
    assert!(Record::decode(&longest).is_ok());
    assert_eq!(long(room + 1).encode(), Err(TooLong(LONGEST + 1)));
    assert_eq!(Record::decode(&vec![b' '; LONGEST + 1]), Err(BadRecord::TooLong));
}

proptest! {
    #[test]
    fn a_changed_record_is_another_one_or_none(
        which in 0..What::KINDS.len(), at: prop::sample::Index, byte: u8, cut: bool,
    ) {
        let mut text = samples::every_kind().remove(which).text;
        let at = at.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        if let Ok(record) = Record::decode(&text) {
            prop_assert_eq!(record.encode().unwrap(), text);
        }
    }

    #[test]
    fn nothing_that_comes_from_outside_panics(text: Vec<u8>) {
        prop_assert!(Record::decode(&text).is_err());
    }

    #[test]
    fn every_text_survives(words in prop::collection::vec(".*", 2)) {
        let mut chain = crate::Chain::new("operator/1".parse().unwrap());
        let what = What::Ended(crate::kinds::operator::Ended {
            person: None, reason: words[0].clone(), why: Some(words[1].clone()),
        });
        let leaf = chain.next(samples::at(0), crate::About::default(), what.clone()).unwrap();
        prop_assert_eq!(Record::decode(&leaf.text).unwrap().what, what);
    }
}
