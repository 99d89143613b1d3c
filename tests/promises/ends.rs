//! Promises 6 and 7: a grant ends in every way it can, and its receipt proves it.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use harness::cluster::impersonating;
use harness::grant::all_proved;
use harness::wait::{Look, until};
use harness::{Cluster, OpenGrant, Person, TestDatabase};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A grant has this long to be ended and proved after the reason is there.
const SHUT: Duration = Duration::from_secs(60);

/// How long the operator may take to make again what it needs of an open grant.
const COMES_BACK: Duration = Duration::from_secs(10);

struct Open {
    cluster: Cluster,
    orders: TestDatabase,
    requester: Person,
    approver: Person,
    grant: OpenGrant,
}

async fn open(name: &str, duration: &str) -> anyhow::Result<Open> {
    let cluster = Cluster::fresh(name).await?;
    let orders = cluster.orders().await?;
    let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
    let grant = cluster.open(&orders, &requester, &approver, duration).await?;
    Ok(Open { cluster, orders, requester, approver, grant })
}

/// Nothing of the grant is left in the proxies namespace, and no user of it in the database.
async fn nothing_is_left(open: &Open) -> anyhow::Result<()> {
    let uid = open.cluster.grant(&open.grant.name).await?.metadata.uid.context("a grant without uid")?;
    nothing_is_left_of(open, &uid).await
}

async fn nothing_is_left_of(open: &Open, uid: &str) -> anyhow::Result<()> {
    let ours = ListParams::default().labels(&format!("access.keyhole.dev/grant-uid={uid}"));
    let cluster = &open.cluster;
    let left = [
        ("pods", cluster.proxies::<Pod>().list(&ours).await?.items.len()),
        ("networkpolicies", cluster.proxies::<NetworkPolicy>().list(&ours).await?.items.len()),
        ("secrets", cluster.proxies::<Secret>().list(&ours).await?.items.len()),
        ("roles", cluster.proxies::<Role>().list(&ours).await?.items.len()),
        ("rolebindings", cluster.proxies::<RoleBinding>().list(&ours).await?.items.len()),
    ];
    for (kind, count) in left {
        ensure!(count == 0, "{count} {kind} of the grant are left");
    }
    let users = open.orders.lease_users().await?;
    ensure!(users.is_empty(), "database users are left: {users:?}");
    Ok(())
}

