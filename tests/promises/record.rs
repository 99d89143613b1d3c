//! Promise 8: a trail that anyone can verify offline, for those who may have it and for nobody else.

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::auditor::{
    AUDITORS, alters, audit, copies, finds, first_bundle, holds, inspector, is_none_any_more, offline,
};
use harness::wait::{Look, until};
use harness::{Cluster, OpenGrant, Person, Shell};
use k8s_openapi::ByteString;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};
use serde_json::{Value, json};

/// How long the API server may take to answer.
const SEEN: Duration = Duration::from_secs(20);

/// How long a record may be on its way into a copy: the witness signs every ten seconds, and a copy is made again and again.
const WITNESSED: Duration = Duration::from_secs(60);

async fn uid_of(cluster: &Cluster, grant: &OpenGrant) -> anyhow::Result<String> {
    cluster.grant(&grant.name).await?.metadata.uid.context("a grant without uid")
}

#[tokio::test]
async fn an_auditor_copies_the_log_verifies_it_and_finds_what_was_read() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("record").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            requester.reads(&grant, &format!("SELECT id, '{}' FROM orders", cluster.namespace)).await?;
            let (inspector, uid) = (inspector(&cluster).await?, uid_of(&cluster, &grant).await?);

            let words = ["search", "--grant", &uid, "--text", &cluster.namespace, "-o", "json"];
            let answer = finds(&cluster, &inspector, &words).await?;
            let text = answer["records"][0]["text"]["text"].as_str().unwrap_or_default();
            ensure!(text.starts_with("SELECT id, '"), "{answer}");
            let story = audit(&cluster, &inspector, &["show", &uid]).succeeds().await?;
            ensure!(story.contains(&cluster.namespace) && story.contains("NOT VERIFIED"), "{story}");

            let around = tempfile::tempdir()?;
            let path = |name: &str| around.path().join(name).display().to_string();
            let (copy, policy) = (path("copy"), path("keyhole.policy"));
            std::fs::write(&policy, audit(&cluster, &inspector, &["policy"]).succeeds().await?)?;
            let verify = ["verify", &copy, "--policy", &policy, "--grant", &uid];
            until("a checkpoint of the witness with the grant", WITNESSED, || async {
                if !copies(&cluster, &inspector, &copy).await? {
                    return Ok(Look::NotYet("no certificate yet".to_owned()));
                }
                let said = offline(&inspector, &verify).run().await?;
                let is_behind = said.err.contains("no record of this log names the grant");
                ensure!(
                    is_behind || said.out.contains("clean: nothing is wrong"),
                    "{}{}",
                    said.out,
                    said.err
                );
                Ok(if is_behind { Look::NotYet(said.err) } else { Look::Found(()) })
            })
            .await?;

            // The log has grown out of that copy, and the next one fetches no whole file again.
            std::fs::copy(path("copy/checkpoint"), path("older"))?;
            requester.reads(&grant, "SELECT 1").await?;
            audit(&cluster, &inspector, &["copy", &copy]).succeeds().await?;
            let older = path("older");
            offline(&inspector, &verify).args(["--since", &older]).succeeds().await?;
            alters(&first_bundle(&around.path().join("copy"))?)?;
            offline(&inspector, &verify).is_refused("finding").await?;
            is_none_any_more(&cluster).await
        })
        .await
}

#[tokio::test]
async fn who_lacks_the_verb_is_told_which_and_where_and_gets_nothing() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("no-auditor").await?;
    cluster
        .told(async {
            let requester = cluster.requester().await?;
            let auditor = cluster.person("auditor", AUDITORS, Some("records")).await?;
            let bare = cluster.person("bare", AUDITORS, None).await?;
            holds(&auditor, "audit", &[]).await?;

            audit(&cluster, &auditor, &["search"]).succeeds().await.context("their own namespace")?;
            let around = tempfile::tempdir()?;
            let copy = around.path().join("copy").display().to_string();
            let lacks = "lacks the verb audit on accessgrants.access.keyhole.dev in";
            let has = "ClusterRole keyhole-records has it";
            for (person, words, place) in [
                (&auditor, vec!["search", "-A"], "all namespaces".to_owned()),
                (&auditor, vec!["copy", &copy], "all namespaces".to_owned()),
                (&auditor, vec!["policy"], "all namespaces".to_owned()),
                (&bare, vec!["search"], format!("namespace {}", cluster.namespace)),
            ] {
                let said = audit(&cluster, person, &words).is_refused(lacks).await?;
                ensure!(said.contains(&format!("{lacks} {place}: {has}")), "{said}");
            }
            let elsewhere = Shell::new(auditor.cli()).env("KUBECONFIG", auditor.kubeconfig()).args([
                "audit",
                "search",
                "-n",
                "default",
                "--operator-namespace",
                &cluster.bed.system,
            ]);
            elsewhere.is_refused(&format!("{lacks} namespace default: {has}")).await?;
            ensure!(!std::path::Path::new(&copy).exists(), "something was written");

            // Who may connect, may not ask this signer; and nobody comes by another certificate of the internal authority.
            let own = "is for spec.signerName access.keyhole.dev/session only";
            audit(&cluster, &requester, &["search"]).is_refused(own).await?;
            for uri in ["keyhole://operator", "keyhole://log", "keyhole://proxy/x"] {
                let said = denied(&cluster, &auditor, uri).await?;
                ensure!(said.contains("the request must hold one name only"), "{uri}: {said}");
            }
            reaches_the_logs_pod_alone(&cluster, &auditor).await
        })
        .await
}

