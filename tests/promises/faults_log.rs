//! Promise 8 with the real audit log taken away: nothing is seen and nothing is opened that is not on record; what ends, ends.
//!
//! One thing after another: the log is taken away from everybody.

use std::time::Duration;

use anyhow::ensure;
use harness::faults::ALONE;
use harness::grant::{all_proved, approval, lease_proved};
use harness::wait::{Look, until};
use harness::{Cluster, OpenGrant, Person, TestDatabase};
use k8s_openapi::api::core::v1::Pod;

/// Name of the log's pod.
const LOG: &str = "keyhole-log-0";

/// Name of the ConfigMap with what the operator has seen of the log.
const ANCHOR: &str = "keyhole-log-anchor";

/// What a client reads whose statement is not on record.
const NOT_ON_RECORD: &str = "could not be put on record";

/// How soon what is on record is witnessed: every ten seconds, and a busy machine is slow.
const WITNESSED: Duration = Duration::from_secs(30);

/// How soon a session goes on once the log does.
const GOES_ON: Duration = Duration::from_secs(1);

/// How soon a statement in a session of its own passes: its certificate and its tunnel take their time, and the way to a new pod does.
const READS_AGAIN: Duration = Duration::from_secs(10);

async fn opened(cluster: &Cluster) -> anyhow::Result<(TestDatabase, [Person; 2], OpenGrant)> {
    let orders = cluster.orders().await?;
    let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
    let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
    Ok((orders, [requester, approver], grant))
}

/// Waits until statements are on record again, and so shown.
async fn reads_on(requester: &Person, grant: &OpenGrant) -> anyhow::Result<()> {
    until("statements to be on record again", READS_AGAIN, || async {
        let asked = requester.runs(grant, "SELECT 1").await?;
        Ok(if asked.code == Some(0) { Look::Found(()) } else { Look::NotYet(asked.err) })
    })
    .await
}

#[tokio::test]
async fn while_the_log_is_frozen_nothing_is_seen_and_nothing_opened_and_both_go_on_after()
-> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("log-frozen").await?;
    cluster
        .told(async {
            let (orders, [requester, approver], grant) = opened(&cluster).await?;
            let mut session = requester.connects(&grant).await?;
            let mut other = requester.connects(&grant).await?;
            for session in [&mut session, &mut other] {
                session.reads("SELECT COUNT(*) FROM orders").await?;
            }
            cluster.pod_fault(&cluster.bed.system, LOG, "freeze").await?;
            let frozen = async {
                // A row, metadata, an error of the server, and a refusal of the gate.
                for sql in [
                    "SELECT 'seen'",
                    "SHOW TABLES",
                    "SELECT 1 FROM not_there",
                    "DELETE FROM orders WHERE id = 1",
                ] {
                    session.sends(&format!("{sql};\n")).await?;
                    session.is_cut(NOT_ON_RECORD, Duration::from_secs(20)).await?;
                }
                requester.applies(&orders.request("unrecorded", "30m")).await?;
                cluster.awaits_condition("unrecorded", "Approved", "AuditUnavailable").await
            }
            .await;
            // Also after a failure: every other test needs it.
            cluster.pod_fault(&cluster.bed.system, LOG, "thaw").await?;
            frozen?;
            let after = other.first_row("SELECT 1", GOES_ON).await?;
            println!("statements passed {after:?} after the log went on");
            // Whatever had leaked would stand before this row.
            let rows = session.reads("SELECT 7").await?;
            ensure!(rows == ["7"], "something was seen: {rows:?}");
            let request = cluster.awaits_terms("unrecorded").await?;
            cluster.awaits_condition("unrecorded", "Approved", "WaitingForApproval").await?;
            approver.applies(&approval(&request, "approver")?).await?;
            cluster.revokes(&approver, &grant).await?;
            all_proved(&cluster.awaits_ended(&grant, Duration::from_secs(60)).await?)
        })
        .await
}

/// As when its node is lost and Kubernetes believes it: another pod comes while the process of the first may still run, on one volume.
#[tokio::test]
async fn a_log_whose_pod_is_given_up_goes_on_in_another_and_nothing_on_record_is_lost() -> anyhow::Result<()>
{
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("log-given-up").await?;
    cluster
        .told(async {
            let (_, [requester, approver], grant) = opened(&cluster).await?;
            let mut session = requester.connects(&grant).await?;
            session.reads("SELECT COUNT(*) FROM orders").await?;
            let before = cluster.system::<Pod>().get(LOG).await?.metadata.uid;
            let force = ["-n", &cluster.bed.system, "delete", "pod", LOG, "--force", "--grace-period=0"];
            cluster.bed.kubectl().args(force).succeeds().await?;
            cluster.log(true).await?;
            let after = cluster.system::<Pod>().get(LOG).await?.metadata.uid;
            ensure!(before != after, "the same pod serves still: {after:?}");
            reads_on(&requester, &grant).await?;
            let rows = session.reads("SELECT 7").await?;
            ensure!(rows == ["7"], "{rows:?}");
            cluster.revokes(&approver, &grant).await?;
            // Its item `record` says that the log has each record that the proxy wrote.
            all_proved(&cluster.awaits_ended(&grant, Duration::from_secs(60)).await?)
        })
        .await
}

