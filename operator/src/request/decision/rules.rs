//! The rules that decide about a request, in order: the first to answer wins, and no answer refuses. Pure.

use access::Quorum;
use crds::{AccessRequest, Because, ConditionType, Decision, Reason, RequestPhase, find_condition};
use jiff::Timestamp;

use super::offer::{NoOffer, Offer};
use super::quorum::Judged;
use crate::admission::Admission;
use crate::api::created;
use crate::request::observed::Live;

/// Everything the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The request.
    pub request: &'a AccessRequest,
    /// Whether the release's admission policies are in force.
    pub admission: &'a Admission,
    /// Since when people are held to the groups that the `AccessPolicy` names, where it names any.
    pub groups_since: Option<Timestamp>,
    /// The terms.
    pub offer: &'a Result<Offer, NoOffer>,
    /// The approvals.
    pub judged: &'a [Judged],
    /// How many grants there are.
    pub live: Live,
    /// A grant that was made of the same commit before.
    pub granted_before: Option<&'a str>,
    /// When the request lapses.
    pub lapses_at: Timestamp,
    /// The time.
    pub now: Timestamp,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet; the reason and sentence of its condition.
    Waiting(Because),
    /// No, for ever.
    Denied {
        /// The approver who said so, or `policy`.
        by: String,
        /// Reason and sentence.
        why: Because,
    },
    /// Nobody decided in time.
    Lapsed,
    /// Yes.
    Granted,
}

