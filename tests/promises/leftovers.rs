//! Promise 6 past the finalizer: a grant object that somebody took away while no operator ran leaves a proxy behind that
//! nobody asks for. The operator takes it away when it is back, and what else carries the label of a grant that is gone.
//!
//! The leftovers are made in the operator's own name, for admission lets nobody else write there, an administrator neither.

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::auditor::{AUDITORS, finds, holds};
use harness::faults::ALONE;
use harness::wait::{Look, until};
use harness::{Cluster, OpenGrant};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Resource;
use kube::api::{Api, ListParams};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Swept once a minute; pods in one round, the rules around them in the next.
const SWEPT: Duration = Duration::from_secs(150);
/// Of a grant that never was.
const NOBODYS: &str = "5e7c3c0a-0000-4000-8000-000000000000";

#[tokio::test]
async fn what_a_grant_that_is_gone_left_is_swept_and_what_lives_stays() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("leftovers").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let lives = cluster.open(&orders, &requester, &approver, "30m").await?;
            let goes = cluster.open(&orders, &requester, &approver, "30m").await?;
            let uid = cluster.grant(&goes.name).await?.metadata.uid.context("a grant without uid")?;
            let user = cluster.lease_user(&goes).await?;
            let mut session = requester.connects(&goes).await?;

            cluster.stops_the_operator().await?;
            let left = async {
                is_taken_away(&cluster, &goes).await?;
                plants(&cluster).await?;
                session.reads("SELECT COUNT(*) FROM orders").await.context("nobody has ended it yet")?;
                ensure!(labelled(&cluster, &uid).await? == [1; 5], "not five kinds of children are left");
                ensure!(labelled(&cluster, NOBODYS).await? == [0, 1, 1, 1, 1], "not planted");
                anyhow::Ok(())
            }
            .await;
            cluster.starts_the_operator().await?;
            left?;

            for uid in [uid.as_str(), NOBODYS] {
                until(&format!("what is left of {uid} to go"), SWEPT, || async {
                    let found = labelled(&cluster, uid).await?;
                    Ok(if found == [0; 5] { Look::Found(()) } else { Look::NotYet(format!("{found:?}")) })
                })
                .await?;
            }
            ensure!(session.is_over().await, "the session outlived its grant");
            let users = orders.lease_users().await?;
            ensure!(!users.contains(&user), "its database user is left: {users:?}");
            requester.reads(&lives, "SELECT COUNT(*) FROM orders").await.context("the one that lives")?;
            let stays = cluster.grant(&lives.name).await?.metadata.uid.context("a grant without uid")?;
            ensure!(labelled(&cluster, &stays).await? == [1; 5], "children of a living grant were swept");
            Ok(())
        })
        .await
}

/// As after a restore of etcd: grant and request are unknown, the proxy was killed, and Vault has its lease still.
#[tokio::test]
async fn a_credential_whose_grant_and_proxy_are_gone_is_ended_by_what_is_on_record() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("orphans").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let lives = cluster.open(&orders, &requester, &approver, "30m").await?;
            let goes = cluster.open(&orders, &requester, &approver, "30m").await?;
            let (user, (uid, accessor)) = (cluster.lease_user(&goes).await?, token(&cluster, &goes).await?);
            let pod = cluster.pod_name(&goes).await?;
            cluster.stops_the_operator().await?;
            let left = async {
                is_taken_away(&cluster, &goes).await?;
                cluster.pod_fault(&cluster.bed.proxies, &pod, "kill").await?;
                let users = orders.lease_users().await?;
                ensure!(users.contains(&user), "somebody ended it already: {users:?}");
                anyhow::Ok(())
            }
            .await;
            cluster.starts_the_operator().await?;
            left?;
            until("its database user to go", SWEPT, || async {
                let users = orders.lease_users().await?;
                Ok(if users.contains(&user) { Look::NotYet(format!("{users:?}")) } else { Look::Found(()) })
            })
            .await?;
            let auditor = cluster.person("auditor", AUDITORS, Some("records")).await?;
            holds(&auditor, "audit", &[]).await?;
            let swept =
                finds(&cluster, &auditor, &["search", "--grant", &uid, "--kind", "sweep", "-o", "json"])
                    .await?;
            let what = &swept["records"][0]["record"]["what"];
            ensure!(what["accessor"] == json!(accessor) && what["state"] == "Proved", "{swept}");
            requester.reads(&lives, "SELECT COUNT(*) FROM orders").await.context("the one that lives")?;
            Ok(())
        })
        .await
}

