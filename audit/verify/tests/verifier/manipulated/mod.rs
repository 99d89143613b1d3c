//! A good log, manipulated in a thousand ways: each is found, and by its name.
//!
//! Three hands do it. Somebody who holds a copy, and no key, damages **files**. A log that lies alters **entries** and signs the tree anew
//! (here even the witness signs it: as if it had never seen another); it leaves the chains of the writers as they are. A log that lies
//! with care **rewrites** the whole stream, too: numbers, chains, closing words.
//!
//! What no reader of one copy can find, and what is therefore not tried here:
//! - The last records of a stream that is not closed, or of the operator's and the log's own stream, are left out: nothing says yet that
//!   there were more. The next older checkpoint that a witness signed does (`--since`).
//! - A stream and every receipt that counts it are rewritten so that they agree, or a whole grant with all that the operator says of it
//!   is left out: records have no signature of their writers. The receipt in Kubernetes, and an older checkpoint, tell.
//! - Every operator's record is left out and the proxies' pods are denied: that is how the log of a proxy looks that runs alone, and the
//!   verifier says so in a notice.
//! - Texts are left out, and the file `texts/asked` says less than it did, or goes with all of them: that is how a copy looks for which they
//!   were not asked. Whoever made it knows better.
//! - Texts are left out, and `texts/asked` says that the log was larger than it was when they were asked for: that they may have been erased
//!   since says a notice, in each copy until one is as large.
//! - A field that nothing else repeats is rewritten in a stream that no receipt counts: of a proxy that runs, or was killed.
//! - A killed proxy's stream ends sooner than it did: nobody says how many records it had, and a notice names it.

mod after;
mod claims;
mod entries;
mod files;
mod of_one;
mod said;
mod streams;

use audit::samples::{Dice, Entry, Files, Keys, lay_out};
use audit::{Finding, Options, Unreadable, Wrong, verify};
use record::{Record, StreamName, What};

use crate::aged::{Aged, aged, left, saying_pruned};
use crate::good::{SECONDS, good, report};
use crate::liar::{chain, read};

/// The good log, and what is known of it.
struct Good {
    /// The first entry that is there: a multiple of 256.
    from: u64,
    /// The first that is manipulated.
    begins: usize,
    entries: Vec<Entry>,
    records: Vec<Record>,
    files: Files,
}

/// What must be found: one of these findings, and in this stream, where one is named.
struct Expected {
    any: &'static [&'static str],
    stream: Option<StreamName>,
}

/// What becomes of the log, and what must be found; `None`, where this log has no place for it.
type Manipulation = fn(&Good, &mut Dice) -> Option<(Files, Expected)>;

fn name_of(finding: &Finding) -> String {
    serde_json::to_value(finding).unwrap()["finding"].as_str().unwrap().to_owned()
}

impl Good {
    fn new() -> Self {
        Self::of(good(), 0, 0)
    }

    /// One whose beginning was pruned, and that others wrote a month later.
    fn pruned() -> Self {
        let Aged { entries, later } = aged();
        Self::of(saying_pruned(&entries, 512), 512, later)
    }

    fn of(entries: Vec<Entry>, from: u64, begins: usize) -> Self {
        let records = entries.iter().map(read).collect();
        let files = left(lay_out(&entries, SECONDS), from);
        Self { from, begins, entries, records, files }
    }

    /// Any entry.
    fn place(&self, dice: &mut Dice) -> usize {
        self.begins + dice.below(self.entries.len() - self.begins)
    }

    fn any(&self, dice: &mut Dice, fits: impl Fn(usize, &Record) -> bool) -> Option<usize> {
        let all: Vec<usize> = self
            .records
            .iter()
            .enumerate()
            .skip(self.begins)
            .filter(|(at, record)| fits(*at, record))
            .map(|(at, _)| at)
            .collect();
        if all.is_empty() { None } else { Some(all[dice.below(all.len())]) }
    }

