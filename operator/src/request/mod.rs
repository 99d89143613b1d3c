//! Requests: observe, decide, apply.

pub mod apply;
pub mod authorities;
pub mod decision;
pub mod error;
pub mod grant_object;
mod granting;
pub mod observe;
pub mod observed;
pub mod plan;

use std::sync::Arc;

use access::chain;
use crds::{AccessRequest, RequestPhase};
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};

use self::error::RequestError;
pub use self::granting::Granting;
use self::observe::Count;
use self::plan::Plan;
use crate::api::{LOOK_AGAIN, until};
use crate::clock::now;
use crate::context::Context;

/// One look at one request.
pub async fn reconcile(cached: Arc<AccessRequest>, context: Arc<Context>) -> Result<Action, RequestError> {
    // What is over stays over: it costs no call.
    let over = || context.records.forget(&cached.uid().unwrap_or_default());
    if is_over(&cached) {
        over();
        return Ok(Action::await_change());
    }
    let api: Api<AccessRequest> =
        Api::namespaced(context.client.clone(), &cached.namespace().unwrap_or_default());
    let read = api.get_opt(&cached.name_any()).await.map_err(RequestError::Observe)?;
    let Some(request) = read.filter(|request| !is_over(request)) else {
        over();
        return Ok(Action::await_change());
    };
    let grant = observe::grant(&context, &request).await.map_err(RequestError::Observe)?;
    let mut plan = match plan::of_grant(&request, grant.as_ref(), now()) {
        Some(plan) => plan,
        None => decide(&context, request.clone(), Count::Cached).await?,
    };
    let mut _granting = None;
    if plan.create.is_some() {
        // Of several that are granted at once each must see the others' grants.
        _granting = context.granting.turn(&request).await;
        plan = decide(&context, request.clone(), Count::Fresh).await?;
    }
    let again = plan.look_again;
    apply::obey(&context, &api, &request, plan).await?;
    context.failures.went_well(&request.uid().unwrap_or_default());
    Ok(again.map_or_else(Action::await_change, |again| Action::requeue(until(again))))
}

async fn decide(context: &Context, request: AccessRequest, count: Count) -> Result<Plan, RequestError> {
    let observed = observe::observe(context, request, count).await.map_err(RequestError::Observe)?;
    // Expressions may take a while; they must not hold up the sessions of others.
    let decided = tokio::task::spawn_blocking(move || plan::plan(&observed, now()));
    decided.await.map_err(|_| RequestError::Decide)
}

/// After a failure.
pub fn failed(request: Arc<AccessRequest>, error: &RequestError, context: Arc<Context>) -> Action {
    let reason = error.reason();
    if reason == "Conflict" {
        return Action::requeue(LOOK_AGAIN);
    }
    context.metrics.failed(reason);
    tracing::warn!(request = %request.uid().unwrap_or_default(), reason, error = %chain(error), "request not reconciled");
    Action::requeue(context.failures.again_in(&request.uid().unwrap_or_default()))
}

/// A request as it is kept to find what to look at: each look reads it anew.
pub fn without_prose(request: &mut AccessRequest) {
    if let Some(status) = &mut request.status {
        (status.details, status.seen, status.conditions) = (Vec::new(), Vec::new(), Vec::new());
        status.summary = None;
    }
}

/// Whether a change elsewhere may still matter to this request.
pub fn is_pending(request: &AccessRequest) -> bool {
    match request.status.as_ref().map(|status| status.phase).unwrap_or_default() {
        RequestPhase::Pending | RequestPhase::Approved => true,
        RequestPhase::Ready
        | RequestPhase::Ending
        | RequestPhase::Denied
        | RequestPhase::Lapsed
        | RequestPhase::Ended => false,
    }
}

fn is_over(request: &AccessRequest) -> bool {
    let phase = request.status.as_ref().map(|status| status.phase).unwrap_or_default();
    request.metadata.deletion_timestamp.is_some()
        || matches!(phase, RequestPhase::Denied | RequestPhase::Lapsed | RequestPhase::Ended)
}
