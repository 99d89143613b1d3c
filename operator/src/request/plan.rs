//! What happens next to one request. Pure: reads objects as they were seen, gives the status to write and the grant
//! to create.

use crds::{
    AccessApproval, AccessGrant, AccessPolicy, AccessRequest, AccessRequestStatus, ApprovalSummary, Because,
    ConditionType, Decision, DenialLatch, GrantPhase, Reason, RequestPhase, condition, find_condition,
    set_condition,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;

use super::authorities::Authorities;
use super::decision::offer::{NoOffer, Offer, Sources, offer};
use super::decision::quorum::{Judged, judge};
use super::decision::rules::{Case, Verdict, counting, decide};
use super::decision::summary::summary;
use super::grant_object;
use super::observed::Observed;
use crate::admission::groups_checked_since;
use crate::api::created;
use crate::audit::facts::{Fact, of_request};

/// How long to wait before a request is looked at again where what it waits for is not watched.
const SOON: SignedDuration = SignedDuration::from_secs(15);

/// How long after it was made a request that nobody has to approve is granted at the latest. A rule may let people in at certain hours:
/// nobody keeps its requests for others.
const UNAPPROVED: SignedDuration = SignedDuration::from_mins(15);

/// What to do, in this order: write the status, create the grant.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The status as it must be.
    pub status: AccessRequestStatus,
    /// The grant, when it is to be created.
    pub create: Option<Box<AccessGrant>>,
    /// Approvals, each with a status that says whether it counts, as far as it does not say so yet.
    pub told: Vec<AccessApproval>,
    /// What must be on record before.
    pub facts: Vec<Fact>,
    /// When to look again even if nothing changes.
    pub look_again: Option<Timestamp>,
}

/// Decides; does nothing.
pub fn plan(observed: &Observed, now: Timestamp) -> Plan {
    let Observed { request, grant, .. } = observed;
    let status = request.status.clone().unwrap_or_default();
    of_grant(request, grant.as_ref(), now).unwrap_or_else(|| consider(observed, status, now))
}

/// What happens next where the grant alone says so: where there is one, or was one.
pub fn of_grant(request: &AccessRequest, grant: Option<&AccessGrant>, now: Timestamp) -> Option<Plan> {
    let status = request.status.clone().unwrap_or_default();
    match grant {
        Some(grant) if grant.spec.request.uid == request.uid().unwrap_or_default() => Some(Plan {
            status: mirrored(request, status, grant, now),
            create: None,
            told: Vec::new(),
            facts: Vec::new(),
            look_again: None,
        }),
        Some(_) => Some(foreign_grant(request, status, now)),
        None => match status.phase {
            // Its grant was seen, and is gone: there is never a second one.
            RequestPhase::Ready | RequestPhase::Ending | RequestPhase::Ended => Some(over(status)),
            RequestPhase::Pending | RequestPhase::Approved | RequestPhase::Denied | RequestPhase::Lapsed => {
                None
            }
        },
    }
}

fn over(mut status: AccessRequestStatus) -> Plan {
    status.phase = RequestPhase::Ended;
    status.endpoint = None;
    Plan { status, create: None, told: Vec::new(), facts: Vec::new(), look_again: None }
}

