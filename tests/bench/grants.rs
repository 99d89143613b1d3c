//! From approval to Ready, from revocation to the cut, and what a proxy needs of memory meanwhile.

use std::pin::Pin;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crds::{AccessApproval, AccessGrant, ConditionType, is_true};
use futures_util::{Stream, TryStreamExt};
use harness::OpenGrant;
use harness::figures::{Figure, Figures};
use harness::grant::approval;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Resource, ResourceExt};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Bench;

const GRANTS: usize = 20;
const PODS: usize = 20;
/// How many of the grants are measured with `SESSIONS` sessions, too.
const CROWDED: usize = 5;
const SESSIONS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(90);

/// What the API server tells of one kind, from before something is done until it shows.
struct Watching<K>(Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<K>>> + Send>>);

impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static>
    Watching<K>
{
    async fn begins(api: &Api<K>) -> anyhow::Result<Self> {
        Ok(Self(Box::pin(api.watch(&WatchParams::default(), "0").await?)))
    }

    /// Waits for an object that is as it should be, the last that was seen of a deleted one included.
    async fn sees<T>(&mut self, what: &str, look: impl Fn(&K) -> Option<T>) -> anyhow::Result<T> {
        let seen = async {
            while let Some(event) = self.0.try_next().await? {
                let found = match &event {
                    WatchEvent::Added(object)
                    | WatchEvent::Modified(object)
                    | WatchEvent::Deleted(object) => look(object),
                    WatchEvent::Bookmark(_) => None,
                    WatchEvent::Error(error) => bail!("the watch failed: {error:?}"),
                };
                if let Some(found) = found {
                    return Ok(found);
                }
            }
            bail!("the watch ended before {what}")
        };
        tokio::time::timeout(PATIENCE, seen)
            .await
            .with_context(|| format!("waited {PATIENCE:?} for {what}"))?
    }
}

/// Kilobytes that a process holds.
struct Memory {
    resident: f64,
    proportional: f64,
}

/// What one grant showed.
struct Seen {
    ready_seconds: f64,
    cut_millis: f64,
    told_millis: f64,
    ended_seconds: f64,
}

impl Bench {
    /// Pods of the proxy's image and nothing else: no volume, no probe, no policy. Its program waits for its standard
    /// input. Ready means that the kubelet has started it: the least that any design with a pod per grant must wait for.
    pub async fn bare_pods(&self) -> anyhow::Result<Figure> {
        let image = self.proxy_image().await?;
        let pods: Api<Pod> = self.cluster.api();
        let mut seconds = Vec::new();
        for number in 0..PODS {
            let name = format!("bare-{number}");
            let pod: Pod = serde_json::from_value(json!({
                "metadata": {"name": name},
                "spec": {
                    "automountServiceAccountToken": false, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                    "containers": [{
                        "name": "proxy", "image": image, "imagePullPolicy": "IfNotPresent", "stdin": true,
                        "args": ["--grant", "/dev/stdin", "--identity", "/dev"],
                    }],
                },
            }))?;
            let mut watching = Watching::begins(&pods).await?;
            let began = Instant::now();
            pods.create(&PostParams::default(), &pod).await?;
            watching.sees("a bare pod to be ready", |pod| is_ready(pod, &name)).await?;
            seconds.push(began.elapsed().as_secs_f64());
            pods.delete(&name, &kube::api::DeleteParams::default().grace_period(0)).await?;
        }
        Ok(Figure::of("bare pod of the proxy's image: created → Ready", "s", seconds))
    }

    /// Opens, uses and revokes one grant after another.
    pub async fn grants(&self, figures: &mut Figures) -> anyhow::Result<()> {
        let (mut seen, mut idle, mut crowded) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..GRANTS {
            let (grant, ready_seconds) = self.opens(number).await?;
            idle.extend(self.memory(&grant).await);
            let client = self.through_keyhole(&grant).await?;
            if number < CROWDED {
                crowded.extend(self.memory_with_sessions(&grant, &client).await?);
            }
            let (cut_millis, told_millis, ended_seconds) = self.revokes_while_reading(&grant, client).await?;
            seen.push(Seen { ready_seconds, cut_millis, told_millis, ended_seconds });
        }
        let of = |part: fn(&Seen) -> f64| seen.iter().map(part).collect::<Vec<_>>();
        figures.add(Figure::of("grant: approval sent → Ready", "s", of(|seen| seen.ready_seconds)));
        figures.add(Figure::of(
            "grant: revocation sent → running statement cut",
            "ms",
            of(|seen| seen.cut_millis),
        ));
        figures.add(Figure::of("proxy: told to end → all sessions cut", "ms", of(|seen| seen.told_millis)));
        figures.add(Figure::of(
            "grant: revocation sent → Ended, all proved",
            "s",
            of(|seen| seen.ended_seconds),
        ));
        for (name, memory) in [("idle", &idle), ("with 50 sessions", &crowded)] {
            let of = |part: fn(&Memory) -> f64| memory.iter().map(|m| part(m) / 1024.0).collect::<Vec<_>>();
            figures.add(Figure::of(&format!("proxy memory {name}: RSS"), "MiB", of(|m| m.resident)));
            figures.add(Figure::of(&format!("proxy memory {name}: PSS"), "MiB", of(|m| m.proportional)));
        }
        Ok(())
    }

