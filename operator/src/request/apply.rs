//! Obeys a plan: the status, then the grant. Decides nothing.

use crds::{AccessApproval, AccessGrant, AccessRequest, ConditionType};
use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::error::RequestError;
use super::is_over;
use super::plan::Plan;
use crate::api::is_conflict;
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
    let Plan { status, create, told, look_again: _ } = plan;
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

/// Lets approvals say whether they count. What can't be written now is written with the next look: nothing hangs on it.
async fn tell_approvers(context: &Context, told: &[AccessApproval]) {
    for approval in told {
        let api: Api<AccessApproval> =
            Api::namespaced(context.client.clone(), &approval.namespace().unwrap_or_default());
        let written = api.replace_status(&approval.name_any(), &PostParams::default(), approval).await;
        if let Err(error) =
            written.map(drop).or_else(|error| if is_conflict(&error) { Ok(()) } else { Err(error) })
        {
            tracing::warn!(error = %access::chain(&error), "an approval was not told whether it counts");
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
