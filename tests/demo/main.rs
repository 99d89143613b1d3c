//! `make demo`: the whole story on a real cluster, told on the terminal. Ends with an error when a step is not as told.

mod record;
mod refusals;

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use harness::grant::{all_proved, approval};
use harness::story::Story;
use harness::{Cluster, OpenGrant, Person, TestDatabase};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut story = Story::begins("Keyhole: look, don't touch");
    let cluster = Cluster::fresh("demo").await?;
    let told = tell(&mut story, &cluster).await;
    if told.is_err() {
        eprintln!("{}", cluster.diagnosis().await);
    }
    told?;
    if let Some(line) = story.lacks(excerpt()?) {
        bail!("README.md shows a line that the story did not tell, or not there: {line}");
    }
    story.ends("The story is as told.");
    Ok(())
}

/// What README.md shows of this story.
fn excerpt() -> anyhow::Result<&'static str> {
    let blocks = include_str!("../../README.md").split("```\n");
    blocks.into_iter().find(|block| block.starts_with('▸')).context("README.md shows nothing of the story")
}

async fn tell(story: &mut Story, cluster: &Cluster) -> anyhow::Result<()> {
    story.act("The platform team describes a database, a policy, and a Vault role");
    let database = cluster.orders().await?;
    story.done("Database, AccessPolicy and Vault role are there");
    story.shows(&cluster.kubectl().args(["get", "databases,accesspolicies"]).succeeds().await?);

    let requester = cluster.requester().await?;
    let approver = cluster.approver().await?;
    let stranger = cluster.stranger().await?;
    let grant = asked_and_approved(story, cluster, &database, (&requester, &approver)).await?;
    refusals::only_reading(story, &requester, &grant).await?;
    refusals::nobody_else(story, cluster, &database, (&stranger, &grant)).await?;
    revoked(story, cluster, &database, (&requester, &approver, &grant)).await?;
    record::is_verified_offline(story, cluster, &grant).await?;
    ends_by_itself(story, cluster, &database, (&requester, &approver)).await
}

async fn asked_and_approved(
    story: &mut Story,
    cluster: &Cluster,
    database: &TestDatabase,
    (requester, approver): (&Person, &Person),
) -> anyhow::Result<OpenGrant> {
    story.act("The requester asks for 30 minutes");
    requester.applies(&database.request("look", "30m")).await?;
    let request = cluster.awaits_terms("look").await?;
    story.done("the request waits for approval");
    story.shows(&requester.kubectl().args(["get", "accessrequest", "look"]).succeeds().await?);
    refusals::own_approval(story, cluster, &request, requester).await?;

    story.act("The approver approves exactly these terms");
    approver.applies(&approval(&request, "approver")?).await?;
    let grant = cluster.awaits_ready("look").await?;
    story.done("the grant is Ready");
    story.shows(&requester.kubectl().args(["get", "accessrequest", "look"]).succeeds().await?);

    story.act("The requester reads with the ordinary client");
    let rows = requester.reads(&grant, "SELECT id, customer, total FROM orders ORDER BY id LIMIT 3").await?;
    ensure!(rows.lines().count() == 3, "three rows were asked for, this came: {rows}");
    story.done("rows");
    story.shows(&rows);
    Ok(grant)
}

async fn revoked(
    story: &mut Story,
    cluster: &Cluster,
    database: &TestDatabase,
    (requester, approver, grant): (&Person, &Person, &OpenGrant),
) -> anyhow::Result<()> {
    story.act("The approver revokes while the requester is reading");
    let mut session = requester.connects(grant).await?;
    session
        .sends("SELECT SUM(a.total * b.total * c.total) FROM orders a, orders b, orders c, orders d;\n")
        .await?;
    let began = Instant::now();
    cluster.revokes(approver, grant).await?;
    session.is_cut("grant revoked", Duration::from_secs(20)).await?;
    story.done(&format!(
        "the open session was cut {} ms after kubectl was started",
        began.elapsed().as_millis()
    ));
    let ended = cluster.awaits_ended(grant, Duration::from_secs(60)).await?;
    all_proved(&ended)?;
    let users = database.lease_users().await?;
    ensure!(users.is_empty(), "the database user is still there: {users:?}");
    nothing_left(cluster, grant).await?;
    story.done("database user, pod and NetworkPolicy are gone; every item of the receipt is proved");
    for line in ended.status.unwrap_or_default().receipt {
        story.shows(&format!("{:<15} {:<11} {}", line.item, line.outcome, line.detail));
    }
    Ok(())
}

async fn ends_by_itself(
    story: &mut Story,
    cluster: &Cluster,
    database: &TestDatabase,
    (requester, approver): (&Person, &Person),
) -> anyhow::Result<()> {
    story.act("A second grant, of one minute");
    let grant = cluster.open(database, requester, approver, "1m").await?;
    let mut session = requester.connects(&grant).await?;
    story.done("it is open, and the requester connected; now everybody waits");
    let ended = cluster.awaits_ended(&grant, Duration::from_secs(120)).await?;
    // An idle client hears of its end with its next statement.
    session.sends("SELECT 1;\n").await?;
    session.is_cut("grant expired", Duration::from_secs(20)).await?;
    all_proved(&ended)?;
    nothing_left(cluster, &grant).await?;
    story.done("it ended by itself");
    Ok(())
}

async fn nothing_left(cluster: &Cluster, grant: &OpenGrant) -> anyhow::Result<()> {
    let uid = cluster.grant(&grant.name).await?.metadata.uid.context("a grant without uid")?;
    let of_grant = kube::api::ListParams::default().labels(&format!("access.keyhole.dev/grant-uid={uid}"));
    let pods = cluster.proxies::<Pod>().list(&of_grant).await?.items.len();
    let policies = cluster.proxies::<NetworkPolicy>().list(&of_grant).await?.items.len();
    ensure!(pods == 0 && policies == 0, "{pods} pods and {policies} NetworkPolicies of the grant are left");
    Ok(())
}
