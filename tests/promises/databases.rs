//! A platform team learns from the `Database` itself whether people could connect, and meets no foreign kind of the same name.

use std::time::Duration;

use anyhow::{Context, ensure};
use crds::{AccessGrant, Database};
use harness::Cluster;
use harness::wait::{Look, until};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::{Value, json};

/// How long a probe may take on a busy machine.
const PROBED: Duration = Duration::from_secs(90);

/// How long a probe may take to end: where Vault gave no credential, an answer that is on its way is waited for, a minute and a half.
const ENDED: Duration = Duration::from_secs(180);

/// Waits until `Ready` of the database has this status and one of these reasons.
async fn awaits(cluster: &Cluster, is: &str, reasons: &[&str]) -> anyhow::Result<String> {
    let api = cluster.api::<Database>();
    until(&format!("Ready {is} of the database, for {reasons:?}"), PROBED, || async {
        let conditions = api.get("orders").await?.status.unwrap_or_default().conditions;
        let is_so = |c: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
            c.type_ == "Ready" && c.status == is && reasons.contains(&c.reason.as_str())
        };
        Ok(match conditions.iter().find(is_so) {
            Some(condition) => Look::Found(condition.message.clone()),
            None => Look::NotYet(format!("{conditions:?}")),
        })
    })
    .await
}

#[tokio::test]
async fn a_database_says_whether_people_could_connect_and_why_not() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("probed").await?;
    cluster
        .told(async {
            let orders = cluster.orders().await?;
            let patch = |spec: Value| {
                let patch = json!({ "spec": spec }).to_string();
                cluster.kubectl().args(["patch", "khdb", "orders", "--type=merge", "-p", &patch])
            };
            patch(json!({"probeEvery": "1h"})).succeeds().await?;
            awaits(&cluster, "True", &["Ready"]).await?;

            patch(json!({"credentials": {"vault": {"role": "nobody-made-it"}}})).succeeds().await?;
            awaits(&cluster, "False", &["VaultRoleMissing", "VaultDenied"]).await?;
            let probes = cluster.api::<AccessGrant>().list(&ListParams::default()).await?.items;
            ensure!(probes.iter().all(|grant| grant.spec.terms.probe), "{probes:?}");
            // Nobody reads by a probe, whatever they call themselves.
            if let Some(probe) = probes.first() {
                let requester = cluster.requester().await?;
                let tried = requester.keyhole("connect").arg(probe.name_any()).run().await?;
                ensure!(tried.code != Some(0), "a probe was connected to: {}", tried.out);
                ensure!(tried.err.contains("nobody reads by it"), "{}", tried.err);
            }

            patch(json!({"accessPolicy": "nobody-wrote-it"})).succeeds().await?;
            awaits(&cluster, "False", &["PolicyUnknown", "VaultRoleMissing", "VaultDenied"]).await?;
            patch(json!({"probeEvery": "never", "accessPolicy": "readers"})).succeeds().await?;
            patch(json!({"credentials": {"vault": {"role": orders.vault_role()}}})).succeeds().await?;
            until("the probes to be gone, and the database's users with them", ENDED, || async {
                let left = cluster.api::<AccessGrant>().list(&ListParams::default()).await?.items;
                let users = orders.lease_users().await?;
                let seen =
                    format!("{users:?} {:?}", left.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
                Ok(if left.is_empty() && users.is_empty() { Look::Found(()) } else { Look::NotYet(seen) })
            })
            .await
        })
        .await
}

/// A definition of somebody else's kind.
fn foreign(plural: &str, kind: &str, group: &str, short: &str) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "shortNames": [short]},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
    })
}

#[tokio::test]
async fn kinds_of_others_with_the_same_names_stand_beside_ours() -> anyhow::Result<()> {
    let cluster = Cluster::fresh("beside").await?;
    cluster
        .told(async {
            let orders = cluster.described_orders().await?;
            // They come first in the alphabet, where kubectl looks first.
            let theirs = [
                foreign("accessrequests", "AccessRequest", "aaa.example.com", "areq"),
                foreign("databases", "Database", "aaa.example.com", "db"),
            ];
            let outcome = async {
                for definition in &theirs {
                    cluster.applies(&definition.to_string()).await?;
                }
                let wait = ["wait", "--for=condition=Established", "--timeout=30s", "crd"];
                let names = ["accessrequests.aaa.example.com", "databases.aaa.example.com"];
                cluster.kubectl().args(wait).args(names).succeeds().await?;
                let requester = cluster.requester().await?;
                requester.applies(&orders.request("look", "30m")).await?;
                cluster.awaits_terms("look").await?;
                let requests = requester.kubectl().args(["get", "khreq", "-o", "name"]).succeeds().await?;
                ensure!(requests.trim() == "accessrequest.access.keyhole.dev/look", "{requests}");
                let databases = requester.kubectl().args(["get", "khdb", "-o", "name"]).succeeds().await?;
                ensure!(databases.trim() == "database.access.keyhole.dev/orders", "{databases}");
                let told = requester.keyhole("status").arg("look").succeeds().await?;
                ensure!(told.contains("waits for approval"), "{told}");
                anyhow::Ok(())
            }
            .await;
            for definition in &theirs {
                let name = definition["metadata"]["name"].as_str().context("a definition without a name")?;
                cluster.kubectl().args(["delete", "crd", name, "--ignore-not-found"]).succeeds().await?;
            }
            outcome
        })
        .await
}
