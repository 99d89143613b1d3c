//! What the operator costs: its own figures, and those that the kernel keeps of its process.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::Cluster;
use k8s_openapi::api::core::v1::Pod;

/// How long one figure is taken for.
const SAMPLE: Duration = Duration::from_secs(120);

/// What the leader took while nothing was asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Requests to the API server in a second.
    pub requests: f64,
    /// Cores.
    pub cores: f64,
    /// The most resident memory that was seen, in MiB.
    pub memory: f64,
}

/// Measures for two minutes.
pub async fn idle(cluster: &Cluster) -> anyhow::Result<Idle> {
    let sent = Sent::by_leader(cluster).await?;
    let leader = sent.leader.clone();
    let (began, seconds) = (Instant::now(), processor(cluster, &leader).await?);
    let mut memory = resident(cluster, &leader).await?;
    let mut every = tokio::time::interval(Duration::from_secs(5));
    while began.elapsed() < SAMPLE {
        every.tick().await;
        memory = memory.max(resident(cluster, &leader).await?);
    }
    let took = began.elapsed().as_secs_f64();
    let cores = (processor(cluster, &leader).await? - seconds) / took;
    Ok(Idle { requests: sent.since(cluster).await? / took, cores, memory })
}

/// What the leader has sent to the API server at one time.
#[derive(Debug)]
pub struct Sent {
    leader: String,
    restarts: i32,
    requests: f64,
}

impl Sent {
    /// So far.
    pub async fn by_leader(cluster: &Cluster) -> anyhow::Result<Self> {
        let leader = cluster.leader().await?;
        let (restarts, requests) = (restarts(cluster, &leader).await?, requests(cluster, &leader).await?);
        Ok(Self { leader, restarts, requests })
    }

    /// Requests since then.
    pub async fn since(&self, cluster: &Cluster) -> anyhow::Result<f64> {
        let now = Self::by_leader(cluster).await?;
        ensure!(now.leader == self.leader, "another operator leads now");
        ensure!(now.restarts == self.restarts, "the operator was started again meanwhile");
        Ok(now.requests - self.requests)
    }
}

/// How often its container was started again.
async fn restarts(cluster: &Cluster, pod: &str) -> anyhow::Result<i32> {
    let status = cluster.system::<Pod>().get(pod).await?.status.unwrap_or_default();
    Ok(status.container_statuses.unwrap_or_default().iter().map(|container| container.restart_count).sum())
}

/// Requests that it has sent to the API server.
async fn requests(cluster: &Cluster, pod: &str) -> anyhow::Result<f64> {
    let path = format!("/api/v1/namespaces/{}/pods/{pod}:8080/proxy/metrics", cluster.bed.system);
    let page = cluster.bed.kubectl().args(["get", "--raw", &path]).succeeds().await?;
    let line = page.lines().find_map(|line| line.strip_prefix("keyhole_operator_api_requests_total "));
    Ok(line.context("no figure of its requests")?.trim().parse()?)
}

/// Seconds of processor time that it has used.
async fn processor(cluster: &Cluster, pod: &str) -> anyhow::Result<f64> {
    let verb = cluster.bed.verb("pod").args([&cluster.bed.system, pod, "processor"]);
    Ok(verb.succeeds().await?.trim().parse()?)
}

/// MiB that it holds now.
async fn resident(cluster: &Cluster, pod: &str) -> anyhow::Result<f64> {
    let printed = cluster.bed.verb("pod").args([&cluster.bed.system, pod, "memory"]).succeeds().await?;
    let (resident, _) = printed.trim().split_once(' ').context("no memory")?;
    Ok(resident.parse::<f64>()? / 1024.0)
}
