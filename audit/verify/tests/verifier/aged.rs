//! Logs that were pruned long ago, and what somebody writes behind their beginning, or says of it.

use std::collections::BTreeMap;

use audit::samples::{Entry, Files, Plan, Writers, lay_out};
use audit::{Finding, Notice, Options, Report, Wrong};
use record::kinds::{log, operator};
use record::{Count, Record, StreamName, Time, What, Writer};

use crate::good::{PLAN, SECONDS, report};
use crate::liar::{chain, read};

const DAY: i64 = 86_400_000_000;

/// A log whose first records are some weeks older than the others.
pub struct Aged {
    pub entries: Vec<Entry>,
    /// How many are old.
    pub later: usize,
}

/// Seven grants, forty days in which nobody writes, and twelve grants.
pub fn aged() -> Aged {
    let mut writers = Writers::new(Plan { grants: 7, ..PLAN });
    while writers.step() {}
    let later = writers.out.len();
    writers.goes_on(12, 40);
    while writers.step() {}
    Aged { entries: writers.out.into(), later }
}

/// The same files without those of what is before this entry.
pub fn left(mut files: Files, from: u64) -> Files {
    for number in 0..from / 256 {
        for folder in ["tile/entries", "tile/0", "texts"] {
            files.0.remove(&format!("{folder}/{number:03}"));
        }
    }
    files
}

/// With a record behind all that says what is pruned: what was thirty days old when others wrote last.
pub fn saying_pruned(entries: &[Entry], minimum: u64) -> Vec<Entry> {
    let days = |days| days * DAY;
    with(entries, |record, today| {
        let before = Time::from_micros(today.micros() - days(30)).unwrap();
        record.what = What::Prune(log::Prune { before, minimum: Count::of(minimum) });
    })
}

/// With a record of the log behind all, of the moment at which others wrote last.
fn with(entries: &[Entry], says: impl FnOnce(&mut Record, Time)) -> Vec<Entry> {
    let mut pairs: Vec<_> = entries.iter().map(|entry| (read(entry), entry.text.clone())).collect();
    let last = pairs.iter().rev().find(|(record, _)| record.stream.writer() == Writer::Log);
    let mut record = last.unwrap().0.clone();
    let today = newest(entries);
    (record.at, record.grant) = (today, None);
    says(&mut record, today);
    pairs.push((record, None));
    chain(pairs)
}

/// The latest moment that a proxy or the operator names.
fn newest(entries: &[Entry]) -> Time {
    let others = entries.iter().map(read).filter(|record| record.stream.writer() != Writer::Log);
    others.map(|record| record.at).max().unwrap()
}

/// With an operator behind all that begins so many days later.
pub fn followed(entries: &[Entry], days: i64) -> Vec<Entry> {
    with(entries, |record, today| {
        record.at = Time::from_micros(today.micros() + days * DAY).unwrap();
        record.stream = StreamName::Operator { term: 900_u32.into() };
        let (holder, release) = ("keyhole-operator-900".to_owned(), "0.1.0".to_owned());
        record.what = What::Term(operator::Term { after: None, holder, release });
    })
}

/// The names of what is found in a log whose first 512 entries were pruned.
fn found(entries: &[Entry]) -> Vec<Finding> {
    report(&left(lay_out(entries, SECONDS), 512), &Options::default()).findings
}

/// What a taken-over operator writes of an access that nobody asked for and nobody approved: `grant` and `pod`, and its proxy reads.
fn without_steps(pairs: &mut Vec<(Record, Option<Vec<u8>>)>, from: usize) {
    let is_grant = |record: &Record| matches!(record.what, What::Grant(_));
    let at = from + pairs[from..].iter().position(|(record, _)| is_grant(record)).unwrap();
    let What::Grant(grant) = pairs[at].0.what.clone() else { panic!() };
    pairs.retain(|(record, _)| match &record.what {
        What::Request(request) => request.uid != grant.request,
        What::Decision(decision) => decision.request != grant.request,
        What::Approval(approval) => approval.request != grant.request,
        _ => true,
    });
}

