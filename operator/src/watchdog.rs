//! Sees what a watch that fell silent would not: a revocation. One small list for all grants together, and the sign of life
//! that `/healthz` goes by.

use std::time::Duration;

use access::chain;
use crds::AccessGrant;
use kube::Api;
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;

use crate::context::Context;

/// How often it looks: the longest that a revocation can go unseen while the API server answers.
const EVERY: Duration = Duration::from_secs(15);

/// Grants that somebody has revoked and about which something is left to be done.
const REVOKED: &str = "spec.revocation.by!=,status.settled!=true";

/// Looks until dropped.
pub async fn run(context: &Context) {
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        match revoked(context).await {
            Ok(grants) => {
                grants.into_iter().for_each(|grant| context.wake(grant));
                context.progress.made();
            }
            Err(error) => {
                context.metrics.failed("Watchdog");
                tracing::warn!(error = %chain(&error), "cannot look for revoked grants");
            }
        }
    }
}

async fn revoked(context: &Context) -> Result<Vec<ObjectRef<AccessGrant>>, kube::Error> {
    let grants: Api<AccessGrant> = Api::all(context.client.clone());
    let found = grants.list_metadata(&ListParams::default().fields(REVOKED)).await?.items;
    let named = found.into_iter().filter_map(|grant| {
        let (name, namespace) = (grant.metadata.name?, grant.metadata.namespace?);
        Some(ObjectRef::new(&name).within(&namespace))
    });
    Ok(named.collect())
}
