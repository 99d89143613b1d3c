//! Grants: observe, plan, apply.

pub mod apply;
pub mod children;
pub mod error;
pub mod identity;
pub mod observe;
pub mod observed;
pub mod plan;
pub mod proxy;
pub mod told;

use std::sync::Arc;

use crds::{AccessGrant, GrantPhase};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};

use self::apply::Steps;
use self::error::GrantError;
use crate::api::{LOOK_AGAIN, TRY_AGAIN, until};
use crate::clock::now;
use crate::context::Context;
use access::chain;

/// Findings lead to a second plan at once; more rounds than this wait for the next look.
const ROUNDS: usize = 4;

/// One look at one grant.
pub async fn reconcile(cached: Arc<AccessGrant>, context: Arc<Context>) -> Result<Action, GrantError> {
    let namespace = cached.namespace().unwrap_or_default();
    let api: Api<AccessGrant> = Api::namespaced(context.client.clone(), &namespace);
    let mut findings = Vec::new();
    for _ in 0..ROUNDS {
        let read = api.get_opt(&cached.name_any()).await;
        let Some(grant) = read.map_err(GrantError::Observe)? else {
            return Ok(Action::await_change());
        };
        if is_over(&grant) {
            context.forget(&grant.uid().unwrap_or_default());
            return Ok(Action::await_change());
        }
        let time = now();
        let target = crds::target(&namespace, &grant.spec.terms.database, &grant.spec.terms.database_spec)
            .map_err(GrantError::Snapshot)?;
        let observed = observe::observe(&context, grant, std::mem::take(&mut findings), time)
            .await
            .map_err(GrantError::Observe)?;
        let plan::Plan { actions, look_again } = plan::plan(&observed, time);
        let steps = Steps { context: &context, observed: &observed, target: &target, now: time };
        findings = steps.obey(actions).await?;
        if findings.is_empty() {
            return Ok(look_again.map_or_else(Action::await_change, |again| Action::requeue(until(again))));
        }
    }
    Ok(Action::requeue(TRY_AGAIN))
}

/// After a failure.
pub fn failed(grant: Arc<AccessGrant>, error: &GrantError, context: Arc<Context>) -> Action {
    let reason = error.reason();
    if reason == "Conflict" {
        return Action::requeue(LOOK_AGAIN);
    }
    context.metrics.failed(reason);
    tracing::warn!(grant = %grant.uid().unwrap_or_default(), reason, error = %chain(error), "grant not reconciled");
    Action::requeue(TRY_AGAIN)
}

/// Shut, proved, and let go: nothing will ever change about it.
fn is_over(grant: &AccessGrant) -> bool {
    let ended = grant.status.as_ref().is_some_and(|status| status.phase == GrantPhase::Ended);
    ended && !plan::has_finalizer(grant)
}
