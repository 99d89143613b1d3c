//! Logs in which nothing is wrong.

use audit::samples::{Entry, Files, Keys, Plan, Writers, grant, lay_out};
use audit::{Notice, Options, Report, Verdict, verify};
use record::{Count, RunId, StreamName, What};

use crate::liar::rewrite;

/// After every record.
pub const SECONDS: u64 = 1_900_000_000;

/// Some 2,000 records of twelve grants.
pub const PLAN: Plan = Plan { seed: 1, grants: 12, statements: 130 };

/// What the verifier says of these files.
pub fn report(files: &Files, options: &Options) -> Report {
    verify(files, &Keys::new().policy(), options, |_| ()).unwrap()
}

/// What is told beside that no receipt counts the streams of the proxies that were killed: that is told of each good log.
pub fn told(report: Report) -> Vec<Notice> {
    let of_killed = |notice: &Notice| matches!(notice, Notice::Uncounted { stream, .. } if is_killed(stream));
    report.notices.into_iter().filter(|notice| !of_killed(notice)).collect()
}

/// Every fourth grant has a first proxy that is killed.
fn is_killed(stream: &StreamName) -> bool {
    matches!(stream, StreamName::Proxy { run: RunId([.., number, 1]), .. } if number % 4 == 1)
}

fn is_clean(report: &Report) {
    let shown: Vec<String> = report.findings.iter().take(20).map(ToString::to_string).collect();
    assert_eq!(report.verdict(), Verdict::Clean, "{}", shown.join("\n"));
}

/// A log that was checked once, for tests that manipulate it.
pub fn good() -> Vec<Entry> {
    Writers::all(PLAN)
}

#[test]
fn in_a_good_log_nothing_is_found() {
    let entries = good();
    let mut steps = Vec::new();
    let files = lay_out(&entries, SECONDS);
    let policy = Keys::new().policy();
    let report = verify(&files, &policy, &Options::default(), |progress| steps.push(progress)).unwrap();
    is_clean(&report);
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
    let size = u64::try_from(entries.len()).unwrap();
    assert!((1_500..3_000).contains(&size), "{size}");
    assert_eq!((report.size, report.counts.records, report.counts.grants), (size, size, 12));
    assert_eq!(report.counts.streams_not_closed, 3, "the killed ones");
    assert!(report.counts.texts > 300 && report.counts.texts_erased > 50, "{:?}", report.counts);
    assert_eq!(report.counts.texts_absent, 0);
    assert_eq!(steps.last().map(|step| (step.done, step.size)), Some((size, size)));
    let of_killed = report.notices.iter().filter_map(|notice| match notice {
        Notice::Uncounted { stream, .. } => Some(is_killed(stream)),
        _ => None,
    });
    assert_eq!(of_killed.collect::<Vec<_>>(), [true; 3], "no receipt counts what a killed proxy wrote");
    assert_eq!(told(report), []);
}

#[test]
fn in_other_good_logs_of_any_length_nothing_is_found() {
    for seed in 2..12 {
        let entries = Writers::all(Plan { seed, grants: 6, statements: 40 });
        // As they looked at any time before, too.
        for length in [1, 2, 255, 256, 257, entries.len() / 2, entries.len() - 1, entries.len()] {
            is_clean(&report(&lay_out(&entries[..length.min(entries.len())], SECONDS), &Options::default()));
        }
    }
}

#[test]
fn a_log_with_three_levels_of_tiles_is_clean() {
    let entries = Writers::all(Plan { seed: 20, grants: 30, statements: 2_200 });
    assert!(entries.len() > 65_536, "{}", entries.len());
    let files = lay_out(&entries, SECONDS);
    assert!(files.0.contains_key("tile/1/000") && files.0.contains_key("tile/2/000.p/1"));
    is_clean(&report(&files, &Options::default()));
}

#[test]
fn a_log_has_grown_out_of_each_of_its_older_checkpoints() {
    let entries = Writers::all(Plan { seed: 2, grants: 8, statements: 90 });
    let files = lay_out(&entries, SECONDS);
    for length in [0, 1, 7, 255, 256, 257, 511, 512, 700, entries.len()] {
        let before = lay_out(&entries[..length], SECONDS);
        let since = Some(String::from_utf8(before.0["checkpoint"].clone()).unwrap());
        let report = report(&files, &Options { since, grant: None });
        is_clean(&report);
        assert_eq!(told(report), [], "{length}");
    }
}

#[test]
fn a_copy_without_texts_is_clean_and_the_counts_say_so() {
    let mut files = lay_out(&good(), SECONDS);
    files.0.retain(|path, _| !path.starts_with("texts/"));
    let report = report(&files, &Options::default());
    is_clean(&report);
    assert_eq!(report.counts.texts, 0);
    assert!(report.counts.texts_absent > 300);
    assert_eq!(told(report), [], "no line for each grant");
}

#[test]
fn a_log_that_has_grown_since_is_read_as_far_as_the_checkpoint_goes() {
    let entries = good();
    let now = lay_out(&entries[..1_000], SECONDS);
    let mut later = lay_out(&entries, SECONDS);
    // A partial file stays until the whole one is there.
    for (path, bytes) in &now.0 {
        let whole = path.split(".p/").next().unwrap();
        if !later.0.contains_key(whole) {
            later.0.insert(path.clone(), bytes.clone());
        }
    }
    later.0.insert("checkpoint".to_owned(), now.0["checkpoint"].clone());
    let report = report(&later, &Options::default());
    is_clean(&report);
    assert_eq!(report.counts.records, 1_000);
}

#[test]
fn a_proxy_that_runs_alone_needs_no_operator() {
    let entries = good();
    let alone = grant(0);
    let mut of_one: Vec<Entry> = Vec::new();
    for entry in entries {
        let text = String::from_utf8(entry.leaf.clone()).unwrap();
        let is_proxy = text.contains(r#""by":"proxy""#) && text.contains(alone.as_str());
        if of_one.is_empty() || is_proxy {
            of_one.push(entry);
        }
    }
    let without_pod = crate::liar::rewrite(&of_one, |record| {
        if let record::What::Open(open) = &mut record.what {
            open.pod = None;
        }
    });
    let report = report(&lay_out(&without_pod, SECONDS), &Options::default());
    is_clean(&report);
    assert_eq!(report.notices, [Notice::NoOperator]);
}

#[test]
fn a_statement_of_a_proxy_that_is_gone_is_without_outcome_unless_its_last_words_tell_it() {
    let entries = good();
    let without = |entries: &[Entry]| {
        let report = report(&lay_out(entries, SECONDS), &Options::default());
        is_clean(&report);
        report.counts.statements_without_outcome
    };
    let mut told = 0;
    let silent = rewrite(&entries, |record| {
        if let What::LateOutcome(late) = &mut record.what
            && late.outcome.take().is_some()
        {
            (late.more, told) = (Count::of(1), told + 1);
        }
    });
    assert!(told > 0);
    assert_eq!(without(&silent), without(&entries) + told);
}