/// Asks the auditors' signer for this name; answers why it was denied.
async fn denied(cluster: &Cluster, person: &Person, uri: &str) -> anyhow::Result<String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    let pem = params.serialize_request(&KeyPair::generate()?)?.pem()?;
    let kind = uri.trim_start_matches("keyhole://").replace('/', "-");
    let name = format!("{}-{kind}", cluster.namespace);
    let asked = json!({
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "signerName": "access.keyhole.dev/auditor",
            "usages": ["digital signature", "client auth"],
            "request": ByteString(pem.into_bytes()),
        },
    });
    person.kubectl().args(["create", "-f", "-"]).input(asked.to_string()).succeeds().await?;
    until("an answer", SEEN, || async {
        let read = person.kubectl().args(["get", "csr", &name, "-o", "json"]).succeeds().await?;
        let csr: Value = serde_json::from_str(&read)?;
        let status = &csr["status"];
        ensure!(status["certificate"].is_null(), "{uri} was signed");
        let condition = &status["conditions"][0];
        Ok(match condition["type"].as_str() {
            Some("Denied") => Look::Found(condition["message"].to_string()),
            _ => Look::NotYet(status.to_string()),
        })
    })
    .await
}

/// RBAC names the pod: no other one of the release's is reached.
async fn reaches_the_logs_pod_alone(cluster: &Cluster, auditor: &Person) -> anyhow::Result<()> {
    let may = |pod: &str| {
        let asked = ["auth", "can-i", "create", pod, "--subresource=portforward", "-n", &cluster.bed.system];
        auditor.kubectl().args(asked)
    };
    may("pods/keyhole-log-0").succeeds().await?;
    may("pods/keyhole-operator-0").is_refused("no").await?;
    may("pods").is_refused("no").await.map(drop)
}

#[tokio::test]
async fn texts_are_erased_by_who_may_do_that_and_nothing_else() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("erasure").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
            let grant = cluster.open(&orders, &requester, &approver, "30m").await?;
            requester.reads(&grant, &format!("SELECT id, '{}' FROM orders", cluster.namespace)).await?;
            let uid = uid_of(&cluster, &grant).await?;
            let auditor = cluster.person("auditor", AUDITORS, Some("records")).await?;
            let eraser = cluster.person("eraser", AUDITORS, Some("records-eraser")).await?;
            holds(&auditor, "audit", &[]).await?;
            holds(&eraser, "erase-texts", &[]).await?;

            let words = ["search", "--grant", &uid, "--text", &cluster.namespace, "-o", "json"];
            finds(&cluster, &auditor, &words).await?;
            let erase = ["erase", "--grant", &uid, "--yes"];
            let lacks =
                |verb: &str| format!("lacks the verb {verb} on accessgrants.access.keyhole.dev in namespace");
            audit(&cluster, &auditor, &erase).is_refused(&lacks("erase-texts")).await?;
            audit(&cluster, &eraser, &["search"]).is_refused(&lacks("audit")).await?;
            audit(&cluster, &eraser, &erase).succeeds().await?;

            let said = audit(&cluster, &auditor, &words).run().await?;
            let answer: Value = serde_json::from_str(&said.out).with_context(|| said.err.clone())?;
            ensure!(answer["records"] == json!([]), "{answer}");
            ensure!(answer["textsErased"].as_u64().is_some_and(|erased| erased > 0), "{answer}");
            let words = ["search", "--grant", &uid, "--kind", "erase", "-o", "json"];
            let erased = finds(&cluster, &auditor, &words).await?;
            let person = erased["records"][0]["record"]["what"]["person"].as_str().unwrap_or_default();
            ensure!(person.ends_with(" eraser"), "{erased}");
            Ok(())
        })
        .await
}
