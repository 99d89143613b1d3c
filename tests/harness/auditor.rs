//! Those who read what is on record, as they do it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use crate::wait::{Look, until};
use crate::{Cluster, Person, Shell};

/// The group that the test bed's chart lets ask for certificates for the audit log.
pub const AUDITORS: &[&str] = &["auditors"];

/// How long the API server may take to see who was given what.
const SEEN: Duration = Duration::from_secs(20);

/// How long it may take until what is on record is found.
const FOUND: Duration = Duration::from_secs(60);

/// How long the log of a test bed that many tests have used may take.
const WHOLE: Duration = Duration::from_secs(300);

/// A command of `kubectl keyhole audit` as this person.
pub fn audit(cluster: &Cluster, person: &Person, words: &[&str]) -> Shell {
    let place = ["--operator-namespace", &cluster.bed.system];
    person.keyhole("audit").args(words).args(place).within(WHOLE)
}

/// One that reads files and asks nobody: without a kubeconfig.
pub fn offline(person: &Person, words: &[&str]) -> Shell {
    Shell::new(person.cli()).arg("audit").args(words).env("KUBECONFIG", "/nowhere").within(WHOLE)
}

/// Waits until the API server knows that this person holds the verb, in the test's namespace or in all.
pub async fn holds(person: &Person, verb: &str, place: &[&str]) -> anyhow::Result<()> {
    until(&format!("{} to hold {verb}", person.name), SEEN, || async {
        let asked = ["auth", "can-i", verb, "accessgrants.access.keyhole.dev"];
        let said = person.kubectl().args(asked).args(place).run().await?;
        Ok(if said.code == Some(0) { Look::Found(()) } else { Look::NotYet(said.out) })
    })
    .await
}

/// Somebody who may read all of the log, until [`is_none_any_more`]. The binding is called as the test's namespace.
pub async fn inspector(cluster: &Cluster) -> anyhow::Result<Person> {
    let inspector = cluster.person("inspector", AUDITORS, None).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": cluster.namespace},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "keyhole-records",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "inspector"}],
    });
    cluster.applies(&binding.to_string()).await?;
    holds(&inspector, "audit", &["-A"]).await?;
    Ok(inspector)
}

/// Takes that right away, which no namespace takes with it.
pub async fn is_none_any_more(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.kubectl().args(["delete", "clusterrolebinding", &cluster.namespace]).succeeds().await.map(drop)
}

/// The first bundle of a copy, as wide as it is.
pub fn first_bundle(copy: &Path) -> anyhow::Result<PathBuf> {
    let whole = copy.join("tile/entries/000");
    if whole.exists() {
        return Ok(whole);
    }
    let narrow = std::fs::read_dir(copy.join("tile/entries/000.p"))?.next();
    Ok(narrow.context("no bundle")??.path())
}

/// Changes the last byte of a file.
pub fn alters(path: &Path) -> anyhow::Result<()> {
    let mut bytes = std::fs::read(path)?;
    *bytes.last_mut().context("an empty file")? ^= 1;
    Ok(std::fs::write(path, bytes)?)
}

/// What a search finds, once it finds something and is complete.
pub async fn finds(cluster: &Cluster, person: &Person, words: &[&str]) -> anyhow::Result<Value> {
    until("a record of that", FOUND, || async {
        let said = audit(cluster, person, words).run().await?;
        let answer: Value = serde_json::from_str(&said.out).unwrap_or_default();
        let is_there = answer["records"].as_array().is_some_and(|records| !records.is_empty());
        Ok(if is_there && answer["complete"] == true {
            Look::Found(answer)
        } else {
            Look::NotYet(format!("{}{}", said.out, said.err))
        })
    })
    .await
}

/// Copies the log, and says whether it did: not, where this person has had so many certificates a moment ago that there is no further one yet.
pub async fn copies(cluster: &Cluster, person: &Person, folder: &str) -> anyhow::Result<bool> {
    let copied = audit(cluster, person, &["copy", folder]).run().await?;
    if copied.err.contains("many certificates a moment ago") {
        return Ok(false);
    }
    anyhow::ensure!(copied.code == Some(0), "{}{}", copied.out, copied.err);
    Ok(true)
}
