//! Whatever is over costs the operator nothing: with hundreds of requests, approvals and grants that have ended, a new leader
//! starts, lives, and ends the one grant that is open.

use std::time::{Duration, Instant};

use anyhow::ensure;
use crds::AccessGrant;
use harness::Cluster;
use harness::past::plants;
use harness::wait::{Look, until};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};

/// How many of each kind: with 300 an operator of 192 MiB that looked at each of them was killed again and again.
const HISTORY: usize = 400;

/// A leader that is silent is given up after 15 s, and another looks every 2; the rest is a busy machine.
const EXECUTED: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_is_over_costs_nothing_and_a_new_leader_ends_what_is_open() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("history").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let live = cluster.open(&orders, &requester, &approver, "30m").await?;
            let mut session = requester.connects(&live).await?;

            cluster.stops_the_operator().await?;
            let planted = plants(&cluster, HISTORY).await;
            cluster.starts_the_operator().await?;
            planted?;
            all_are_settled(&cluster).await?;

            session.sends("SELECT SUM(a.total) FROM orders a, orders b, orders c, orders d;\n").await?;
            let leader = cluster.leader().await?;
            cluster.pod_fault(&cluster.bed.system, &leader, "freeze").await?;
            let silent = Instant::now();
            cluster.revokes(&approver, &live).await?;
            session.is_cut("Keyhole: grant revoked", EXECUTED).await?;
            println!("cut {:.1} s after the leader fell silent", silent.elapsed().as_secs_f64());
            let at_once = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
            cluster.system::<Pod>().delete(&leader, &at_once).await?;
            cluster.awaits_ended(&live, Duration::from_secs(60)).await?;
            let restarts = restarts(&cluster).await?;
            ensure!(restarts == 0, "the operator was restarted {restarts} times");
            Ok(())
        })
        .await
}

/// How often any container of the operator was started again.
async fn restarts(cluster: &Cluster) -> anyhow::Result<i32> {
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    let pods = cluster.system::<Pod>().list(&operators).await?.items;
    let statuses = pods.into_iter().filter_map(|pod| pod.status?.container_statuses).flatten();
    Ok(statuses.map(|status| status.restart_count).sum())
}

/// Ended grants of an earlier release are looked at once, and never again.
async fn all_are_settled(cluster: &Cluster) -> anyhow::Result<()> {
    let ended = ListParams::default().fields("status.phase=Ended,status.settled!=true");
    until("all ended grants to be settled", Duration::from_secs(120), || async {
        let left = cluster.api::<AccessGrant>().list_metadata(&ended).await?.items.len();
        Ok(if left == 0 { Look::Found(()) } else { Look::NotYet(format!("{left} left")) })
    })
    .await
}
