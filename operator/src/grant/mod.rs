//! Grants: observe, plan, apply.

pub mod apply;
pub mod awaited;
pub mod children;
pub mod error;
pub mod identity;
pub mod in_log;
pub mod listening;
pub mod observe;
pub mod observed;
pub mod plan;
pub mod pods;
pub mod proxy;
pub mod pull_secrets;
pub mod rules;
pub mod rules_seen;
pub mod told;

use std::sync::Arc;
use std::time::Duration;

use crds::{AccessGrant, GrantPhase};
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, ResourceExt};
use tokio::sync::SemaphorePermit;

use self::apply::Steps;
use self::awaited::Awaited;
use self::error::GrantError;
use self::observed::Ending;
use self::plan::{ChildKind, Plan};
use crate::api::until;
use crate::clock::now;
use crate::context::Context;
use access::chain;

/// The longest wait before a grant that ends is looked at again after a failure.
const ENDING_AGAIN: Duration = Duration::from_secs(5);

/// How often the clock is read whether a grant ends: timers stand still while a machine sleeps.
const CLOCK: Duration = Duration::from_secs(30);

/// One look at one grant. After a start there are as many as grants, and most of them wait: so what a look needs beyond its turn is made
/// when it has it.
pub async fn reconcile(cached: Arc<AccessGrant>, context: Arc<Context>) -> Result<Action, GrantError> {
    if is_over(&cached) {
        context.forget(&cached);
        return Ok(Action::await_change());
    }
    let looked = async {
        tokio::select! {
            looked = look(&cached, &context) => looked,
            // What is left undone is as after a crash, and the next look begins with telling the proxy.
            () = begins_to_end(&cached, context.grants.get(), &context.awaited) => {
                Ok(Action::requeue(Duration::ZERO))
            }
        }
    };
    let ((), looked) = tokio::join!(tell_first(&cached, &context), looked);
    if looked.is_ok() {
        let uid = cached.uid().unwrap_or_default();
        context.failures.went_well(&uid);
        context.conflicts.went_well(&uid);
    }
    looked
}

/// A grant that ends by its own word: its proxy is told at once, before the API server is asked for anything. Once; then it
/// goes by what is observed.
async fn tell_first(cached: &AccessGrant, context: &Context) {
    let (time, uid) = (now(), cached.uid().unwrap_or_default());
    let Some(reason) = plan::own_end(cached, time) else { return };
    context.heed(&uid);
    if let Some(address) = context.address(&uid)
        && context.is_first_told(&uid)
        && let Some(proxy) = observe::proxy(context, cached, address, time)
    {
        Box::pin(apply::tell_end(&proxy, cached, reason)).await;
    }
}

/// Returns when a grant that did not end when its look began ends by its own word: that waits for no slow look.
async fn begins_to_end(cached: &AccessGrant, store: Option<&Store<AccessGrant>>, awaited: &Awaited) {
    if plan::own_end(cached, now()).is_some() {
        return std::future::pending().await;
    }
    let awaiting = awaited.of(&cached.uid().unwrap_or_default());
    let reference = ObjectRef::from_obj(cached);
    let ends = |grant: &AccessGrant| plan::own_end(grant, now()).is_some();
    loop {
        let newest = store.and_then(|store| store.get(&reference));
        if ends(cached) || newest.is_some_and(|grant| ends(&grant)) {
            return;
        }
        // Somebody tells, or its time is over.
        tokio::time::timeout(until(cached.spec.expires_at.0).min(CLOCK), awaiting.told()).await.ok();
    }
}

async fn look(cached: &AccessGrant, context: &Arc<Context>) -> Result<Action, GrantError> {
    // Those that end wait for no others, and those that open for none that are ready; how many are read about at once is bounded.
    let (turns, do_what) = match cached.status.as_ref().map(|status| status.phase) {
        _ if plan::own_end(cached, now()).is_some() => (&context.ends, "ending"),
        Some(GrantPhase::Ready) => (&context.ready, "ready"),
        Some(GrantPhase::Opening | GrantPhase::Ending | GrantPhase::Ended) | None => {
            (&context.openings, "opening")
        }
    };
    let waits = context.metrics.waits(do_what);
    let turn = turns.acquire().await.ok();
    drop(waits);
    Box::pin(look_now(cached, context, turn)).await
}

