//! Databases: whether people could connect. A platform team must not learn at the first grant that something is wrong: after each change,
//! and now and then, a grant is made that nobody reads by. It goes the whole way, and ends when it is ready.

use std::sync::Arc;
use std::time::Duration;

use crds::{
    AccessGrant, AccessGrantSpec, AccessPolicy, Because, ConditionType, Database, DatabaseStatus, GrantPhase,
    GrantedTerms, ProbeStatus, Reason, RequestRef, Weight, condition, find_condition, set_condition,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, PostParams};
use kube::core::ObjectMeta;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use sha2::{Digest, Sha256};

use crate::api::{gone_is_good, is_conflict, until};
use crate::backoff::Backoff;
use crate::clock::now;
use crate::context::Context;
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

/// What can go wrong; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Reading.
    #[error("cannot read the database's objects")]
    Observe(#[source] kube::Error),
    /// Its status.
    #[error("cannot write the database's status")]
    Record(#[source] kube::Error),
    /// Its probe.
    #[error("cannot make or delete the database's probe")]
    Probe(#[source] kube::Error),
}

/// Everything that is looked at.
struct Seen {
    database: Database,
    /// Whether the policy that it names is there.
    has_policy: bool,
    /// Its probe, if there is one.
    probe: Option<AccessGrant>,
    /// How often it is to be probed; `None`: never.
    every: Option<Duration>,
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
    let probe = grants.get_opt(&name(&database)).await.map_err(DatabaseError::Observe)?;
    let said = database.spec.probe_every.as_deref().unwrap_or(&context.config.probe_every);
    let every = crds::probe_every(said).unwrap_or(None);
    let seen = Seen { has_policy: policy.is_some(), every, probe, database };
    let Next { status, step, again } = next(&seen, now());
    let database = &seen.database;
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
            match grants.create(&PostParams::default(), &probe_of(database, policy_uid(policy), now())).await
            {
                Err(error) if is_conflict(&error) => {}
                other => drop(other.map_err(DatabaseError::Probe)?),
            }
        }
        Step::DeleteProbe => {
            let deleted = grants.delete(&name(database), &DeleteParams::background()).await;
            gone_is_good(deleted.map(drop)).map_err(DatabaseError::Probe)?;
        }
    }
    context.failures.went_well(&database.uid().unwrap_or_default());
    Ok(again.map_or_else(Action::await_change, Action::requeue))
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
    let hex: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("probe-{hex}")
}

/// Decides. Pure.
fn next(seen: &Seen, now: Timestamp) -> Next {
    let Seen { database, has_policy, probe, every } = seen;
    let mut status = database.status.clone().unwrap_or_default();
    let generation = database.metadata.generation;
    let is_new = status.observed_generation != generation;
    let told = |status: &mut DatabaseStatus, holds: bool, because: &Because| {
        let new = condition(ConditionType::Ready, holds, because);
        set_condition(&mut status.conditions, new, generation, now);
    };
    if let Some(because) = unfit(database, *has_policy) {
        told(&mut status, false, &because);
        status.observed_generation = generation;
        return Next { status, step: Step::Nothing, again: None };
    }
    if let Some(probe) = probe {
        return while_probed(probe, status, (generation, now));
    }
    let Some(every) = every else {
        let because =
            Because::new(Reason::NotProbed, "everything that it names is there; nobody tried to connect.");
        told(&mut status, false, &because);
        status.observed_generation = generation;
        return Next { status, step: Step::Nothing, again: None };
    };
    let wait = match status.failures {
        0 => *every,
        failures => AGAIN.wait(failures, &database.name_any()),
    };
    let due = status.probed_at.as_ref().and_then(|at| at.0.checked_add(wait).ok()).filter(|_| !is_new);
    match due {
        Some(due) if due > now => Next { status, step: Step::Nothing, again: Some(until(due)) },
        _ => {
            if is_new {
                told(&mut status, false, &probing());
            }
            status.observed_generation = generation;
            Next { status, step: Step::Probe, again: Some(LOOK) }
        }
    }
}

fn probing() -> Because {
    Because::new(Reason::Probing, "a proxy tries whether people could connect.")
}

/// What stands in the way before anything is tried.
fn unfit(database: &Database, has_policy: bool) -> Option<Because> {
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
    probe: &AccessGrant,
    mut status: DatabaseStatus,
    (generation, now): (Option<i64>, Timestamp),
) -> Next {
    let grant = probe.status.clone().unwrap_or_default();
    let of_probe = find_condition(&grant.conditions, ConditionType::Ready);
    let is_over = grant.phase == GrantPhase::Ended || grant.phase == GrantPhase::Ending;
    let came_to = match (&grant.probed, is_over) {
        (Some(probed), true) => Some(probed.clone()),
        (None, true) => Some(ProbeStatus::default()),
        (_, false) => None,
    };
    if let Some(ProbeStatus { ready, reason, message }) = came_to {
        let because = match ready {
            true => Because::new(
                Reason::Ready,
                "a proxy got a credential, connected, and found that it may only read.",
            ),
            false => Because::new(Reason::from_word(&reason).unwrap_or(Reason::ProxyFailed), message),
        };
        set_condition(
            &mut status.conditions,
            condition(ConditionType::Ready, ready, &because),
            generation,
            now,
        );
        if grant.settled {
            let ended = find_condition(&grant.conditions, ConditionType::Ended);
            status.probed_at = ended.map(|ended| ended.last_transition_time.clone()).or(Some(Time(now)));
            status.failures = if ready { 0 } else { status.failures.saturating_add(1) };
            return Next { status, step: Step::DeleteProbe, again: Some(LOOK) };
        }
        return Next { status, step: Step::Nothing, again: Some(LOOK) };
    }
    // What goes wrong is told at once, and not when the probe gives up.
    let wrong = of_probe.and_then(|ready| {
        let reason = Reason::from_word(&ready.reason)?;
        (reason.weight() == Weight::Warning).then(|| Because::new(reason, ready.message.clone()))
    });
    let was_ready = crds::is_true(&status.conditions, ConditionType::Ready);
    match wrong {
        Some(because) => {
            set_condition(
                &mut status.conditions,
                condition(ConditionType::Ready, false, &because),
                generation,
                now,
            );
        }
        None if !was_ready => {
            set_condition(
                &mut status.conditions,
                condition(ConditionType::Ready, false, &probing()),
                generation,
                now,
            );
        }
        None => {}
    }
    Next { status, step: Step::Nothing, again: Some(LOOK) }
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
