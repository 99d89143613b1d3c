//! Stories of grants, from the log on.

use std::path::Path;

use audit::samples::{Entry, Plan, Writers, grant};
use audit::story::{Deed, Kin, Story, Told, screen};
use record::kinds::log::Erase;
use record::{Payload, Record, What};

use crate::liar::read;

/// What the log has of a grant, its texts opened or not.
pub fn told(entries: &[Entry], number: usize, opened: bool) -> Vec<Told> {
    let mut kin = Kin::of(grant(number));
    let records: Vec<Record> = entries.iter().map(read).collect();
    records.iter().for_each(|record| kin.learn(record));
    let all = (0..).zip(records).zip(entries);
    all.filter(|((_, record), _)| kin.holds(record))
        .map(|((index, record), entry)| {
            let text = entry.text.as_ref().filter(|_| opened);
            Told { index, record, payload: text.map(|text| Payload::decode(text).unwrap()) }
        })
        .collect()
}

/// Compares with a golden file, or writes it (`BLESS=1`).
fn is_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifier/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "BLESS=1 cargo test -p audit story");
}

#[test]
fn the_story_of_a_grant_is_one_screen() {
    // Grant 1 has a proxy that was killed, and another one.
    let entries = Writers::all(Plan { seed: 40, grants: 2, statements: 16 });
    let story = Story::of(told(&entries, 1, true));
    is_golden("story.txt", &screen(&story));
    is_golden("story.json", &story.json().unwrap().replace("},{", "},\n{"));
    let without_texts = screen(&Story::of(told(&entries, 1, false)));
    assert!(screen(&story).contains("SELECT id") && !without_texts.contains("SELECT id"));
}

#[test]
fn a_story_has_each_statement_once_with_its_outcome_and_nothing_of_other_grants() {
    let entries = crate::good::good();
    for number in 0..12 {
        let told = told(&entries, number, false);
        let statements = told.iter().filter(|told| matches!(told.record.what, What::Statement(_))).count();
        let story = Story::of(told);
        let asked: Vec<_> = story
            .lines
            .iter()
            .filter_map(|line| match &line.deed {
                Deed::Asked(statement) => Some((&line.who, statement)),
                _ => None,
            })
            .collect();
        assert_eq!(asked.len(), statements);
        let unknown = asked.iter().filter(|(_, statement)| statement.went.is_none()).count();
        assert!(unknown <= if number % 4 == 1 { 3 } else { 0 }, "grant {number}: {unknown}");
        assert!(asked.iter().all(|(who, _)| *who == "requester"));
        let first = &story.lines[0];
        assert!(matches!(first.deed, Deed::Asks { .. }) && first.after.is_zero());
        let requests = story.lines.iter().filter(|line| matches!(line.deed, Deed::Asks { .. })).count();
        let receipts =
            story.lines.iter().filter(|line| matches!(line.deed, Deed::WritesReceipt { .. })).count();
        assert_eq!((requests, receipts), (1, 1), "what was written twice is told once");
    }
}

#[test]
fn what_the_operator_wrote_twice_is_told_once() {
    let once = told(&crate::good::good(), 0, false);
    let twice: Vec<Told> = once
        .iter()
        .flat_map(|told| std::iter::repeat_n(told.clone(), if told.record.id.is_some() { 2 } else { 1 }))
        .collect();
    assert!(twice.len() > once.len());
    assert_eq!(Story::of(twice), Story::of(once));
}

#[test]
fn an_erasure_says_who_asked_for_it_or_that_the_texts_were_too_old() {
    let mut told = told(&crate::good::good(), 0, false);
    let told = told.first_mut().unwrap();
    let mut says = |person: Option<&str>| {
        told.record.what = What::Erase(Erase { person: person.map(str::to_owned) });
        screen(&Story::of(vec![told.clone()]))
    };
    assert_eq!(says(Some("auditor")), "+0:00:00.000  log  erases the texts: auditor asked for it\n");
    assert_eq!(says(None), "+0:00:00.000  log  erases the texts: they are older than texts are kept\n");
}
