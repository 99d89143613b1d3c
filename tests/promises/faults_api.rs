//! What the API server may do to the operator: refuse to let it read, or to take what it writes. An end waits for neither, and
//! whoever waits for a grant is told why in the API server's own words.
//!
//! One test after another: each takes away what everybody needs.

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::Cluster;
use harness::faults::ALONE;
use harness::grant::all_proved;
use k8s_openapi::api::core::v1::ResourceQuota;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use serde_json::json;

/// How long a revocation may take to cut a running statement when the operator may look at nothing of the grant but the grant.
const CUT: Duration = Duration::from_secs(5);

/// The binding of the operator's rights in the proxies namespace.
const RIGHTS: &str = "keyhole-operator";

#[tokio::test]
async fn a_revocation_cuts_at_once_though_the_operator_may_read_nothing_of_the_proxy() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("blind").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let mut session = requester.connects(&grant).await?;
            session.sends("SELECT SUM(a.total) FROM orders a, orders b, orders c, orders d;\n").await?;

            let bindings = cluster.proxies::<RoleBinding>();
            let rights = bindings.get(RIGHTS).await?;
            bindings.delete(RIGHTS, &DeleteParams::default()).await?;
            let cut = async {
                cluster.revokes(&approver, &grant).await?;
                let took = session.is_cut("Keyhole: grant revoked", CUT).await?;
                println!("cut after {} ms", took.as_millis());
                cluster.awaits_open_item(&grant, "pod", "cannot be read").await
            }
            .await;
            let metadata = ObjectMeta {
                name: rights.metadata.name.clone(),
                labels: rights.metadata.labels.clone(),
                annotations: rights.metadata.annotations.clone(),
                ..ObjectMeta::default()
            };
            bindings.create(&PostParams::default(), &RoleBinding { metadata, ..rights }).await?;
            cut?;
            let ended = cluster.awaits_ended(&grant, Duration::from_secs(90)).await?;
            all_proved(&ended)
        })
        .await
}

#[tokio::test]
async fn what_the_api_server_does_not_take_is_told_in_its_words() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("quota").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let quotas = cluster.proxies::<ResourceQuota>();
            let none: ResourceQuota = serde_json::from_value(json!({
                "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}
            }))?;
            quotas.create(&PostParams::default(), &none).await?;
            let told = async {
                requester.applies(&orders.request("look", "30m")).await?;
                let request = cluster.awaits_terms("look").await?;
                approver.applies(&harness::grant::approval(&request, &approver.name)?).await?;
                cluster.awaits_condition("look", "Open", "NotApplied").await
            }
            .await;
            quotas.delete("none", &DeleteParams::default()).await?;
            let told = told?;
            ensure!(told.contains("exceeded quota"), "{told}");
            let grant = cluster.awaits_ready("look").await?;
            let status = cluster.grant(&grant.name).await?.status.context("a grant without status")?;
            ensure!(status.attempts == 1, "{} pods were counted, and one was made", status.attempts);
            Ok(())
        })
        .await
}
