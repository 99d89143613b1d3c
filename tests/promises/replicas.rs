//! Two replicas of the operator: one leads and acts, and whatever it leaves undone when it goes the other one does. A grant
//! is revoked and proved shut, also when the leader just falls silent.
//!
//! One test after another: each changes who leads.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::faults::ALONE;
use harness::grant::{all_proved, approval};
use harness::wait::{Look, until};
use harness::{Cluster, OpenGrant};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams};

/// A silent leader is given up after 15 s; the rest is a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(40);

/// The operator's pods, by name.
struct Replicas {
    leader: String,
    other: String,
}

impl Replicas {
    /// Waits until both run, one of them leads, and nobody else is there.
    async fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let deployment: Deployment = cluster.system::<Deployment>().get("keyhole-operator").await?;
        let wanted = deployment.spec.and_then(|spec| spec.replicas);
        ensure!(wanted == Some(2), "two replicas are the chart's default: {wanted:?}");
        until("two replicas of which one leads", Duration::from_secs(60), || async {
            let pods = pods(cluster).await?;
            let ready: Vec<String> = pods.iter().filter(|pod| is_ready(pod)).filter_map(name).collect();
            let leader = holder(cluster).await?;
            Ok(match ready.as_slice() {
                [one, two] if pods.len() == 2 && [one, two].contains(&&leader) => {
                    let other = if *one == leader { two } else { one }.clone();
                    Look::Found(Self { leader, other })
                }
                _ => Look::NotYet(format!("ready {ready:?}, the lease is {leader:?}'s")),
            })
        })
        .await
    }
}

async fn pods(cluster: &Cluster) -> anyhow::Result<Vec<Pod>> {
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    Ok(cluster.system::<Pod>().list(&operators).await?.items)
}

fn name(pod: &Pod) -> Option<String> {
    pod.metadata.name.clone()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

async fn holder(cluster: &Cluster) -> anyhow::Result<String> {
    let spec = cluster.system::<Lease>().get_opt("keyhole-operator").await?.and_then(|lease| lease.spec);
    Ok(spec.and_then(|spec| spec.holder_identity).unwrap_or_default())
}

/// Waits until somebody else than `before` leads; answers who.
async fn successor(cluster: &Cluster, before: &str) -> anyhow::Result<String> {
    until(&format!("another leader than {before}"), TAKEN_OVER, || async {
        let leader = holder(cluster).await?;
        let is_new = !leader.is_empty() && leader != before;
        Ok(if is_new { Look::Found(leader) } else { Look::NotYet(leader) })
    })
    .await
}

/// Which replicas have told something about this grant.
async fn tellers(cluster: &Cluster, grant: &OpenGrant) -> anyhow::Result<BTreeSet<String>> {
    let events = cluster.api::<Event>().list(&ListParams::default()).await?.items;
    let about = |event: &Event| event.regarding.as_ref().and_then(|object| object.name.clone());
    let of_grant = events.into_iter().filter(|event| about(event).as_deref() == Some(&grant.name));
    Ok(of_grant.filter_map(|event| event.reporting_instance).collect())
}

/// Waits until this replica has told something about the grant.
async fn awaits_teller(cluster: &Cluster, grant: &OpenGrant, replica: &str) -> anyhow::Result<()> {
    until(&format!("an event of {replica}"), Duration::from_secs(15), || async {
        let tellers = tellers(cluster, grant).await?;
        Ok(if tellers.contains(replica) { Look::Found(()) } else { Look::NotYet(format!("{tellers:?}")) })
    })
    .await
}

#[tokio::test]
async fn a_deleted_leader_is_followed_by_one_that_ends_what_it_began() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("leader-deleted").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let before = Replicas::of(&cluster).await?;
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let mut session = requester.connects(&grant).await?;
            awaits_teller(&cluster, &grant, &before.leader).await?;
            let told = tellers(&cluster, &grant).await?;
            ensure!(!told.contains(&before.other), "{} acted and does not lead: {told:?}", before.other);

            cluster.system::<Pod>().delete(&before.leader, &DeleteParams::default()).await?;
            let leader = successor(&cluster, &before.leader).await?;
            session.reads("SELECT COUNT(*) FROM orders").await.context("while another one leads")?;

            cluster.revokes(&approver, &grant).await?;
            all_proved(&cluster.awaits_ended(&grant, Duration::from_secs(60)).await?)?;
            ensure!(session.is_over().await, "the session outlived its revocation");
            awaits_teller(&cluster, &grant, &leader).await?;
            Replicas::of(&cluster).await.map(drop)
        })
        .await
}

#[tokio::test]
async fn a_silent_leader_is_replaced_and_is_none_any_more_when_it_wakes() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("leader-silent").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let before = Replicas::of(&cluster).await?;
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            awaits_teller(&cluster, &grant, &before.leader).await?;

            cluster.pod_fault(&cluster.bed.system, &before.leader, "freeze").await?;
            let ended = async {
                cluster.revokes(&approver, &grant).await?;
                let leader = successor(&cluster, &before.leader).await?;
                ensure!(leader == before.other, "{} should lead, not {leader}", before.other);
                all_proved(&cluster.awaits_ended(&grant, Duration::from_secs(60)).await?)?;
                awaits_teller(&cluster, &grant, &before.other).await
            }
            .await;
            // Also after a failure: the replica is everybody's.
            cluster.pod_fault(&cluster.bed.system, &before.leader, "thaw").await?;
            ended?;
            awaits_restart(&cluster, &before.leader).await?;
            let after = Replicas::of(&cluster).await?;
            ensure!(after.leader == before.other, "{} leads again", after.leader);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_leader_that_wakes_in_the_middle_of_an_opening_finds_it_ended_and_opens_nothing()
-> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("leader-wakes").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let before = Replicas::of(&cluster).await?;
            // Its pod finds no node: so far the leader has come, and no further.
            let node = |verb: &str| cluster.bed.kubectl().args([verb, "keyhole-node"]);
            node("cordon").succeeds().await?;
            let asleep = async {
                requester.applies(&orders.request("look", "30m")).await?;
                let request = cluster.awaits_terms("look").await?;
                approver.applies(&approval(&request, "approver")?).await?;
                let grant =
                    cluster.awaits_grant("look").await?.metadata.name.context("a grant without name")?;
                let grant = OpenGrant { name: grant, request: "look".to_owned() };
                let pods = cluster.proxies::<Pod>();
                until("the grant's pod", Duration::from_secs(30), || async {
                    let pod = cluster.grant(&grant.name).await?.status.and_then(|status| status.pod);
                    let Some(pod) = pod else { return Ok(Look::NotYet("none is on record".to_owned())) };
                    let found = pods.get_opt(&pod).await?.is_some();
                    Ok(if found { Look::Found(()) } else { Look::NotYet(format!("no {pod}")) })
                })
                .await?;
                cluster.pod_fault(&cluster.bed.system, &before.leader, "freeze").await?;
                anyhow::Ok(grant)
            }
            .await;
            node("uncordon").succeeds().await?;
            let grant = asleep?;
            let ended = async {
                successor(&cluster, &before.leader).await?;
                cluster.awaits_ready("look").await?;
                let leases = cluster.grant(&grant.name).await?.status.context("no status")?.leases.len();
                cluster.revokes(&approver, &grant).await?;
                all_proved(&cluster.awaits_ended(&grant, Duration::from_secs(60)).await?)?;
                anyhow::Ok(leases)
            }
            .await;
            cluster.pod_fault(&cluster.bed.system, &before.leader, "thaw").await?;
            let leases = ended?;
            awaits_restart(&cluster, &before.leader).await?;
            let status = cluster.grant(&grant.name).await?.status.context("no status")?;
            ensure!(status.phase == crds::GrantPhase::Ended && status.leases.len() == leases, "{status:?}");
            let uid = cluster.grant(&grant.name).await?.metadata.uid.context("no uid")?;
            let its = ListParams::default().labels(&format!("access.keyhole.dev/grant-uid={uid}"));
            let left = cluster.proxies::<Pod>().list(&its).await?.items.len()
                + cluster.proxies::<Secret>().list(&its).await?.items.len();
            ensure!(left == 0, "{left} objects of an ended grant are back");
            let users = orders.lease_users().await?;
            ensure!(users.is_empty(), "database users are left: {users:?}");
            Replicas::of(&cluster).await.map(drop)
        })
        .await
}

/// No chart makes it: Argo CD applies no Leases. What was opened under the one before is believed under the next.
#[tokio::test]
async fn a_lease_that_somebody_deletes_is_made_again_and_grants_are_opened_and_ended_under_it()
-> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("lease-deleted").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            Replicas::of(&cluster).await?;
            let earlier = cluster.open(&orders, &requester, &approver, "30m").await?;
            let before = cluster.leadership().await?;
            let deleted = Timestamp::now();
            cluster.system::<Lease>().delete("keyhole-operator", &DeleteParams::default()).await?;
            let leases = cluster.system::<Lease>();
            let lease = until("another Lease", TAKEN_OVER, || async {
                let lease = leases.get_opt("keyhole-operator").await?;
                Ok(lease.map_or_else(|| Look::NotYet("none".to_owned()), Look::Found))
            })
            .await?;
            let since = deleted.duration_until(Timestamp::now()).as_secs();
            ensure!(since >= 14, "made after {since} s, when the leader before may not have stopped");
            let now = cluster.leadership().await?;
            ensure!(now > before, "{now} follows {before}");
            let owners = lease.metadata.owner_references.unwrap_or_default();
            ensure!(
                owners.iter().any(|owner| owner.kind == "Deployment"),
                "it would stay for ever: {owners:?}"
            );
            cluster.revokes(&approver, &earlier).await?;
            all_proved(&cluster.awaits_ended(&earlier, Duration::from_secs(60)).await?)?;
            let later = cluster.open(&orders, &requester, &approver, "30m").await?;
            requester.reads(&later, "SELECT COUNT(*) FROM orders").await?;
            // Others need both: the one that led may wait for the kubelet's back-off.
            cluster.starts_the_operator().await?;
            Replicas::of(&cluster).await.map(drop)
        })
        .await
}

/// A process that leads no more ends; the kubelet starts it again.
async fn awaits_restart(cluster: &Cluster, pod: &str) -> anyhow::Result<()> {
    until(&format!("the end of the process in {pod}"), Duration::from_secs(60), || async {
        let status = cluster.system::<Pod>().get(pod).await?.status.unwrap_or_default();
        let containers = status.container_statuses.unwrap_or_default();
        let restarted = containers.iter().any(|container| container.restart_count > 0);
        Ok(if restarted { Look::Found(()) } else { Look::NotYet(format!("{containers:?}")) })
    })
    .await
}
