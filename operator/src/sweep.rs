//! What no grant asks for any more: service accounts of databases that are gone, children whose grant object was taken away
//! past its finalizer, and copies of Secrets that no image is pulled with any more. Once a minute; pods before the rules around them.

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
use crate::api::{Kind, Metadata, Namespaced, gone_is_good};
use crate::context::Context;
use crate::controllers::LIVE_GRANTS;
use crate::grant::children::{DATABASE_NAME_LABEL, DATABASE_NAMESPACE_LABEL};
use crate::grant::pull_secrets::{self, PULL_SECRET_LABEL, copy_name};
use access::chain;

const EVERY: Duration = Duration::from_secs(60);

/// How many objects are asked for at once.
const PAGE: u32 = 500;

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
    let policies = children::<NetworkPolicy>(context).await;
    let secrets = children::<Secret>(context).await;
    let roles = children::<Role>(context).await;
    let bindings = children::<RoleBinding>(context).await;
    let copies = labelled::<Secret>(context, PULL_SECRET_LABEL, |copy| Some(copy.name_any())).await;
    let accounts = labelled::<ServiceAccount>(context, DATABASE_NAME_LABEL, database_of).await;
    let databases = Api::<Database>::all(context.client.clone());
    let databases = names(&databases, ListParams::default(), |database| Some(named(database))).await?;
    let unsettled = ListParams::default().fields(LIVE_GRANTS);
    let grants = names(&Api::<AccessGrant>::all(context.client.clone()), unsettled, ResourceExt::uid).await?;
    let live: BTreeSet<String> = grants.into_iter().collect();
    let bodies: BTreeSet<String> = pods.iter().map(|pod| pod.of.clone()).collect();
    // A pod that is still there keeps its rules until the next round.
    let kept: BTreeSet<String> = live.union(&bodies).cloned().collect();
    let known: BTreeSet<String> = databases.into_iter().chain(used(context)).collect();
    let pulled: BTreeSet<String> =
        context.config.image_pull_secrets.iter().map(|name| copy_name(name)).collect();
    // One that does not go, and a kind that cannot be listed, keep no other.
    [
        delete_others::<Pod>(context, Ok(pods), &live).await,
        delete_others::<RoleBinding>(context, bindings, &kept).await,
        delete_others::<Role>(context, roles, &kept).await,
        delete_others::<NetworkPolicy>(context, policies, &kept).await,
        delete_others::<Secret>(context, secrets, &kept).await,
        delete_others::<ServiceAccount>(context, accounts, &known).await,
        delete_others::<Secret>(context, copies, &pulled).await,
    ]
    .into_iter()
    .collect()
}

/// An object that stands for something. Nothing else of it is kept: there may be ten thousand.
struct Stands {
    name: String,
    uid: Option<String>,
    /// What for: the uid of a grant, a database, a Secret.
    of: String,
}

fn named<K: Resource>(database: &K) -> String {
    format!("{}.{}", database.namespace().unwrap_or_default(), database.name_any())
}

/// Databases that grants still use, as far as the cache knows: a service account too many harms nobody.
fn used(context: &Context) -> impl Iterator<Item = String> {
    let live = context.grants.get().map(Store::state).unwrap_or_default();
    live.into_iter()
        .map(|grant| format!("{}.{}", grant.namespace().unwrap_or_default(), grant.spec.terms.database))
}

fn database_of<K: Resource>(account: &K) -> Option<String> {
    let label = |name: &str| account.labels().get(name).cloned().unwrap_or_default();
    Some(format!("{}.{}", label(DATABASE_NAMESPACE_LABEL), label(DATABASE_NAME_LABEL)))
}

async fn children<K: Namespaced>(context: &Context) -> Result<Vec<Stands>, kube::Error> {
    labelled::<K>(context, GRANT_UID_LABEL, |child| child.labels().get(GRANT_UID_LABEL).cloned()).await
}

async fn labelled<K: Namespaced>(
    context: &Context,
    label: &str,
    of: impl Fn(&Metadata<K>) -> Option<String>,
) -> Result<Vec<Stands>, kube::Error> {
    let api = Api::<K>::namespaced(context.client.clone(), &context.config.proxies_namespace);
    let selected = ListParams::default().labels(label);
    names(&api, selected, |object| {
        Some(Stands { name: object.name_any(), uid: object.uid(), of: of(object)? })
    })
    .await
}

/// What is kept of everything that is selected, asked for by name and labels, a page at a time.
pub async fn names<K: Kind, T>(
    api: &Api<K>,
    selected: ListParams,
    keep: impl Fn(&Metadata<K>) -> Option<T>,
) -> Result<Vec<T>, kube::Error> {
    let (mut params, mut kept) = (selected.limit(PAGE), Vec::new());
    loop {
        let page = api.list_metadata(&params).await?;
        kept.extend(page.items.iter().filter_map(&keep));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(kept),
        }
    }
}

/// Deletes what stands for none of these.
async fn delete_others<K: Namespaced>(
    context: &Context,
    found: Result<Vec<Stands>, kube::Error>,
    known: &BTreeSet<String>,
) -> Result<(), kube::Error> {
    let (found, mut first) = (found?, Ok(()));
    for object in found.iter().filter(|object| !known.contains(&object.of)) {
        tracing::warn!(kind = %K::kind(&()), name = object.name, "swept: what it stood for is gone");
        first = first.and(delete::<K>(context, object).await);
    }
    first
}

/// This very object, not a later one of its name.
async fn delete<K: Namespaced>(context: &Context, object: &Stands) -> Result<(), kube::Error> {
    let api = Api::<K>::namespaced(context.client.clone(), &context.config.proxies_namespace);
    let only_this = Preconditions { uid: object.uid.clone(), resource_version: None };
    let params = DeleteParams::background().preconditions(only_this);
    gone_is_good(api.delete(&object.name, &params).await.map(drop))
}
