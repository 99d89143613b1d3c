//! What happens when Vault is down, sealed, refuses, or lacks a role: said plainly, and mended by itself where it can be.
//!
//! One thing after another: Vault is taken away from everybody.

use std::time::Duration;

use anyhow::{Context, ensure};
use crds::{ConditionType, is_true};
use harness::faults::ALONE;
use harness::grant::{all_proved, approval, lease_proved};
use harness::wait::{Look, until};
use harness::{Cluster, Person, TestDatabase};

async fn asked(
    cluster: &Cluster,
    orders: &TestDatabase,
    (requester, approver): (&Person, &Person),
    name: &str,
) -> anyhow::Result<()> {
    requester.applies(&orders.request(name, "30m")).await?;
    let request = cluster.awaits_terms(name).await?;
    approver.applies(&approval(&request, "approver")?).await?;
    Ok(())
}

#[tokio::test]
async fn vaults_faults_are_told_and_outlived() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("vault-faults").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let people = (&cluster.requester().await?, &cluster.approver().await?);

            cluster.vault("stop").await?;
            asked(&cluster, &orders, people, "down").await?;
            cluster.awaits_condition("down", "Open", "VaultUnreachable").await?;
            cluster.vault("start").await?;
            let grant = cluster.awaits_ready("down").await?;

            cluster.vault("seal").await?;
            asked(&cluster, &orders, people, "sealed").await?;
            cluster.awaits_condition("sealed", "Open", "VaultSealed").await?;

            // A grant that ends while Vault is sealed cuts people off at once, and is not called Ended before the proof.
            let mut session = people.0.connects(&grant).await?;
            cluster.revokes(people.1, &grant).await?;
            ensure!(
                session.is_cut("Keyhole: grant revoked", Duration::from_secs(20)).await.is_ok()
                    || session.asks("SELECT 1").await.is_err(),
                "the session outlived its revocation"
            );
            cluster.awaits_open_item(&grant, "lease", "Vault is sealed").await?;
            cluster.vault("unseal").await?;
            all_proved_or_login_unprovable(&cluster.awaits_ended(&grant, Duration::from_secs(120)).await?)?;
            cluster.awaits_ready("sealed").await?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_missing_role_and_a_missing_policy_are_named() -> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("vault-roles").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let people = (&cluster.requester().await?, &cluster.approver().await?);
            let path = format!("database/roles/{}", orders.vault_role());
            cluster.bed.bao().args(["delete", &path]).succeeds().await?;
            asked(&cluster, &orders, people, "no-role").await?;
            let message = cluster.awaits_condition("no-role", "Open", "VaultRoleMissing").await?;
            ensure!(message.contains(&orders.vault_role()), "the role is not named: {message}");

            let policy = format!("keyhole.{}.{}", cluster.namespace, orders.name);
            cluster.bed.bao().args(["policy", "delete", &policy]).succeeds().await?;
            asked(&cluster, &orders, people, "no-policy").await?;
            cluster.awaits_condition("no-policy", "Open", "VaultDenied").await?;
            Ok(())
        })
        .await
}

/// Each right taken from the operator in turn; what the receipt says to add is added, word for word, and is enough.
#[tokio::test]
async fn a_right_that_the_operator_lacks_is_named_and_the_end_is_proved_once_it_is_there()
-> anyhow::Result<()> {
    let _alone = ALONE.lock().await;
    let cluster = Cluster::fresh("vault-denied").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let people = (&cluster.requester().await?, &cluster.approver().await?);
            let whole = cluster.operators_vault_policy().await?;
            for (right, call) in
                [("sys/leases/revoke", "revoke a lease"), ("sys/leases/lookup", "look up a lease")]
            {
                let proved = proved_without(&cluster, &orders, people, (&whole, right, call)).await;
                // Also after a failure: every grant's end needs it.
                cluster.writes_operators_vault_policy(&whole).await?;
                proved.with_context(|| format!("without {right}"))?;
            }
            let unseen = unseen_without_the_list(&cluster, &orders, people, &whole).await;
            cluster.writes_operators_vault_policy(&whole).await?;
            unseen.context("without the list")
        })
        .await
}

