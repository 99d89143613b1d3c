//! What no grant asks for any more: service accounts of databases that are gone, children whose grant object was taken away
//! past its finalizer, and copies of Secrets that no image is pulled with any more. Once a minute; pods before the rules around
//! them.

use std::collections::BTreeSet;
use std::time::Duration;

use access::GRANT_UID_LABEL;
use crds::{AccessGrant, Database};
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams, Preconditions};
use kube::runtime::reflector::Store;
use kube::{Api, Resource, ResourceExt};

use crate::admission;
use crate::api::{Metadata, Namespaced, gone_is_good};
use crate::context::Context;
use crate::controllers::LIVE_GRANTS;
use crate::grant::children::{DATABASE_NAME_LABEL, DATABASE_NAMESPACE_LABEL};
use crate::grant::pull_secrets::{self, PULL_SECRET_LABEL, copy_name};
use access::chain;

const EVERY: Duration = Duration::from_secs(60);

/// Sweeps until dropped.
pub async fn run(context: &Context) {
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        if let Err(error) = sweep(context).await {
            context.metrics.failed("Sweep");
            tracing::warn!(error = %chain(&error), "not swept");
        }
        if let Err(error) = pull_secrets::copy_all(context).await {
            context.metrics.failed("PullSecret");
            tracing::warn!(error = %chain(&error), "not copied");
        }
        look_at_admission(context).await;
    }
}

/// For the figure alone: whatever opens something looks itself.
async fn look_at_admission(context: &Context) {
    if let Err(error) = admission::look(context).await {
        context.metrics.failed("Admission");
        tracing::warn!(error = %chain(&error), "cannot look at the admission policies");
    }
}

/// One round. Children first, then the list of grants: what is made meanwhile has its grant in the list.
pub async fn sweep(context: &Context) -> Result<(), kube::Error> {
    let pods = children::<Pod>(context).await?;
    let policies = children::<NetworkPolicy>(context).await?;
    let secrets = children::<Secret>(context).await?;
    let roles = children::<Role>(context).await?;
    let bindings = children::<RoleBinding>(context).await?;
    let copies = list::<Secret>(context, PULL_SECRET_LABEL).await?;
    let accounts = list::<ServiceAccount>(context, DATABASE_NAME_LABEL).await?;
    let all = ListParams::default();
    let databases = Api::<Database>::all(context.client.clone()).list_metadata(&all).await?.items;
    let unsettled = ListParams::default().fields(LIVE_GRANTS);
    let grants = Api::<AccessGrant>::all(context.client.clone()).list_metadata(&unsettled).await?.items;
    let live: BTreeSet<String> = grants.iter().filter_map(ResourceExt::uid).collect();
    let bodies: BTreeSet<String> = pods.iter().filter_map(grant_of).collect();
    // A pod that is still there keeps its rules until the next round.
    let kept: BTreeSet<String> = live.union(&bodies).cloned().collect();
    let known: BTreeSet<String> = databases.iter().map(of_database).chain(used(context)).collect();
    let pulled: BTreeSet<String> =
        context.config.image_pull_secrets.iter().map(|name| copy_name(name)).collect();
    // One that does not go keeps no other.
    [
        delete_orphans(context, &pods, &live).await,
        delete_orphans(context, &bindings, &kept).await,
        delete_orphans(context, &roles, &kept).await,
        delete_orphans(context, &policies, &kept).await,
        delete_orphans(context, &secrets, &kept).await,
        delete_unknown(context, &accounts, labelled, &known).await,
        delete_unknown(context, &copies, ResourceExt::name_any, &pulled).await,
    ]
    .into_iter()
    .collect()
}

fn of_database<K: Resource>(database: &K) -> String {
    format!("{}.{}", database.namespace().unwrap_or_default(), database.name_any())
}

/// Databases that grants still use, as far as the cache knows: a service account too many harms nobody.
fn used(context: &Context) -> impl Iterator<Item = String> {
    let live = context.grants.get().map(Store::state).unwrap_or_default();
    live.into_iter()
        .map(|grant| format!("{}.{}", grant.namespace().unwrap_or_default(), grant.spec.terms.database))
}

fn labelled<K: Resource>(account: &K) -> String {
    let label = |name: &str| account.labels().get(name).cloned().unwrap_or_default();
    format!("{}.{}", label(DATABASE_NAMESPACE_LABEL), label(DATABASE_NAME_LABEL))
}

fn grant_of<K: Resource>(child: &K) -> Option<String> {
    child.labels().get(GRANT_UID_LABEL).cloned()
}

async fn children<K: Namespaced>(context: &Context) -> Result<Vec<Metadata<K>>, kube::Error> {
    list::<K>(context, GRANT_UID_LABEL).await
}

async fn list<K: Namespaced>(context: &Context, label: &str) -> Result<Vec<Metadata<K>>, kube::Error> {
    let api = Api::<K>::namespaced(context.client.clone(), &context.config.proxies_namespace);
    Ok(api.list_metadata(&ListParams::default().labels(label)).await?.items)
}

async fn delete_orphans<K: Namespaced>(
    context: &Context,
    found: &[Metadata<K>],
    kept: &BTreeSet<String>,
) -> Result<(), kube::Error> {
    let mut first = Ok(());
    for child in found {
        if grant_of(child).is_some_and(|uid| !kept.contains(&uid)) {
            tracing::warn!(kind = %K::kind(&()), name = %child.name_any(), "swept: its grant is gone");
            first = first.and(delete(context, child).await);
        }
    }
    first
}

/// What stands for something that nobody knows any more: a database, a Secret.
async fn delete_unknown<K: Namespaced>(
    context: &Context,
    found: &[Metadata<K>],
    of: impl Fn(&Metadata<K>) -> String,
    known: &BTreeSet<String>,
) -> Result<(), kube::Error> {
    let mut first = Ok(());
    for object in found.iter().filter(|object| !known.contains(&of(object))) {
        first = first.and(delete(context, object).await);
    }
    first
}

/// This very object, not a later one of its name.
async fn delete<K: Namespaced>(context: &Context, object: &Metadata<K>) -> Result<(), kube::Error> {
    let api = Api::<K>::namespaced(context.client.clone(), &context.config.proxies_namespace);
    let only_this = Preconditions { uid: object.uid(), resource_version: None };
    let params = DeleteParams::background().preconditions(only_this);
    gone_is_good(api.delete(&object.name_any(), &params).await.map(drop))
}
