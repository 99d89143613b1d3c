//! What happens when the database is down, shows another name, or goes away under an open session.

use std::time::Duration;

use anyhow::ensure;
use harness::Cluster;
use harness::faults::ALONE;
use harness::grant::approval;

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
