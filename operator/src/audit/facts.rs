//! What the operator puts on record of requests and grants, from the objects as they are. Pure.
//!
//! A fact is known again by its id, which says what it is about and ends with a hash of what it says: so it is made of nothing that changes
//! from one look to the next. Of what is said twice in a row about the same thing, readers take the first for all. What comes back after
//! something else was said is said again, for the last word must be the true one.

use access::EndReason;
use crds::{
    AccessApproval, AccessGrant, AccessGrantStatus, AccessRequest, AccessRequestStatus, ConditionType,
    Decision, OwedOutcomeStatus, ReceiptLine, StreamStatus, find_condition,
};
use kube::ResourceExt;
use record::kinds::State;
use record::kinds::operator::{
    Approval, Decision as DecisionRecord, Ended, Grant, Item, Killed, LateOutcome, Pod, Receipt, Request,
    Stream,
};
use record::kinds::proxy::{End, Outcome, SqlError};
use record::{Count, StreamName, Time, Uid, What};
use sha2::{Digest, Sha256};

use crate::request::decision::quorum::Judged;

/// The most characters of a sentence in a record, which has room for 65,535 bytes in all.
const LONGEST: usize = 2000;

/// How many bytes of a hash tell what a fact says.
const TELLS: usize = 8;

/// One thing to put on record.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// By which it is known again.
    pub id: String,
    /// The grant that it is about.
    pub grant: Option<Uid>,
    /// What it says.
    pub what: What,
}

impl Fact {
    /// With an id that says what it is about, and what it says.
    fn of(about: &str, grant: Option<Uid>, what: What) -> Self {
        let (_, kind) = what.kind();
        // A value of ours is always JSON.
        let text = serde_json::to_vec(&what).unwrap_or_default();
        let hash = Sha256::digest(text);
        let id = format!("{kind}/{about}/{}", access::hex(hash.get(..TELLS).unwrap_or_default()));
        Self { id, grant, what }
    }

    /// One of several things of a grant.
    fn of_part(grant: &Uid, part: &str, what: What) -> Self {
        Self::of(&format!("{grant}/{part}"), Some(grant.clone()), what)
    }

    /// A token of a grant that is gone, by its accessor.
    pub fn of_orphan(grant: &Uid, accessor: &str, what: What) -> Self {
        Self::of_part(grant, accessor, what)
    }

    /// The log itself, by its origin.
    pub fn of_log(origin: &str, what: What) -> Self {
        Self::of(origin, None, what)
    }

    /// What it is about: two facts about the same are one, or the later is what is true now.
    pub fn subject(&self) -> &str {
        record::subject(&self.id)
    }

    /// Whether it tells of what is over, or of what is seen: then the log has to take it, and what its witness sees holds up nothing.
    pub fn tells_of_an_end(&self) -> bool {
        use What::{Ended, Killed, LateOutcome, Receipt, Shut, Sweep, Witness};
        matches!(
            self.what,
            Ended(_) | Shut(_) | LateOutcome(_) | Killed(_) | Receipt(_) | Sweep(_) | Witness(_)
        )
    }

    /// With an id of which there is one for each grant.
    fn once(grant: Uid, what: What) -> Self {
        let (_, kind) = what.kind();
        Self { id: format!("{kind}/{grant}"), grant: Some(grant), what }
    }
}

/// A request with the status that it will have, its approvals, and what the policy says of it: a step before the next.
pub fn of_request(
    request: &AccessRequest,
    status: &AccessRequestStatus,
    approvals: &[(&AccessApproval, &Judged)],
) -> Vec<Fact> {
    let Some(uid) = uid(request.metadata.uid.as_deref()) else { return Vec::new() };
    let spec = &request.spec;
    let asked = What::Request(Request {
        database: spec.database.clone(),
        minutes: crds::minutes(&spec.duration).map_or(0, |minutes| minutes.seconds() / 60).into(),
        name: request.name_any(),
        namespace: request.namespace().unwrap_or_default(),
        reason: short(&spec.reason),
        submitted_by: spec.submitted_by.clone(),
        terms: status.terms.clone(),
        uid: uid.clone(),
        user: spec.user.clone(),
    });
    let mut facts = vec![Fact::of(uid.as_str(), None, asked)];
    facts.extend(approvals.iter().filter_map(|(approval, judged)| of_approval(&uid, approval, judged)));
    if let Some(approved) = find_condition(&status.conditions, ConditionType::Approved) {
        let decided = What::Decision(DecisionRecord {
            request: uid.clone(),
            rule: status.rule.clone(),
            verdict: approved.reason.clone(),
            why: short(&approved.message),
        });
        facts.push(Fact::of(uid.as_str(), None, decided));
    }
    facts
}