fn pairs(entries: &[Entry]) -> Vec<(Record, Option<Vec<u8>>)> {
    entries.iter().map(|entry| (read(entry), entry.text.clone())).collect()
}

/// The same log, in which what comes later comes so many days sooner.
fn sooner(entries: &[Entry], later: usize, days: i64) -> Vec<(Record, Option<Vec<u8>>)> {
    let mut pairs = pairs(entries);
    for (record, _) in pairs.iter_mut().skip(later) {
        record.at = Time::from_micros(record.at.micros() - days * DAY).unwrap();
        if let What::Receipt(receipt) = &mut record.what {
            receipt.began = Time::from_micros(receipt.began.micros() - days * DAY).unwrap();
        }
    }
    pairs
}

#[test]
fn a_grant_without_its_steps_is_found_nine_days_behind_the_beginning_and_told_before() {
    let Aged { entries, later } = aged();
    let after = |days: i64| {
        let mut pairs = sooner(&entries, later, 40 - days);
        without_steps(&mut pairs, later);
        let entries = saying_pruned(&followed(&chain(pairs), 40), 512);
        let report = report(&left(lay_out(&entries, SECONDS), 512), &Options::default());
        let is_step = |finding: &&Finding| matches!(finding.wrong, Wrong::StepMissing { .. });
        let is_told = |notice: &&Notice| matches!(notice, Notice::BegunBefore { what: "request", .. });
        let steps = report.findings.iter().filter(is_step).count();
        (steps, report.notices.iter().filter(is_told).count() > 0)
    };
    // Request, decision and approval are not there.
    assert!(after(10).0 >= 2 && after(40).0 >= 2, "{:?}", after(10));
    assert_eq!(after(8), (0, true));
}

#[test]
fn a_credential_without_a_pod_is_found_though_nothing_of_its_grant_is_there() {
    let Aged { entries, later } = aged();
    let mut pairs = pairs(&entries);
    let is_pod = |record: &Record| matches!(record.what, What::Pod(_));
    let at = later + pairs[later..].iter().position(|(record, _)| is_pod(record)).unwrap();
    let grant = pairs[at].0.grant.clone();
    pairs.retain(|(record, _)| !(is_pod(record) && record.grant == grant));
    let found = found(&saying_pruned(&chain(pairs), 512));
    let is_it = |finding: &Finding| finding.wrong == Wrong::CredentialWithoutPod && finding.grant == grant;
    assert!(found.iter().any(is_it), "{found:?}");
}

/// The first records of a stream are left out of the tree; nothing else is changed.
#[test]
fn a_stream_whose_first_records_are_left_out_behind_the_beginning_is_found() {
    let Aged { entries, later } = aged();
    let records: Vec<Record> = entries.iter().map(read).collect();
    let begin = |record: &&Record| {
        matches!(record.what, What::Open(_) | What::Term(_) | What::Start(_)) && record.n.get() == 0
    };
    let mut tried = BTreeMap::new();
    for name in records[later..].iter().filter(begin).map(|record| record.stream.clone()) {
        let last = records.iter().rev().find(|record| record.stream == name).unwrap().n.get();
        for first in (1..=last.min(3)).chain([last]).filter(|first| *first > 0) {
            let is_left = |(record, _): &(&Record, _)| record.stream != name || record.n.get() >= first;
            let kept = records.iter().zip(&entries).filter(is_left).map(|(_, entry)| entry.clone());
            let found = found(&saying_chained(kept.collect()));
            let gap = Wrong::Gap { expected: 0, last: first - 1 };
            let is_it = |finding: &Finding| finding.stream.as_ref() == Some(&name) && finding.wrong == gap;
            assert!(found.iter().any(is_it), "{name} from {first}: {found:?}");
            *tried.entry(format!("{:?}", name.writer())).or_insert(0) += 1;
        }
    }
    assert!(tried.len() == 3, "{tried:?}");
}

