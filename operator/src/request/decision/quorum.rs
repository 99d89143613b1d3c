//! Which approvals count, and why the others do not. Pure.

use std::fmt;

use access::Quorum;
use crds::{AccessApproval, AccessRequest, Decision, Evidence};
use jiff::Timestamp;
use kube::ResourceExt;

use super::offer::{Offer, is_evidence, is_of_team, of_team};
use crate::api::created;

/// One approval or denial, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Name of the `AccessApproval`.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Who decided.
    pub approver: String,
    /// What they said.
    pub decision: Decision,
    /// Their comment.
    pub comment: Option<String>,
    /// Why it does not count; `None` when it does.
    pub why_not: Option<WhyNot>,
}

/// Why an approval does not count. `Display` is the sentence that the request's status shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// It is being deleted.
    Deleted,
    /// It was written before the admission policies were in force, or held its writer to the `AccessPolicy`'s groups.
    TooOld {
        /// Since when they do.
        since: Timestamp,
    },
    /// It was changed after it was written.
    Changed,
    /// It names another request's uid.
    OtherRequest,
    /// It says that somebody else asked.
    OtherRequester {
        /// Who it says.
        said: String,
    },
    /// The approver is the person who asked.
    Own,
    /// The person who asked brought it.
    BroughtByRequester,
    /// The approver is who submitted the request for somebody else.
    SubmittedRequest,
    /// The rule names neither the approver nor one of their groups.
    NotApprover,
    /// It was brought by somebody whom the rule does not trust to act for others.
    SubmitterNotTrusted {
        /// Who brought it.
        submitter: String,
    },
    /// It was brought by a service account of the team's own namespace.
    SubmitterOfTeam {
        /// Who brought it.
        submitter: String,
    },
    /// The approver is a service account of the team's own namespace.
    ApproverOfTeam,
    /// Whoever wrote the request there reviewed the approval.
    ReviewedByAuthor {
        /// Who.
        reviewer: String,
    },
    /// Another approval that was brought for somebody was reviewed by the same person.
    SameReviewer {
        /// Who.
        reviewer: String,
    },
    /// The same submitter brought the request.
    SameSubmitter {
        /// Who brought both.
        submitter: String,
    },
    /// It was brought for somebody else without evidence that names two different people.
    EvidenceMissing,
    /// It is for other terms.
    OtherTerms,
    /// The same person has approved before.
    Twice,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted => write!(f, "it is being deleted"),
            Self::TooOld { since } if *since == Timestamp::MAX => {
                write!(f, "nobody is held to what it says while what the release stands on is not in force")
            }
            Self::TooOld { since } => {
                write!(
                    f,
                    "what it says is checked only since {since:.0}, when policies were in force, and it is older: write it again"
                )
            }
            Self::Changed => write!(f, "it was changed after it was written: write another one"),
            Self::OtherRequest => {
                write!(f, "it is for another request: spec.request.uid is not this one's uid")
            }
            Self::OtherRequester { said } => {
                write!(f, "spec.requester is {said:?}, and that is not who asked")
            }
            Self::Own => write!(f, "nobody approves their own request"),
            Self::BroughtByRequester => write!(f, "the requester brought it; an approver must write it"),
            Self::SubmittedRequest => write!(f, "the approver submitted the request"),
            Self::NotApprover => {
                write!(f, "the rule names neither the approver nor a group they say they are in")
            }
            Self::SubmitterNotTrusted { submitter } => {
                write!(f, "{submitter} may not approve for others: the rule's onBehalfBy does not name it")
            }
            Self::SubmitterOfTeam { submitter } => write!(f, "{}", of_team(submitter)),
            Self::ApproverOfTeam => write!(
                f,
                "a service account of this namespace approves nothing here: whoever may edit here can be it"
            ),
            Self::ReviewedByAuthor { reviewer } => {
                write!(f, "its evidence names {reviewer} as the reviewer, who wrote the request there")
            }
            Self::SameReviewer { reviewer } => {
                write!(
                    f,
                    "its evidence names {reviewer} as the reviewer, who reviewed another approval already"
                )
            }
            Self::SameSubmitter { submitter } => write!(
                f,
                "{submitter} brought the request too, which the rule's onBehalfBy must allow (both), for one approval"
            ),
            Self::EvidenceMissing => {
                write!(
                    f,
                    "it was brought for somebody else without evidence of a review by two different people"
                )
            }
            Self::OtherTerms => write!(f, "it is for other terms: the digest is not the one in status.terms"),
            Self::Twice => write!(f, "the same person has approved before"),
        }
    }
}

