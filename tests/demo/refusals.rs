//! The demo's refusals: each must be refused, and for the reason told.

use anyhow::ensure;
use crds::AccessRequest;
use harness::grant::approval;
use harness::story::Story;
use harness::{Cluster, OpenGrant, Person, TestDatabase};
use serde_json::json;

/// The requester approves their own request: once openly, once with a forged `requester` field.
pub async fn own_approval(
    story: &mut Story,
    cluster: &Cluster,
    request: &AccessRequest,
    requester: &Person,
) -> anyhow::Result<()> {
    story.act("The requester, who may approve other people's requests, approves their own");
    cluster.person("requester", &["developers"], Some("approver")).await?;
    let mut own = approval(request, "requester")?;
    own["spec"]["groups"] = json!(["developers"]);
    let printed = requester.cannot_apply(&own, "requester").await?;
    story.done("refused at admission");
    story.shows(&printed);

    own["spec"]["requester"] = json!("somebody-else");
    requester.applies(&own).await?;
    let why = cluster.awaits_judgement("look", "look-by-requester").await?;
    story.done("with a forged `requester` it is taken, and the operator does not count it");
    story.shows(&why);
    let status = cluster.request("look").await?.status.unwrap_or_default();
    ensure!(status.grant.is_none(), "a grant was made without approval: {status:?}");
    Ok(())
}

/// What changes anything is refused, with a reason.
pub async fn only_reading(story: &mut Story, requester: &Person, grant: &OpenGrant) -> anyhow::Result<()> {
    story.act("The requester tries to change something");
    for (sql, why) in [
        ("DELETE FROM orders WHERE id = 1", "DELETE"),
        ("SELECT * FROM orders INTO OUTFILE '/tmp/orders'", "INTO"),
        ("/*!50000 DELETE FROM orders */", "DELETE"),
    ] {
        let printed = requester.is_refused(grant, sql, why).await?;
        story.done(&format!("refused: {sql}"));
        story.shows(&printed);
    }
    Ok(())
}

/// Another person can't use the grant, and another pod can't reach the database.
pub async fn nobody_else(
    story: &mut Story,
    cluster: &Cluster,
    database: &TestDatabase,
    (stranger, grant): (&Person, &OpenGrant),
) -> anyhow::Result<()> {
    story.act("Another authenticated user tries the grant");
    let finished = stranger.runs(grant, "SELECT 1").await?;
    ensure!(finished.code != Some(0), "a stranger read through the grant: {}", finished.out);
    story.done("refused");
    story.shows(&finished.err);

    story.act("A pod that is not the proxy tries to connect to the database");
    let told = cluster.dials(&format!("{}.{}.svc:3306", database.name, cluster.namespace)).await?;
    ensure!(!told.reached, "a pod that is not a proxy reached the database: {}", told.printed);
    story.done("no connection");
    story.shows(&told.printed);
    Ok(())
}
