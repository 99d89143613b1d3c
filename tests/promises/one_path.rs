//! Promise 2: one path. Only the proxy of a live grant reaches the database, and only its person uses the proxy.

use anyhow::{Context, ensure};
use harness::Cluster;
use k8s_openapi::api::core::v1::Pod;

#[tokio::test]
async fn another_person_and_another_pod_get_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("one-path").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let stranger = cluster.stranger().await?;
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            requester.reads(&grant, "SELECT 1").await?;

            let tried = stranger.runs(&grant, "SELECT 1").await?;
            ensure!(tried.code != Some(0), "a stranger read: {}", tried.out);
            let tried = approver.runs(&grant, "SELECT 1").await?;
            ensure!(tried.code != Some(0), "the approver read: {}", tried.out);

            let dialled = cluster.dials(&format!("{}.{}.svc:3306", orders.name, cluster.namespace)).await?;
            ensure!(!dialled.reached, "an ordinary pod reached the database: {}", dialled.printed);

            let address = proxy_address(&cluster, &grant).await?;
            for port in [3306, 7443, 7444] {
                let dialled = cluster.dials(&format!("{address}:{port}")).await?;
                ensure!(
                    !dialled.reached,
                    "an ordinary pod reached the proxy's port {port}: {}",
                    dialled.printed
                );
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_stranger_may_not_forward_a_port_to_the_pod() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("port-forward").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let stranger = cluster.stranger().await?;
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let status = cluster.grant(&grant.name).await?.status.context("a grant without status")?;
            let pod = format!("pod/{}", status.pod.context("a grant without pod")?);
            let proxies = cluster.bed.proxies.clone();
            stranger
                .kubectl()
                .args(["-n", &proxies, "port-forward", &pod, "13306:3306"])
                .is_refused("forbidden")
                .await?;
            requester.kubectl().args(["-n", &proxies, "get", "pods"]).is_refused("forbidden").await?;
            requester.kubectl().args(["-n", &proxies, "get", "secrets"]).is_refused("forbidden").await?;
            for person in [&requester, &stranger] {
                person
                    .kubectl()
                    .args(["-n", &proxies, "auth", "can-i", "get", "secrets"])
                    .is_refused("")
                    .await?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_database_that_names_another_ones_vault_role_gets_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("other-role").await?;
    let victim = Cluster::fresh("victim").await?;
    cluster
        .told(async {
            let theirs = victim.orders().await?;
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let mut object = orders.object();
            object["spec"]["credentials"]["vault"]["role"] = theirs.vault_role().into();
            cluster.applies(&object.to_string()).await?;
            requester.applies(&orders.request("look", "30m")).await?;
            let request = cluster.awaits_terms("look").await?;
            approver.applies(&harness::grant::approval(&request, "approver")?).await?;
            cluster.awaits_condition("look", "Open", "VaultDenied").await?;
            let users = theirs.lease_users().await?;
            ensure!(users.is_empty(), "a user was made on the other database: {users:?}");
            victim.leave().await
        })
        .await
}

async fn proxy_address(cluster: &Cluster, grant: &harness::OpenGrant) -> anyhow::Result<String> {
    let status = cluster.grant(&grant.name).await?.status.context("a grant without status")?;
    let pod = status.pod.context("a grant without pod")?;
    let pod = cluster.proxies::<Pod>().get(&pod).await?;
    pod.status.and_then(|status| status.pod_ip).context("a pod without address")
}