fn consider(observed: &Observed, mut status: AccessRequestStatus, now: Timestamp) -> Plan {
    let Observed {
        request,
        database,
        authorities,
        policy,
        approvals,
        grant: _,
        admission,
        live,
        granted_before,
    } = observed;
    let sources = Sources { request, database: database.as_ref(), authorities, policy: policy.as_ref() };
    let offer = offer(sources, now);
    let groups_since = policy.as_ref().and_then(groups_checked_since);
    let since = admission.since().unwrap_or(Timestamp::MAX).max(groups_since.unwrap_or(Timestamp::MIN));
    let judged = offer.as_ref().map(|offer| judge(offer, request, approvals, since)).unwrap_or_default();
    let mut lapses_at = lapses_at(request, policy.as_ref());
    if offer.as_ref().is_ok_and(needs_nobody) {
        lapses_at = lapses_at.min(created(request).checked_add(UNAPPROVED).unwrap_or(Timestamp::MAX));
    }
    let granted_before = granted_before.as_deref();
    let (offer_is, live) = (&offer, *live);
    let case = Case {
        request,
        admission,
        groups_since,
        offer: offer_is,
        judged: &judged,
        live,
        granted_before,
        lapses_at,
        now,
    };
    let verdict = decide(&case);
    show(&mut status, request, (&offer, &judged));
    let plan = by_verdict(request, status, (verdict, offer, &judged), (lapses_at, now));
    // Nobody tells when authorities change that stand elsewhere.
    let waits = plan.status.phase == RequestPhase::Pending && *authorities != Authorities::Own;
    let look_again = plan.look_again.map(|at| if waits { at.min(soon(now)) } else { at });
    let told = told(approvals, &judged, now);
    let facts = facts(request, &plan, (approvals, &judged), &told);
    Plan { told, facts, look_again, ..plan }
}

/// What is new goes on record, and all steps again before the grant: each is there before the next. Approvals that do not count, which
/// anybody may write, once each.
fn facts(
    request: &AccessRequest,
    plan: &Plan,
    (approvals, judged): (&[AccessApproval], &[Judged]),
    told: &[AccessApproval],
) -> Vec<Fact> {
    if plan.create.is_none() && told.is_empty() && request.status.as_ref() == Some(&plan.status) {
        return Vec::new();
    }
    let is_told = |uid: &str| told.iter().any(|approval| approval.metadata.uid.as_deref() == Some(uid));
    let of = |judged: &Judged| approvals.iter().find(|one| one.metadata.uid.as_ref() == Some(&judged.uid));
    let step = |judged: &&Judged| judged.why_not.is_none() || is_told(&judged.uid);
    let judged = judged.iter().filter(step).filter_map(|judged| Some((of(judged)?, judged)));
    of_request(request, &plan.status, &judged.collect::<Vec<_>>())
}

/// The status of a request that is not decided, because the decision could not be put on record.
pub fn unrecorded(request: &AccessRequest, why: Because, now: Timestamp) -> AccessRequestStatus {
    let mut status = request.status.clone().unwrap_or_default();
    approved(&mut status, request, (false, why), now);
    status
}

/// Approvals that do not say yet what became of them.
fn told(approvals: &[AccessApproval], judged: &[Judged], now: Timestamp) -> Vec<AccessApproval> {
    let says = |approval: &AccessApproval| {
        let judged = judged.iter().find(|judged| Some(&judged.uid) == approval.metadata.uid.as_ref())?;
        let because = match &judged.why_not {
            None => Because::new(Reason::Counted, "it counts for its request."),
            Some(why_not) => Because::new(Reason::NotCounted, why_not.to_string()),
        };
        let mut told = approval.clone();
        let status = told.status.get_or_insert_default();
        let new = condition(ConditionType::Counted, judged.why_not.is_none(), &because);
        set_condition(&mut status.conditions, new, approval.metadata.generation, now);
        (told.status != approval.status).then_some(told)
    };
    approvals.iter().filter_map(says).collect()
}

