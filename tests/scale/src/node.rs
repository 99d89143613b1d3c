//! A node of the cluster that runs nothing: it does for its pods what a kubelet does, with a stand-in as the container.
//!
//! It acts with a node's own rights: the API server sees `system:node:<name>`, and refuses what no kubelet may do.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::TryStreamExt;
use harness::Cluster;
use harness::cluster::impersonating;
use harness::wait::{Look, until};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod, Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use vault::Vault;

use crate::fleet::{Fleet, Identity};
use crate::stand_in::StandIn;

/// Its name, and the label and taint by which the proxies' pods, and no others, come to it.
pub const NAME: &str = "keyhole-stand-ins";

/// How often a node says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long a kubelet takes, in the middle, to see that a container has ended: it looks once a second.
const SEEN_IN: Duration = Duration::from_millis(500);

/// The most pods that begin or end at once: a kubelet has its own bounds.
const AT_ONCE: usize = 16;

/// The node.
pub struct Node {
    client: Client,
    namespace: String,
    fleet: Fleet,
    vault: Vault,
    turns: Semaphore,
}

/// A pod that runs here: whether its deletion has begun.
struct Running {
    deleted: watch::Sender<bool>,
}

impl Node {
    /// Makes the node known, ready, and large enough for all.
    pub async fn joins(cluster: &Cluster, fleet: Fleet, vault: Vault) -> anyhow::Result<Arc<Self>> {
        let nodes: Api<NodeObject> = Api::all(cluster.client.clone());
        let node: NodeObject = serde_json::from_value(json!({
            "metadata": {"name": NAME, "labels": {"keyhole.test/stand-ins": "true"}},
            "spec": {"taints": [{"key": "keyhole.test/stand-ins", "value": "true", "effect": "NoSchedule"}]},
        }))?;
        nodes.create(&PostParams::default(), &node).await.context("a node")?;
        let groups = ["system:nodes".to_owned(), "system:authenticated".to_owned()];
        let client = impersonating(&cluster.bed, &format!("system:node:{NAME}"), &groups).await?;
        let namespace = cluster.bed.proxies.clone();
        let node = Arc::new(Self { client, namespace, fleet, vault, turns: Semaphore::new(AT_ONCE) });
        node.is_ready().await?;
        Ok(node)
    }

