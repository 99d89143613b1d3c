//! What a log may say of itself, of texts and of streams that is not so.

use audit::samples::{Dice, Files, Keys, lay_out};
use record::kinds::log;
use record::{Commitment, Count, StreamName, What};

use super::{Expected, Good, expects};
use crate::good::SECONDS;
use crate::liar::{chain, rewrite};

/// Puts what the log says of itself behind everything, in this stream.
fn says(good: &Good, stream: &StreamName, what: What) -> Files {
    let mut pairs = good.pairs();
    let of_stream = pairs.iter().rev().find(|(record, _)| record.stream == *stream);
    let mut record = of_stream.unwrap().0.clone();
    record.at = pairs.last().unwrap().0.at;
    (record.grant, record.what) = (None, what);
    pairs.push((record, None));
    lay_out(&chain(pairs), SECONDS)
}

/// The streams of the log itself, the latest last.
fn of_log(good: &Good) -> Vec<StreamName> {
    let starts = good.records.iter().filter(|record| matches!(record.what, What::Start(_)));
    starts.map(|record| record.stream.clone()).collect()
}

pub(super) fn speaks_of_what_is_not_there_yet(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let later = Count::of(u64::try_from(good.records.len()).unwrap() + 1);
    let stream = of_log(good).pop()?;
    let what = match dice.below(2) {
        0 => What::Prune(log::Prune { before: good.records[0].at, minimum: later }),
        _ => What::Read(log::Read { entries: vec![later], person: "auditor".into() }),
    };
    Some((says(good, &stream, what), expects(&["ahead"], Some(stream))))
}

pub(super) fn announces_a_key_of_another(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let stream = of_log(good).pop()?;
    let verifier = match dice.below(2) {
        0 => "keyhole.internal/log/0123456789abcdef+00000000+AA==".to_owned(),
        _ => Keys::new().witness.verifier().to_string(),
    };
    let what = What::Key(log::Key { verifier });
    Some((says(good, &stream, what), expects(&["bad-key"], Some(stream))))
}

pub(super) fn goes_on_with_an_earlier_start(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let mut streams = of_log(good);
    streams.pop();
    let stream = streams.get(dice.below(streams.len().max(1)))?.clone();
    let what = What::Read(log::Read { entries: Vec::new(), person: "auditor".into() });
    Some((says(good, &stream, what), expects(&["earlier-start"], Some(stream))))
}

pub(super) fn hides_the_grant(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let is_about_a_grant = |what: &What| {
        let of_its_end = matches!(what, What::Ended(_) | What::Shut(_) | What::Receipt(_));
        of_its_end || matches!(what, What::Pod(_) | What::LateOutcome(_) | What::Erase(_))
    };
    let at = good.any(dice, |_, record| is_about_a_grant(&record.what))?;
    let stream = good.stream(at);
    let (id, index) = (good.records[at].id.clone(), good.records[at].n);
    let entries = rewrite(&good.entries, |record| {
        let is_it = Some(&record.stream) == stream.as_ref() && record.n == index;
        if is_it || (id.is_some() && record.id == id) {
            record.grant = None;
        }
    });
    Some((lay_out(&entries, SECONDS), expects(&["without-grant"], None)))
}

pub(super) fn drops_a_stream_that_is_counted(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.counted(dice, |record| matches!(record.what, What::Open(_)))?;
    let mut pairs = good.pairs();
    pairs.retain(|(record, _)| record.stream != good.records[at].stream);
    Some((lay_out(&chain(pairs), SECONDS), expects(&["no-stream"], None)))
}

pub(super) fn tells_late_of_no_stream(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::LateOutcome(_)))?;
    let id = good.records[at].id.clone();
    let entries = rewrite(&good.entries, |record| {
        if let What::LateOutcome(late) = &mut record.what
            && record.id == id
        {
            late.stream = "4f9c/00000000000001ab".parse().unwrap();
        }
    });
    Some((lay_out(&entries, SECONDS), expects(&["no-stream"], good.stream(at))))
}

pub(super) fn keeps_what_is_no_text(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |at, _| good.entries[at].text.is_some())?;
    let text = vec![7; 40];
    let (stream, n) = (good.stream(at), good.records[at].n);
    let mut entries = rewrite(&good.entries, |record| {
        if let What::Statement(statement) = &mut record.what
            && Some(&record.stream) == stream.as_ref()
            && record.n == n
            && let Some(kept) = &mut statement.text
        {
            kept.commit = Commitment::to(&text);
        }
    });
    entries[at].text = Some(text);
    Some((lay_out(&entries, SECONDS), expects(&["text-unreadable"], stream)))
}

pub(super) fn tells_late_of_no_statement(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::LateOutcome(_)))?;
    let id = good.records[at].id.clone();
    let entries = rewrite(&good.entries, |record| {
        if let What::LateOutcome(late) = &mut record.what
            && record.id == id
            && let Some(outcome) = &mut late.outcome
        {
            outcome.of = Count::of(1);
        }
    });
    Some((lay_out(&entries, SECONDS), expects(&["no-statement"], good.stream(at))))
}

pub(super) fn counts_an_approval_that_does_not_count(
    good: &Good,
    dice: &mut Dice,
) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Approval(_)))?;
    let id = good.records[at].id.clone();
    let entries = rewrite(&good.entries, |record| {
        if let What::Approval(approval) = &mut record.what
            && record.id == id
        {
            approval.counts = false;
        }
    });
    Some((lay_out(&entries, SECONDS), expects(&["step-missing"], None)))
}

pub(super) fn says_the_same_of_another_grant(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Ended(_)))?;
    let other =
        good.any(dice, |_, record| record.grant.is_some() && record.grant != good.records[at].grant)?;
    let mut pairs = good.pairs();
    let mut again = pairs[at].0.clone();
    again.grant.clone_from(&good.records[other].grant);
    pairs.insert(at + 1, (again, None));
    Some((lay_out(&chain(pairs), SECONDS), expects(&["same-id"], good.stream(at))))
}

pub(super) fn asks_in_a_session_that_is_over(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::SessionClose(_)))?;
    let What::SessionClose(close) = &good.records[at].what else { return None };
    let stream = &good.records[at].stream;
    let mut asked = good
        .records
        .iter()
        .find(|record| {
            record.stream == *stream
                && matches!(&record.what, What::Statement(statement) if statement.session == close.session)
        })?
        .clone();
    // A number of its own, so that outcomes still find the first one.
    asked.n = Count::of(1 << 40);
    let mut pairs = good.pairs();
    pairs.insert(at + 1, (asked, None));
    Some((lay_out(&chain(pairs), SECONDS), expects(&["session-unknown"], good.stream(at))))
}

pub(super) fn fetches_of_nothing(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Fetch(_)))?;
    let (stream, n) = (good.stream(at), good.records[at].n);
    let entries = rewrite(&good.entries, |record| {
        if let What::Fetch(outcome) = &mut record.what
            && Some(&record.stream) == stream.as_ref()
            && record.n == n
        {
            outcome.of = Count::of(1);
        }
    });
    Some((lay_out(&entries, SECONDS), expects(&["no-statement"], stream)))
}