    /// One that has a later one in its stream.
    fn followed(&self, dice: &mut Dice) -> usize {
        self.any(dice, |at, record| self.next(at, record).is_some()).unwrap()
    }

    fn next(&self, at: usize, record: &Record) -> Option<usize> {
        let stream = &record.stream;
        self.records.iter().skip(at + 1).position(|other| other.stream == *stream).map(|next| at + 1 + next)
    }

    fn is_closed(&self, stream: &StreamName) -> bool {
        self.records.iter().any(|record| record.stream == *stream && matches!(record.what, What::Close(_)))
    }

    /// A record of a stream that a receipt counts.
    fn counted(&self, dice: &mut Dice, fits: impl Fn(&Record) -> bool) -> Option<usize> {
        self.any(dice, |_, record| fits(record) && self.is_closed(&record.stream))
    }

    fn stream(&self, at: usize) -> Option<StreamName> {
        Some(self.records[at].stream.clone())
    }

    fn pairs(&self) -> Vec<(Record, Option<Vec<u8>>)> {
        self.records.iter().cloned().zip(self.entries.iter().map(|entry| entry.text.clone())).collect()
    }

    /// All but one, streams rewritten; and what the operator wrote twice under one id goes with it.
    fn without(&self, at: usize) -> Files {
        let gone = &self.records[at];
        let mut pairs = self.pairs();
        let mut number = 0;
        pairs.retain(|(record, _)| {
            number += 1;
            number - 1 != at && (record.id.is_none() || record.id != gone.id)
        });
        lay_out(&chain(pairs), SECONDS)
    }
}

fn expects(any: &'static [&'static str], stream: Option<StreamName>) -> Expected {
    Expected { any, stream }
}

fn relaid(good: &Good, change: impl FnOnce(&mut Vec<Entry>)) -> Files {
    let mut entries = good.entries.clone();
    change(&mut entries);
    lay_out(&entries, SECONDS)
}

const ALL: &[Manipulation] = &[
    files::flips_a_byte,
    files::cuts_a_file,
    files::removes_a_file,
    files::exchanges_two_files,
    files::drops_a_text,
    files::exchanges_two_texts,
    files::alters_a_text,
    files::puts_a_text_where_none_is,
    files::leaves_all_texts_of_a_grant_out,
    files::leaves_an_erasure_out,
    entries::drops_an_entry,
    entries::doubles_an_entry,
    entries::exchanges_two_entries,
    entries::alters_an_entry,
    entries::alters_the_last_entry_of_a_stream,
    entries::inserts_an_entry,
    entries::writes_an_entry_otherwise,
    entries::renumbers_a_stream,
    streams::leaves_an_outcome_out,
    streams::leaves_an_outcome_out_of_a_stream_that_was_killed,
    streams::leaves_a_statement_out,
    streams::executes_what_was_not_prepared,
    streams::leaves_a_statement_and_its_outcomes_out,
    streams::leaves_a_session_open_out,
    streams::leaves_a_session_close_out,
    streams::leaves_an_owner_out,
    streams::leaves_a_credential_out,
    streams::leaves_the_first_out,
    streams::leaves_a_pod_out,
    streams::leaves_a_step_out,
    streams::leaves_a_term_out,
    streams::counts_otherwise_in_a_receipt,
    streams::alters_a_stream_that_is_counted,
    streams::drops_the_end_of_a_stream,
    streams::drops_a_stream,
    streams::goes_on_after_the_close,
    streams::says_two_things_under_one_id,
    streams::gives_two_outcomes,
    streams::gives_an_outcome_of_nothing,
    streams::fetches_before_the_outcome,
    streams::opens_a_session_twice,
    streams::begins_a_stream_again,
    streams::reads_a_credential_before_it_may,
    streams::closes_with_another_count,
    streams::names_another_log,
    streams::moves_a_start,
    streams::takes_a_receipt_for_another_grant,
    claims::speaks_of_what_is_not_there_yet,
    claims::announces_a_key_of_another,
    claims::goes_on_with_an_earlier_start,
    claims::hides_the_grant,
    claims::drops_a_stream_that_is_counted,
    claims::tells_late_of_no_stream,
    claims::keeps_what_is_no_text,
    claims::tells_late_of_no_statement,
    claims::counts_an_approval_that_does_not_count,
    claims::says_the_same_of_another_grant,
    claims::asks_in_a_session_that_is_over,
    claims::fetches_of_nothing,
    said::opens_as_another,
    said::opens_a_session_as_another,
    said::grants_to_another,
    said::asks_for_another_later,
    said::lets_another_begin,
    said::grants_on_what_is_no_approval_of_it,
    said::grants_other_terms,
    said::grants_what_was_not_decided,
    said::counts_the_approval_of_who_asked,
    said::writes_a_receipt_of_another_name,
    said::tells_late_of_another_grant,
    said::hides_a_proxy_behind_another_ones_token,
    after::goes_on_after_the_receipt,
    after::runs_once_more_after_the_receipt,
    after::lets_one_begin_after_the_receipt,
];