fn of_approval(request: &Uid, approval: &AccessApproval, judged: &Judged) -> Option<Fact> {
    let own = uid(approval.metadata.uid.as_deref())?;
    let what = What::Approval(Approval {
        approver: approval.spec.approver.clone(),
        counts: judged.why_not.is_none(),
        decision: match approval.spec.decision {
            Decision::Approve => "Approve".to_owned(),
            Decision::Deny => "Deny".to_owned(),
        },
        name: approval.name_any(),
        namespace: approval.namespace().unwrap_or_default(),
        request: request.clone(),
        submitted_by: approval.spec.submitted_by.clone(),
        uid: own.clone(),
        why: judged.why_not.as_ref().map(|why| short(&why.to_string())),
    });
    Some(Fact::of(own.as_str(), None, what))
}

/// A grant that is about to be created.
pub fn of_new_grant(grant: &AccessGrant) -> Vec<Fact> {
    let spec = &grant.spec;
    let Some(request) = uid(Some(&spec.request.uid)) else { return Vec::new() };
    let what = What::Grant(Grant {
        approvals: spec.approved_by.iter().filter_map(|by| uid(Some(&by.uid))).collect(),
        database: spec.terms.database.clone(),
        expires: Time::from(spec.expires_at.0),
        name: grant.name_any(),
        namespace: grant.namespace().unwrap_or_default(),
        request: request.clone(),
        terms: spec.terms_digest.clone(),
        user: spec.user.clone(),
    });
    vec![Fact::of(request.as_str(), None, what)]
}

/// A grant that the operator itself asks for, to see whether people could connect: nobody decides on it.
pub fn of_probe(grant: &AccessGrant) -> Vec<Fact> {
    let (spec, terms) = (&grant.spec, &grant.spec.terms);
    let Some(request) = uid(Some(&spec.request.uid)) else { return Vec::new() };
    let what = What::Request(Request {
        database: terms.database.clone(),
        minutes: u32::from(terms.minutes).into(),
        name: spec.request.name.clone(),
        namespace: grant.namespace().unwrap_or_default(),
        reason: short(&terms.reason),
        submitted_by: terms.submitted_by.clone(),
        terms: None,
        uid: request.clone(),
        user: spec.user.clone(),
    });
    [Fact::of(request.as_str(), None, what)].into_iter().chain(of_new_grant(grant)).collect()
}

/// A proxy that is about to be told that it may read a credential.
/// `status`: as it is on record then, with the accessor.
pub fn of_custody(grant: &AccessGrant, status: &AccessGrantStatus, accessor: &str) -> Vec<Fact> {
    let of_grant = || {
        let lease = status.leases.iter().find(|lease| lease.token_accessor == accessor)?;
        let (own, pod) = (uid(grant.metadata.uid.as_deref())?, uid(Some(&lease.pod_uid))?);
        let vault = &grant.spec.terms.database_spec.credentials.vault;
        let what = What::Pod(Pod {
            accessor: accessor.to_owned(),
            grant: grant.name_any(),
            mount: vault.mount.clone(),
            name: access::ChildName::of(own.as_str()).to_string(),
            namespace: grant.namespace().unwrap_or_default(),
            request: uid(Some(&grant.spec.request.uid))?,
            role: vault.role.clone(),
            uid: pod,
        });
        Some(Fact::of_part(&own, accessor, what))
    };
    of_grant().into_iter().collect()
}

/// That a grant ends, and what of it is shut: what stands in its status already, for that does not change any more.
pub fn of_end(grant: &AccessGrant) -> Vec<Fact> {
    let Some((own, status)) = uid(grant.metadata.uid.as_deref()).zip(grant.status.as_ref()) else {
        return Vec::new();
    };
    let Some(reason) = &status.end_reason else { return Vec::new() };
    // One that came when it ended already ended nothing.
    let revocation = grant.spec.revocation.as_ref().filter(|_| reason == EndReason::Revoked.word());
    let ended = What::Ended(Ended {
        person: revocation.map(|revocation| revocation.by.clone()),
        reason: reason.clone(),
        why: revocation.map(|revocation| short(&revocation.reason)),
    });
    let shut = status.receipt.iter().filter_map(item).filter(|item| item.state != State::Open);
    // What did not come into the log is known when the log was asked.
    let is_compared = |line: &ReceiptLine| line.item == access::Item::Record.word() && line.outcome != "Open";
    let closed = if status.receipt.iter().any(is_compared) { usize::MAX } else { 0 };
    let shut = shut.map(|item| Fact::of_part(&own, &item.item.clone(), What::Shut(item)));
    let said = status.leases.iter().filter_map(|lease| lease.record.as_ref());
    let late = said.flat_map(|said| late(&own, said).unwrap_or_default());
    [Fact::once(own.clone(), ended)].into_iter().chain(shut).chain(late.take(closed)).collect()
}

