//! Reads what a decision about one request needs, from the API server and not from the cache.

use crds::{AccessApproval, AccessGrant, AccessPolicy, AccessRequest, Database};
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::grant_object;
use super::observed::Observed;
use crate::admission;
use crate::context::Context;

/// Its grant, or whatever has its grant's name.
pub async fn grant(context: &Context, request: &AccessRequest) -> Result<Option<AccessGrant>, kube::Error> {
    let namespace = request.namespace().unwrap_or_default();
    let grants: Api<AccessGrant> = Api::namespaced(context.client.clone(), &namespace);
    grants.get_opt(&grant_object::name(request)).await
}

/// Observes a request that has no grant.
pub async fn observe(context: &Context, request: AccessRequest) -> Result<Observed, kube::Error> {
    let namespace = request.namespace().unwrap_or_default();
    let client = || context.client.clone();
    let databases: Api<Database> = Api::namespaced(client(), &namespace);
    let policies: Api<AccessPolicy> = Api::namespaced(client(), &namespace);
    let approvals: Api<AccessApproval> = Api::namespaced(client(), &namespace);
    // Names of objects have no sign that means something to a selector.
    let of_request = ListParams::default().fields(&format!("spec.request.name={}", request.name_any()));
    let (database, approvals, found) = tokio::try_join!(
        databases.get_opt(&request.spec.database),
        approvals.list(&of_request),
        admission::observe(&context.client),
    )?;
    let policy = match &database {
        Some(database) => policies.get_opt(&database.spec.access_policy).await?,
        None => None,
    };
    Ok(Observed {
        database,
        policy,
        approvals: approvals.items,
        grant: None,
        admission: admission::judged(context, &found),
        request,
    })
}