async fn look_now(
    cached: &AccessGrant,
    context: &Arc<Context>,
    turn: Option<SemaphorePermit<'_>>,
) -> Result<Action, GrantError> {
    let api: Api<AccessGrant> =
        Api::namespaced(context.client.clone(), &cached.namespace().unwrap_or_default());
    let time = now();
    let grant = match api.get_opt(&cached.name_any()).await {
        Ok(Some(grant)) => grant,
        Ok(None) => {
            context.forget(cached);
            return Ok(Action::await_change());
        }
        // What ends by its own word ends, whether or not the API server says it again.
        Err(_) if plan::own_end(cached, time).is_some() => cached.clone(),
        Err(error) => return Err(GrantError::Observe(error)),
    };
    if is_over(&grant) {
        context.forget(&grant);
        return Ok(Action::await_change());
    }
    let is_shut = grant.status.as_ref().is_some_and(|status| status.phase == GrantPhase::Ended);
    let observed = match is_shut {
        true => observe::observe_shut(context, grant).await,
        // The API server's part alone: a proxy that does not answer keeps no other grant waiting.
        false => observe::observe(context, grant, (time, turn)).await,
    };
    if let Some(reason) = plan::ended(&observed, time) {
        context.note_ending(&cached.uid().unwrap_or_default(), Ending { since: time, reason });
    }
    let Plan { actions, order, look_again, listen } = plan::plan(&observed, time);
    let address = observed.pod.there().and_then(|pod| pod.address);
    if let Some(address) = address.filter(|_| listen) {
        listening::listen(context, &observed.grant, (address, observed.report.clone()), time);
    }
    let uid = cached.uid().unwrap_or_default();
    let makes_all = actions.contains(&plan::Action::Apply(ChildKind::Pod));
    let before = makes_all.then(|| context.rules_seen.before(&uid));
    let done = Steps { context, observed: &observed, now: time }.obey(actions, order).await;
    context.note_setback(&uid, done.as_ref().err().and_then(GrantError::because));
    done?;
    if let Some(before) = before {
        context.rules_seen.note(&uid, before);
    }
    Ok(look_again.map_or_else(Action::await_change, |again| Action::requeue(until(again))))
}

/// After a failure.
pub fn failed(grant: Arc<AccessGrant>, error: &GrantError, context: Arc<Context>) -> Action {
    let reason = error.reason();
    let uid = grant.uid().unwrap_or_default();
    if reason == "Conflict" {
        return Action::requeue(context.conflicts.again_in(&uid));
    }
    context.metrics.failed(reason);
    tracing::warn!(grant = uid, reason, error = %chain(error), "grant not reconciled");
    let again = context.failures.again_in(&uid);
    let is_ending = plan::own_end(&grant, now()).is_some() || context.ending(&uid).is_some();
    if is_ending {
        return Action::requeue(again.min(ENDING_AGAIN));
    }
    // The deadline is not slept through.
    Action::requeue(again.min(until(grant.spec.expires_at.0)))
}

/// Shut, proved, and let go: nothing will ever change about it.
fn is_over(grant: &AccessGrant) -> bool {
    grant.status.as_ref().is_some_and(|status| status.settled)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use kube::runtime::{reflector, watcher};

    use super::*;

    #[tokio::test]
    async fn a_look_that_waits_is_left_when_its_grant_is_revoked() {
        let (store, mut writer) = reflector::store::<AccessGrant>();
        let awaited = Awaited::default();
        let mut grant = plan::tests_grant();
        grant.spec.expires_at.0 = now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
        writer.apply_watcher_event(&watcher::Event::Apply(grant.clone()));
        let cached = grant.clone();
        let mut waits = std::pin::pin!(begins_to_end(&cached, Some(&store), &awaited));
        assert!(waits.as_mut().now_or_never().is_none());
        // Other news of it is no end.
        awaited.tell("g1");
        assert!(waits.as_mut().now_or_never().is_none());
        grant.spec.revocation = Some(crds::Revocation { by: "approver".into(), reason: "enough".into() });
        writer.apply_watcher_event(&watcher::Event::Apply(grant));
        awaited.tell("g1");
        assert!(waits.now_or_never().is_some());
    }

    #[tokio::test]
    async fn nor_does_a_look_outlive_the_deadline() {
        let mut grant = plan::tests_grant();
        grant.spec.expires_at.0 = now().checked_add(jiff::SignedDuration::from_millis(300)).unwrap();
        let awaited = Awaited::default();
        let waits = begins_to_end(&grant, None, &awaited);
        assert!(tokio::time::timeout(CLOCK, waits).await.is_ok());
    }

    #[test]
    fn an_end_that_was_told_before_the_look_began_is_found_in_the_store() {
        let (store, mut writer) = reflector::store::<AccessGrant>();
        let mut cached = plan::tests_grant();
        cached.spec.expires_at.0 = now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
        let mut revoked = cached.clone();
        revoked.spec.revocation = Some(crds::Revocation { by: "approver".into(), reason: "enough".into() });
        writer.apply_watcher_event(&watcher::Event::Apply(revoked));
        assert!(begins_to_end(&cached, Some(&store), &Awaited::default()).now_or_never().is_some());
    }
}
