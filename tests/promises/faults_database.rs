//! What happens when the database is down, shows another name, or goes away under an open session.

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::faults::ALONE;
use harness::grant::{all_proved, approval, lease_proved};
use harness::wait::{Look, until};
use harness::{Cluster, Shell, TestDatabase};

#[tokio::test]
async fn a_database_that_is_down_is_told_and_waited_for() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("database-down").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let mut session = requester.connects(&grant).await?;
            orders.stops(&cluster).await?;
            ensure!(session.asks("SELECT COUNT(*) FROM orders").await.is_err(), "no database, and yet rows");
            orders.starts(&cluster).await?;
            let count = requester.reads(&grant, "SELECT COUNT(*) FROM orders").await?;
            ensure!(count.trim() == "500", "500 orders were expected: {count}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_grant_whose_database_is_down_does_not_end_before_it_is_back_and_delays_no_other()
-> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let (cluster, beside) =
        (Cluster::fresh("database-dead").await?, Cluster::fresh("database-beside").await?);
    cluster
        .told(async {
            let (orders, others) = (cluster.orders().await?, beside.orders().await?);
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let [asks, decides] = [beside.requester().await?, beside.approver().await?];
            let other = beside.open(&others, &asks, &decides, "30m").await?;

            orders.stops(&cluster).await?;
            // With it goes all that anybody could have seen of its sessions.
            cluster.pod_fault(&cluster.bed.proxies, &cluster.pod_name(&grant).await?, "kill").await?;
            cluster.revokes(&approver, &grant).await?;
            cluster.awaits_open_item(&grant, "lease", "its database may be down").await?;
            beside.revokes(&decides, &other).await?;
            all_proved(&beside.awaits_ended(&other, Duration::from_secs(30)).await?)?;
            let status = cluster.grant(&grant.name).await?.status.context("no status")?;
            ensure!(status.phase == crds::GrantPhase::Ending, "its user may still be there: {status:?}");

            orders.starts(&cluster).await?;
            lease_proved(&cluster.awaits_ended(&grant, Duration::from_secs(90)).await?)?;
            let users = orders.lease_users().await?;
            ensure!(users.is_empty(), "database users are left: {users:?}");
            beside.leave().await
        })
        .await
}

#[tokio::test]
async fn the_proof_that_nobody_can_give_is_given_up_by_the_verb_and_tried_on() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("database-gone").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            orders.stops(&cluster).await?;
            let revoked = approver.keyhole("revoke").args([&grant.name, "--reason", "the server is gone"]);
            let told = revoked.args(["--timeout", "20s"]).run().await?;
            ensure!(told.code == Some(1), "it is not proved: {told:?}");
            ensure!(told.out.contains("lease") || told.err.contains("lease"), "what is open: {told:?}");

            let give_up = |person: &harness::Person| {
                let abandon = person.keyhole("abandon").args([&grant.name, "--reason", "the server is gone"]);
                abandon.args(["--yes", "--timeout", "60s"])
            };
            give_up(&approver).is_refused("abandon").await?;
            let platform = cluster.person("platform", &["platform"], Some("platform")).await?;
            give_up(&platform).succeeds().await?;
            let ended = cluster.awaits_ended(&grant, Duration::from_secs(5)).await?;
            let receipt = ended.status.context("no status")?.receipt;
            let lease = receipt.iter().find(|line| line.item == "lease").context("no lease")?;
            ensure!(
                (lease.outcome.as_str(), lease.reason.as_str()) == ("Unprovable", "GivenUp"),
                "{lease:?}"
            );
            ensure!(lease.detail.contains("given up by platform"), "{lease:?}");

            // It is given up on record; the operator goes on all the same.
            orders.starts(&cluster).await?;
            no_user_is_left(&orders).await
        })
        .await
}

#[tokio::test]
async fn a_team_that_goes_with_its_database_is_cut_and_goes_when_the_proof_is_given_up() -> anyhow::Result<()>
{
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("team-gone").await?;
    let steps = async {
        let orders = cluster.orders().await?;
        let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
        let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
        let mut session = requester.connects(&grant).await?;
        let administrators = || cluster.bed.kubectl().within(Duration::from_secs(60));
        administrators().args(["delete", "namespace", &cluster.namespace, "--wait=false"]).succeeds().await?;
        // Kubernetes takes pods away before anything else (KEP-5080), the database's own among them.
        cluster.awaits_open_item(&grant, "lease", "").await?;
        ensure!(session.is_over().await, "the session outlived its team");

        // The people's rights went with the namespace.
        let keyhole = Shell::new(&cluster.bed.cli).env("KUBECONFIG", &cluster.bed.admin);
        let given_up = keyhole.args(["abandon", &grant.name, "-n", &cluster.namespace, "--yes"]);
        // The grant itself goes as soon as it has ended.
        let told =
            given_up.args(["--reason", "its server went with the team", "--timeout", "60s"]).run().await?;
        println!("{told:?}");
        until("the namespace to go", Duration::from_secs(90), || async {
            let found =
                administrators().args(["get", "namespace", &cluster.namespace, "-o", "yaml"]).run().await?;
            Ok(if found.code == Some(0) { Look::NotYet(found.out) } else { Look::Found(()) })
        })
        .await
    };
    match steps.await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(cluster.diagnosis().await)),
    }
}

/// Waits until Vault has dropped the last user that it made.
async fn no_user_is_left(orders: &TestDatabase) -> anyhow::Result<()> {
    until("the last user to be dropped", Duration::from_secs(90), || async {
        let users = orders.lease_users().await?;
        Ok(if users.is_empty() { Look::Found(()) } else { Look::NotYet(format!("{users:?}")) })
    })
    .await
}

#[tokio::test]
async fn a_certificate_for_another_name_stops_the_grant() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("database-tls").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let mut object = orders.object();
            object["spec"]["tls"]["serverName"] = "another.example.com".into();
            cluster.applies(&object.to_string()).await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            requester.applies(&orders.request("look", "30m")).await?;
            let request = cluster.awaits_terms("look").await?;
            approver.applies(&approval(&request, "approver")?).await?;
            let message = cluster.awaits_condition("look", "Open", "DatabaseTls").await?;
            ensure!(message.contains("another.example.com"), "the name is not told: {message}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_proxy_image_that_is_missing_is_told() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("image-missing").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let image = || cluster.bed.verb("image");
            image().args(["remove", "keyhole.test/keyhole-proxy:dev"]).succeeds().await?;
            let told = async {
                requester.applies(&orders.request("look", "30m")).await?;
                let request = cluster.awaits_terms("look").await?;
                approver.applies(&approval(&request, "approver")?).await?;
                cluster.awaits_condition("look", "Open", "ImageMissing").await
            }
            .await;
            image().arg("restore").succeeds().await?;
            told?;
            tokio::time::timeout(Duration::from_secs(120), cluster.awaits_ready("look")).await??;
            Ok(())
        })
        .await
}
