//! Obeys a plan: the status, then the grant. Decides nothing.

use access::chain;
use crds::{AccessApproval, AccessGrant, AccessRequest, Because, ConditionType};
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::error::RequestError;
use super::is_over;
use super::plan::{Plan, unrecorded};
use crate::api::is_conflict;
use crate::audit::facts::{Fact, of_new_grant};
use crate::clock::now;
use crate::context::Context;
use crate::events;

/// The status first: what it says about the grant must be on record before there is one.
pub async fn obey(
    context: &Context,
    api: &Api<AccessRequest>,
    before: &AccessRequest,
    plan: Plan,
) -> Result<(), RequestError> {
    let Plan { status, create, told, facts, look_again: _ } = plan;
    let uid = before.uid().unwrap_or_default();
    put(context, api, before, (&uid, facts)).await?;
    if before.status.as_ref() != Some(&status) {
        let mut after = before.clone();
        after.status = Some(status);
        let posted = PostParams::default();
        let written = api.replace_status(&before.name_any(), &posted, &after).await;
        let written = written.map_err(RequestError::Record)?;
        // One whose grant is made is looked at once more: somebody else's may have its name.
        if create.is_none() && !is_over(&written) {
            context.written.note(&written);
        }
        tell(context, before, &after);
    }
    tell_approvers(context, &told).await;
    let Some(grant) = create else { return Ok(()) };
    // With the name and the deadline that its request has on record.
    put(context, api, before, (&uid, of_new_grant(&grant))).await?;
    let grants: Api<AccessGrant> =
        Api::namespaced(context.client.clone(), &before.namespace().unwrap_or_default());
    match grants.create(&PostParams::default(), &context.by_leader(*grant)).await {
        Ok(made) => {
            context.remember_created(&made.uid().unwrap_or_default(), now());
            Ok(())
        }
        // It is there already: a crash came between creating it and seeing it.
        Err(error) if is_conflict(&error) => Ok(()),
        Err(error) => Err(RequestError::Create(error)),
    }
}

/// Puts these on record, or lets the request say that it waits for that.
async fn put(
    context: &Context,
    api: &Api<AccessRequest>,
    before: &AccessRequest,
    (uid, facts): (&str, Vec<Fact>),
) -> Result<(), RequestError> {
    let Err(error) = context.records.put(uid, facts).await else { return Ok(()) };
    let mut waits = before.clone();
    waits.status = Some(unrecorded(before, Because::new(error.reason(), chain(&error)), now()));
    if waits.status != before.status {
        // A conflict, too: somebody else wrote it, and it is looked at again.
        let written = api.replace_status(&before.name_any(), &PostParams::default(), &waits).await;
        if let Err(error) = written {
            tracing::debug!(error = %chain(&error), "a request was not told that it waits for the audit log");
        }
    }
    Err(RequestError::NotOnRecord(error))
}

/// Lets approvals say whether they count. What can't be written now is written with the next look: nothing hangs on it.
async fn tell_approvers(context: &Context, told: &[AccessApproval]) {
    for approval in told {
        let api: Api<AccessApproval> =
            Api::namespaced(context.client.clone(), &approval.namespace().unwrap_or_default());
        let written = api.replace_status(&approval.name_any(), &PostParams::default(), approval).await;
        if let Err(error) =
            written.map(drop).or_else(|error| if is_conflict(&error) { Ok(()) } else { Err(error) })
        {
            tracing::warn!(error = %chain(&error), "an approval was not told whether it counts");
        }
    }
}

fn tell(context: &Context, before: &AccessRequest, after: &AccessRequest) {
    let conditions = |request: &AccessRequest| {
        request.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default()
    };
    let (old, new) = (conditions(before), conditions(after));
    // `Open` and `Ended` are the grant's own events.
    let decided = events::changed(&old, &new)
        .into_iter()
        .filter(|c| c.type_ == ConditionType::Approved.word())
        .cloned()
        .collect();
    events::publish(context, after, decided);
}