async fn proved_without(
    cluster: &Cluster,
    orders: &TestDatabase,
    (requester, approver): (&Person, &Person),
    (whole, right, call): (&str, &str, &str),
) -> anyhow::Result<()> {
    let grant = cluster.open(orders, requester, approver, "30m").await?;
    let mut session = requester.connects(&grant).await?;
    let narrowed = without_block(whole, right)?;
    cluster.writes_operators_vault_policy(&narrowed).await?;
    cluster.revokes(approver, &grant).await?;
    let told = cluster.awaits_open_item(&grant, "lease", "add to the operator's policy in Vault: ").await?;
    // People are cut off all the same.
    ensure!(session.is_over().await, "the session outlived its revocation");
    let (refused, text) = told.split_once("in Vault: ").context("no policy text")?;
    ensure!(refused.contains(&format!("Vault refused to {call} (path {right})")), "not plain: {told}");
    let leases = format!("\"database/creds/{}/*\"", orders.vault_role());
    ensure!(text.contains(&leases), "the text opens more than this role's leases: {told}");
    let status = cluster.grant(&grant.name).await?.status.unwrap_or_default();
    ensure!(!is_true(&status.conditions, ConditionType::Ended), "called Ended without the proof: {status:?}");

    cluster.writes_operators_vault_policy(&format!("{narrowed}{text}\n")).await?;
    all_proved(&cluster.awaits_ended(&grant, Duration::from_secs(60)).await?)
}

/// Without the list nobody sees whether the token owned more than was reported: that is said, with what to add, and nothing more is
/// claimed. A proxy that proved its login dead may end all the same; one that was killed may not.
async fn unseen_without_the_list(
    cluster: &Cluster,
    orders: &TestDatabase,
    (requester, approver): (&Person, &Person),
    whole: &str,
) -> anyhow::Result<()> {
    let (ends, killed) = (
        cluster.open(orders, requester, approver, "30m").await?,
        cluster.open(orders, requester, approver, "30m").await?,
    );
    let narrowed = without_block(whole, "sys/leases/lookup/database/creds/+/")?;
    cluster.writes_operators_vault_policy(&narrowed).await?;
    cluster.revokes(approver, &ends).await?;
    let ended = cluster.awaits_ended(&ends, Duration::from_secs(60)).await?;
    let text = policy_to_add(&ended)?;
    ensure!(
        text.contains(&format!("sys/leases/lookup/database/creds/{}/", orders.vault_role())),
        "the text opens more than this role's list: {text}"
    );

    // It does not stop when it is told to: its node kills it.
    cluster.freezes(&killed).await?;
    cluster.revokes(approver, &killed).await?;
    let status =
        until("the end of the killed proxy's lease to be unprovable", Duration::from_secs(90), || async {
            let grant = cluster.grant(&killed.name).await?;
            Ok(match policy_to_add(&grant) {
                Ok(_) => Look::Found(grant.status.unwrap_or_default()),
                Err(error) => Look::NotYet(format!("{error:#}")),
            })
        })
        .await?;
    ensure!(!is_true(&status.conditions, ConditionType::Ended), "called Ended without a proof: {status:?}");
    cluster.writes_operators_vault_policy(&format!("{narrowed}{text}\n")).await?;
    lease_proved(&cluster.awaits_ended(&killed, Duration::from_secs(90)).await?)
}

/// What the unprovable end of a lease says to add to the operator's policy.
fn policy_to_add(grant: &crds::AccessGrant) -> anyhow::Result<String> {
    let receipt = grant.status.as_ref().map(|status| status.receipt.clone()).unwrap_or_default();
    let lease = receipt.iter().find(|line| line.item == "lease" && line.reason == "LeaseUnseen");
    let lease = lease.with_context(|| format!("the lease is not unseen: {receipt:?}"))?;
    ensure!(lease.outcome == "Unprovable", "{lease:?}");
    let (_, text) = lease.detail.split_once("in Vault: ").context("no policy text")?;
    Ok(text.to_owned())
}

/// A policy's text without its block for this path.
fn without_block(policy: &str, path: &str) -> anyhow::Result<String> {
    let head = format!("path \"{path}\" {{\n");
    let (before, rest) = policy.split_once(&head).with_context(|| format!("no {head:?} in {policy}"))?;
    let (_block, after) =
        rest.split_once("\n}\n").with_context(|| format!("no end of {head:?} in {policy}"))?;
    Ok(format!("{before}{after}"))
}

/// The proxy is gone when Vault is back: the refused login may not be provable any more, the end of the lease must be.
fn all_proved_or_login_unprovable(grant: &crds::AccessGrant) -> anyhow::Result<()> {
    let receipt = grant.status.as_ref().map(|status| status.receipt.clone()).unwrap_or_default();
    let lease = receipt.iter().find(|line| line.item == "lease");
    ensure!(
        lease.is_some_and(|line| line.outcome == "Proved"),
        "the end of the lease is not proved: {receipt:?}"
    );
    all_proved(grant).or_else(|error| {
        let others = receipt.iter().filter(|line| line.item != "login");
        let fine = others.into_iter().all(|line| line.outcome == "Proved");
        if fine { Ok(()) } else { Err(error) }
    })
}
