//! Requests: observe, decide, apply.

pub mod decision;
pub mod grant_object;
pub mod observe;
pub mod plan;

use std::sync::Arc;
use std::time::Duration;

use crds::{AccessGrant, AccessRequest, RequestPhase};
use jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};

use self::plan::{Observed, Plan, plan};
use crate::clock::now;
use crate::context::Context;
use crate::events;
use crate::grant::error::is_conflict;
use access::chain;

/// After a failure.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// After somebody else wrote the same object.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A reconciliation of a request that failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Reading.
    #[error("cannot read the request's objects")]
    Observe(#[source] kube::Error),
    /// Its status.
    #[error("cannot write the request's status")]
    Record(#[source] kube::Error),
    /// Its grant.
    #[error("cannot create the request's grant")]
    Create(#[source] kube::Error),
    /// The decision did not come back.
    #[error("the decision was interrupted")]
    Decide,
}

impl RequestError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Observe(_) => "Observe",
            Self::Record(source) | Self::Create(source) if is_conflict(source) => "Conflict",
            Self::Record(_) => "Record",
            Self::Create(_) => "CreateGrant",
            Self::Decide => "Decide",
        }
    }
}

/// One look at one request.
pub async fn reconcile(cached: Arc<AccessRequest>, context: Arc<Context>) -> Result<Action, RequestError> {
    let api: Api<AccessRequest> =
        Api::namespaced(context.client.clone(), &cached.namespace().unwrap_or_default());
    let read = api.get_opt(&cached.name_any()).await.map_err(RequestError::Observe)?;
    let Some(request) = read.filter(|request| !is_over(request)) else { return Ok(Action::await_change()) };
    let observed = observe::observe(&context, request).await.map_err(RequestError::Observe)?;
    // Expressions may take a while; they must not hold up the sessions of others.
    let decided = tokio::task::spawn_blocking(move || {
        let plan = plan(&observed, now());
        (observed, plan)
    });
    let (observed, plan) = decided.await.map_err(|_| RequestError::Decide)?;
    let again = plan.look_again;
    apply(&context, &api, &observed, plan).await?;
    Ok(again.map_or_else(Action::await_change, |again| Action::requeue(until(again))))
}

/// After a failure.
pub fn failed(request: Arc<AccessRequest>, error: &RequestError, context: Arc<Context>) -> Action {
    let reason = error.reason();
    if reason == "Conflict" {
        return Action::requeue(LOOK_AGAIN);
    }
    context.metrics.failed(reason);
    tracing::warn!(request = %request.uid().unwrap_or_default(), reason, error = %chain(error), "request not reconciled");
    Action::requeue(TRY_AGAIN)
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
        || matches!(phase, RequestPhase::Denied | RequestPhase::Lapsed)
}

/// The status first: what it says about the grant must be on record before there is one.
async fn apply(
    context: &Context,
    api: &Api<AccessRequest>,
    observed: &Observed,
    plan: Plan,
) -> Result<(), RequestError> {
    let Plan { status, create, look_again: _ } = plan;
    let before = &observed.request;
    if before.status.as_ref() != Some(&status) {
        let mut after = before.clone();
        after.status = Some(status);
        let posted = PostParams::default();
        api.replace_status(&before.name_any(), &posted, &after).await.map_err(RequestError::Record)?;
        tell(context, before, &after);
    }
    let Some(grant) = create else { return Ok(()) };
    let grants: Api<AccessGrant> =
        Api::namespaced(context.client.clone(), &before.namespace().unwrap_or_default());
    match grants.create(&PostParams::default(), &grant).await {
        Ok(made) => {
            context.remember_created(&made.uid().unwrap_or_default(), now());
            Ok(())
        }
        // It is there already: a crash came between creating it and seeing it.
        Err(error) if is_conflict(&error) => Ok(()),
        Err(error) => Err(RequestError::Create(error)),
    }
}

fn tell(context: &Context, before: &AccessRequest, after: &AccessRequest) {
    let conditions = |request: &AccessRequest| {
        request.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default()
    };
    let (old, new) = (conditions(before), conditions(after));
    // `Ready` and `Ended` are the grant's own events.
    let decided =
        events::changed(&old, &new).into_iter().filter(|c| c.type_ == "Approved").cloned().collect();
    events::publish(context, after, decided);
}

fn until(time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now())).unwrap_or(Duration::ZERO)
}
