//! What stands behind a receipt, by which its grant is over.

use audit::samples::{Dice, Files, lay_out};
use record::kinds::{State, operator, proxy};
use record::{Count, Record, RunId, StreamName, Uid, What, Writer};

use super::{Expected, Good, expects, name_of};
use crate::good::{SECONDS, report};
use crate::liar::chain;

/// A record of a proxy that was killed, whose grant has a receipt that does not count its stream.
fn of_a_killed_one(good: &Good, dice: &mut Dice, fits: impl Fn(&What) -> bool) -> Option<usize> {
    good.any(dice, |_, record| {
        let is_killed = record.stream.writer() == Writer::Proxy && !good.is_closed(&record.stream);
        is_killed && fits(&record.what) && receipt(good, record.grant.as_ref()).is_some()
    })
}

/// Where the first receipt of a grant is.
fn receipt(good: &Good, grant: Option<&Uid>) -> Option<usize> {
    let is_it = |record: &Record| record.grant.as_ref() == grant && matches!(record.what, What::Receipt(_));
    good.records.iter().position(is_it)
}

fn behind(good: &Good, records: Vec<Record>) -> Files {
    let mut pairs = good.pairs();
    let last = pairs.last().unwrap().0.at;
    pairs.extend(records.into_iter().map(|record| (Record { at: last, ..record }, None)));
    lay_out(&chain(pairs), SECONDS)
}

/// In a stream that goes on, or in a new one of the same grant.
pub(super) fn goes_on_after_the_receipt(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let works = |what: &What| matches!(what, What::SessionOpen(_) | What::Statement(_) | What::Credential(_));
    let at = of_a_killed_one(good, dice, works)?;
    let mut again = good.records[at].clone();
    // A number of its own, so that outcomes still find the first one.
    again.n = Count::of(1 << 40);
    if let What::SessionOpen(session) = &mut again.what {
        session.session = Count::of(1 << 40);
    }
    Some((behind(good, vec![again]), expects(&["after-receipt"], good.stream(at))))
}

pub(super) fn runs_once_more_after_the_receipt(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| {
        matches!(record.what, What::Open(_)) && receipt(good, record.grant.as_ref()).is_some()
    })?;
    let before = &good.records[at].stream;
    let grant = before.grant()?.clone();
    let stream = StreamName::Proxy { grant, run: RunId([9; 8]) };
    let of_it = good.records.iter().filter(|record| record.stream == *before);
    let until = of_it.take_while(|record| !matches!(record.what, What::SessionClose(_) | What::Proofs(_)));
    let life = until.map(|record| Record { stream: stream.clone(), ..record.clone() }).collect();
    Some((behind(good, life), expects(&["after-receipt"], Some(stream))))
}

pub(super) fn lets_one_begin_after_the_receipt(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| {
        matches!(record.what, What::Pod(_)) && receipt(good, record.grant.as_ref()).is_some()
    })?;
    let mut again = good.records[at].clone();
    again.id = again.id.map(|id| format!("{id}/again"));
    if let What::Pod(pod) = &mut again.what {
        pod.accessor.push('x');
    }
    Some((behind(good, vec![again]), expects(&["after-receipt"], good.stream(at))))
}

/// With the receipt's items as given, what is found of a statement and of a pod behind it.
fn found_behind(items: &[(&str, State)]) -> (bool, bool) {
    let mut good = Good::new();
    let mut dice = Dice::of(3);
    let statement = of_a_killed_one(&good, &mut dice, |what| matches!(what, What::Statement(_))).unwrap();
    let grant = good.records[statement].grant.clone();
    let item = |(item, state): &(&str, State)| operator::Item {
        how: "seen".to_owned(),
        item: (*item).to_owned(),
        millis: Count::of(7),
        state: *state,
    };
    for record in &mut good.records {
        if let What::Receipt(receipt) = &mut record.what
            && record.grant == grant
        {
            receipt.items = items.iter().map(item).collect();
        }
    }
    let is_pod = |record: &&Record| record.grant == grant && matches!(record.what, What::Pod(_));
    let mut pod = good.records.iter().find(is_pod).unwrap().clone();
    pod.id = Some("pod/again".to_owned());
    let asked = Record { n: Count::of(1 << 40), ..good.records[statement].clone() };
    let finds = |record: Record| {
        let stream = record.stream.clone();
        let found = report(&behind(&good, vec![record]), &audit::Options::default()).findings;
        found.iter().any(|one| name_of(one) == "after-receipt" && one.stream.as_ref() == Some(&stream))
    };
    (finds(asked), finds(pod))
}

#[test]
fn who_may_still_run_by_the_receipt_may_still_write_but_no_other_one_may_begin() {
    use State::{Open, Proved, Unprovable};
    assert_eq!(found_behind(&[("sockets", Proved), ("lease", Proved), ("pod", Proved)]), (true, true));
    // Somebody gave up the proof; or a node is lost, and nobody saw the process end.
    for items in [
        [("sockets", Proved), ("lease", Proved), ("pod", Unprovable)],
        [("sockets", Proved), ("lease", Unprovable), ("pod", Proved)],
        [("sockets", Unprovable), ("lease", Proved), ("pod", Proved)],
        [("sockets", Proved), ("lease", Proved), ("pod", Open)],
    ] {
        assert_eq!(found_behind(&items), (false, true), "{items:?}");
    }
}

/// What was on its way when its proxy was killed: the operator tells how a statement went, and the log takes what came before the receipt.
#[test]
fn what_the_operator_tells_late_may_stand_behind_the_receipt() {
    let good = Good::new();
    let mut dice = Dice::of(3);
    let at = of_a_killed_one(&good, &mut dice, |what| matches!(what, What::Statement(_))).unwrap();
    let receipt = receipt(&good, good.records[at].grant.as_ref()).unwrap();
    let mut late = good.records[receipt].clone();
    let (stream, of) = (good.records[at].stream.clone(), good.records[at].n);
    let (bytes, rows, micros) = (Count::of(7), Count::of(1), Count::of(9));
    let outcome =
        proxy::Outcome { bytes, end: proxy::End::Answered, error: None, micros, of, rows, rule: None };
    late.id = Some("late-outcome/told".to_owned());
    late.what =
        What::LateOutcome(operator::LateOutcome { more: Count::of(0), outcome: Some(outcome), stream });
    let found = report(&behind(&good, vec![late]), &audit::Options::default()).findings;
    assert_eq!(found, []);
}
