//! Reads everything about one request from the API server, not from the cache.

use crds::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, Database};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::grant_object;
use super::observed::Observed;
use crate::admission;
use crate::context::Context;

/// Observes the request.
pub async fn observe(context: &Context, request: AccessRequest) -> Result<Observed, kube::Error> {
    let namespace = request.namespace().unwrap_or_default();
    let client = || context.client.clone();
    let databases: Api<Database> = Api::namespaced(client(), &namespace);
    let policies: Api<AccessPolicy> = Api::namespaced(client(), &namespace);
    let approvals: Api<AccessApproval> = Api::namespaced(client(), &namespace);
    let grants: Api<AccessGrant> = Api::namespaced(client(), &namespace);
    let grant_name = grant_object::name(&request);
    let all = ListParams::default();
    let (database, approvals, grant, found) = tokio::try_join!(
        databases.get_opt(&request.spec.database),
        approvals.list(&all),
        grants.get_opt(&grant_name),
        admission::observe(&context.client),
    )?;
    let policy = match &database {
        Some(database) => policies.get_opt(&database.spec.access_policy).await?,
        None => None,
    };
    let name = request.name_any();
    let mut approvals = approvals.items;
    approvals.retain(|approval| approval.spec.request.name == name);
    Ok(Observed {
        database,
        policy,
        approvals,
        grant,
        admission: admission::compare(&context.release, &found),
        request,
    })
}
