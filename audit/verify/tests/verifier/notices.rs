//! What is not wrong, and yet to be known.

use std::collections::HashMap;

use audit::samples::lay_out;
use audit::{Notice, Options};
use record::kinds::log;
use record::{Count, Record, StreamName, What};

use crate::good::{SECONDS, good, report, told};
use crate::liar::{chain, read};

type Pairs = Vec<(Record, Option<Vec<u8>>)>;

fn pairs() -> Pairs {
    good().iter().map(|entry| (read(entry), entry.text.clone())).collect()
}

/// What is told of these records, in which nothing is wrong.
fn notices(pairs: Pairs) -> Vec<Notice> {
    let report = report(&lay_out(&chain(pairs), SECONDS), &Options::default());
    let shown: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert!(report.findings.is_empty(), "{}", shown.join("\n"));
    told(report)
}

/// Where the first record is that fits.
fn place(pairs: &Pairs, fits: impl Fn(&What) -> bool) -> usize {
    pairs.iter().position(|(record, _)| fits(&record.what)).unwrap()
}

/// With the log's starts named after the places where they stand now.
fn named(mut pairs: Pairs) -> Pairs {
    let mut names = HashMap::new();
    for (index, (record, _)) in (0..).zip(&pairs) {
        if let What::Start(_) = record.what {
            names.insert(record.stream.clone(), StreamName::Log { start: Count::of(index) });
        }
    }
    for (record, _) in &mut pairs {
        if let Some(name) = names.get(&record.stream) {
            record.stream = name.clone();
        }
    }
    pairs
}

fn without_receipts(mut pairs: Pairs) -> Pairs {
    pairs.retain(|(record, _)| !matches!(record.what, What::Receipt(_)));
    pairs
}

#[test]
fn a_log_that_goes_on_with_a_lost_one_says_so() {
    let mut pairs = pairs();
    let What::Start(start) = &mut pairs[0].0.what else { panic!() };
    let (origin, root) = ("keyhole.internal/log/fedcba9876543210".to_owned(), tlog::Hash([8; 32]));
    start.predecessor = Some(log::Predecessor { origin: origin.clone(), root, size: Count::of(70) });
    // Of grants that live on, the request stands in the log before.
    pairs.retain(|(record, _)| !matches!(record.what, What::Request(_) | What::Approval(_) | What::Grant(_)));
    // Whose texts were read stands elsewhere now.
    pairs.retain(|(record, _)| !matches!(record.what, What::Read(_)));
    let told = notices(named(pairs));
    assert_eq!(told[0], Notice::Successor { index: 0, origin, size: 70 });
    let is_of_request = |notice: &Notice| matches!(notice, Notice::BegunBefore { what: "request", .. });
    assert!(told.len() == 13 && told[1..].iter().all(is_of_request), "once of each grant: {told:?}");
}

#[test]
fn what_was_lost_and_accepted_is_told() {
    let mut pairs = pairs();
    let mut loss = pairs[0].0.clone();
    loss.what = What::Loss(log::Loss { from: Count::of(7), to: Count::of(9), why: "a damaged block".into() });
    pairs.insert(1, (loss, None));
    let (from, to, why) = (7, 9, "a damaged block".to_owned());
    assert_eq!(notices(named(pairs)), [Notice::Lost { index: 1, from, to, why }]);
}

#[test]
fn texts_that_were_erased_and_are_still_here_are_told() {
    let mut pairs = pairs();
    let at = pairs.iter().rposition(|(_, text)| text.is_some()).unwrap();
    let grant = pairs[at].0.grant.clone().unwrap();
    let of_grant =
        |(record, text): &&(Record, Option<Vec<u8>>)| record.grant.as_ref() == Some(&grant) && text.is_some();
    let count = u64::try_from(pairs.iter().filter(of_grant).count()).unwrap();
    let of_log = pairs.iter().rev().find(|(record, _)| record.stream.writer() == record::Writer::Log);
    let mut erase = of_log.unwrap().0.clone();
    erase.what = What::Erase(log::Erase { person: None });
    (erase.grant, erase.at) = (Some(grant.clone()), pairs.last().unwrap().0.at);
    pairs.push((erase, None));
    assert_eq!(notices(pairs), [Notice::TextsKept { grant, count }]);
}

