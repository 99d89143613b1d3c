//! Promise 4: bounded. A client hears which limit it met; nothing is cut silently.

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::wait::{Look, until};
use harness::{Cluster, OpenGrant, Person};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::{Value, json};

/// How long a pod may take to go and another to come.
const REPLACED: Duration = Duration::from_secs(60);

/// A grant of a database with these limits.
async fn opened(cluster: &Cluster, limits: Value) -> anyhow::Result<(Person, OpenGrant)> {
    let orders = cluster.orders().await?;
    let mut object = orders.object();
    object["spec"]["limits"] = limits;
    cluster.applies(&object.to_string()).await?;
    let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
    let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
    Ok((requester, grant))
}

#[tokio::test]
async fn rows_time_bytes_and_the_budget_are_bounded_and_each_limit_is_named() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("bounded").await?;
    cluster
        .told(async {
            let limits = json!({"rows": 50, "seconds": 2, "bytes": 5000, "grantRows": 400});
            let (requester, grant) = opened(&cluster, limits).await?;

            let rows = requester.reads(&grant, "SELECT id FROM orders LIMIT 50").await?;
            ensure!(rows.lines().count() == 50, "50 rows are within the limit: {rows}");
            requester.is_refused(&grant, "SELECT id FROM orders LIMIT 51", "50 rows").await?;
            requester.is_refused(&grant, "SELECT REPEAT('x', 6000)", "bytes").await?;
            let slow = "SELECT COUNT(*) FROM orders a, orders b, orders c, orders d";
            requester.is_refused(&grant, slow, "2 seconds").await?;

            let again = "SELECT id FROM orders LIMIT 50; ".repeat(9);
            requester.is_refused(&grant, &again, "budget of 400 rows").await?;
            requester.is_refused(&grant, "SELECT 1", "budget of 400 rows").await?;

            // It is the grant's, and not a pod's.
            let pod = cluster.pod(&grant).await?;
            let (name, uid) = (cluster.pod_name(&grant).await?, pod.metadata.uid);
            cluster.proxies::<Pod>().delete(&name, &DeleteParams::default()).await?;
            until("a new pod", REPLACED, || async {
                let found = cluster.proxies::<Pod>().get_opt(&name).await?;
                Ok(match found {
                    Some(found) if found.metadata.uid != uid => Look::Found(()),
                    other => Look::NotYet(format!("{:?}", other.map(|pod| pod.metadata.uid))),
                })
            })
            .await?;
            cluster.awaits_ready_again(&grant).await?;
            requester.is_refused(&grant, "SELECT 1", "budget of 400 rows").await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_proxy_that_died_unheard_counts_as_if_it_had_read_what_it_may_have() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("unheard").await?;
    cluster
        .told(async {
            let (requester, grant) = opened(&cluster, json!({"rows": 50, "grantRows": 200})).await?;
            let before = cluster.pod(&grant).await?.metadata.uid.context("a pod without uid")?;
            cluster.pod_fault(&cluster.bed.proxies, &cluster.pod_name(&grant).await?, "kill").await?;
            cluster.awaits_another_proxy(&grant, &before).await?;
            let status = cluster.grant(&grant.name).await?.status.context("no status")?;
            let charged =
                status.leases.first().and_then(|lease| lease.charged).context("nothing is charged")?;
            ensure!(charged.rows == 50, "one statement's rows, and not {charged:?}");
            let left = "SELECT id FROM orders LIMIT 50; ".repeat(3);
            requester.reads(&grant, &left).await.context("what is left")?;
            requester.is_refused(&grant, "SELECT 1", "budget of 200 rows").await?;
            Ok(())
        })
        .await
}
