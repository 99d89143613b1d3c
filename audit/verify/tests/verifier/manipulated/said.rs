//! What one record says, against what another one says of the same grant: for whom it is, what it opens, and on whose approval.

use audit::samples::{Dice, Files, lay_out};
use record::kinds::operator;
use record::{Record, RunId, StreamName, Uid, What};

use super::{Expected, Good, expects};
use crate::good::SECONDS;
use crate::liar::{chain, rewrite};

/// Changes all records of one id, or the one of this number in its stream.
fn changed(good: &Good, at: usize, change: impl Fn(&mut What)) -> Files {
    let chosen = &good.records[at];
    let entries = rewrite(&good.entries, |record| {
        let is_it = record.stream == chosen.stream && record.n == chosen.n;
        if is_it || (chosen.id.is_some() && record.id == chosen.id) {
            change(&mut record.what);
        }
    });
    lay_out(&entries, SECONDS)
}

/// Of what a proxy says at its beginning.
pub(super) fn opens_as_another(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Open(_)))?;
    let which = dice.below(4_u8);
    let files = changed(good, at, |what| {
        let What::Open(open) = what else { return };
        let field = match which {
            0 => &mut open.user,
            1 => &mut open.database,
            2 => &mut open.namespace,
            _ => &mut open.name,
        };
        field.push('x');
    });
    Some((files, expects(&["says-otherwise"], good.stream(at))))
}

pub(super) fn opens_a_session_as_another(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::SessionOpen(_)))?;
    let (stream, n) = (&good.records[at].stream, good.records[at].n);
    let mut pairs = good.pairs();
    for (record, _) in &mut pairs {
        if let What::SessionOpen(session) = &mut record.what
            && record.stream == *stream
            && record.n == n
        {
            session.user.push('x');
        }
    }
    if dice.below(2_u8) == 0 {
        // What the proxy said at its beginning is missing; the operator's record is not.
        pairs.retain(|(record, _)| record.stream != *stream || record.n.get() > 0);
    }
    Some((lay_out(&chain(pairs), SECONDS), expects(&["says-otherwise"], good.stream(at))))
}

pub(super) fn grants_to_another(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Grant(_)))?;
    let which = dice.below(3_u8);
    let files = changed(good, at, |what| {
        let What::Grant(grant) = what else { return };
        let field = match which {
            0 => &mut grant.user,
            1 => &mut grant.database,
            _ => &mut grant.namespace,
        };
        field.push('x');
    });
    Some((files, expects(&["says-otherwise"], good.stream(at))))
}

pub(super) fn asks_for_another_later(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Request(_)))?;
    let mut pairs = good.pairs();
    let mut again = pairs[at].0.clone();
    again.id = again.id.map(|id| format!("{id}/2"));
    if let What::Request(request) = &mut again.what {
        request.user.push('x');
    }
    pairs.insert(at + 1, (again, None));
    Some((lay_out(&chain(pairs), SECONDS), expects(&["says-otherwise"], good.stream(at))))
}

pub(super) fn lets_another_begin(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Pod(_)))?;
    let own = &good.records[at].grant;
    let other = good.records[good.begins..at].iter().find_map(|record| match &record.what {
        What::Pod(pod) if record.grant != *own => Some(pod.request.clone()),
        _ => None,
    });
    let which = if other.is_some() { dice.below(3_u8) } else { dice.below(2_u8) };
    let files = changed(good, at, |what| {
        let What::Pod(pod) = what else { return };
        match (which, &other) {
            (0, _) => pod.namespace.push('x'),
            (2, Some(other)) => pod.request = other.clone(),
            _ => pod.grant.push('x'),
        }
    });
    Some((files, expects(&["says-otherwise"], good.stream(at))))
}

pub(super) fn grants_on_what_is_no_approval_of_it(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Grant(_)))?;
    let What::Grant(grant) = &good.records[at].what else { return None };
    let approvals = |of: &dyn Fn(&operator::Approval) -> bool| -> Option<(usize, Uid)> {
        good.records[..at].iter().enumerate().find_map(|(at, record)| match &record.what {
            What::Approval(approval) if of(approval) => Some((at, approval.uid.clone())),
            _ => None,
        })
    };
    let (own, _) = approvals(&|approval| approval.request == grant.request)?;
    let files = match (dice.below(2_u8), approvals(&|approval| approval.request != grant.request)) {
        (1, Some((_, other))) => changed(good, at, |what| {
            if let What::Grant(grant) = what {
                grant.approvals = vec![other.clone()];
            }
        }),
        _ => changed(good, own, |what| {
            if let What::Approval(approval) = what {
                approval.decision = "Deny".to_owned();
            }
        }),
    };
    Some((files, expects(&["step-missing"], good.stream(at))))
}

pub(super) fn grants_other_terms(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Grant(_)))?;
    let files = changed(good, at, |what| {
        if let What::Grant(grant) = what {
            grant.terms.push('1');
        }
    });
    Some((files, expects(&["says-otherwise"], good.stream(at))))
}

pub(super) fn grants_what_was_not_decided(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Decision(_)))?;
    let files = match dice.below(2_u8) {
        0 => good.without(at),
        _ => changed(good, at, |what| {
            if let What::Decision(decision) = what {
                decision.verdict = "Denied".to_owned();
            }
        }),
    };
    Some((files, expects(&["step-missing"], None)))
}

pub(super) fn counts_the_approval_of_who_asked(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Approval(_)))?;
    let by_submitter = dice.below(2_u8) == 0;
    let files = changed(good, at, |what| {
        let What::Approval(approval) = what else { return };
        let who = if by_submitter { &mut approval.submitted_by } else { &mut approval.approver };
        "requester".clone_into(who);
    });
    Some((files, expects(&["own-approval"], good.stream(at))))
}

pub(super) fn writes_a_receipt_of_another_name(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Receipt(_)))?;
    let by_name = dice.below(2_u8) == 0;
    let files = changed(good, at, |what| {
        if let What::Receipt(receipt) = what {
            let field = if by_name { &mut receipt.name } else { &mut receipt.namespace };
            field.push('x');
        }
    });
    Some((files, expects(&["says-otherwise"], good.stream(at))))
}

pub(super) fn tells_late_of_another_grant(good: &Good, dice: &mut Dice) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::LateOutcome(_)))?;
    let own = good.records[at].grant.clone();
    let other = good.records[good.begins..at].iter().find_map(|record| {
        let is_another = record.stream.grant().is_some() && record.stream.grant() != own.as_ref();
        is_another.then(|| record.stream.clone())
    })?;
    let files = changed(good, at, |what| {
        if let What::LateOutcome(late) = what {
            late.stream = other.clone();
            late.outcome = None;
        }
    });
    Some((files, expects(&["foreign-stream"], good.stream(at))))
}

/// One that no record of the operator's names, under the token of one that it does name.
pub(super) fn hides_a_proxy_behind_another_ones_token(
    good: &Good,
    dice: &mut Dice,
) -> Option<(Files, Expected)> {
    let at = good.any(dice, |_, record| matches!(record.what, What::Credential(_)))?;
    let before = &good.records[at].stream;
    let stream = StreamName::Proxy { grant: before.grant()?.clone(), run: RunId([9; 8]) };
    let until = good.records[..=at].iter().filter(|record| record.stream == *before);
    let life: Vec<_> =
        until.map(|record| (Record { stream: stream.clone(), ..record.clone() }, None)).collect();
    let mut pairs = good.pairs();
    pairs.splice(at + 1..at + 1, life);
    Some((lay_out(&chain(pairs), SECONDS), expects(&["accessor-twice"], Some(stream))))
}
