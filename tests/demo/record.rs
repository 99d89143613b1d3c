//! What is on record, read by somebody who was not there and believes nobody.

use anyhow::{Context, ensure};
use harness::auditor::{alters, audit, first_bundle, inspector, is_none_any_more, offline};
use harness::story::Story;
use harness::{Cluster, OpenGrant, Person};

/// How many lines of a grant's story are shown.
const SHOWN: usize = 12;

pub async fn is_verified_offline(
    story: &mut Story,
    cluster: &Cluster,
    grant: &OpenGrant,
) -> anyhow::Result<()> {
    let inspector = inspector(cluster).await?;
    let read = copied_and_verified(story, cluster, (&inspector, grant)).await;
    is_none_any_more(cluster).await?;
    read
}

async fn copied_and_verified(
    story: &mut Story,
    cluster: &Cluster,
    (inspector, grant): (&Person, &OpenGrant),
) -> anyhow::Result<()> {
    let uid = cluster.grant(&grant.name).await?.metadata.uid.context("a grant without uid")?;
    story.act("An auditor reads what is on record of the grant");
    let told = audit(cluster, inspector, &["show", &uid, "--all"]).succeeds().await?;
    ensure!(told.contains("DELETE FROM orders WHERE id = ?"), "the refused statement is not there: {told}");
    story.done("each step and each statement, in its order");
    told.lines().take(SHOWN).for_each(|line| story.shows(line));

    story.act("The auditor takes a copy and verifies it, asking nobody");
    let around = tempfile::tempdir()?;
    let path = |name: &str| around.path().join(name).display().to_string();
    let (copy, policy) = (path("copy"), path("keyhole.policy"));
    std::fs::write(&policy, audit(cluster, inspector, &["policy"]).succeeds().await?)?;
    audit(cluster, inspector, &["copy", &copy]).succeeds().await?;
    let verify = ["verify", copy.as_str(), "--policy", policy.as_str()];
    let said = offline(inspector, &verify).succeeds().await?;
    ensure!(said.contains("clean: nothing is wrong"), "{said}");
    story.done("every byte of the log was read, and nothing is wrong");
    said.lines().take(5).for_each(|line| story.shows(line));

    story.act("Somebody changes one byte of the copy");
    alters(&first_bundle(&around.path().join("copy"))?)?;
    let found = offline(inspector, &verify).is_refused("finding").await?;
    story.done("it is found, by its name");
    found.lines().filter(|line| line.contains("entr")).take(2).for_each(|line| story.shows(line));
    Ok(())
}