/// All approvals of one request, judged, the oldest first.
pub fn judge(
    offer: &Offer,
    request: &AccessRequest,
    approvals: &[AccessApproval],
    trusted_since: Timestamp,
) -> Vec<Judged> {
    let mut ordered: Vec<&AccessApproval> =
        approvals.iter().filter(|approval| approval.spec.request.name == request.name_any()).collect();
    ordered.sort_by_key(|approval| (created(*approval), approval.name_any()));
    let mut judged: Vec<Judged> = Vec::new();
    let mut reviewers: Vec<String> = Vec::new();
    for approval in ordered {
        let twice = judged.iter().any(|other| {
            other.why_not.is_none()
                && other.approver == approval.spec.approver
                && other.decision == approval.spec.decision
        });
        let reviewer = reviewer_on_behalf(approval);
        let same_reviewer = || {
            let before = reviewer.as_ref().filter(|name| reviewers.contains(&name.to_lowercase()));
            before.map(|reviewer| WhyNot::SameReviewer { reviewer: reviewer.clone() })
        };
        let why_not = why_not(offer, request, approval, trusted_since)
            .or_else(|| twice.then_some(WhyNot::Twice))
            .or_else(|| same_reviewer().filter(|_| approval.spec.decision == Decision::Approve));
        if why_not.is_none() {
            reviewers.extend(reviewer.iter().map(|name| name.to_lowercase()));
        }
        judged.push(Judged {
            name: approval.name_any(),
            uid: approval.uid().unwrap_or_default(),
            approver: approval.spec.approver.clone(),
            decision: approval.spec.decision,
            comment: approval.spec.comment.clone(),
            why_not,
        });
    }
    judged
}

/// Who reviewed it, as its evidence says, where it was brought for somebody else.
fn reviewer_on_behalf(approval: &AccessApproval) -> Option<String> {
    let spec = &approval.spec;
    let evidence = spec.evidence.as_ref().filter(|_| spec.submitted_by != spec.approver)?;
    Some(evidence.reviewer.clone())
}

fn why_not(
    offer: &Offer,
    request: &AccessRequest,
    approval: &AccessApproval,
    trusted_since: Timestamp,
) -> Option<WhyNot> {
    let spec = &approval.spec;
    if approval.metadata.deletion_timestamp.is_some() {
        return Some(WhyNot::Deleted);
    }
    if created(approval) <= trusted_since {
        return Some(WhyNot::TooOld { since: trusted_since });
    }
    if approval.metadata.generation != Some(1) {
        return Some(WhyNot::Changed);
    }
    if request.uid().as_deref() != Some(spec.request.uid.as_str()) {
        return Some(WhyNot::OtherRequest);
    }
    if spec.requester != request.spec.user {
        return Some(WhyNot::OtherRequester { said: spec.requester.clone() });
    }
    if spec.approver == request.spec.user {
        return Some(WhyNot::Own);
    }
    if spec.submitted_by == request.spec.user {
        return Some(WhyNot::BroughtByRequester);
    }
    if spec.approver == request.spec.submitted_by {
        return Some(WhyNot::SubmittedRequest);
    }
    if !may_approve(&offer.terms.rule.quorum, approval) {
        return Some(WhyNot::NotApprover);
    }
    if is_of_team(&spec.approver, &request.namespace().unwrap_or_default()) {
        return Some(WhyNot::ApproverOfTeam);
    }
    submitter(&offer.terms.rule.quorum, request, approval).or_else(|| other_terms(offer, approval))
}

fn may_approve(quorum: &Quorum, approval: &AccessApproval) -> bool {
    let approver = &approval.spec.approver;
    // A service account is nobody in particular: it may approve where the rule names it, and not as one of a group.
    let is_person = !approver.starts_with("system:serviceaccount:");
    quorum.users.contains(approver)
        || (is_person && quorum.groups.iter().any(|group| approval.spec.groups.contains(group)))
}

fn submitter(quorum: &Quorum, request: &AccessRequest, approval: &AccessApproval) -> Option<WhyNot> {
    let submitter = &approval.spec.submitted_by;
    let named = || submitter.clone();
    if *submitter != approval.spec.approver {
        if !quorum.on_behalf_by.contains(submitter) {
            return Some(WhyNot::SubmitterNotTrusted { submitter: named() });
        }
        if is_of_team(submitter, &request.namespace().unwrap_or_default()) {
            return Some(WhyNot::SubmitterOfTeam { submitter: named() });
        }
        if !is_evidence(approval.spec.evidence.as_ref()) {
            return Some(WhyNot::EvidenceMissing);
        }
        if let Some(reviewer) = reviewed_by_author(request, approval) {
            return Some(WhyNot::ReviewedByAuthor { reviewer });
        }
    }
    let both = quorum.both_by.contains(submitter) && quorum.required <= 1;
    if *submitter == request.spec.submitted_by && !both {
        return Some(WhyNot::SameSubmitter { submitter: named() });
    }
    None
}

fn reviewed_by_author(request: &AccessRequest, approval: &AccessApproval) -> Option<String> {
    let Evidence { author, .. } = request.spec.evidence.as_ref()?;
    let Evidence { reviewer, .. } = approval.spec.evidence.as_ref()?;
    (reviewer.to_lowercase() == author.to_lowercase()).then(|| reviewer.clone())
}

/// A denial counts for any terms: no is no.
fn other_terms(offer: &Offer, approval: &AccessApproval) -> Option<WhyNot> {
    match approval.spec.decision {
        Decision::Deny => None,
        Decision::Approve => (approval.spec.terms != offer.digest.as_str()).then_some(WhyNot::OtherTerms),
    }
}