fn by_verdict(
    request: &AccessRequest,
    mut status: AccessRequestStatus,
    (verdict, offer, judged): (Verdict, Result<Offer, NoOffer>, &[Judged]),
    (lapses_at, now): (Timestamp, Timestamp),
) -> Plan {
    match verdict {
        Verdict::Waiting(why) => {
            status.phase = RequestPhase::Pending;
            (status.grant, status.expires_at) = (None, None);
            let again = if changes_unseen(why.reason) { soon(now) } else { lapses_at };
            approved(&mut status, request, (false, why), now);
            Plan {
                status,
                create: None,
                told: Vec::new(),
                facts: Vec::new(),
                look_again: Some(again.min(lapses_at)),
            }
        }
        Verdict::Denied { by, why } => {
            status.phase = RequestPhase::Denied;
            status.denied = Some(DenialLatch { by, message: why.sentence.clone() });
            approved(&mut status, request, (false, why), now);
            Plan { status, create: None, told: Vec::new(), facts: Vec::new(), look_again: None }
        }
        Verdict::Lapsed => {
            status.phase = RequestPhase::Lapsed;
            let sentence = match offer.as_ref().is_ok_and(needs_nobody) {
                true => {
                    "nobody has to approve it, and yet it could not be granted in time: delete it and ask again."
                }
                false => "nobody decided in time: delete it and ask again.",
            };
            let why = Because::new(Reason::Lapsed, sentence);
            approved(&mut status, request, (false, why), now);
            Plan { status, create: None, told: Vec::new(), facts: Vec::new(), look_again: None }
        }
        Verdict::Granted => match offer {
            Ok(offer) => grant(request, status, &offer, judged, now),
            Err(_) => Plan { status, create: None, told: Vec::new(), facts: Vec::new(), look_again: None },
        },
    }
}

/// Whether what is waited for changes without an object of ours that is watched.
fn changes_unseen(reason: Reason) -> bool {
    matches!(reason, Reason::AdmissionNotInForce | Reason::TooManyLive | Reason::NoRuleMatches)
}

fn soon(now: Timestamp) -> Timestamp {
    now.checked_add(SOON).unwrap_or(now)
}

/// Records the grant's name and deadline first: after a crash the same grant is made, with the same deadline.
fn grant(
    request: &AccessRequest,
    mut status: AccessRequestStatus,
    offer: &Offer,
    judged: &[Judged],
    now: Timestamp,
) -> Plan {
    let name = grant_object::name(request);
    let whole = SignedDuration::from_secs(i64::from(offer.terms.minutes.seconds()));
    let latest = now.checked_add(whole).unwrap_or(now);
    let recorded = status.expires_at.as_ref().filter(|_| status.grant.as_deref() == Some(&name));
    // Objects hold whole seconds; rounding down never lengthens a grant.
    let expires_at = whole_seconds(recorded.map_or(latest, |time| time.0.min(latest)));
    status.phase = RequestPhase::Approved;
    status.grant = Some(name);
    status.expires_at = Some(Time(expires_at));
    if expires_at <= now {
        status.phase = RequestPhase::Ended;
        return Plan { status, create: None, told: Vec::new(), facts: Vec::new(), look_again: None };
    }
    let why = Because::new(Reason::Approved, "enough people approved these terms; the grant is on its way.");
    approved(&mut status, request, (true, why), now);
    // As many as were needed: the grant stands on these.
    let enough = usize::try_from(offer.terms.rule.quorum.required).unwrap_or(usize::MAX);
    let counted: Vec<&Judged> = judged
        .iter()
        .filter(|j| j.why_not.is_none() && j.decision == Decision::Approve)
        .take(enough)
        .collect();
    let create = Some(Box::new(grant_object::build(request, offer, &counted, expires_at)));
    Plan { status, create, told: Vec::new(), facts: Vec::new(), look_again: None }
}

