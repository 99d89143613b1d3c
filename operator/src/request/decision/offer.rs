//! What would be granted, if enough people agree: the terms of a request under the first rule that matches.
//!
//! Pure. It never grants: it says which approvals would.

use access::{GrantMinutes, Terms, TermsDigest};
use crds::{AccessPolicy, AccessRequest, Database, DatabaseSpec, Evidence, Reason, Rule};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::expression::{self, Inputs};
use crate::api::created;
use crate::request::authorities::Authorities;
use access::chain;

/// How many live grants of one database one person may have where the rule does not say.
const DEFAULT_MAX_LIVE: u32 = 1;

/// How long after it was made a policy may be one of several objects that are still being applied.
const ARRIVING: SignedDuration = SignedDuration::from_secs(60);

/// Terms that can be approved.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The terms themselves.
    pub terms: Terms,
    /// Their digest.
    pub digest: TermsDigest,
    /// Uid of the `Database`.
    pub database_uid: String,
    /// Its spec now: the snapshot of the grant.
    pub database_spec: DatabaseSpec,
    /// How many live grants of the database the rule lets one person have.
    pub max_live: u32,
}

/// Why there are no terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoOffer {
    /// Somebody can repair it, and the request may still be decided then.
    Wait {
        /// For the condition.
        reason: Reason,
        /// What to do.
        message: String,
    },
    /// Final.
    Deny {
        /// For the condition.
        reason: Reason,
        /// Why, and what to do instead.
        message: String,
    },
}

fn wait(reason: Reason, message: String) -> NoOffer {
    NoOffer::Wait { reason, message }
}

fn deny(reason: Reason, message: String) -> NoOffer {
    NoOffer::Deny { reason, message }
}

/// The objects an offer is made from, as read from the API server.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The request.
    pub request: &'a AccessRequest,
    /// Its database, if there is one of that name, with the authorities in it that stand elsewhere.
    pub database: Option<&'a Database>,
    /// Where its authorities come from.
    pub authorities: &'a Authorities,
    /// The database's policy, if there is one of that name.
    pub policy: Option<&'a AccessPolicy>,
}

/// Finds the rule and computes the terms.
pub fn offer(sources: Sources<'_>, now: Timestamp) -> Result<Offer, NoOffer> {
    let Sources { request, database, authorities, policy } = sources;
    let namespace = request.namespace().unwrap_or_default();
    let minutes = crds::minutes(&request.spec.duration).map_err(|error| {
        deny(Reason::DurationInvalid, format!("spec.duration: {}. Ask again.", chain(&error)))
    })?;
    let database = live(database).ok_or_else(|| {
        let name = &request.spec.database;
        wait(
            Reason::DatabaseUnknown,
            format!(
                "there is no Database {name:?} in namespace {namespace:?}: make it, or ask for another one."
            ),
        )
    })?;
    if let Authorities::Missing(why) = authorities {
        return Err(wait(Reason::DatabaseInvalid, why.to_string()));
    }
    let target = crds::target(&namespace, &database.name_any(), &database.spec).map_err(|error| {
        wait(Reason::DatabaseInvalid, format!("the Database cannot be used: {}.", chain(&error)))
    })?;
    if !target.engine.is_served() {
        let word = target.engine.word();
        let message = format!("engine {word} is not served by this release: nothing can be granted.");
        return Err(wait(Reason::EngineUnsupported, message));
    }
    let policy = live(policy).ok_or_else(|| {
        let name = &database.spec.access_policy;
        wait(Reason::PolicyUnknown, format!("there is no AccessPolicy {name:?}, which the Database names: nobody can approve until it is there."))
    })?;
    let groups = known_groups(request, policy);
    let rule = matching(policy, &Inputs { groups, ..inputs(request, database, minutes) }, now)?;
    not_denied(rule)?;
    on_behalf(request, rule)?;
    short_enough(rule, minutes)?;
    let terms = crds::terms(request, database, policy, rule)
        .map_err(|error| wait(Reason::PolicyError, format!("{}, so nothing is granted.", chain(&error))))?;
    Ok(Offer {
        digest: terms.digest(),
        terms,
        database_uid: database.uid().unwrap_or_default(),
        database_spec: database.spec.clone(),
        max_live: rule.max_live.unwrap_or(DEFAULT_MAX_LIVE),
    })
}

/// Whether evidence names two different people, and a place.
pub fn is_evidence(evidence: Option<&Evidence>) -> bool {
    evidence.is_some_and(|Evidence { pull_request, commit, author, reviewer }| {
        !pull_request.is_empty()
            && !commit.is_empty()
            && !author.is_empty()
            && !reviewer.is_empty()
            && author != reviewer
    })
}