#[test]
fn what_a_proxy_says_that_it_owes_may_be_missing_and_no_more() {
    let mut pairs = without_receipts(pairs());
    let close = place(&pairs, |what| matches!(what, What::Close(_)));
    let stream = pairs[close].0.stream.clone();
    let is_end = |record: &Record| {
        record.stream == stream && matches!(record.what, What::SessionClose(_) | What::Outcome(_))
    };
    let last = pairs[..close].iter().rposition(|(record, _)| is_end(record)).unwrap();
    pairs.remove(last);
    let owes = |owed: u32| {
        let mut pairs = pairs.clone();
        let What::Close(close) = &mut pairs[close - 1].0.what else { panic!() };
        close.owed = owed.into();
        report(&lay_out(&chain(pairs), SECONDS), &Options::default())
    };
    let is_told = |notice: &Notice| matches!(notice, Notice::Owed { count: 1, .. });
    let in_stream = |report: audit::Report| {
        report.findings.into_iter().filter(|finding| finding.stream.as_ref() == Some(&stream)).count()
    };
    assert!(owes(1).notices.iter().any(is_told));
    assert_eq!((in_stream(owes(1)), in_stream(owes(0))), (0, 1));
}

#[test]
fn a_stream_that_no_receipt_counts_is_told_closed_or_not() {
    let mut pairs = pairs();
    let receipt = place(&pairs, |what| matches!(what, What::Receipt(_)));
    let id = pairs[receipt].0.id.clone();
    for (record, _) in &mut pairs {
        if let What::Receipt(receipt) = &mut record.what
            && record.id == id
        {
            receipt.streams.clear();
        }
    }
    let is_told = |pairs: Pairs| {
        let told = notices(pairs);
        assert!(matches!(told.as_slice(), [Notice::Uncounted { .. }]), "{told:?}");
    };
    is_told(pairs.clone());
    let stream = pairs[..receipt].iter().rev().find(|(record, _)| matches!(record.what, What::Close(_)));
    let stream = stream.unwrap().0.stream.clone();
    pairs.retain(|(record, _)| record.stream != stream || !matches!(record.what, What::Close(_)));
    is_told(named(pairs));
}

#[test]
fn a_proxy_that_was_named_just_now_may_still_come_and_an_hour_later_not() {
    let pairs = pairs();
    let pod = place(&pairs, |what| matches!(what, What::Pod(_)));
    let grant = pairs[pod].0.grant.clone().unwrap();
    // As if the operator's word had come before the proxy's.
    let mut early: Pairs = pairs[..=pod].to_vec();
    early.retain(|(record, _)| record.stream.grant() != Some(&grant));
    let index = u64::try_from(early.len() - 1).unwrap();
    assert_eq!(notices(early.clone()), [Notice::PodAwaited { index, grant }]);
    let mut end = early[1].0.clone();
    end.at = record::Time::from_micros(early[0].0.at.micros() + 3_600_000_000).unwrap();
    end.what =
        What::Ended(record::kinds::operator::Ended { person: None, reason: "Expired".into(), why: None });
    (end.grant, end.id) = (early[early.len() - 1].0.grant.clone(), None);
    early.push((end, None));
    let found = report(&lay_out(&chain(early), SECONDS), &Options::default()).findings;
    assert!(matches!(found[0].wrong, audit::Wrong::PodWithoutStream { .. }), "{found:?}");
}

#[test]
fn two_statements_of_a_session_may_not_be_without_outcome_even_if_the_proxy_was_killed() {
    let mut pairs = pairs();
    let statement = place(&pairs, |what| matches!(what, What::Statement(_)));
    let mut twice = pairs[statement].0.clone();
    let What::Statement(statement) = &mut twice.what else { panic!() };
    let session = statement.session;
    let at =
        pairs.iter().position(|(record, _)| record.n == twice.n && record.stream == twice.stream).unwrap();
    pairs.insert(at + 1, (twice, None));
    let found = report(&lay_out(&chain(pairs), SECONDS), &Options::default()).findings;
    let is_it = |finding: &audit::Finding| matches!(finding.wrong, audit::Wrong::OutcomeMissing { .. });
    assert!(found.iter().any(is_it), "session {session}");
}

