//! Which approvals count, and why the others do not. Pure.

use std::fmt;

use access::Quorum;
use crds::{AccessApproval, AccessRequest, Decision};
use jiff::Timestamp;
use kube::ResourceExt;

use super::offer::{Offer, is_evidence};
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
            Self::TooOld { since } => {
                write!(
                    f,
                    "what it says is checked only since {since:.0}, when policies were in force, and it is older: write it again"
                )
            }
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
            Self::SameSubmitter { submitter } => write!(
                f,
                "{submitter} brought the request too, and the rule's onBehalfBy does not allow it both"
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
    for approval in ordered {
        let twice = judged.iter().any(|other| {
            other.why_not.is_none()
                && other.approver == approval.spec.approver
                && other.decision == approval.spec.decision
        });
        judged.push(Judged {
            name: approval.name_any(),
            uid: approval.uid().unwrap_or_default(),
            approver: approval.spec.approver.clone(),
            decision: approval.spec.decision,
            comment: approval.spec.comment.clone(),
            why_not: why_not(offer, request, approval, trusted_since)
                .or_else(|| twice.then_some(WhyNot::Twice)),
        });
    }
    judged
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
    submitter(&offer.terms.rule.quorum, request, approval).or_else(|| other_terms(offer, approval))
}

fn may_approve(quorum: &Quorum, approval: &AccessApproval) -> bool {
    quorum.users.contains(&approval.spec.approver)
        || quorum.groups.iter().any(|group| approval.spec.groups.contains(group))
}

fn submitter(quorum: &Quorum, request: &AccessRequest, approval: &AccessApproval) -> Option<WhyNot> {
    let submitter = &approval.spec.submitted_by;
    let named = || submitter.clone();
    if *submitter != approval.spec.approver {
        if !quorum.on_behalf_by.contains(submitter) {
            return Some(WhyNot::SubmitterNotTrusted { submitter: named() });
        }
        if !is_evidence(approval.spec.evidence.as_ref()) {
            return Some(WhyNot::EvidenceMissing);
        }
    }
    if *submitter == request.spec.submitted_by && !quorum.both_by.contains(submitter) {
        return Some(WhyNot::SameSubmitter { submitter: named() });
    }
    None
}

/// A denial counts for any terms: no is no.
fn other_terms(offer: &Offer, approval: &AccessApproval) -> Option<WhyNot> {
    match approval.spec.decision {
        Decision::Deny => None,
        Decision::Approve => (approval.spec.terms != offer.digest.as_str()).then_some(WhyNot::OtherTerms),
    }
}