/// The volume of before, and nobody who tells the log: it knows nothing of what came after, and the operator does.
#[tokio::test]
async fn a_log_that_is_set_back_opens_nothing_until_it_is_restored_and_somebody_says_so() -> anyhow::Result<()>
{
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("log-set-back").await?;
    cluster
        .told(async {
            let (orders, [requester, approver], grant) = opened(&cluster).await?;
            let mut session = requester.connects(&grant).await?;
            session.reads("SELECT COUNT(*) FROM orders").await?;
            cluster.log(false).await?;
            let kept = cluster.log_volume("keep", "before").await;
            cluster.log(true).await?;
            kept?;
            reads_on(&requester, &grant).await?;
            let before = cluster.witnessed().await?;
            until("the witness to see more", WITNESSED, || async {
                let now = cluster.witnessed().await?;
                Ok(if now > before { Look::Found(()) } else { Look::NotYet(now.to_string()) })
            })
            .await?;
            cluster.log(false).await?;
            let set_back = is_set_back(&cluster, &orders, &requester, &grant).await;
            cluster.log(false).await?;
            cluster.log_volume("put", "newest").await?;
            cluster.log(true).await?;
            // It looks right again, and that is not enough.
            let still = async {
                set_back?;
                let anchor = cluster.anchor().await?;
                ensure!(anchor.contains_key("forked"), "nobody keeps that it forked: {:?}", anchor.keys());
                cluster.awaits_condition("forked", "Approved", "AuditForked").await
            }
            .await;
            // Also after a failure: every other test needs the log.
            let goes_on = r#"{"data": {"forked": null}}"#;
            let patch =
                ["-n", &cluster.bed.system, "patch", "configmap", ANCHOR, "--type=merge", "-p", goes_on];
            cluster.bed.kubectl().args(patch).succeeds().await?;
            still?;
            cluster.awaits_condition("forked", "Approved", "WaitingForApproval").await?;
            cluster.revokes(&approver, &grant).await?;
            lease_proved(&cluster.awaits_ended(&grant, Duration::from_secs(120)).await?)
        })
        .await
}

/// As it was before, with nobody who tells the log: the operator has its own memory.
async fn is_set_back(
    cluster: &Cluster,
    orders: &TestDatabase,
    requester: &Person,
    grant: &OpenGrant,
) -> anyhow::Result<()> {
    let system = cluster.bed.system.as_str();
    cluster.log_volume("keep", "newest").await?;
    cluster.log_volume("put", "before").await?;
    cluster.scales_log(1).await?;
    cluster.log_ends_with(4).await?;
    cluster.bed.kubectl().args(["-n", system, "delete", "configmap", ANCHOR]).succeeds().await?;
    cluster.bed.kubectl().args(["-n", system, "delete", "pod", LOG]).succeeds().await?;
    until("the operator to notice", WITNESSED, || async {
        let kept = cluster.anchor().await.unwrap_or_default();
        let is_noticed = kept.contains_key("forked");
        Ok(if is_noticed { Look::Found(()) } else { Look::NotYet(format!("{:?}", kept.keys())) })
    })
    .await?;
    requester.applies(&orders.request("forked", "30m")).await?;
    cluster.awaits_condition("forked", "Approved", "AuditForked").await?;
    let refused = requester.runs(grant, "SELECT 'seen'").await?;
    ensure!(refused.code != Some(0) && !refused.out.contains("seen"), "it read on: {}", refused.out);
    Ok(())
}

#[tokio::test]
async fn with_the_log_gone_a_grant_is_cut_and_shut_and_called_ended_when_the_log_is_back()
-> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("log-gone").await?;
    cluster
        .told(async {
            let (orders, [requester, approver], grant) = opened(&cluster).await?;
            let mut session = requester.connects(&grant).await?;
            session.reads("SELECT COUNT(*) FROM orders").await?;
            cluster.log(false).await?;
            let gone = async {
                cluster.revokes(&approver, &grant).await?;
                ensure!(session.is_over().await, "the session outlived its revocation");
                cluster.awaits_open_item(&grant, "record", "the audit log does not answer").await?;
                let users = orders.lease_users().await?;
                ensure!(users.is_empty(), "database users are left: {users:?}");
                anyhow::Ok(())
            }
            .await;
            cluster.log(true).await?;
            gone?;
            lease_proved(&cluster.awaits_ended(&grant, Duration::from_secs(60)).await?)
        })
        .await
}