/// How commands went whose outcomes never came into the log, each by itself; and how many other records of this proxy never did. Of a command
/// that is not there itself, nothing is told.
fn late(grant: &Uid, said: &StreamStatus) -> Option<Vec<Fact>> {
    let StreamStatus { stream, count, acknowledged, outcomes, owed, head: _ } = said;
    let named: StreamName = stream.parse().ok().filter(|named: &StreamName| named.grant() == Some(grant))?;
    let is_late = |outcome: &&OwedOutcomeStatus| {
        outcome.of < *acknowledged && outcome.number.is_none_or(|number| number >= *acknowledged)
    };
    let told: Vec<Outcome> = outcomes.iter().filter(is_late).filter_map(outcome).collect();
    let missing = count.saturating_sub(*acknowledged).saturating_add(*owed);
    let others = missing.saturating_sub(u64::try_from(told.len()).unwrap_or(u64::MAX));
    let fact = |part: String, more: Count, outcome: Option<Outcome>| {
        let what = What::LateOutcome(LateOutcome { more, outcome, stream: named.clone() });
        Fact::of_part(grant, &part, what)
    };
    let more = Count::of(others);
    let rest = (others > 0).then(|| fact(stream.clone(), more, None));
    let told =
        told.into_iter().map(|outcome| fact(format!("{stream}/{}", outcome.of), Count::of(0), Some(outcome)));
    Some(told.chain(rest).collect())
}

/// As a proxy would have put it on record; `None` of numbers that no record holds.
fn outcome(said: &OwedOutcomeStatus) -> Option<Outcome> {
    let OwedOutcomeStatus { number: _, of, rows, bytes, micros, cut, sqlstate, error, rule } = said;
    let sql_error = |sqlstate: &String| {
        let number = error.map(Count::try_from).transpose().ok()?;
        Some(SqlError { number, sqlstate: sqlstate.clone() })
    };
    Some(Outcome {
        bytes: Count::try_from(*bytes).ok()?,
        end: if *cut { End::Cut } else { End::Answered },
        error: sqlstate.as_ref().and_then(sql_error),
        micros: Count::try_from(*micros).ok()?,
        of: Count::try_from(*of).ok()?,
        rows: Count::try_from(*rows).ok()?,
        rule: rule.clone(),
    })
}

/// A proxy that runs and did not end as it was told is deleted.
pub fn of_kill(grant: &AccessGrant, why: &str) -> Vec<Fact> {
    let Some(own) = uid(grant.metadata.uid.as_deref()) else { return Vec::new() };
    let pod = access::ChildName::of(own.as_str()).to_string();
    let what = What::Killed(Killed { pod, why: why.to_owned() });
    vec![Fact::of(own.as_str(), Some(own.clone()), what)]
}

/// The receipt of a grant all of whose items are closed in its status.
pub fn of_receipt(grant: &AccessGrant) -> Vec<Fact> {
    let Some((own, status)) = uid(grant.metadata.uid.as_deref()).zip(grant.status.as_ref()) else {
        return Vec::new();
    };
    let Some(began) = &status.ending_since else { return Vec::new() };
    let streams = status.leases.iter().filter_map(|lease| stream(lease.record.as_ref()?));
    let what = What::Receipt(Receipt {
        began: Time::from(began.0),
        items: status.receipt.iter().filter_map(item).collect(),
        name: grant.name_any(),
        namespace: grant.namespace().unwrap_or_default(),
        reason: status.end_reason.clone().unwrap_or_default(),
        streams: streams.collect(),
    });
    vec![Fact::once(own, what)]
}

