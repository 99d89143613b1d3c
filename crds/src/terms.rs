//! The terms of a request, from the objects they are made of. Whoever can read these objects can work out what an approval covers, and
//! compare it with what the operator says. Parses; decides nothing.

use access::{Limits, Line, PolicyRule, Quorum, RequestIdentity, Terms};
use kube::ResourceExt;

use crate::{
    AccessPolicy, AccessRequest, ApprovalsSpec, BadDatabase, BadDuration, Database, DatabaseSpec, Evidence,
    Rule, minutes, peer, target,
};

/// Why there are no terms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTerms {
    /// Its duration.
    #[error("spec.duration of the request cannot be used")]
    Duration(#[source] BadDuration),
    /// Its database.
    #[error("the Database cannot be used")]
    Database(#[source] BadDatabase),
    /// The rule says neither how many approvals it wants, nor that it denies.
    #[error("rule {rule:?} says neither `deny` nor `approvals`")]
    Rule {
        /// Its name.
        rule: String,
    },
}

/// The terms of the request for this database, under this rule of this policy.
pub fn terms(
    request: &AccessRequest,
    database: &Database,
    policy: &AccessPolicy,
    rule: &Rule,
) -> Result<Terms, NoTerms> {
    let approvals = rule.approvals.as_ref().ok_or_else(|| NoTerms::Rule { rule: rule.name.clone() })?;
    let namespace = request.namespace().unwrap_or_default();
    Ok(Terms {
        request: identity(request),
        reason: request.spec.reason.clone(),
        minutes: minutes(&request.spec.duration).map_err(NoTerms::Duration)?,
        target: target(&namespace, &database.name_any(), &database.spec).map_err(NoTerms::Database)?,
        peer: peer(&database.spec.network.to),
        rule: PolicyRule {
            policy: policy.name_any(),
            policy_uid: policy.uid().unwrap_or_default(),
            rule: rule.name.clone(),
            quorum: quorum(rule, approvals),
        },
        limits: limits(&database.spec, rule),
    })
}

/// What whoever submitted the request says of its review elsewhere, for people to look at. An approval covers it by the request's uid, for a
/// request never changes.
pub fn evidence(request: &AccessRequest) -> Option<Line> {
    let Evidence { pull_request, commit, author, reviewer } = request.spec.evidence.as_ref()?;
    let value = format!("{pull_request} at {commit}, written by {author}, reviewed by {reviewer}");
    Some(Line { name: "evidence", value })
}

fn identity(request: &AccessRequest) -> RequestIdentity {
    RequestIdentity {
        namespace: request.namespace().unwrap_or_default(),
        name: request.name_any(),
        uid: request.uid().unwrap_or_default(),
        user: request.spec.user.clone(),
        groups: request.spec.groups.clone(),
        submitted_by: request.spec.submitted_by.clone(),
    }
}

fn quorum(rule: &Rule, approvals: &ApprovalsSpec) -> Quorum {
    let names = |both_only: bool| {
        rule.on_behalf_by
            .iter()
            .filter(|trusted| trusted.both || !both_only)
            .map(|trusted| trusted.user.clone())
            .collect()
    };
    Quorum {
        required: approvals.required,
        users: approvals.approvers.users.clone(),
        groups: approvals.approvers.groups.clone(),
        on_behalf_by: names(false),
        both_by: names(true),
    }
}

fn limits(database: &DatabaseSpec, rule: &Rule) -> Limits {
    let widest = database.limits.over(Limits::DEFAULT);
    match &rule.limits {
        None => widest,
        Some(narrower) => widest.narrowed_by(narrower.over(widest)),
    }
}