/// Whether this is a service account of the team's own namespace. Whoever may edit there can be it: by impersonation, with a token,
/// or in a pod of theirs (Kubernetes' built-in role `edit`).
pub fn is_of_team(submitter: &str, namespace: &str) -> bool {
    submitter.starts_with(&format!("system:serviceaccount:{namespace}:"))
}

/// Why it is not trusted.
pub fn of_team(submitter: &str) -> String {
    format!(
        "{submitter} is a service account of this namespace, and whoever may edit here can be it: submit from a namespace of \
         the platform team."
    )
}

fn live<K: kube::Resource>(object: Option<&K>) -> Option<&K> {
    object.filter(|object| object.meta().deletion_timestamp.is_none())
}

fn inputs(request: &AccessRequest, database: &Database, minutes: GrantMinutes) -> Inputs {
    Inputs {
        user: request.spec.user.clone(),
        groups: Vec::new(),
        submitted_by: request.spec.submitted_by.clone(),
        reason: request.spec.reason.clone(),
        minutes: minutes.get(),
        created_at: created(request),
        database: database.name_any(),
        namespace: database.namespace().unwrap_or_default(),
        engine: access::Engine::from(database.spec.engine).word(),
        labels: database.labels().clone().into_iter().collect(),
    }
}

/// Of the groups that the request says, those that the policy names: only these did admission compare with the truth.
fn known_groups(request: &AccessRequest, policy: &AccessPolicy) -> Vec<String> {
    let said = request.spec.groups.iter();
    said.filter(|group| policy.spec.groups.contains(group)).cloned().collect()
}

/// The first rule that matches. An error in any `when` before that refuses.
fn matching<'a>(policy: &'a AccessPolicy, inputs: &Inputs, now: Timestamp) -> Result<&'a Rule, NoOffer> {
    for rule in &policy.spec.rules {
        let matches = match &rule.when {
            None => true,
            Some(when) => expression::matches(when, inputs).map_err(|error| {
                wait(Reason::PolicyError, format!(
                    "rule {:?} of AccessPolicy {:?} cannot be judged, so nothing is granted: in `{when}`, {error}. \
                     Tell the platform team.", rule.name, policy.name_any()))
            })?,
        };
        if matches {
            return Ok(rule);
        }
    }
    let message = format!("no rule of AccessPolicy {:?} matches this request.", policy.name_any());
    // What is applied with it in one go, its other objects and their labels, may not be there yet.
    let is_new = now.duration_since(created(policy)) < ARRIVING;
    Err(if is_new { wait(Reason::NoRuleMatches, message) } else { deny(Reason::NoRuleMatches, message) })
}

fn not_denied(rule: &Rule) -> Result<(), NoOffer> {
    match &rule.deny {
        Some(refusal) => {
            Err(deny(Reason::DeniedByPolicy, format!("rule {:?}: {}", rule.name, refusal.message)))
        }
        None => Ok(()),
    }
}

fn on_behalf(request: &AccessRequest, rule: &Rule) -> Result<(), NoOffer> {
    let (user, submitter) = (&request.spec.user, &request.spec.submitted_by);
    if user == submitter {
        return Ok(());
    }
    if !rule.on_behalf_by.iter().any(|trusted| trusted.user == *submitter) {
        return Err(deny(
            Reason::SubmitterNotTrusted,
            format!(
                "{submitter} may not ask for {user}: rule {:?} does not name it in onBehalfBy.",
                rule.name
            ),
        ));
    }
    if is_of_team(submitter, &request.namespace().unwrap_or_default()) {
        return Err(deny(Reason::SubmitterInTeamNamespace, of_team(submitter)));
    }
    if !is_evidence(request.spec.evidence.as_ref()) {
        return Err(deny(
            Reason::EvidenceMissing,
            format!(
                "{submitter} asks for {user} without evidence of a review by two different people: fill spec.evidence."
            ),
        ));
    }
    Ok(())
}

fn short_enough(rule: &Rule, minutes: GrantMinutes) -> Result<(), NoOffer> {
    let Some(text) = &rule.max_duration else { return Ok(()) };
    let longest = crds::minutes(text).map_err(|error| {
        wait(
            Reason::PolicyError,
            format!("maxDuration of rule {:?}: {}. Tell the platform team.", rule.name, chain(&error)),
        )
    })?;
    if minutes > longest {
        return Err(deny(
            Reason::DurationTooLong,
            format!("rule {:?} allows at most {text}: ask again for that or less.", rule.name),
        ));
    }
    Ok(())
}