/// The uid of a grant, and the accessor of the token that owns its lease.
async fn token(cluster: &Cluster, grant: &OpenGrant) -> anyhow::Result<(String, String)> {
    let grant = cluster.grant(&grant.name).await?;
    let uid = grant.metadata.uid.context("a grant without uid")?;
    let lease = grant.status.unwrap_or_default().leases.pop().context("a grant without lease")?;
    Ok((uid, lease.token_accessor))
}

/// The object and its request are gone at once, the finalizer notwithstanding.
async fn is_taken_away(cluster: &Cluster, grant: &OpenGrant) -> anyhow::Result<()> {
    let none = json!({"metadata": {"finalizers": null}}).to_string();
    let namespace = cluster.namespace.as_str();
    let patch = ["-n", namespace, "patch", "accessgrant", &grant.name, "--type=merge", "-p", &none];
    cluster
        .kubectl()
        .args(["patch", "accessgrant", &grant.name, "--type=merge", "-p", &none])
        .is_refused("denied request")
        .await?;
    cluster.as_operator().args(patch).succeeds().await?;
    cluster.kubectl().args(["delete", "accessgrant", &grant.name]).succeeds().await?;
    cluster.kubectl().args(["delete", "accessrequest", &grant.request]).succeeds().await?;
    Ok(())
}

/// Everything but a pod that carries the label of no grant at all.
async fn plants(cluster: &Cluster) -> anyhow::Result<()> {
    let leadership = cluster.leadership().await?.to_string();
    let metadata = json!({
        "name": "leftover",
        "labels": {"access.keyhole.dev/grant-uid": NOBODYS},
        "annotations": {"access.keyhole.dev/leadership": leadership},
    });
    let open = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "leftover"});
    let somebody = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "stranger"});
    let rbac = "rbac.authorization.k8s.io/v1";
    let objects = [
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": open}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata}),
        json!({"apiVersion": rbac, "kind": "Role", "metadata": metadata, "rules": []}),
        json!({"apiVersion": rbac, "kind": "RoleBinding", "metadata": metadata, "roleRef": role, "subjects": [somebody]}),
    ];
    for object in objects {
        let create = || ["-n", cluster.bed.proxies.as_str(), "create", "-f", "-"];
        let theirs = "belongs to the operator";
        cluster.bed.kubectl().args(create()).input(object.to_string()).is_refused(theirs).await?;
        cluster.as_operator().args(create()).input(object.to_string()).succeeds().await?;
    }
    Ok(())
}

/// How many pods, network policies, secrets, roles and role bindings carry the label of this grant.
async fn labelled(cluster: &Cluster, uid: &str) -> anyhow::Result<[usize; 5]> {
    Ok([
        count::<Pod>(cluster, uid).await?,
        count::<NetworkPolicy>(cluster, uid).await?,
        count::<Secret>(cluster, uid).await?,
        count::<Role>(cluster, uid).await?,
        count::<RoleBinding>(cluster, uid).await?,
    ])
}

async fn count<K>(cluster: &Cluster, uid: &str) -> anyhow::Result<usize>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
{
    let of_grant = ListParams::default().labels(&format!("access.keyhole.dev/grant-uid={uid}"));
    let found: Api<K> = cluster.proxies();
    Ok(found.list(&of_grant).await?.items.len())
}
