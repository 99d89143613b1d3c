//! Databases: whether people could connect. A platform team must not learn at the first grant that something is wrong: after each change,
//! and now and then, a grant is made that nobody reads by. It goes the whole way, and ends when it is ready.

use std::sync::Arc;
use std::time::Duration;

use crds::{
    AccessGrant, AccessGrantSpec, AccessGrantStatus, AccessPolicy, Because, ConditionType, Database,
    DatabaseSpec, DatabaseStatus, GrantPhase, GrantedTerms, ProbeStatus, Reason, RequestRef, Weight,
    condition, find_condition, set_condition,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, PostParams};
use kube::core::ObjectMeta;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use sha2::{Digest, Sha256};

use crate::api::{created, gone_is_good, is_conflict, until};
use crate::audit::NotOnRecord;
use crate::audit::facts::of_probe;
use crate::backoff::Backoff;
use crate::clock::now;
use crate::context::Context;
use crate::request::authorities::{Authorities, with_authorities};
use crate::request::plan::whole_seconds;
use access::{Limits, chain};

/// Who a probe is for: a name that no authenticator gives to anybody.
const NOBODY: &str = "keyhole:probe";

/// How long a probe may take, in minutes.
const LASTS: u16 = 3;

/// How long after a probe that failed the next one follows: the first time, and the longest.
const AGAIN: Backoff = Backoff { first: Duration::from_secs(5 * 60), longest: Duration::from_secs(60 * 60) };

/// How often a probe that goes is looked at; its end is seen by itself.
const LOOK: Duration = Duration::from_secs(5);

/// How many probes go at once, about: each is a proxy and a database user, and many databases may be changed together.
const AT_ONCE: usize = 8;

/// How long one waits for the others.
const TURN: Backoff = Backoff { first: Duration::from_secs(60), longest: Duration::from_secs(60) };