/// The status of a request with this grant.
pub fn mirrored(
    request: &AccessRequest,
    mut status: AccessRequestStatus,
    grant: &AccessGrant,
    now: Timestamp,
) -> AccessRequestStatus {
    let seen = grant.status.clone().unwrap_or_default();
    status.phase = match seen.phase {
        GrantPhase::Opening => RequestPhase::Approved,
        GrantPhase::Ready => RequestPhase::Ready,
        GrantPhase::Ending => RequestPhase::Ending,
        GrantPhase::Ended => RequestPhase::Ended,
    };
    status.grant = Some(grant.name_any());
    status.expires_at = Some(grant.spec.expires_at.clone());
    status.endpoint = seen.endpoint.filter(|_| seen.phase == GrantPhase::Ready);
    let why = Because::new(Reason::Approved, "enough people approved these terms; the grant is made.");
    approved(&mut status, request, (true, why), now);
    for (theirs, ours) in
        [(ConditionType::Ready, ConditionType::Open), (ConditionType::Ended, ConditionType::Ended)]
    {
        if let Some(theirs) = find_condition(&seen.conditions, theirs) {
            let mirrored = Condition { type_: ours.word().to_owned(), ..theirs.clone() };
            set_condition(&mut status.conditions, mirrored, request.metadata.generation, now);
        }
    }
    // Of a release that called it so.
    status.conditions.retain(|condition| condition.type_ != ConditionType::Ready.word());
    status
}

/// The most approvals that a status lists, those that count first: whoever may approve could write so many that it could not be stored.
const MOST_SEEN: usize = 64;

fn foreign_grant(request: &AccessRequest, mut status: AccessRequestStatus, now: Timestamp) -> Plan {
    status.phase = RequestPhase::Pending;
    let why = Because::new(
        Reason::GrantNameTaken,
        "another request's grant has this one's name: ask again under another name.",
    );
    approved(&mut status, request, (false, why), now);
    Plan { status, create: None, told: Vec::new(), facts: Vec::new(), look_again: None }
}

fn show(
    status: &mut AccessRequestStatus,
    request: &AccessRequest,
    (offer, judged): (&Result<Offer, NoOffer>, &[Judged]),
) {
    match offer {
        Ok(offer) => {
            status.terms = Some(offer.digest.as_str().to_owned());
            status.summary = Some(summary(&offer.terms));
            let lines = offer.terms.lines().into_iter().chain(crds::evidence(request));
            status.details = lines.map(|line| line.to_string()).collect();
            status.rule = Some(format!("{}/{}", offer.terms.rule.policy, offer.terms.rule.rule));
            status.approvals = Some(format!("{}/{}", counting(judged), offer.terms.rule.quorum.required));
        }
        Err(NoOffer::Wait { .. } | NoOffer::Deny { .. }) => {
            (status.terms, status.summary, status.rule, status.approvals) = (None, None, None, None);
            status.details.clear();
        }
    }
    let mut shown: Vec<&Judged> = judged.iter().collect();
    let more = shown.len().saturating_sub(MOST_SEEN);
    if more > 0 {
        shown.sort_by_key(|judged| judged.why_not.is_some());
        shown.truncate(MOST_SEEN);
    }
    status.more_seen = u32::try_from(more).ok().filter(|more| *more > 0);
    let one = |judged: &Judged| ApprovalSummary {
        name: judged.name.clone(),
        approver: judged.approver.clone(),
        counts: judged.why_not.is_none(),
        why_not: judged.why_not.as_ref().map(ToString::to_string),
    };
    status.seen = shown.into_iter().map(one).collect();
}

fn approved(status: &mut AccessRequestStatus, request: &AccessRequest, is: (bool, Because), now: Timestamp) {
    let (holds, because) = is;
    status.observed_generation = request.metadata.generation;
    let new = condition(ConditionType::Approved, holds, &because);
    set_condition(&mut status.conditions, new, request.metadata.generation, now);
}

fn needs_nobody(offer: &Offer) -> bool {
    offer.terms.rule.quorum.required == 0
}

/// A `pendingTimeout` that cannot be read counts as the default, 24 h; the time runs from the request's own creation.
fn lapses_at(request: &AccessRequest, policy: Option<&AccessPolicy>) -> Timestamp {
    let text = policy.and_then(|policy| policy.spec.pending_timeout.as_deref());
    let wait = crds::pending_timeout(text).or_else(|_| crds::pending_timeout(None));
    let wait = wait.ok().and_then(|wait| SignedDuration::try_from(wait).ok()).unwrap_or(SignedDuration::ZERO);
    created(request).checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// Rounded down.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