#[tokio::test]
async fn a_revocation_cuts_a_running_statement_and_everything_is_proved_shut() -> anyhow::Result<()> {
    let open = open("revoked", "30m").await?;
    open.cluster
        .told(async {
            let mut session = open.requester.connects(&open.grant).await?;
            session.sends("SELECT SUM(a.total) FROM orders a, orders b, orders c, orders d;\n").await?;
            open.cluster.revokes(&open.approver, &open.grant).await?;
            session.is_cut("Keyhole: grant revoked", Duration::from_secs(15)).await?;
            let ended = open.cluster.awaits_ended(&open.grant, SHUT).await?;
            all_proved(&ended)?;
            nothing_is_left(&open).await?;
            let tried = open.requester.runs(&open.grant, "SELECT 1").await?;
            ensure!(tried.code != Some(0), "the ended grant was used: {}", tried.out);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_user_that_somebody_renamed_is_not_called_gone() -> anyhow::Result<()> {
    let open = open("renamed", "30m").await?;
    open.cluster
        .told(async {
            let users = open.orders.lease_users().await?;
            let [user] = users.as_slice() else { bail!("one user of a lease, not {users:?}") };
            open.orders.as_root(&format!("RENAME USER '{user}'@'%' TO 'kept'@'%'")).await?;
            open.cluster.revokes(&open.approver, &open.grant).await?;
            let ended = open.cluster.awaits_ended(&open.grant, SHUT).await?;
            let receipt = &ended.status.as_ref().context("no status")?.receipt;
            let login = receipt.iter().find(|line| line.item == "login").context("no login")?;
            ensure!(login.outcome == "Unprovable" && login.detail.contains(user), "{login:?}");
            ensure!(login.detail.contains("was renamed"), "it does not say what to look for: {login:?}");
            let left = open.orders.as_root("SELECT user FROM mysql.user WHERE user = 'kept'").await?;
            ensure!(left.trim() == "kept", "the renamed user did not survive, so nothing was tried: {left}");
            open.orders.as_root("DROP USER 'kept'@'%'").await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_grant_of_one_minute_ends_by_itself() -> anyhow::Result<()> {
    let open = open("expired", "1m").await?;
    open.cluster
        .told(async {
            let mut session = open.requester.connects(&open.grant).await?;
            session.reads("SELECT 1").await?;
            let ended = open.cluster.awaits_ended(&open.grant, Duration::from_secs(120)).await?;
            all_proved(&ended)?;
            nothing_is_left(&open).await?;
            ensure!(session.asks("SELECT 1").await.is_err(), "the session outlived its grant");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn deleting_the_request_ends_the_grant_and_its_record_stays() -> anyhow::Result<()> {
    let open = open("request-gone", "30m").await?;
    open.cluster
        .told(async {
            let uid = open.cluster.grant(&open.grant.name).await?.metadata.uid.context("no uid")?;
            open.requester
                .kubectl()
                .args(["delete", "accessrequest", &open.grant.request])
                .succeeds()
                .await?;
            let ended = open.cluster.awaits_ended(&open.grant, Duration::from_secs(60)).await?;
            all_proved(&ended)?;
            nothing_is_left_of(&open, &uid).await?;
            // Who deletes their request deletes no record: who approved, what was read, and the receipt.
            let kept = open.cluster.grant(&open.grant.name).await?;
            let status = kept.status.context("a grant without status")?;
            ensure!(status.end_reason.as_deref() == Some("Deleted") && status.settled, "{status:?}");
            ensure!(kept.spec.approved_by.len() == 1 && status.usage.is_some(), "{:?}", kept.spec);
            open.requester
                .kubectl()
                .args(["delete", "accessgrant", &open.grant.name])
                .is_refused("forbidden")
                .await
                .map(drop)
        })
        .await
}

#[tokio::test]
async fn deleting_the_grant_ends_it_before_it_goes() -> anyhow::Result<()> {
    let open = open("grant-gone", "30m").await?;
    open.cluster
        .told(async {
            let uid = open.cluster.grant(&open.grant.name).await?.metadata.uid.context("no uid")?;
            open.cluster.kubectl().args(["delete", "accessgrant", &open.grant.name]).succeeds().await?;
            grant_is_gone(&open).await?;
            nothing_is_left_of(&open, &uid).await
        })
        .await
}

#[tokio::test]
async fn deleting_the_database_ends_the_grant_and_its_service_account_goes() -> anyhow::Result<()> {
    let open = open("database-gone", "30m").await?;
    open.cluster
        .told(async {
            open.cluster.kubectl().args(["delete", "database", &open.orders.name]).succeeds().await?;
            let ended = open.cluster.awaits_ended(&open.grant, SHUT).await?;
            ensure!(ended.status.clone().unwrap_or_default().end_reason.as_deref() == Some("DatabaseGone"));
            all_proved(&ended)?;
            nothing_is_left(&open).await?;
            let account = format!("{}.{}", open.cluster.namespace, open.orders.name);
            until("the service account to go", SHUT, || async {
                let found = open.cluster.proxies::<ServiceAccount>().get_opt(&account).await?;
                Ok(if found.is_none() { Look::Found(()) } else { Look::NotYet("still there".to_owned()) })
            })
            .await
        })
        .await
}

#[tokio::test]
async fn deleting_the_policy_ends_the_grant() -> anyhow::Result<()> {
    let open = open("policy-gone", "30m").await?;
    open.cluster
        .told(async {
            open.cluster.kubectl().args(["delete", "accesspolicy", "readers"]).succeeds().await?;
            let ended = open.cluster.awaits_ended(&open.grant, SHUT).await?;
            ensure!(ended.status.clone().unwrap_or_default().end_reason.as_deref() == Some("PolicyGone"));
            all_proved(&ended)
        })
        .await
}

#[tokio::test]
async fn a_database_that_says_something_else_ends_the_grant_and_one_that_allows_more_does_not()
-> anyhow::Result<()> {
    let open = open("database-changed", "30m").await?;
    open.cluster
        .told(async {
            let patch = |spec: Value| {
                let patch = json!({ "spec": spec }).to_string();
                open.cluster.kubectl().args(["patch", "database", "orders", "--type=merge", "-p", &patch])
            };
            let mut session = open.requester.connects(&open.grant).await?;
            patch(json!({"limits": {"rows": 20_000}})).succeeds().await?;
            // A request of its own shows that the operator has seen that.
            open.requester.applies(&open.orders.request("another", "30m")).await?;
            open.cluster.awaits_terms("another").await?;
            session.reads("SELECT COUNT(*) FROM orders").await.context("more is allowed now")?;

            patch(json!({"columns": [{"schema": "shop", "table": "orders", "column": "note", "access": "Hide"}]}))
                .succeeds()
                .await?;
            let ended = open.cluster.awaits_ended(&open.grant, SHUT).await?;
            ensure!(ended.status.clone().unwrap_or_default().end_reason.as_deref() == Some("DatabaseChanged"));
            ensure!(session.is_over().await, "the session outlived its grant");
            all_proved(&ended)
        })
        .await
}

#[tokio::test]
async fn an_approval_that_is_withdrawn_ends_the_grant() -> anyhow::Result<()> {
    let open = open("withdrawn", "30m").await?;
    open.cluster
        .told(async {
            let approved_by = open.cluster.grant(&open.grant.name).await?.spec.approved_by;
            let approval = &approved_by.first().context("a grant without approval")?.approval;
            open.approver.kubectl().args(["delete", "accessapproval", approval]).succeeds().await?;
            let ended = open.cluster.awaits_ended(&open.grant, SHUT).await?;
            ensure!(
                ended.status.clone().unwrap_or_default().end_reason.as_deref() == Some("ApprovalWithdrawn")
            );
            all_proved(&ended)
        })
        .await
}

#[tokio::test]
async fn a_pod_deleted_by_hand_comes_back_with_a_new_lease_and_the_old_one_is_revoked() -> anyhow::Result<()>
{
    let open = open("pod-gone", "30m").await?;
    open.cluster
        .told(async {
            let before = open.cluster.grant(&open.grant.name).await?.status.context("no status")?;
            let old_users = open.orders.lease_users().await?;
            let pod = before.pod.context("a grant without pod")?;
            let uid = open.cluster.proxies::<Pod>().get(&pod).await?.metadata.uid;
            open.cluster.proxies::<Pod>().delete(&pod, &DeleteParams::default()).await?;
            until("a new pod", SHUT, || async {
                let found = open.cluster.proxies::<Pod>().get_opt(&pod).await?;
                Ok(match found {
                    Some(found) if found.metadata.uid != uid => Look::Found(()),
                    other => Look::NotYet(format!("{:?}", other.map(|pod| pod.metadata.uid))),
                })
            })
            .await?;
            open.cluster.awaits_ready(&open.grant.request).await?;
            open.requester.reads(&open.grant, "SELECT COUNT(*) FROM orders").await?;
            let after = open.cluster.grant(&open.grant.name).await?.status.context("no status")?;
            ensure!(after.leases.len() == 2, "two leases were expected: {:?}", after.leases);
            ensure!(after.leases[0].revoked, "the old lease is not revoked: {:?}", after.leases);
            let users = open.orders.lease_users().await?;
            ensure!(users.len() == 1 && users != old_users, "old {old_users:?}, now {users:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn rules_deleted_by_hand_come_back_while_the_grant_is_open() -> anyhow::Result<()> {
    let open = open("rules-gone", "30m").await?;
    open.cluster
        .told(async {
            comes_back::<RoleBinding>(&open).await?;
            comes_back::<Role>(&open).await?;
            comes_back::<NetworkPolicy>(&open).await?;
            // Each is needed for that: to reach the pod, and from there the database.
            open.requester.reads(&open.grant, "SELECT COUNT(*) FROM orders").await?;
            Ok(())
        })
        .await
}

/// Deletes the grant's object of this kind, and waits until there is another: nothing else happens to the grant meanwhile. Only the
/// operator itself may delete it there.
async fn comes_back<K>(open: &Open) -> anyhow::Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let (rules, name) = (open.cluster.proxies::<K>(), open.cluster.pod_name(&open.grant).await?);
    let before = rules.get(&name).await?.uid();
    let bed = &open.cluster.bed;
    let operator = impersonating(bed, &bed.operator_user(), &[]).await?;
    Api::<K>::namespaced(operator, &bed.proxies).delete(&name, &DeleteParams::default()).await?;
    until(&format!("another {} {name}", K::kind(&())), COMES_BACK, || async {
        let uid = rules.get_opt(&name).await?.and_then(|rule| rule.uid());
        Ok(if uid.is_some() && uid != before { Look::Found(()) } else { Look::NotYet(format!("{uid:?}")) })
    })
    .await
}

async fn grant_is_gone(open: &Open) -> anyhow::Result<()> {
    let grants = open.cluster.api::<crds::AccessGrant>();
    until("the grant to be gone", SHUT, || async {
        Ok(match grants.get_opt(&open.grant.name).await? {
            None => Look::Found(()),
            Some(grant) => Look::NotYet(format!("{:?}", grant.status)),
        })
    })
    .await
}
