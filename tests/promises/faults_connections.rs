//! Connections that say nothing any more, and whose ends hear of no fault: the worst that a network does.
//!
//! One test after another: each silences what everybody needs.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use crds::{ConditionType, is_true};
use harness::faults::{ALONE, Silence};
use harness::grant::{all_proved, lease_proved};
use harness::{Cluster, OpenGrant, Session};
use serde_json::json;

/// A connection whose end does not answer is given up after 5 s; the rest is a busy machine.
const SEEN_ALL_THE_SAME: Duration = Duration::from_secs(15);

/// A leader that is silent is given up after 15 s, and another looks every 2; the rest is a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(35);

/// How long a revocation takes that nothing is in the way of.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Longest pause between two calls to Vault, a call that hangs, and a busy machine.
const VAULT_IS_BACK: Duration = Duration::from_secs(120);

/// Ports of the API server's Service and of Vault.
const API_SERVER: u16 = 443;
const VAULT: u16 = 8200;

/// A grant with a statement that runs.
struct Reading {
    grant: OpenGrant,
    session: Session,
}

impl Reading {
    async fn begins(cluster: &Cluster) -> anyhow::Result<Self> {
        let orders = cluster.orders().await?;
        let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
        let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
        let mut session = requester.connects(&grant).await?;
        session.sends("SELECT SUM(a.total) FROM orders a, orders b, orders c, orders d;\n").await?;
        Ok(Self { grant, session })
    }

    async fn is_cut_when_revoked(&mut self, cluster: &Cluster, within: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        cluster.revokes(&cluster.approver().await?, &self.grant).await?;
        self.session.is_cut("Keyhole: grant revoked", within).await?;
        println!("cut {:.1} s after the revocation", began.elapsed().as_secs_f64());
        Ok(())
    }
}

/// The leader's way to the API server is silenced, and a grant revoked: that is obeyed and proved all the same. Who led before, and then.
async fn revoked_while_the_leader_is_silenced(
    cluster: &Cluster,
    silence: Silence,
    within: Duration,
) -> anyhow::Result<(String, String)> {
    let mut reading = Reading::begins(cluster).await?;
    let leader = cluster.leader().await?;
    let pod = (cluster.bed.system.as_str(), leader.as_str());
    cluster.silences(pod, API_SERVER, silence).await?;
    let ended = async {
        reading.is_cut_when_revoked(cluster, within).await?;
        let ended = cluster.awaits_ended(&reading.grant, Duration::from_secs(60)).await?;
        anyhow::Ok((ended, cluster.leader().await?))
    }
    .await;
    // Also after a failure: the replica is everybody's.
    cluster.hears_again(pod).await?;
    let (ended, leads) = ended?;
    all_proved(&ended)?;
    Ok((leader, leads))
}

#[tokio::test]
async fn a_watch_that_hangs_hides_no_revocation() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("watch-hangs").await?;
    cluster
        .told(async {
            let silence = Silence::OpenConnections;
            let (leader, leads) =
                revoked_while_the_leader_is_silenced(&cluster, silence, SEEN_ALL_THE_SAME).await?;
            ensure!(leads == leader, "{leader} could have gone on: new connections worked");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_leader_that_hears_nothing_from_the_api_server_is_followed() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("leader-deaf").await?;
    cluster
        .told(async {
            let silence = Silence::Everything;
            let (leader, leads) = revoked_while_the_leader_is_silenced(&cluster, silence, TAKEN_OVER).await?;
            ensure!(leads != leader, "{leader} is said to lead, and reaches no API server");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_vault_that_swallows_everything_delays_the_proof_and_not_the_cut() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("vault-silent").await?;
    cluster
        .told(async {
            let mut reading = Reading::begins(&cluster).await?;
            let proxy = cluster.pod_name(&reading.grant).await?;
            let mut pods = vec![(cluster.bed.proxies.clone(), proxy)];
            pods.extend(cluster.operators().await?.into_iter().map(|pod| (cluster.bed.system.clone(), pod)));
            for (namespace, pod) in &pods {
                cluster.silences((namespace, pod), VAULT, Silence::Everything).await?;
            }
            let open = async {
                reading.is_cut_when_revoked(&cluster, AT_ONCE).await?;
                cluster.awaits_open_item(&reading.grant, "lease", "cannot reach Vault").await?;
                cluster.grant(&reading.grant.name).await
            }
            .await;
            // The proxy's pod is gone by now.
            for (namespace, pod) in &pods[1..] {
                cluster.hears_again((namespace, pod)).await?;
            }
            let status = open?.status.unwrap_or_default();
            ensure!(!is_true(&status.conditions, ConditionType::Ended), "called Ended without the proof");
            lease_proved(&cluster.awaits_ended(&reading.grant, VAULT_IS_BACK).await?)
        })
        .await
}

/// The pod's object goes while its process runs, as when its node's object is removed: nobody says that it ended.
#[tokio::test]
async fn a_pod_whose_object_goes_while_it_runs_loses_its_credential_and_is_never_called_gone()
-> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("pod-unseen").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            // No limit of the proxy's own ends the statement meanwhile.
            let mut long = orders.object();
            long["spec"]["limits"] = json!({"seconds": 600});
            cluster.applies(&long.to_string()).await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            // Without the kubelet there is no tunnel.
            let mut session = requester.connects_from_within(&cluster, &grant).await?;
            let user = cluster.lease_user(&grant).await?;
            session.sends("SELECT SUM(a.total) FROM orders a, orders b, orders c, orders d;\n").await?;
            let pod = cluster.pod_name(&grant).await?;
            let before = cluster.pod(&grant).await?.metadata.uid.context("a pod without uid")?;
            cluster.program("stop", "kubelet").await?;
            let cut = async {
                let kubectl = cluster.bed.kubectl().args(["-n", &cluster.bed.proxies, "delete", "pod", &pod]);
                kubectl.args(["--force", "--grace-period=0"]).succeeds().await?;
                // The operator revokes the lease of a pod that it does not see any more, and Vault ends the sessions.
                session.is_cut("ERROR", Duration::from_secs(60)).await
            }
            .await;
            cluster.program("start", "kubelet").await?;
            cut?;
            cluster.awaits_another_proxy(&grant, &before).await.context("once its node is back")?;
            let users = orders.lease_users().await?;
            ensure!(!users.contains(&user), "the user is still there: {users:?}");
            requester.reads(&grant, "SELECT COUNT(*) FROM orders").await?;
            cluster.revokes(&approver, &grant).await?;
            let ended = cluster.awaits_ended(&grant, Duration::from_secs(60)).await?;
            let receipt = ended.status.unwrap_or_default().receipt;
            let sockets = receipt.iter().find(|line| line.item == "sockets").context("no line of sockets")?;
            // Its node, once it is back, tells its process to end: what that puts on record of its end in time is proved.
            let known = [("Unprovable", "NobodySaw"), ("Proved", "ProxySaw")];
            ensure!(known.contains(&(sockets.outcome.as_str(), sockets.reason.as_str())), "{sockets:?}");
            Ok(())
        })
        .await
}