fn item(line: &ReceiptLine) -> Option<Item> {
    let state = match access::Outcome::from_word(&line.outcome)? {
        access::Outcome::Proved => State::Proved,
        access::Outcome::Open => State::Open,
        access::Outcome::Unprovable => State::Unprovable,
    };
    let millis = Count::of(line.after_millis.unwrap_or_default());
    Some(Item { how: short(&line.detail), item: line.item.clone(), millis, state })
}

/// A stream that the log has as its proxy counted it.
fn stream(said: &StreamStatus) -> Option<Stream> {
    let stream: StreamName = said.stream.parse().ok()?;
    let is_whole = said.acknowledged == said.count;
    let (count, head) = (said.count.try_into().ok()?, said.head.as_ref()?.parse().ok()?);
    is_whole.then_some(Stream { count, head, stream })
}

fn uid(text: Option<&str>) -> Option<Uid> {
    text?.parse().ok()
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;

    const GRANT: &str = "0b9a2f0e-0000-4000-8000-000000000001";

    fn owed(n: Option<u64>, of: u64) -> OwedOutcomeStatus {
        OwedOutcomeStatus { number: n, of, rows: of * 10, ..OwedOutcomeStatus::default() }
    }

    /// Of a proxy that wrote ten records, of which the log has so many: what is told late, of which command, and how many others there are.
    fn told(
        acknowledged: u64,
        outcomes: Vec<OwedOutcomeStatus>,
        owed: u64,
    ) -> Vec<(Option<(u64, u64)>, u64)> {
        let stream = format!("{GRANT}/0123456789abcdef");
        let said = StreamStatus { stream, count: 10, head: None, acknowledged, outcomes, owed };
        let facts = late(&GRANT.parse().unwrap(), &said).unwrap();
        let told = |fact: &Fact| {
            let What::LateOutcome(late) = &fact.what else { panic!("{fact:?}") };
            let outcome = late.outcome.as_ref().map(|outcome| (outcome.of.get(), outcome.rows.get()));
            (outcome, late.more.get())
        };
        let ids: std::collections::BTreeSet<&str> = facts.iter().map(Fact::subject).collect();
        assert_eq!(ids.len(), facts.len(), "each is a fact of its own: {facts:?}");
        facts.iter().map(told).collect()
    }

    #[test]
    fn an_outcome_that_the_log_lacks_is_told_late_and_the_others_are_counted() {
        assert_eq!(
            told(7, vec![owed(Some(7), 3), owed(Some(8), 5)], 0),
            [(Some((3, 30)), 0), (Some((5, 50)), 0), (None, 1)]
        );
        assert_eq!(told(7, Vec::new(), 0), [(None, 3)]);
        assert_eq!(told(9, vec![owed(Some(9), 3)], 0), [(Some((3, 30)), 0)], "no others");
        assert_eq!(told(10, vec![owed(Some(7), 3)], 0), [], "only the acknowledgement was lost");
    }

    #[test]
    fn an_outcome_without_a_place_in_the_stream_is_told_and_one_of_a_command_that_is_not_there_is_not() {
        assert_eq!(told(10, vec![owed(None, 3)], 2), [(Some((3, 30)), 0), (None, 1)]);
        assert_eq!(told(7, vec![owed(Some(8), 7)], 0), [(None, 3)], "its intent is not on record");
    }

    #[test]
    fn what_no_record_holds_and_what_is_of_another_grant_is_not_told() {
        let large = OwedOutcomeStatus { rows: 1 << 60, ..owed(Some(9), 3) };
        assert_eq!(told(9, vec![large], 0), [(None, 1)]);
        let said = StreamStatus {
            stream: "another/0123456789abcdef".into(),
            count: 10,
            outcomes: vec![owed(Some(9), 3)],
            ..StreamStatus::default()
        };
        assert_eq!(late(&GRANT.parse().unwrap(), &said), None);
    }

    #[test]
    fn how_a_command_went_is_told_as_its_proxy_would_have() {
        let said = OwedOutcomeStatus {
            number: None,
            of: 3,
            rows: 1,
            bytes: 2,
            micros: 4,
            cut: true,
            sqlstate: Some("HY000".into()),
            error: Some(1105),
            rule: Some("Rows".into()),
        };
        let count = Count::of;
        let told = Outcome {
            bytes: count(2),
            end: End::Cut,
            error: Some(SqlError { number: Some(count(1105)), sqlstate: "HY000".into() }),
            micros: count(4),
            of: count(3),
            rows: count(1),
            rule: Some("Rows".into()),
        };
        assert_eq!(outcome(&said), Some(told));
    }
}