    async fn is_ready(&self) -> anyhow::Result<()> {
        let room = json!({"cpu": "100k", "memory": "1Ti", "pods": "100000"});
        let now = Timestamp::now();
        let status = json!({"status": {
            "capacity": room, "allocatable": room,
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "StandIn", "message": "it runs nothing",
                "lastHeartbeatTime": now, "lastTransitionTime": now,
            }],
        }});
        let nodes: Api<NodeObject> = Api::all(self.client.clone());
        nodes.patch_status(NAME, &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(())
    }

    /// Says that it lives, again and again; without that its pods are taken away.
    pub async fn lives(&self) -> anyhow::Result<()> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), "kube-node-lease");
        let mut every = tokio::time::interval(HEARTBEAT);
        loop {
            every.tick().await;
            let lease: Lease = serde_json::from_value(json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME},
                "spec": {
                    "holderIdentity": NAME, "leaseDurationSeconds": 40, "renewTime": MicroTime(Timestamp::now()),
                },
            }))?;
            leases.patch(NAME, &PatchParams::apply("stand-ins").force(), &Patch::Apply(lease)).await?;
            self.is_ready().await?;
        }
    }

    /// Runs the pods that come here, until dropped.
    pub async fn runs(self: Arc<Self>) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let ours = watcher::Config::default().fields(&format!("spec.nodeName={NAME}"));
        let mut changes = std::pin::pin!(watcher(pods, ours).default_backoff().touched_objects());
        let mut running: HashMap<String, Running> = HashMap::new();
        let mut count = 0_u16;
        while let Some(pod) = changes.try_next().await? {
            let uid = pod.uid().context("a pod without uid")?;
            if let Some(known) = running.get(&uid) {
                if pod.metadata.deletion_timestamp.is_some() {
                    known.deleted.send_replace(true);
                }
                continue;
            }
            let deleted = watch::Sender::new(pod.metadata.deletion_timestamp.is_some());
            let (node, heard) = (Arc::clone(&self), deleted.subscribe());
            count = count.wrapping_add(1);
            let [high, low] = count.to_be_bytes();
            let address = Ipv4Addr::new(10, 77, high, low);
            tokio::spawn(async move {
                let name = pod.name_any();
                if let Err(error) = node.runs_one(pod, address, heard).await {
                    eprintln!("pod {name}: {error:#}");
                }
            });
            running.insert(uid, Running { deleted });
        }
        anyhow::bail!("the watch of pods ended")
    }

    async fn runs_one(
        &self,
        pod: Pod,
        address: Ipv4Addr,
        mut deleted: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let turn = self.turns.acquire().await?;
        let uid = pod.labels().get(access::GRANT_UID_LABEL).context("a pod of no grant")?.clone();
        let files = self.files(&pod).await?;
        let file = |name: &str| files.get(name).with_context(|| format!("no {name} in the Secret"));
        let stand_in = StandIn::new(access::file::read(file("grant.json")?)?);
        let identity = Identity { certificate: file("tls.crt")?, key: file("tls.key")? };
        self.fleet.joins(&uid, Arc::clone(&stand_in), &identity)?;
        let jwt = self.token(&pod).await?;
        let started = Timestamp::now();
        self.says(&pod, status(address, started, Container::Runs)).await?;
        drop(turn);
        let ready = async || {
            if let Err(error) = self.says(&pod, status(address, started, Container::IsReady)).await {
                eprintln!("pod {}: {error:#}", pod.name_any());
            }
        };
        let lives = stand_in.lives(&self.vault, &jwt, ready);
        let stopped = async {
            // The sender is gone with the node alone.
            let _gone = deleted.wait_for(|deleted| *deleted).await.is_err();
            stand_in.end("Stopped");
            std::future::pending::<()>().await;
        };
        let report = tokio::select! {
            report = lives => report,
            () = stopped => anyhow::bail!("it never ends"),
        };
        self.fleet.leaves(&uid);
        tokio::time::sleep(SEEN_IN).await;
        let words = serde_json::to_string(&report)?;
        self.says(&pod, status(address, started, Container::Ended(&words))).await?;
        deleted.wait_for(|deleted| *deleted).await?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        match pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await {
            // A pod whose containers have ended goes with its deletion.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            deleted => deleted.map(drop).map_err(Into::into),
        }
    }

    /// The Secret that the pod mounts.
    async fn files(&self, pod: &Pod) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let name = pod.name_any();
        let secret = once_allowed("its Secret", || secrets.get(&name)).await?;
        Ok(secret.data.unwrap_or_default().into_iter().map(|(name, bytes)| (name, bytes.0)).collect())
    }

    /// The token that the pod shows to Vault.
    async fn token(&self, pod: &Pod) -> anyhow::Result<vault::Secret> {
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![crds::admission::VAULT_AUDIENCE.to_owned()],
                expiration_seconds: Some(600),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: pod.metadata.name.clone(),
                    uid: pod.metadata.uid.clone(),
                }),
            },
            ..TokenRequest::default()
        };
        let (account, posted) = (account.context("a pod without service account")?, PostParams::default());
        let asked = || accounts.create_token_request(account, &posted, &request);
        let answer = once_allowed("its token", asked).await?;
        Ok(vault::Secret::new(answer.status.context("no token")?.token))
    }

    async fn says(&self, pod: &Pod, status: Value) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(status)).await?;
        Ok(())
    }
}

/// What a node may read follows from its pods, which the API server itself learns of a moment after they are bound.
async fn once_allowed<T, F: Future<Output = kube::Result<T>>>(
    what: &str,
    mut call: impl FnMut() -> F,
) -> anyhow::Result<T> {
    until(what, Duration::from_secs(20), || {
        let call = call();
        async {
            match call.await {
                Ok(found) => Ok(Look::Found(found)),
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    Ok(Look::NotYet(status.message.clone()))
                }
                Err(error) => Err(error.into()),
            }
        }
    })
    .await
}

/// How the pod's container goes.
enum Container<'a> {
    Runs,
    IsReady,
    /// With its last words.
    Ended(&'a str),
}

fn status(address: Ipv4Addr, started: Timestamp, container: Container<'_>) -> Value {
    let (phase, is_ready, state) = match container {
        Container::Runs => ("Running", false, json!({"running": {"startedAt": started}})),
        Container::IsReady => ("Running", true, json!({"running": {"startedAt": started}})),
        Container::Ended(words) => {
            let now = Timestamp::now();
            let ended = json!({
                "exitCode": 0, "reason": "Completed", "message": words, "startedAt": started, "finishedAt": now,
            });
            ("Succeeded", false, json!({"running": null, "terminated": ended}))
        }
    };
    json!({"status": {
        "phase": phase, "startTime": started, "podIP": address, "podIPs": [{"ip": address}],
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": started},
            {"type": "Ready", "status": if is_ready { "True" } else { "False" }, "lastTransitionTime": Timestamp::now()},
        ],
        "containerStatuses": [{
            "name": "proxy", "image": "", "imageID": "", "ready": is_ready, "restartCount": 0, "started": is_ready,
            "state": state,
        }],
    }})
}