/// Runs one; an error says what was not found.
fn tried(good: &Good, number: usize, seed: u64) -> Result<bool, String> {
    let Some((files, Expected { any, stream })) = ALL[number](good, &mut Dice::of(seed)) else {
        return Ok(false);
    };
    let report = report(&left(files, good.from), &Options::default());
    let fits = |finding: &&Finding| {
        any.contains(&name_of(finding).as_str()) && (stream.is_none() || finding.stream == stream)
    };
    if report.findings.iter().any(|finding| fits(&finding)) {
        return Ok(true);
    }
    let shown: Vec<String> = report.findings.iter().take(5).map(ToString::to_string).collect();
    Err(format!("manipulation {number}, seed {seed}: expected {any:?} in {stream:?}, found {shown:#?}"))
}

/// So many manipulations of it: each is found.
fn all_are_found(good: &Good, count: u64) {
    let results: Vec<Result<bool, String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2_u64)
            .map(|worker| {
                scope.spawn(move || {
                    let seeds = (0..count).filter(move |seed| seed % 2 == worker);
                    let try_one =
                        |seed: u64| tried(good, usize::try_from(seed / 2).unwrap() % ALL.len(), seed);
                    seeds.map(try_one).collect::<Vec<_>>()
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let missed: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(
        missed.is_empty(),
        "{} missed:\n{}",
        missed.len(),
        missed.iter().take(8).map(|text| text.as_str()).collect::<Vec<_>>().join("\n")
    );
    let tried = results.iter().filter(|result| **result == Ok(true)).count();
    assert!(u64::try_from(tried).unwrap() >= count * 5 / 6, "{tried}");
}

#[test]
fn each_of_a_thousand_manipulations_is_found_and_named() {
    all_are_found(&Good::new(), 1_200);
}

#[test]
fn each_manipulation_of_what_is_left_of_a_pruned_log_is_found_as_well() {
    let good = Good::pruned();
    assert_eq!(report(&good.files, &Options::default()).findings, []);
    all_are_found(&good, 300);
}

#[test]
fn a_checkpoint_that_is_altered_or_signed_by_others_is_not_trusted() {
    let good = good();
    let files = lay_out(&good[..300], SECONDS);
    let policy = Keys::new().policy();
    let length = files.0["checkpoint"].len();
    for at in 0..length {
        let mut files = files.clone();
        files.0.get_mut("checkpoint").unwrap()[at] ^= 1;
        let result = verify(&files, &policy, &Options::default(), |_| ());
        assert!(matches!(result, Err(Unreadable::NotTrusted(_) | Unreadable::NoText)), "byte {at}");
    }
    let unwitnessed = String::from_utf8(files.0["checkpoint"].clone()).unwrap();
    let (log_only, _) = unwitnessed.trim_end().rsplit_once('\n').unwrap();
    let mut files = files;
    files.0.insert("checkpoint".to_owned(), format!("{log_only}\n").into_bytes());
    let result = verify(&files, &policy, &Options::default(), |_| ());
    assert!(matches!(result, Err(Unreadable::NotTrusted(tlog::NotTrusted::Quorum))));
    files.0.remove("checkpoint");
    let result = verify(&files, &policy, &Options::default(), |_| ());
    assert!(matches!(result, Err(Unreadable::NoCheckpoint)));
}

#[test]
fn a_past_that_was_rewritten_does_not_pass_an_older_checkpoint() {
    let entries = good();
    let files = lay_out(&entries, SECONDS);
    for length in [1, 2, 255, 256, 257, 512, 1_000, entries.len()] {
        let mut before = entries[..length].to_vec();
        before[length / 2].leaf.push(b' ');
        let since = Some(String::from_utf8(lay_out(&before, SECONDS).0["checkpoint"].clone()).unwrap());
        let report = report(&files, &Options { since, grant: None });
        let before = u64::try_from(length).unwrap();
        assert!(
            report.findings.iter().any(|finding| finding.wrong == Wrong::Rewritten { before }),
            "{length}"
        );
    }
    let since = Some(String::from_utf8(files.0["checkpoint"].clone()).unwrap());
    let shorter = lay_out(&entries[..900], SECONDS);
    let report = report(&shorter, &Options { since, grant: None });
    let before = u64::try_from(entries.len()).unwrap();
    assert_eq!(report.findings[0].wrong, Wrong::Shrunk { before, now: 900 });
}

#[test]
fn a_gap_is_one_finding_however_much_depends_on_what_is_missing() {
    let good = Good::new();
    let opens = |what: &What| matches!(what, What::Owner(_) | What::SessionOpen(_) | What::Statement(_));
    for at in (0..good.records.len()).filter(|at| opens(&good.records[*at].what)).step_by(37) {
        let files = relaid(&good, |entries| drop(entries.remove(at)));
        let found = report(&files, &Options::default()).findings;
        let of_stream = found.iter().filter(|finding| finding.stream == good.stream(at)).count();
        assert_eq!(of_stream, 1, "entry {at}");
    }
}

#[test]
fn what_is_said_twice_under_one_id_is_found_once() {
    let good = Good::new();
    let mut pairs = good.pairs();
    let at = good.records.iter().position(|record| matches!(record.what, What::Receipt(_))).unwrap();
    let What::Receipt(receipt) = &mut pairs[at].0.what else { panic!() };
    receipt.streams[0].count = receipt.streams[0].count.next();
    let again = (pairs[at].0.clone(), None);
    pairs.insert(at + 1, again);
    let found = report(&lay_out(&chain(pairs), SECONDS), &Options::default()).findings;
    assert_eq!(found.iter().filter(|finding| name_of(finding) == "receipt-count").count(), 1);
}

#[test]
fn the_older_checkpoint_of_another_log_says_nothing() {
    let keys = Keys::new();
    let files = lay_out(&good()[..300], SECONDS);
    let origin: tlog::KeyName = "keyhole.internal/log/ffffffffffffffff".parse().unwrap();
    let other = tlog::Signer::new(origin.clone(), tlog::Algorithm::Ed25519, &[9; 32]).unwrap();
    let checkpoint = tlog::Checkpoint { origin, size: 0, root: tlog::Hash::of_nothing() };
    let since = Some(checkpoint.signed([&other, &keys.witness], SECONDS).unwrap().to_string());
    let (log, witness) = (keys.log.verifier(), keys.witness.verifier());
    let both = format!("log {log}\nlog {}\nwitness w {witness}\nquorum w\n", other.verifier());
    let options = Options { since, grant: None };
    let result = verify(&files, &both.parse().unwrap(), &options, |_| ());
    assert!(matches!(result, Err(Unreadable::OtherLog(_))));
    let result = verify(&files, &keys.policy(), &options, |_| ());
    assert!(matches!(result, Err(Unreadable::OlderNotTrusted(_))));
}