#[test]
fn a_clock_that_is_an_hour_wrong_is_noted_and_changes_nothing() {
    let entries = good();
    let records: Vec<_> = entries.iter().map(read).collect();
    let hour = 3_600_000_000;
    let stream = &records.iter().find(|record| record.stream.grant().is_some()).unwrap().stream;
    let shifted: Vec<_> = entries
        .iter()
        .map(|entry| {
            let mut record = read(entry);
            if record.stream == *stream && record.n.get() > 5 {
                record.at = record::Time::from_micros(record.at.micros() - hour).unwrap();
            }
            (record, entry.text.clone())
        })
        .collect();
    let of_stream = |notice: &&Notice| matches!(notice, Notice::ClockBack { seconds: 3_590..=3_600, .. });
    // The receipt has the old head: that is another test's matter.
    let found = report(&lay_out(&chain(shifted), SECONDS), &Options::default());
    assert!(found.notices.iter().any(|notice| of_stream(&notice)), "{:?}", found.notices);
    let last = records.last().unwrap().at.micros() / 1_000_000;
    let early = u64::try_from(last - 3_600).unwrap();
    let found = report(&lay_out(&entries, early), &Options::default());
    assert!(found.findings.is_empty());
    assert!(found.notices.iter().any(|notice| matches!(notice, Notice::ClockAhead { .. })));
}

#[test]
fn a_term_that_nobody_wrote_under_is_noted() {
    let entries = good();
    let mut pairs: Vec<_> = entries.iter().map(|entry| (read(entry), entry.text.clone())).collect();
    let mut term = pairs[1].0.clone();
    let What::Term(said) = &mut term.what else { panic!() };
    said.after = Some(999_u32.into());
    term.stream = record::StreamName::Operator { term: 1000_u32.into() };
    term.at = pairs.last().unwrap().0.at;
    pairs.push((term, None));
    let found = report(&lay_out(&chain(pairs), SECONDS), &Options::default());
    assert!(found.findings.is_empty());
    assert_eq!(told(found), [Notice::TermUnseen { term: 999 }]);
}

#[test]
fn a_witness_that_knows_less_of_the_log_than_it_vouched_for_is_noted() {
    let mut pairs: Pairs = good().iter().map(|entry| (read(entry), entry.text.clone())).collect();
    let origin = "keyhole.internal/log/1";
    let mut says = |number: usize, knew: Option<u64>, size: u64| {
        let mut met = pairs[1].0.clone();
        met.at = pairs.last().unwrap().0.at;
        (met.id, met.grant) = (Some(format!("witness/{origin}/{number}")), None);
        met.what = What::Witness(record::kinds::operator::Witness {
            keys: Vec::new(),
            knew: knew.map(Count::of),
            origin: origin.to_owned(),
            root: tlog::Hash([1; 32]),
            size: Count::of(size),
        });
        pairs.push((met, None));
        (u64::try_from(pairs.len()).unwrap() - 1, notices(pairs.clone()))
    };
    assert_eq!(says(1, None, 5).1, [], "the first time");
    assert_eq!(says(1, None, 5).1, [], "said again by the next leader");
    assert_eq!(says(2, Some(5), 9).1, [], "a leader that begins");
    let (index, found) = says(3, Some(7), 12);
    let back = Notice::WentBack { index, before: 9, knew: 7 };
    assert_eq!(found, std::slice::from_ref(&back));
    let (index, found) = says(4, None, 13);
    assert_eq!(found, [back, Notice::MetAgain { index, size: 13 }]);
}

#[test]
fn where_an_entry_cannot_be_read_nobody_is_blamed_for_what_it_may_have_said() {
    let mut entries = good();
    let request = entries.iter().position(|entry| matches!(read(entry).what, What::Request(_))).unwrap();
    entries[request].leaf.push(b' ');
    let found = report(&lay_out(&entries, SECONDS), &Options::default()).findings;
    assert!(
        matches!(found[0].wrong, audit::Wrong::NoRecord { .. })
            && found[0].index == u64::try_from(request).ok()
    );
    assert!(
        !found.iter().any(|finding| matches!(finding.wrong, audit::Wrong::StepMissing { .. })),
        "{found:?}"
    );
}