/// With a `prune` record in the log's last stream; no other record is touched.
fn saying_chained(mut entries: Vec<Entry>) -> Vec<Entry> {
    let last = entries
        .iter()
        .rev()
        .map(|entry| (read(entry), entry))
        .find(|(record, _)| record.stream.writer() == Writer::Log);
    let (mut record, before) = last.unwrap();
    record.prev = Some(tlog::Hash::of_leaf(&before.leaf));
    record.n = record.n.next();
    (record.at, record.grant) = (entries.iter().map(|entry| read(entry).at).max().unwrap(), None);
    let before = Time::from_micros(record.at.micros() - 30 * DAY).unwrap();
    record.what = What::Prune(log::Prune { before, minimum: Count::of(512) });
    entries.push(Entry { leaf: record.encode().unwrap(), text: None });
    entries
}

#[test]
fn what_a_prune_record_says_of_the_age_of_what_is_gone_must_be_so() {
    let Aged { entries, later } = aged();
    let wrongs = |entries: &[Entry], from: u64| -> Vec<Wrong> {
        let files = left(lay_out(entries, SECONDS), from);
        report(&files, &Options::default()).findings.into_iter().map(|finding| finding.wrong).collect()
    };
    let says = |entries: &[Entry], minimum: u64, age: i64, later: i64| {
        with(entries, |record, today| {
            let moment = |micros| Time::from_micros(today.micros() + micros).unwrap();
            let before = moment(-age);
            record.what = What::Prune(log::Prune { before, minimum: Count::of(minimum) });
            record.at = moment(later);
        })
    };
    let early = |age| {
        let before = Time::from_micros(newest(&entries).micros() - age).unwrap();
        Wrong::PrunedEarly { before }
    };
    let month = 30 * DAY;
    assert_eq!(wrongs(&says(&entries, 512, month, 0), 512), []);
    assert_eq!(wrongs(&says(&entries, 512, month - 1, 0), 512), [early(month - 1)]);
    // Nor is it older because the log's own clock runs ahead.
    assert_eq!(wrongs(&says(&entries, 512, 3_600_000_000, month), 512), [early(3_600_000_000)]);
    // What was removed is of an hour ago, whatever is said of it: the streams that were cut tell.
    let young = u64::try_from(later.next_multiple_of(256) + 256).unwrap();
    assert_eq!(wrongs(&says(&entries, young, month, 0), young), [Wrong::PrunedYounger]);
    let both = says(&says(&entries, 512, month, 0), 512, month + DAY, 0);
    assert_eq!(wrongs(&both, 512), []);
}

/// After a loss the same: what began before is told, and nine days later nothing is missing any more.
#[test]
fn a_log_that_goes_on_with_a_lost_one_has_all_steps_nine_days_later() {
    let Aged { entries, later } = aged();
    let lost = |from: usize| {
        let mut pairs = pairs(&entries);
        let What::Start(start) = &mut pairs[0].0.what else { panic!() };
        let (origin, root) = ("keyhole.internal/log/fedcba9876543210".to_owned(), tlog::Hash([8; 32]));
        start.predecessor = Some(log::Predecessor { origin, root, size: Count::of(70) });
        without_steps(&mut pairs, from);
        report(&lay_out(&chain(pairs), SECONDS), &Options::default())
    };
    let steps = |report: &Report| {
        report.findings.iter().filter(|finding| matches!(finding.wrong, Wrong::StepMissing { .. })).count()
    };
    let (first, last) = (lost(0), lost(later));
    assert_eq!(steps(&first), 0);
    assert!(first.notices.iter().any(|notice| matches!(notice, Notice::BegunBefore { .. })));
    assert!(steps(&last) >= 2, "{:?}", last.findings);
}