    /// The clock runs from just before the approval is sent until the API server says that the grant is ready.
    async fn opens(&self, number: usize) -> anyhow::Result<(OpenGrant, f64)> {
        let name = format!("bench-{number}");
        self.requester.applies(&self.database.request(&name, "30m")).await?;
        let request = self.cluster.awaits_terms(&name).await?;
        let approval: AccessApproval = serde_json::from_value(approval(&request, "approver")?)?;
        let approvals: Api<AccessApproval> = Api::namespaced(self.approvals.clone(), &self.cluster.namespace);
        let mut watching = Watching::begins(&self.cluster.api::<AccessGrant>()).await?;
        let began = Instant::now();
        approvals.create(&PostParams::default(), &approval).await?;
        let grant = watching
            .sees("the grant to be ready", |grant| {
                let status = grant.status.as_ref()?;
                let ready =
                    grant.spec.request.name == name && is_true(&status.conditions, ConditionType::Ready);
                ready.then(|| grant.name_any())
            })
            .await?;
        Ok((OpenGrant { name: grant, request: name }, began.elapsed().as_secs_f64()))
    }

    /// Revokes while a statement runs. Answers milliseconds until its client has the error and, as the proxy itself
    /// reports, from being told until all sessions were cut; and seconds until the grant is Ended.
    async fn revokes_while_reading(
        &self,
        grant: &OpenGrant,
        client: Opts,
    ) -> anyhow::Result<(f64, f64, f64)> {
        let mut connection = Conn::new(client).await?;
        let reading = tokio::spawn(async move {
            let endless = "SELECT SUM(a.total) FROM orders a, orders b, orders c, orders d";
            let answer = connection.query_drop(endless).await;
            (Instant::now(), answer)
        });
        self.database.awaits_running_statement(&self.cluster.lease_user(grant).await?, PATIENCE).await?;
        let mut pods = Watching::begins(&self.cluster.proxies::<Pod>()).await?;
        let pod = self.cluster.pod_name(grant).await?;
        let grants: Api<AccessGrant> = Api::namespaced(self.approvals.clone(), &self.cluster.namespace);
        let patch = json!({"spec": {"revocation": {"by": "approver", "reason": "measured"}}});
        let began = Instant::now();
        grants.patch(&grant.name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        let (cut, answer) = tokio::time::timeout(PATIENCE, reading).await??;
        let Err(mysql_async::Error::Server(error)) = answer else {
            bail!("the statement was not cut with an error of the protocol: {answer:?}");
        };
        anyhow::ensure!(error.message.contains("revoked"), "cut for another reason: {}", error.message);
        let told = pods.sees("the proxy's last report", |object| cut_millis(object, &pod)).await?;
        self.cluster.awaits_ended(grant, PATIENCE).await?;
        Ok((cut.duration_since(began).as_secs_f64() * 1e3, told, began.elapsed().as_secs_f64()))
    }

    /// The proxy's memory, or nothing on a cluster whose node is not at hand.
    async fn memory(&self, grant: &OpenGrant) -> Option<Memory> {
        let printed = self.cluster.within_pod(grant).await.ok()?.arg("memory").succeeds().await.ok()?;
        let (resident, proportional) = printed.trim().split_once(' ')?;
        Some(Memory { resident: resident.parse().ok()?, proportional: proportional.parse().ok()? })
    }

    async fn memory_with_sessions(&self, grant: &OpenGrant, client: &Opts) -> anyhow::Result<Option<Memory>> {
        let mut connections = Vec::new();
        for _ in 0..SESSIONS {
            let mut connection = Conn::new(client.clone()).await?;
            connection.query_drop("SELECT total FROM orders WHERE id = 1").await?;
            connections.push(connection);
        }
        let memory = self.memory(grant).await;
        for connection in connections {
            connection.disconnect().await?;
        }
        Ok(memory)
    }

    async fn proxy_image(&self) -> anyhow::Result<String> {
        let config = self.cluster.bed.kubectl().args(["-n", &self.cluster.bed.system, "get", "configmap"]);
        let printed =
            config.args(["keyhole-operator", "-o", "jsonpath={.data.config\\.yaml}"]).succeeds().await?;
        let line =
            printed.lines().find_map(|line| line.strip_prefix("proxyImage:")).context("no proxy image")?;
        Ok(line.trim().trim_matches('"').to_owned())
    }
}

fn is_ready(pod: &Pod, name: &str) -> Option<()> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    (ready && pod.name_any() == name).then_some(())
}

/// What the pod's termination message says about its end.
fn cut_millis(pod: &Pod, name: &str) -> Option<f64> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let message = statuses.first()?.state.as_ref()?.terminated.as_ref()?.message.as_ref()?;
    let report: Value = serde_json::from_str(message).ok()?;
    (pod.name_any() == name).then_some(report["end"]["cutMillis"].as_f64()?)
}
