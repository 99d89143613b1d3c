//! A log that lies with care: what depends on a change is changed too.

use audit::samples::{Dice, Files, lay_out};
use record::{Count, Record, What, Writer};

use super::{Expected, Good, expects, relaid};
use crate::good::SECONDS;
use crate::liar::{chain, rewrite};

/// Leaves one record out that a later one needs.
pub(super) fn without_one(
    good: &Good,
    dice: &mut Dice,
    (fits, any): (fn(&What) -> bool, &'static [&'static str]),
) -> Option<(Files, Expected)> {
    let at = good.counted(dice, |record| fits(&record.what))?;
    Some((good.without(at), expects(any, good.stream(at))))
}

pub(super) fn leaves_an_outcome_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    without_one(good, dice, (|what| matches!(what, What::Outcome(_)), &["outcome-missing", "no-outcome"]))
}

pub(super) fn leaves_an_outcome_out_of_a_stream_that_was_killed(
    good: &Good,
    dice: &mut Dice,
) -> Option<(Files, Expected)> {
    let at = good
        .any(dice, |_, record| matches!(record.what, What::Outcome(_)) && !good.is_closed(&record.stream))?;
    // Of the last statement of a session it may be missing.
    let stream = &good.records[at].stream;
    let What::Outcome(outcome) = &good.records[at].what else { return None };
    let session = good.records.iter().find_map(|record| match &record.what {
        What::Statement(statement) if record.stream == *stream && record.n == outcome.of => {
            Some(statement.session)
        }
        _ => None,
    })?;
    good.records.iter().skip(at).find(|record| {
        record.stream == *stream && matches!(&record.what, What::Statement(other) if other.session == session)
    })?;
    Some((good.without(at), expects(&["outcome-missing"], good.stream(at))))
}

pub(super) fn leaves_a_statement_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    without_one(good, dice, (|what| matches!(what, What::Statement(_)), &["no-statement", "outcome-twice"]))
}

pub(super) fn executes_what_was_not_prepared(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(
        dice,
        |_, record| matches!(&record.what, What::Statement(statement) if statement.of.is_some()),
    )?;
    let (stream, n) = (good.stream(at), good.records[at].n);
    let entries = rewrite(&good.entries, |record| {
        if let What::Statement(statement) = &mut record.what
            && Some(&record.stream) == stream.as_ref()
            && record.n == n
        {
            statement.of = Some(Count::of(1));
        }
    });
    Some((lay_out(&entries, SECONDS), expects(&["no-statement"], stream)))
}

pub(super) fn leaves_a_statement_and_its_outcomes_out(
    good: &Good,
    dice: &mut Dice,
) -> Option<(Files, Expected)> {
    let at = good.counted(dice, |record| matches!(record.what, What::Statement(_)))?;
    let (stream, n) = (good.records[at].stream.clone(), good.records[at].n);
    let mut pairs = good.pairs();
    pairs.retain(|(record, _)| match &record.what {
        What::Outcome(outcome) | What::Fetch(outcome) => record.stream != stream || outcome.of != n,
        _ => record.stream != stream || record.n != n,
    });
    Some((lay_out(&chain(pairs), SECONDS), expects(&["receipt-count"], None)))
}

pub(super) fn leaves_a_session_open_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    without_one(good, dice, (|what| matches!(what, What::SessionOpen(_)), &["session-unknown"]))
}

pub(super) fn leaves_a_session_close_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    without_one(good, dice, (|what| matches!(what, What::SessionClose(_)), &["session-not-closed"]))
}

pub(super) fn leaves_an_owner_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    without_one(good, dice, (|what| matches!(what, What::Owner(_)), &["credential-without-owner"]))
}

pub(super) fn leaves_a_credential_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    without_one(good, dice, (|what| matches!(what, What::Credential(_)), &["session-without-credential"]))
}

pub(super) fn leaves_the_first_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    without_one(good, dice, (|what| matches!(what, What::Open(_)), &["begins"]))
}

pub(super) fn leaves_a_pod_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Pod(_)))?;
    Some((good.without(at), expects(&["credential-without-pod"], None)))
}

pub(super) fn leaves_a_step_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| {
        matches!(record.what, What::Request(_) | What::Approval(_) | What::Grant(_) | What::Ended(_))
    })?;
    Some((good.without(at), expects(&["step-missing"], None)))
}

pub(super) fn leaves_a_term_out(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |at, record| {
        matches!(record.what, What::Term(_) | What::Start(_)) && good.next(at, record).is_some()
    })?;
    Some((good.without(at), expects(&["begins"], good.stream(at))))
}

pub(super) fn counts_otherwise_in_a_receipt(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Receipt(_)))?;
    let id = good.records[at].id.clone();
    let by_count = dice.below(2) == 0;
    let entries = rewrite(&good.entries, |record| {
        if let What::Receipt(receipt) = &mut record.what
            && record.id == id
        {
            let stream = &mut receipt.streams[0];
            if by_count {
                stream.count = stream.count.next();
            } else {
                stream.head.0[0] ^= 1;
            }
        }
    });
    Some((lay_out(&entries, SECONDS), expects(&["receipt-count", "receipt-head"], good.stream(at))))
}

pub(super) fn alters_a_stream_that_is_counted(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.counted(dice, |record| matches!(record.what, What::Outcome(_)))?;
    let (stream, n) = (good.records[at].stream.clone(), good.records[at].n);
    let entries = rewrite(&good.entries, |record| {
        if let What::Outcome(outcome) = &mut record.what
            && record.stream == stream
            && record.n == n
        {
            outcome.rows = outcome.rows.next();
        }
    });
    Some((lay_out(&entries, SECONDS), expects(&["receipt-head"], None)))
}

