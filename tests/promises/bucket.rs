//! Promise 8 with the audit log in a bucket: what is on record outlives the pod and everything on its node, and the next pod goes on.
//!
//! It takes the log of everybody away, and with it Keyhole: a log stays where it was begun. So it runs after all others on its cluster, and
//! installs Keyhole again as it was for whoever comes next.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::auditor::{audit, copies, inspector, is_none_any_more, offline};
use harness::grant::all_proved;
use harness::wait::{Look, until};
use harness::{Cluster, OpenGrant, Person};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::DeleteParams;

/// Name of the log's pod.
const LOG: &str = "keyhole-log-0";

/// Name of the ConfigMap with what the operator has seen of the log.
const ANCHOR: &str = "keyhole-log-anchor";

/// The chart's values for it, beside those of the test bed.
const IN_BUCKET: [&str; 5] = [
    "log.storage=bucket",
    "log.bucket.url=s3://log/keyhole",
    "log.bucket.endpoint=https://store.store.svc:7070",
    "log.bucket.port=7070",
    r"log.bucket.to[0].namespaceLabels.kubernetes\.io/metadata\.name=store",
];

/// How soon statements are on record again after the log's pod has gone.
const GOES_ON: Duration = Duration::from_secs(10);

/// How long a record may be on its way into a copy: the witness signs every ten seconds, and a busy machine is slow.
const WITNESSED: Duration = Duration::from_secs(60);

/// How long Helm may take.
const HELM: Duration = Duration::from_secs(400);

async fn installs(cluster: &Cluster, values: &[&str]) -> anyhow::Result<()> {
    let set = values.iter().flat_map(|value| ["--set", value]);
    let install = cluster.bed.verb("keyhole").arg("install").args(set).within(HELM);
    install.succeeds().await.context("install").map(drop)
}

/// Takes Keyhole away, and what its operator has kept of the log: the next one is begun anew, or is another.
async fn uninstalls(cluster: &Cluster) -> anyhow::Result<()> {
    let uninstall = cluster.bed.verb("keyhole").arg("uninstall").within(HELM);
    uninstall.succeeds().await.context("uninstall")?;
    let proxies = format!("namespace/{}", cluster.bed.proxies);
    let waits = ["wait", "--for=delete", &proxies, "--timeout=60s"];
    cluster.bed.kubectl().args(waits).within(HELM).succeeds().await?;
    let delete = ["-n", &cluster.bed.system, "delete", "configmap", ANCHOR, "--ignore-not-found"];
    cluster.bed.kubectl().args(delete).succeeds().await.map(drop)
}

/// Waits until statements are on record again, and so shown.
async fn reads_on(requester: &Person, grant: &OpenGrant, within: Duration) -> anyhow::Result<()> {
    until("statements to be on record again", within, || async {
        let asked = requester.runs(grant, "SELECT 1").await?;
        Ok(if asked.code == Some(0) { Look::Found(()) } else { Look::NotYet(asked.err) })
    })
    .await
}

/// Deletes the log's pod in this way, and waits for the next one, which must be another and on an empty folder.
async fn loses_its_pod(
    cluster: &Cluster,
    (requester, grant): (&Person, &OpenGrant),
    how: &[&str],
) -> anyhow::Result<()> {
    let before = cluster.system::<Pod>().get(LOG).await?.metadata.uid;
    let delete = ["-n", &cluster.bed.system, "delete", "pod", LOG];
    cluster.bed.kubectl().args(delete).args(how).succeeds().await?;
    let gone = Instant::now();
    reads_on(requester, grant, GOES_ON).await?;
    println!("{how:?}: statements were on record again after {:?}", gone.elapsed());
    let after = cluster.system::<Pod>().get(LOG).await?;
    ensure!(before != after.metadata.uid, "the same pod serves still: {before:?}");
    let volumes = after.spec.and_then(|spec| spec.volumes).unwrap_or_default();
    ensure!(volumes.iter().all(|volume| volume.persistent_volume_claim.is_none()), "{volumes:?}");
    let data = volumes.iter().find(|volume| volume.name == "data").context("no volume data")?;
    ensure!(data.empty_dir.is_some(), "it has kept something: {data:?}");
    Ok(())
}

