//! What a grant costs the network: it has a label of its own, so that its NetworkPolicy selects its pod and no other, and so Cilium
//! gives it an identity of its own. Agents are told of the identities and endpoints of all nodes; here of some that are only told of.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use harness::figures::Figure;
use harness::wait::{Look, until};
use kube::api::{ApiResource, DeleteParams, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::Bench;

/// How many proxies of other nodes.
const PROXIES: usize = 1_000;

/// The first number of their identities: those that Cilium gives on this node are random, and few.
const FIRST: usize = 20_000;

/// How many objects are made at once.
const AT_ONCE: usize = 16;

impl Bench {
    /// The agent's memory for each proxy of another node: its identity, its endpoint and its NetworkPolicy.
    pub async fn identities(&self) -> anyhow::Result<Vec<Figure>> {
        let known = self.identities_known().await?;
        let before = self.agents_memory().await?;
        let all = self.of_other_nodes();
        let made = stream::iter(&all).map(|(api, object)| api.create(&TO_MAKE, object));
        made.buffer_unordered(AT_ONCE).try_for_each(|_| std::future::ready(Ok(()))).await?;
        until("the agent to know all identities", Duration::from_secs(60), || async {
            let now = self.identities_known().await?;
            Ok(if now >= known + PROXIES { Look::Found(()) } else { Look::NotYet(now.to_string()) })
        })
        .await?;
        let after = self.agents_memory().await?;
        let gone = stream::iter(&all).map(async |(api, object)| {
            api.delete(&object.name_any(), &DeleteParams::default()).await.map(drop)
        });
        gone.buffer_unordered(AT_ONCE).try_for_each(|()| std::future::ready(Ok(()))).await?;
        ensure!(after > before, "{PROXIES} identities cost nothing: {before} kB, then {after} kB");
        Ok(vec![
            Figure::of("Cilium's agent, memory", "MiB", vec![before / 1024.0]),
            Figure::of(
                "the same for each grant on another node",
                "KiB",
                vec![(after - before) / PROXIES as f64],
            ),
        ])
    }

    /// As the operator of Cilium and the agents of other nodes make them.
    fn of_other_nodes(&self) -> Vec<(Api<DynamicObject>, DynamicObject)> {
        let (namespace, client) = (self.cluster.namespace.as_str(), &self.cluster.client);
        let kind = |group: &str, version: &str, kind: &str| {
            ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
        };
        let identity = kind("cilium.io", "v2", "CiliumIdentity");
        let endpoint = kind("cilium.io", "v2", "CiliumEndpoint");
        let policy = kind("networking.k8s.io", "v1", "NetworkPolicy");
        let one = |number: usize| {
            let uid = format!("00000000-0000-4000-8000-{number:012}");
            let (name, id) = (format!("keyhole-{number}"), FIRST + number);
            let labels = json!({
                "k8s:access.keyhole.dev/grant-uid": uid, "k8s:app.kubernetes.io/name": "keyhole-proxy",
                "k8s:io.kubernetes.pod.namespace": namespace, "k8s:io.cilium.k8s.policy.cluster": "default",
                "k8s:io.cilium.k8s.policy.serviceaccount": "shop.orders",
                "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name": namespace
            });
            let listed: Vec<String> = labels
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            let address = format!("10.245.{}.{}", number / 250, 1 + number % 250);
            let object = |kind: &ApiResource, name: &str, more: Value| {
                let mut object = DynamicObject::new(name, kind);
                object.data = more;
                object
            };
            [
                (
                    Api::all_with(client.clone(), &identity),
                    object(&identity, &id.to_string(), json!({"security-labels": labels})),
                ),
                (
                    Api::namespaced_with(client.clone(), namespace, &endpoint),
                    object(
                        &endpoint,
                        &name,
                        json!({"status": {
                            "id": number, "state": "ready", "identity": {"id": id, "labels": listed},
                            "networking": {"addressing": [{"ipv4": address}], "node": "10.246.0.1"}
                        }}),
                    ),
                ),
                (
                    Api::namespaced_with(client.clone(), namespace, &policy),
                    object(&policy, &name, rules(&uid)),
                ),
            ]
        };
        (0..PROXIES).flat_map(one).collect()
    }

    /// How many identities the agent knows.
    async fn identities_known(&self) -> anyhow::Result<usize> {
        let asked =
            ["curl", "-sf", "--unix-socket", "/run/cilium/cilium.sock", "http://localhost/v1/identity"];
        let known: Value = serde_json::from_str(&self.cluster.bed.verb("in").args(asked).succeeds().await?)?;
        Ok(known.as_array().context("no list of identities")?.len())
    }

    /// Kilobytes that the agent holds now.
    async fn agents_memory(&self) -> anyhow::Result<f64> {
        let look = r#"awk '$1 == "Rss:" {print $2}' "/proc/$(pgrep -o -x cilium-agent)/smaps_rollup""#;
        let printed = self.cluster.bed.verb("in").args(["sh", "-c", look]).succeeds().await?;
        Ok(printed.trim().parse()?)
    }
}

/// What making one needs.
const TO_MAKE: PostParams = PostParams { dry_run: false, field_manager: None };

/// In the shape of what the operator makes for a proxy.
fn rules(uid: &str) -> Value {
    let pods = |key: &str, value: &str| json!({"matchLabels": {key: value}});
    let within = |name: &str| pods("kubernetes.io/metadata.name", name);
    json!({"spec": {
        "podSelector": pods("access.keyhole.dev/grant-uid", uid),
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{
            "from": [{"namespaceSelector": within("keyhole-system"), "podSelector": pods("app.kubernetes.io/name", "keyhole-operator")}],
            "ports": [{"protocol": "TCP", "port": 7444}]
        }],
        "egress": [
            {"to": [{"namespaceSelector": within("shop"), "podSelector": pods("app", "orders")}], "ports": [{"protocol": "TCP", "port": 3306}]},
            {"to": [{"namespaceSelector": within("vault")}], "ports": [{"protocol": "TCP", "port": 8200}]},
            {
                "to": [{"namespaceSelector": within("kube-system"), "podSelector": pods("k8s-app", "kube-dns")}],
                "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
            }
        ]
    }})
}