/// What can go wrong; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Reading.
    #[error("cannot read the database's objects")]
    Observe(#[source] kube::Error),
    /// Its status.
    #[error("cannot write the database's status")]
    Record(#[source] kube::Error),
    /// The audit log.
    #[error("cannot probe the database before that is on record")]
    NotOnRecord(#[source] NotOnRecord),
    /// Its probe.
    #[error("cannot make or delete the database's probe")]
    Probe(#[source] kube::Error),
}

/// Everything that is looked at.
struct Seen {
    /// With the authorities in it that stand elsewhere.
    database: Database,
    /// Where they come from.
    authorities: Authorities,
    /// Whether the policy that it names is there.
    has_policy: bool,
    /// Its probe, if there is one.
    probe: Option<AccessGrant>,
    /// How often it is to be probed; `None`: never.
    every: Option<Duration>,
    /// How many probes of all databases go.
    going: usize,
}

/// What happens next.
#[derive(Debug, PartialEq)]
struct Next {
    status: DatabaseStatus,
    step: Step,
    again: Option<Duration>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Probe,
    DeleteProbe,
}

/// One look at one database.
pub async fn reconcile(cached: Arc<Database>, context: Arc<Context>) -> Result<Action, DatabaseError> {
    let namespace = cached.namespace().unwrap_or_default();
    let databases: Api<Database> = Api::namespaced(context.client.clone(), &namespace);
    let policies: Api<AccessPolicy> = Api::namespaced(context.client.clone(), &namespace);
    let grants: Api<AccessGrant> = Api::namespaced(context.client.clone(), &namespace);
    let read = databases.get_opt(&cached.name_any()).await.map_err(DatabaseError::Observe)?;
    let Some(database) = read.filter(|database| database.metadata.deletion_timestamp.is_none()) else {
        return Ok(Action::await_change());
    };
    let policy =
        policies.get_metadata_opt(&database.spec.access_policy).await.map_err(DatabaseError::Observe)?;
    let policy = policy.filter(|policy| policy.metadata.deletion_timestamp.is_none());
    let probe = grants.get_opt(&name(&database)).await.map_err(DatabaseError::Observe)?;
    let (resolved, authorities) = with_authorities(context.client.clone(), &context.config, database.clone())
        .await
        .map_err(DatabaseError::Observe)?;
    let every = how_often(&context.config.probe_every, database.spec.probe_every.as_deref());
    let going = going(&context);
    let seen = Seen { has_policy: policy.is_some(), every, probe, going, authorities, database: resolved };
    let Next { status, step, again } = next(&seen, now());
    if database.status.as_ref() != Some(&status) {
        let after = Database { status: Some(status), ..database.clone() };
        let written = databases.replace_status(&database.name_any(), &PostParams::default(), &after).await;
        match written {
            // Somebody changed it meanwhile, and that change is looked at next.
            Err(error) if is_conflict(&error) => return Ok(Action::requeue(LOOK)),
            other => drop(other.map_err(DatabaseError::Record)?),
        }
    }
    match step {
        Step::Nothing => {}
        Step::Probe => {
            let probe = probe_of(&seen.database, policy_uid(policy), now());
            let facts = of_probe(&probe);
            context.records.put(&probe.spec.request.uid, facts).await.map_err(DatabaseError::NotOnRecord)?;
            match grants.create(&PostParams::default(), &context.by_leader(probe)).await {
                Err(error) if is_conflict(&error) => {}
                other => drop(other.map_err(DatabaseError::Probe)?),
            }
        }
        Step::DeleteProbe => {
            let deleted = grants.delete(&name(&database), &DeleteParams::background()).await;
            gone_is_good(deleted.map(drop)).map_err(DatabaseError::Probe)?;
        }
    }
    context.failures.went_well(&database.uid().unwrap_or_default());
    Ok(again.map_or_else(Action::await_change, Action::requeue))
}

/// The release says how often at the most, and whether at all; a database only makes it rarer.
fn how_often(release: &str, own: Option<&str>) -> Option<Duration> {
    let release = crds::probe_every(release).ok()??;
    let Some(own) = own else { return Some(release) };
    Some(crds::probe_every(own).ok()??.max(release))
}

/// Probes that open. While nobody knows, there is room for none.
fn going(context: &Context) -> usize {
    let Some(known) = context.grants.get() else { return AT_ONCE };
    let goes = |grant: &AccessGrant| grant.status.as_ref().is_none_or(|status| !is_over(status.phase));
    known.state().iter().filter(|grant| grant.spec.terms.probe && goes(grant)).count()
}

fn is_over(phase: GrantPhase) -> bool {
    matches!(phase, GrantPhase::Ending | GrantPhase::Ended)
}

/// After a failure.
pub fn failed(database: Arc<Database>, error: &DatabaseError, context: Arc<Context>) -> Action {
    context.metrics.failed("Database");
    tracing::warn!(database = %database.name_any(), error = %chain(error), "database not looked at");
    Action::requeue(context.failures.again_in(&database.uid().unwrap_or_default()))
}

fn policy_uid(policy: Option<crate::api::Metadata<AccessPolicy>>) -> String {
    policy.and_then(|policy| policy.metadata.uid).unwrap_or_default()
}

/// `probe-<first 8 hex digits of SHA-256 of the database's uid>`.
fn name(database: &Database) -> String {
    let digest = Sha256::digest(database.uid().unwrap_or_default());
    let digest: String = access::hex(&digest).chars().take(8).collect();
    format!("probe-{digest}")
}

/// Decides. Pure.
fn next(seen: &Seen, now: Timestamp) -> Next {
    let Seen { database, authorities, has_policy, probe, every, going } = seen;
    let mut status = database.status.clone().unwrap_or_default();
    let generation = database.metadata.generation;
    let is_new = status.observed_generation != generation;
    if let Some(because) = unfit(database, authorities, *has_policy) {
        let new = condition(ConditionType::Ready, false, &because);
        set_condition(&mut status.conditions, new, generation, now);
        // Nobody tells when authorities appear that stand elsewhere.
        let again = (*authorities != Authorities::Own).then_some(AGAIN.first);
        return Next { status: untried(status, generation), step: left_behind(probe.as_ref()), again };
    }
    if let Some(probe) = probe {
        return while_probed(database, probe, status, now);
    }
    let Some(every) = every else {
        status.conditions.retain(|condition| condition.type_ != ConditionType::Ready.word());
        return Next { status: untried(status, generation), step: Step::Nothing, again: None };
    };
    // Databases that came together are not tried together for ever.
    let spread = Backoff { first: *every, longest: *every };
    let wait = match status.failures {
        0 => spread.wait(1, &database.uid().unwrap_or_default()),
        failures => AGAIN.wait(failures, &database.name_any()),
    };
    let due = status.probed_at.as_ref().and_then(|at| at.0.checked_add(wait).ok()).filter(|_| !is_new);
    if let Some(due) = due.filter(|due| *due > now) {
        return Next { status, step: Step::Nothing, again: Some(until(due)) };
    }
    if is_new || status.probed_at.is_none() {
        set_condition(
            &mut status.conditions,
            condition(ConditionType::Ready, false, &probing()),
            generation,
            now,
        );
    }
    if *going >= AT_ONCE {
        let turn = TURN.wait(1, &database.uid().unwrap_or_default());
        return Next { status, step: Step::Nothing, again: Some(turn) };
    }
    Next { status, step: Step::Probe, again: Some(LOOK) }
}

/// Nothing of an earlier try counts any more.
fn untried(status: DatabaseStatus, generation: Option<i64>) -> DatabaseStatus {
    DatabaseStatus { observed_generation: generation, probed_at: None, failures: 0, ..status }
}

/// What is done with a probe whose result is of no use.
fn left_behind(probe: Option<&AccessGrant>) -> Step {
    let is_settled = |probe: &AccessGrant| probe.status.as_ref().is_some_and(|status| status.settled);
    if probe.is_some_and(is_settled) { Step::DeleteProbe } else { Step::Nothing }
}

fn probing() -> Because {
    Because::new(Reason::Probing, "a proxy tries whether people could connect.")
}

/// What stands in the way before anything is tried.
fn unfit(database: &Database, authorities: &Authorities, has_policy: bool) -> Option<Because> {
    if let Authorities::Missing(why) = authorities {
        return Some(Because::new(Reason::DatabaseInvalid, why.to_string()));
    }
    let namespace = database.namespace().unwrap_or_default();
    let target = match crds::target(&namespace, &database.name_any(), &database.spec) {
        Ok(target) => target,
        Err(error) => {
            return Some(Because::new(
                Reason::DatabaseInvalid,
                format!("it cannot be used: {}.", chain(&error)),
            ));
        }
    };
    if !target.engine.is_served() {
        let sentence = format!("engine {} is not served by this release.", target.engine.word());
        return Some(Because::new(Reason::EngineUnsupported, sentence));
    }
    (!has_policy).then(|| {
        let sentence = format!("there is no AccessPolicy {:?}, which it names.", database.spec.access_policy);
        Because::new(Reason::PolicyUnknown, sentence)
    })
}

/// There is a probe: what it says so far, or what came of it.
fn while_probed(
    database: &Database,
    probe: &AccessGrant,
    mut status: DatabaseStatus,
    now: Timestamp,
) -> Next {
    let generation = database.metadata.generation;
    let grant = probe.status.clone().unwrap_or_default();
    let is_of_this = is_same(&probe.spec.terms.database_spec, &database.spec);
    let was_ready = crds::is_true(&status.conditions, ConditionType::Ready);
    let result = result(&grant).filter(|_| is_of_this);
    let told = match (&result, wrong(&grant).filter(|_| is_of_this)) {
        (Some(probed), _) => Some((probed.ready, in_words(probed))),
        // What goes wrong is told at once, and not when the probe gives up.
        (None, Some(because)) => Some((false, because)),
        // One that was ready stays so while it is tried again.
        (None, None) => (!was_ready || !is_of_this).then(|| (false, probing())),
    };
    if let Some((holds, because)) = told {
        let new = condition(ConditionType::Ready, holds, &because);
        set_condition(&mut status.conditions, new, generation, now);
    }
    let is_over = grant.settled || probe.metadata.deletion_timestamp.is_some();
    if !is_over {
        return Next { status, step: Step::Nothing, again: Some(LOOK) };
    }
    // Once for each probe, also for one that came to nothing: whoever ends probes does not make new ones.
    let is_counted = status.probed_at.as_ref().is_some_and(|at| at.0 >= created(probe));
    if !is_counted {
        status.probed_at = Some(Time(now));
        status.failures = match result.is_some_and(|probed| probed.ready) {
            true => 0,
            false => status.failures.saturating_add(1),
        };
    }
    if is_of_this {
        status.observed_generation = generation;
    }
    Next { status, step: left_behind(Some(probe)), again: Some(LOOK) }
}

/// Whether a probe of the one says something about the other.
fn is_same(tried: &DatabaseSpec, now: &DatabaseSpec) -> bool {
    let any_time = |spec: &DatabaseSpec| DatabaseSpec { probe_every: None, ..spec.clone() };
    any_time(tried) == any_time(now)
}

/// What a probe came to: it could connect, or it tried until its time was over. One that somebody ended says nothing.
fn result(grant: &AccessGrantStatus) -> Option<ProbeStatus> {
    let probed = grant.probed.clone()?;
    match grant.end_reason.as_deref() {
        Some("Probed") => Some(probed),
        Some("Expired") if !probed.ready => Some(probed),
        _ => None,
    }
}

fn in_words(probed: &ProbeStatus) -> Because {
    match probed.ready {
        true => Because::new(
            Reason::Ready,
            "a proxy got a credential, connected, and found that it may only read.",
        ),
        false => Because::new(
            Reason::from_word(&probed.reason).unwrap_or(Reason::ProxyFailed),
            probed.message.clone(),
        ),
    }
}

/// What stands in the way of a probe that goes.
fn wrong(grant: &AccessGrantStatus) -> Option<Because> {
    let ready = find_condition(&grant.conditions, ConditionType::Ready)?;
    let reason = Reason::from_word(&ready.reason).filter(|reason| reason.weight() == Weight::Warning)?;
    (!is_over(grant.phase)).then(|| Because::new(reason, ready.message.clone()))
}

/// A grant that nobody reads by.
fn probe_of(database: &Database, policy_uid: String, now: Timestamp) -> AccessGrant {
    let lasts = SignedDuration::from_mins(i64::from(LASTS));
    AccessGrant {
        metadata: ObjectMeta {
            name: Some(name(database)),
            namespace: database.namespace(),
            finalizers: Some(vec![crds::FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: AccessGrantSpec {
            request: RequestRef { name: "probe".to_owned(), uid: database.uid().unwrap_or_default() },
            user: NOBODY.to_owned(),
            terms: GrantedTerms {
                database: database.name_any(),
                database_uid: database.uid().unwrap_or_default(),
                database_spec: database.spec.clone(),
                policy: database.spec.access_policy.clone(),
                policy_uid,
                rule: "probe".to_owned(),
                limits: database.spec.limits.over(Limits::DEFAULT).into(),
                minutes: LASTS,
                probe: true,
                reason: "whether people could connect".to_owned(),
                submitted_by: NOBODY.to_owned(),
                evidence: None,
            },
            terms_digest: format!("sha256:{}", "0".repeat(64)),
            approved_by: Vec::new(),
            expires_at: Time(whole_seconds(now.checked_add(lasts).unwrap_or(now))),
            revocation: None,
            abandon: None,
        },
        status: None,
    }
}

#[cfg(test)]
mod tests;
