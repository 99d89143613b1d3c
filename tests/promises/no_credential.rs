//! Promise 1: no credential reaches a person. The real password of a live lease is looked for wherever one could look.
//!
//! Vault makes the passwords of this test by a policy of two letters, so that one can be recognised without being known.

use anyhow::{Context, ensure};
use harness::{Cluster, OpenGrant, Person};

/// A password of this test: sixty-four letters, each Q or Z.
const LETTERS: usize = 64;

/// How long a run of the two letters must be to count as (a part of) a password.
const TELLING: usize = 16;

fn holds_password(text: &str) -> bool {
    let mut run = 0_usize;
    text.bytes().any(|byte| {
        run = if matches!(byte, b'Q' | b'Z') { run + 1 } else { 0 };
        run >= TELLING
    })
}

#[test]
fn the_search_finds_what_it_looks_for() {
    assert!(holds_password(&format!("password: {}", "QZ".repeat(LETTERS / 2))));
    assert!(!holds_password("QZQZ and nothing more"));
}

#[tokio::test]
async fn the_password_is_nowhere_a_person_can_look() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("no-credential").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            recognisable_passwords(&cluster, &orders.vault_connection()).await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            let received = what_the_client_receives(&requester, &grant).await?;
            ensure!(!holds_password(&received), "the client received the password");
            nothing_stored_holds_it(&cluster).await?;
            cluster.revokes(&approver, &grant).await?;
            cluster.awaits_ended(&grant, std::time::Duration::from_secs(60)).await?;
            nothing_stored_holds_it(&cluster).await
        })
        .await
}

/// Gives Vault a password policy of two letters and makes the database's connection use it.
async fn recognisable_passwords(cluster: &Cluster, connection: &str) -> anyhow::Result<()> {
    let policy = format!("length = {LETTERS}\nrule \"charset\" {{\n  charset = \"QZ\"\n}}\n");
    let bao = || cluster.bed.bao();
    bao().args(["write", "sys/policies/password/recognisable", "policy=-"]).input(policy).succeeds().await?;
    let path = format!("database/config/{connection}");
    bao().args(["write", &path, "password_policy=recognisable"]).succeeds().await?;
    let sample = bao().args(["read", "sys/policies/password/recognisable/generate"]).succeeds().await?;
    ensure!(holds_password(&sample), "Vault does not make the passwords this test can recognise: {sample}");
    let config = bao().args(["read", &path]).succeeds().await?;
    ensure!(config.contains("recognisable"), "the connection does not use the password policy: {config}");
    Ok(())
}

async fn what_the_client_receives(requester: &Person, grant: &OpenGrant) -> anyhow::Result<String> {
    let mut received = String::new();
    for sql in [
        "SELECT CURRENT_USER(), USER(), CONNECTION_ID()",
        "SHOW VARIABLES",
        "SHOW STATUS",
        "SELECT * FROM orders LIMIT 3",
        "SHOW GRANTS",
        "SHOW PROCESSLIST",
        "SELECT * FROM mysql.user",
        "not sql at all",
    ] {
        let finished = requester
            .keyhole("connect")
            .arg(&grant.name)
            .args(["--", "--batch", "-vvv", "-e", sql])
            .run()
            .await?;
        received.push_str(&finished.out);
        received.push_str(&finished.err);
    }
    ensure!(received.contains("CONNECTION_ID"), "the client received nothing: {received}");
    Ok(received)
}

/// Every object of every kind, Secrets decoded, and the logs of every container that runs or ran.
async fn nothing_stored_holds_it(cluster: &Cluster) -> anyhow::Result<()> {
    let kubectl = || cluster.bed.kubectl().within(std::time::Duration::from_secs(120));
    let kinds = kubectl().args(["api-resources", "--verbs=list", "-o", "name"]).succeeds().await?;
    let kinds: Vec<_> = kinds.lines().collect();
    ensure!(kinds.len() > 40, "only {} kinds were listed", kinds.len());
    for kind in kinds {
        let objects = kubectl().args(["get", kind, "-A", "-o", "yaml"]).run().await?;
        ensure!(!holds_password(&objects.out), "the password stands in some {kind}");
    }
    let decode = "{{range .items}}{{range .data}}{{. | base64decode}}\n{{end}}{{end}}";
    let secrets =
        kubectl().args(["get", "secrets", "-A", "-o", &format!("go-template={decode}")]).succeeds().await?;
    ensure!(secrets.contains("CERTIFICATE"), "the Secrets were not decoded");
    ensure!(!holds_password(&secrets), "the password stands in a Secret");
    let pods = kubectl()
        .args([
            "get",
            "pods",
            "-A",
            "-o",
            "jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}\n{end}",
        ])
        .succeeds()
        .await?;
    for pod in pods.lines() {
        let (namespace, name) = pod.split_once(' ').context("a pod without a name")?;
        for previous in ["--previous=false", "--previous=true"] {
            let logs =
                kubectl().args(["-n", namespace, "logs", name, "--all-containers", previous]).run().await?;
            ensure!(!holds_password(&logs.out), "the password stands in the log of {pod}");
        }
    }
    // The audit log's volume, journal and tree.
    let record = cluster.bed.verb("keyhole").arg("record").succeeds().await?;
    ensure!(record.contains(&cluster.namespace), "the record was not read");
    ensure!(!holds_password(&record), "the password stands in the audit log");
    // What the kubelet itself keeps of containers that are gone already.
    let raw = cluster.bed.verb("logs").succeeds().await?;
    ensure!(!holds_password(&raw), "the password stands in a log of the node");
    Ok(())
}
