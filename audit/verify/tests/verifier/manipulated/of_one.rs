//! What is told where one grant is asked for.

use audit::samples::{Dice, lay_out};
use audit::{Finding, Options, Wrong};
use record::What;

use super::{Good, name_of, relaid};
use crate::good::{SECONDS, report};
use crate::liar::chain;

#[test]
fn of_one_grant_only_what_is_about_it_or_about_all_is_told() {
    let good = Good::new();
    let mut dice = Dice::of(5);
    let at = good.counted(&mut dice, |record| matches!(record.what, What::Statement(_))).unwrap();
    let files = relaid(&good, |entries| drop(entries.remove(at)));
    let grant = good.records[at].grant.clone();
    let about = |grant| report(&files, &Options { grant, since: None }).findings;
    assert!(about(grant.clone()).iter().any(|finding| matches!(finding.wrong, Wrong::Gap { .. })));
    let other = good
        .records
        .iter()
        .find_map(|record| record.grant.clone().filter(|other| Some(other) != grant.as_ref()));
    assert!(about(other).iter().all(|finding| finding.grant.is_none() || finding.grant != grant));
}

/// Of every grant: no matter which one the record behind the hole is about.
#[test]
fn a_hole_in_the_operators_stream_is_told_whichever_grant_is_asked_for() {
    let good = Good::new();
    let mut tried = 0;
    for (at, record) in good.records.iter().enumerate() {
        let (What::Receipt(_), Some(next)) = (&record.what, good.next(at, record)) else { continue };
        let of_next = &good.records[next].grant;
        if of_next.is_none() || *of_next == record.grant {
            continue;
        }
        let dropped = relaid(&good, |entries| drop(entries.remove(at)));
        let mut altered = record.clone();
        if let What::Receipt(receipt) = &mut altered.what {
            receipt.streams.clear();
        }
        let leaf = altered.encode().unwrap();
        let altered = relaid(&good, |entries| entries[at].leaf = leaf);
        for files in [dropped, altered] {
            let options = Options { grant: record.grant.clone(), since: None };
            let found = report(&files, &options).findings;
            let is_it = |finding: &Finding| finding.stream == good.stream(at) && finding.grant.is_none();
            assert!(found.iter().any(is_it), "entry {at}: {found:?}");
        }
        tried += 1;
    }
    assert!(tried > 1, "{tried}");
}

#[test]
fn an_id_that_stands_on_records_of_two_grants_is_told_of_both() {
    let good = Good::new();
    let at = good.records.iter().position(|record| matches!(record.what, What::Ended(_))).unwrap();
    let other =
        good.records.iter().find(|record| record.grant.is_some() && record.grant != good.records[at].grant);
    let mut pairs = good.pairs();
    let mut again = pairs[at].0.clone();
    again.grant = other.unwrap().grant.clone();
    pairs.insert(at + 1, (again, None));
    let options = Options { grant: good.records[at].grant.clone(), since: None };
    let found = report(&lay_out(&chain(pairs), SECONDS), &options).findings;
    assert!(found.iter().any(|finding| name_of(finding) == "same-id"), "{found:?}");
}
