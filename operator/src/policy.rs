//! Says of each `AccessPolicy` whether its expressions compile, and since when it counts, so that the platform team need
//! not wait for a request.

use std::sync::Arc;
use std::time::Duration;

use crds::{AccessPolicy, Because, ConditionType, Reason, condition, set_condition};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};

use crate::admission::groups_checked_since;
use crate::api::is_conflict;
use crate::clock::now;
use crate::context::Context;
use crate::request::decision::expression;
use access::chain;

/// A policy that could not be looked at; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Reading.
    #[error("cannot read the AccessPolicy")]
    Observe(#[source] kube::Error),
    /// Its status.
    #[error("cannot write the AccessPolicy's status")]
    Record(#[source] kube::Error),
    /// The judgement did not come back.
    #[error("the judgement was interrupted")]
    Judge,
}

/// One look at one policy.
pub async fn reconcile(cached: Arc<AccessPolicy>, context: Arc<Context>) -> Result<Action, PolicyError> {
    let api: Api<AccessPolicy> =
        Api::namespaced(context.client.clone(), &cached.namespace().unwrap_or_default());
    let read = api.get_opt(&cached.name_any()).await.map_err(PolicyError::Observe)?;
    let Some(mut policy) = read else { return Ok(Action::await_change()) };
    let spec = policy.spec.clone();
    let judged = tokio::task::spawn_blocking(move || judge(&spec));
    let mut judged = judged.await.map_err(|_| PolicyError::Judge)?;
    let settling = settling(&policy, now());
    if let Some((condition, _)) = settling.clone().filter(|_| judged.status == "True") {
        judged = condition;
    }
    let before = policy.status.clone().unwrap_or_default();
    let mut status = before.clone();
    set_condition(&mut status.conditions, judged, policy.metadata.generation, now());
    if policy.status.is_none() || status != before {
        policy.status = Some(status);
        let written = api.replace_status(&policy.name_any(), &PostParams::default(), &policy).await;
        match written {
            // Somebody changed it meanwhile, and that change is looked at next.
            Err(error) if is_conflict(&error) => {}
            other => drop(other.map_err(PolicyError::Record)?),
        }
    }
    context.failures.went_well(&policy.uid().unwrap_or_default());
    Ok(settling.map_or_else(Action::await_change, |(_, wait)| Action::requeue(wait)))
}

/// While nobody is held to its groups yet: a `Ready` that is False, and for how long.
fn settling(policy: &AccessPolicy, now: Timestamp) -> Option<(Condition, Duration)> {
    let since = groups_checked_since(policy)?;
    // Times of objects are whole seconds: what is made within this very one does not count either.
    let counts = since.checked_add(SignedDuration::from_secs(1)).ok().filter(|counts| now < *counts)?;
    let wait = Duration::try_from(counts.duration_since(now)).ok()?;
    let message =
        format!("its groups are checked only since {since:.0}; what is older than that does not count.");
    Some((ready(false, Reason::Settling, message), wait))
}

/// After a failure.
pub fn failed(policy: Arc<AccessPolicy>, error: &PolicyError, context: Arc<Context>) -> Action {
    context.metrics.failed("Policy");
    tracing::warn!(policy = %policy.name_any(), error = %chain(error), "policy not looked at");
    Action::requeue(context.failures.again_in(&policy.uid().unwrap_or_default()))
}

/// `Ready` is True when every expression, duration and timeout can be read.
fn judge(spec: &crds::AccessPolicySpec) -> Condition {
    for rule in &spec.rules {
        let compiled = rule.when.as_deref().map_or(Ok(()), expression::compiles);
        if let Err(error) = compiled {
            let message =
                format!("rule {:?} cannot be judged, so no request gets past it: {error}", rule.name);
            return ready(false, Reason::Expression, message);
        }
        if let Some(Err(error)) = rule.max_duration.as_deref().map(crds::minutes) {
            let message = format!("maxDuration of rule {:?}: {}", rule.name, chain(&error));
            return ready(false, Reason::MaxDuration, message);
        }
    }
    if let Err(error) = crds::pending_timeout(spec.pending_timeout.as_deref()) {
        return ready(false, Reason::PendingTimeout, chain(&error));
    }
    ready(true, Reason::Ready, "every expression compiles.")
}

fn ready(holds: bool, reason: Reason, sentence: impl Into<String>) -> Condition {
    condition(ConditionType::Ready, holds, &Because::new(reason, sentence))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(rules: serde_json::Value) -> Condition {
        judge(&serde_json::from_value(json!({"rules": rules})).unwrap())
    }

    #[test]
    fn a_policy_whose_expression_does_not_compile_is_not_ready_and_says_which() {
        let condition = judged(json!([{"name": "a"}, {"name": "broken", "when": "request.user =="}]));
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "Expression"));
        assert!(condition.message.contains("\"broken\""), "{}", condition.message);
        assert_eq!(judged(json!([{"name": "a", "maxDuration": "soon"}])).reason, "MaxDuration");
        assert_eq!(judged(json!([{"name": "a", "when": "true"}])).status, "True");
    }

    #[test]
    fn a_policy_that_names_groups_is_ready_once_they_are_checked() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let policy = |groups: serde_json::Value| -> AccessPolicy {
            serde_json::from_value(json!({
                "apiVersion": "access.keyhole.dev/v1alpha1", "kind": "AccessPolicy",
                "metadata": {"name": "readers", "creationTimestamp": "2026-01-01T12:00:00Z"},
                "spec": {"groups": groups, "rules": []},
            }))
            .unwrap()
        };
        let named = policy(json!(["developers"]));
        let (condition, wait) = settling(&named, at("2026-01-01T12:00:01Z")).unwrap();
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "Settling"));
        assert_eq!(wait, Duration::from_secs(3));
        assert!(
            settling(&named, at("2026-01-01T12:00:03.9Z")).is_some(),
            "an object of this second does not count"
        );
        assert_eq!(settling(&named, at("2026-01-01T12:00:04Z")), None);
        assert_eq!(settling(&policy(json!([])), at("2026-01-01T12:00:01Z")), None);
    }
}