const RULES: [fn(&Case<'_>) -> Option<Verdict>; 10] = [
    was_denied,
    has_lapsed,
    admission_not_in_force,
    older_than_admission,
    was_changed,
    was_granted_before,
    groups_not_asked_for,
    has_no_terms,
    somebody_denies,
    enough_or_waiting,
];

/// Decides.
pub fn decide(case: &Case<'_>) -> Verdict {
    let refuse = || {
        Verdict::Waiting(Because::new(
            Reason::NoAnswer,
            "no rule of the operator answered: nothing is granted.",
        ))
    };
    RULES.iter().find_map(|rule| rule(case)).unwrap_or_else(refuse)
}

/// A denial is latched: deleting what denied it changes nothing.
fn was_denied(case: &Case<'_>) -> Option<Verdict> {
    let status = case.request.status.as_ref()?;
    let latch = status.denied.as_ref()?;
    let before = find_condition(&status.conditions, ConditionType::Approved);
    let reason = before.and_then(|condition| Reason::from_word(&condition.reason)).unwrap_or(Reason::Denied);
    Some(Verdict::Denied { by: latch.by.clone(), why: Because::new(reason, latch.message.clone()) })
}

fn has_lapsed(case: &Case<'_>) -> Option<Verdict> {
    let phase = case.request.status.as_ref().map(|status| status.phase).unwrap_or_default();
    match phase {
        RequestPhase::Lapsed => Some(Verdict::Lapsed),
        RequestPhase::Pending => (case.lapses_at <= case.now).then_some(Verdict::Lapsed),
        RequestPhase::Approved
        | RequestPhase::Ready
        | RequestPhase::Ending
        | RequestPhase::Denied
        | RequestPhase::Ended => None,
    }
}

fn admission_not_in_force(case: &Case<'_>) -> Option<Verdict> {
    match case.admission {
        Admission::InForce { .. } => None,
        Admission::NotInForce { what } => Some(Verdict::Waiting(Because::new(
            Reason::AdmissionNotInForce,
            format!(
                "what the release stands on is not in force, so nothing is granted: {what}. Run `helm upgrade` with the release's chart."
            ),
        ))),
    }
}

fn older_than_admission(case: &Case<'_>) -> Option<Verdict> {
    let since = case.admission.since()?;
    (created(case.request) <= since).then(|| {
        Verdict::Waiting(Because::new(
            Reason::OlderThanAdmission,
            format!("this request is older than the admission policies, in force since {since:.0}: delete it and ask again."),
        ))
    })
}

/// A request never changes. One that did was changed while the rule against it was not there.
fn was_changed(case: &Case<'_>) -> Option<Verdict> {
    (case.request.metadata.generation != Some(1)).then(|| {
        let sentence = "this request was changed after it was made: delete it and ask again.";
        Verdict::Waiting(Because::new(Reason::Changed, sentence))
    })
}

/// A request that comes back from git, after somebody deleted it here, is no new one.
fn was_granted_before(case: &Case<'_>) -> Option<Verdict> {
    let grant = case.granted_before?;
    let sentence = format!(
        "what this commit asks for was granted before, as {grant}: ask again under another name or commit."
    );
    Some(Verdict::Denied { by: "policy".to_owned(), why: Because::new(Reason::AlreadyGranted, sentence) })
}

/// Before the policy was there nobody was held to its groups: leaving one out must not reach a laxer rule.
fn groups_not_asked_for(case: &Case<'_>) -> Option<Verdict> {
    let since = case.groups_since?;
    (created(case.request) <= since).then(|| {
        Verdict::Waiting(Because::new(
            Reason::OlderThanPolicy,
            format!(
                "this request is older than its AccessPolicy, whose groups are checked since {since:.0}: delete it and ask again."
            ),
        ))
    })
}

fn has_no_terms(case: &Case<'_>) -> Option<Verdict> {
    match case.offer {
        Ok(_) => None,
        Err(NoOffer::Wait { reason, message }) => {
            Some(Verdict::Waiting(Because::new(*reason, message.clone())))
        }
        Err(NoOffer::Deny { reason, message }) => {
            Some(Verdict::Denied { by: "policy".to_owned(), why: Because::new(*reason, message.clone()) })
        }
    }
}

fn somebody_denies(case: &Case<'_>) -> Option<Verdict> {
    let denial =
        case.judged.iter().find(|judged| judged.decision == Decision::Deny && judged.why_not.is_none())?;
    let said = denial.comment.as_deref().unwrap_or("no reason given");
    Some(Verdict::Denied {
        by: denial.approver.clone(),
        why: Because::new(Reason::Denied, format!("{} denied it: {said}", denial.approver)),
    })
}

fn enough_or_waiting(case: &Case<'_>) -> Option<Verdict> {
    let offer = case.offer.as_ref().ok()?;
    let Quorum { required, users, groups, on_behalf_by: _, both_by: _ } = &offer.terms.rule.quorum;
    if counting(case.judged) >= *required {
        return Some(too_many(case, offer.max_live).map_or(Verdict::Granted, Verdict::Waiting));
    }
    let mut who: Vec<String> = users.clone();
    who.extend(groups.iter().map(|group| format!("group {group}")));
    Some(Verdict::Waiting(Because::new(
        Reason::WaitingForApproval,
        format!(
            "{} of {required} approvals; they come from: {}. Approvals must name the digest in status.terms.",
            counting(case.judged),
            who.join(", ")
        ),
    )))
}

fn too_many(case: &Case<'_>, max_live: u32) -> Option<Because> {
    let Live { of_person, of_all, most_of_all } = case.live;
    let until = format!("it is granted when one of them has ended, until {:.0}.", case.lapses_at);
    let sentence = if of_person >= max_live {
        format!(
            "it needs no more approvals, and {} has {of_person} live grants of this database already, where the rule allows \
             {max_live}: {until}",
            case.request.spec.user
        )
    } else if of_all >= most_of_all {
        format!(
            "it needs no more approvals, and the cluster has {of_all} live grants, the most that this release allows: {until}"
        )
    } else {
        return None;
    };
    Some(Because::new(Reason::TooManyLive, sentence))
}

/// Number of approvals that count. One person counts once.
pub fn counting(judged: &[Judged]) -> u32 {
    let counted = judged.iter().filter(|j| j.why_not.is_none() && j.decision == Decision::Approve).count();
    u32::try_from(counted).unwrap_or(u32::MAX)
}
