//! What is over goes when its time has come, and nothing else does.

use std::time::Duration;

use anyhow::ensure;
use crds::{AccessApproval, AccessGrant, AccessRequest};
use harness::Cluster;
use harness::past::plants;
use harness::wait::{Look, until};
use kube::api::ListParams;

/// How many of each kind are over.
const OVER: usize = 3;

/// A leader looks two minutes after it began to lead; the rest is a busy machine.
const LOOKED: Duration = Duration::from_secs(240);

#[tokio::test]
async fn what_a_policy_keeps_for_a_minute_goes_and_what_others_keep_stays() -> anyhow::Result<()> {
    let (short, long) = (Cluster::fresh("kept-short").await?, Cluster::fresh("kept-long").await?);
    short
        .told(async {
            for cluster in [&short, &long] {
                let orders = cluster.described_orders().await?;
                let mut policy = orders.policy();
                if cluster.namespace == short.namespace {
                    policy["spec"]["keepEndedFor"] = "1m".into();
                }
                cluster.applies(&policy.to_string()).await?;
                // Both write there, as people do.
                cluster.requester().await?;
                cluster.approver().await?;
            }
            short.stops_the_operator().await?;
            let planted = futures_util::future::try_join(plants(&short, OVER), plants(&long, OVER)).await;
            // Whoever leads next looks soon, and what it finds is a minute old by then.
            short.starts_the_operator().await?;
            planted?;
            until("the grants to go", LOOKED, || async {
                let left = grants(&short).await?;
                Ok(if left == 0 { Look::Found(()) } else { Look::NotYet(format!("{left} are left")) })
            })
            .await?;
            let kept = grants(&long).await?;
            ensure!(kept == OVER, "{kept} grants are left where they are kept for thirty days");
            let all = ListParams::default();
            let requests = short.api::<AccessRequest>().list_metadata(&all).await?.items.len();
            let approvals = short.api::<AccessApproval>().list_metadata(&all).await?.items.len();
            ensure!(
                (requests, approvals) == (OVER, OVER),
                "a policy speaks of grants alone: {requests} requests and {approvals} approvals are left"
            );
            long.leave().await
        })
        .await
}

async fn grants(cluster: &Cluster) -> anyhow::Result<usize> {
    Ok(cluster.api::<AccessGrant>().list_metadata(&ListParams::default()).await?.items.len())
}