/// A copy of all of it is verified with the operator's policy.
async fn is_verified(cluster: &Cluster, around: &Path, uid: &str) -> anyhow::Result<()> {
    let inspector = inspector(cluster).await?;
    let path = |name: &str| around.join(name).display().to_string();
    let (copy, policy) = (path("copy"), path("keyhole.policy"));
    std::fs::write(&policy, audit(cluster, &inspector, &["policy"]).succeeds().await?)?;
    let receipt = format!("receipt/{uid}");
    until("a copy with the receipt of the grant", WITNESSED, || async {
        if !copies(cluster, &inspector, &copy).await? {
            return Ok(Look::NotYet("no certificate yet".to_owned()));
        }
        let said = offline(&inspector, &["verify", &copy, "--policy", &policy]).run().await?;
        ensure!(said.out.contains("clean: nothing is wrong"), "{}{}", said.out, said.err);
        let all = offline(&inspector, &["export", "--dir", &copy, "--policy", &policy]).succeeds().await?;
        Ok(if all.contains(&receipt) { Look::Found(()) } else { Look::NotYet(said.out) })
    })
    .await?;
    is_none_any_more(cluster).await
}

async fn goes_on_in_a_bucket(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.bed.verb("store").args(["up", &cluster.bed.system]).succeeds().await.context("the store")?;
    installs(cluster, &IN_BUCKET).await?;
    let set = cluster.system::<StatefulSet>().get("keyhole-log").await?;
    let claims = set.spec.and_then(|spec| spec.volume_claim_templates).unwrap_or_default();
    ensure!(claims.is_empty(), "it asks for a volume: {claims:?}");

    let orders = cluster.orders().await?;
    let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
    let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
    let mut session = requester.connects(&grant).await?;
    session.reads("SELECT COUNT(*) FROM orders").await?;
    loses_its_pod(cluster, (&requester, &grant), &[]).await.context("its pod is deleted")?;
    // As when its node is lost and somebody says so: the process of before may still run.
    let force = ["--force", "--grace-period=0"];
    loses_its_pod(cluster, (&requester, &grant), &force).await.context("its pod is given up")?;
    let rows = session.reads("SELECT 7").await?;
    ensure!(rows == ["7"], "{rows:?}");
    let uid = cluster.grant(&grant.name).await?.metadata.uid.context("a grant without uid")?;
    cluster.revokes(&approver, &grant).await?;
    // Its item `record` says that the log has each record that the proxy wrote.
    all_proved(&cluster.awaits_ended(&grant, Duration::from_secs(60)).await?)?;
    let around = tempfile::tempdir()?;
    is_verified(cluster, around.path(), &uid).await
}

#[tokio::test]
async fn a_log_in_a_bucket_goes_on_in_a_new_pod_within_ten_seconds_and_a_copy_of_it_is_whole()
-> anyhow::Result<()> {
    let cluster = Cluster::fresh("bucket").await?;
    uninstalls(&cluster).await?;
    let tried = goes_on_in_a_bucket(&cluster).await;
    let tried = match tried {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(cluster.diagnosis().await)),
    };
    // Also after a failure, for whoever comes next. Grants go with the operator, while there is one.
    let left = async {
        uninstalls(&cluster).await?;
        cluster.bed.verb("store").arg("down").within(HELM).succeeds().await?;
        let bucket = cluster.system::<Secret>();
        bucket.delete("keyhole-log-bucket", &DeleteParams::default()).await?;
        installs(&cluster, &[]).await
    }
    .await;
    tried?;
    left?;
    let anchor = cluster.system::<ConfigMap>().get_opt(ANCHOR).await?;
    ensure!(anchor.is_none_or(|anchor| anchor.data.is_none_or(|data| !data.contains_key("forked"))));
    cluster.leave().await
}