pub(super) fn drops_the_end_of_a_stream(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.counted(dice, |_| true)?;
    let (stream, n) = (good.records[at].stream.clone(), good.records[at].n);
    let mut pairs = good.pairs();
    pairs.retain(|(record, _)| record.stream != stream || record.n < n);
    Some((lay_out(&chain(pairs), SECONDS), expects(&["receipt-count", "no-stream"], None)))
}

pub(super) fn drops_a_stream(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Open(_)))?;
    let mut pairs = good.pairs();
    pairs.retain(|(record, _)| record.stream != good.records[at].stream);
    Some((lay_out(&chain(pairs), SECONDS), expects(&["pod-without-stream"], None)))
}

pub(super) fn goes_on_after_the_close(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Close(_)))?;
    let mut pairs = good.pairs();
    let mut again = pairs[at - dice.below(2)].clone();
    again.0.stream = good.records[at].stream.clone();
    again.0.grant = good.records[at].grant.clone();
    again.0.what = What::Violation(record::kinds::proxy::Violation { why: "seen".into() });
    again.0.id = None;
    pairs.insert(at + 1 + dice.below(pairs.len() - at), (again.0, None));
    Some((lay_out(&chain(pairs), SECONDS), expects(&["after-close"], good.stream(at))))
}

pub(super) fn says_two_things_under_one_id(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Decision(_)))?;
    let mut pairs = good.pairs();
    let mut other = pairs[at].clone();
    if let What::Decision(decision) = &mut other.0.what {
        decision.verdict = "Denied".into();
    }
    pairs.insert(at + 1, other);
    Some((lay_out(&chain(pairs), SECONDS), expects(&["same-id"], good.stream(at))))
}

/// Puts a copy of the record behind it, changed.
pub(super) fn again(good: &Good, at: usize, to: usize, change: impl FnOnce(&mut Record)) -> Files {
    let mut pairs = good.pairs();
    let mut copy = pairs[at].0.clone();
    change(&mut copy);
    pairs.insert(to, (copy, None));
    lay_out(&chain(pairs), SECONDS)
}

pub(super) fn gives_two_outcomes(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Outcome(_)))?;
    Some((again(good, at, at + 1, |_| ()), expects(&["outcome-twice"], good.stream(at))))
}

pub(super) fn gives_an_outcome_of_nothing(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Outcome(_) | What::Fetch(_)))?;
    let files = again(good, at, at + 1, |record| {
        if let What::Outcome(outcome) | What::Fetch(outcome) = &mut record.what {
            outcome.of = Count::of(1);
        }
    });
    Some((files, expects(&["no-statement"], good.stream(at))))
}

pub(super) fn fetches_before_the_outcome(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Outcome(_)))?;
    let files = again(good, at, at, |record| {
        if let What::Outcome(outcome) = record.what.clone() {
            record.what = What::Fetch(outcome);
        }
    });
    Some((files, expects(&["fetched-before"], good.stream(at))))
}

pub(super) fn opens_a_session_twice(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::SessionOpen(_)))?;
    Some((again(good, at, at + 1, |_| ()), expects(&["session-twice"], good.stream(at))))
}

pub(super) fn begins_a_stream_again(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Open(_) | What::Start(_)))?;
    Some((again(good, at, at + 1, |_| ()), expects(&["begins-again"], good.stream(at))))
}

pub(super) fn reads_a_credential_before_it_may(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Credential(_)))?;
    let stream = &good.records[at].stream;
    let owner = good
        .records
        .iter()
        .position(|record| record.stream == *stream && matches!(record.what, What::Owner(_)))?;
    let files = relaid(good, |entries| {
        let credential = entries.remove(at);
        entries.insert(owner + 1, credential);
    });
    Some((files, expects(&["credential-without-pod"], good.stream(at))))
}

pub(super) fn closes_with_another_count(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Close(_)))?;
    let mut record = good.records[at].clone();
    let by_count = dice.below(2) == 0;
    if let What::Close(close) = &mut record.what {
        if by_count {
            close.count = close.count.next();
        } else {
            close.head.0[3] ^= 1;
        }
    }
    let leaf = record.encode().unwrap();
    Some((
        relaid(good, |entries| entries[at].leaf = leaf),
        expects(&["close-count", "close-head"], good.stream(at)),
    ))
}

pub(super) fn names_another_log(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Start(_)))?;
    let stream = good.stream(at);
    let entries = rewrite(&good.entries, |record| {
        if let What::Start(start) = &mut record.what
            && Some(&record.stream) == stream.as_ref()
        {
            start.origin = "keyhole.internal/log/ffffffffffffffff".into();
        }
    });
    Some((lay_out(&entries, SECONDS), expects(&["other-origin"], stream)))
}

pub(super) fn moves_a_start(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |at, record| at > good.begins && matches!(record.what, What::Start(_)))?;
    // What is left out before it moves it, whatever it is.
    let gone = good.begins + dice.below(at - good.begins);
    Some((good.without(gone), expects(&["start-elsewhere"], good.stream(at))))
}

pub(super) fn takes_a_receipt_for_another_grant(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Receipt(_)))?;
    let other = good.any(dice, |_, record| {
        record.stream.writer() == Writer::Proxy && record.grant != good.records[at].grant
    })?;
    let (id, named) = (good.records[at].id.clone(), good.records[other].stream.clone());
    let entries = rewrite(&good.entries, |record| {
        if let What::Receipt(receipt) = &mut record.what
            && record.id == id
        {
            receipt.streams[0].stream = named.clone();
        }
    });
    Some((lay_out(&entries, SECONDS), expects(&["foreign-stream"], good.stream(at))))
}
