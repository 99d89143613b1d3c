//! `make bench`: the figures, measured on a real cluster and printed as a table, or with `--json` as JSON.
//!
//! Each figure is a median of at least 20 samples, or says of how many. No test depends on them.

mod grants;
mod identities;
mod load;
mod paths;

use std::time::Duration;

use anyhow::{Context, bail};
use harness::figures::{Figure, Figures};
use harness::{Cluster, Person, TestDatabase};
use kube::Client;
use serde_json::json;

/// The whole benchmark takes this long at most.
const LIMIT: Duration = Duration::from_secs(25 * 60);

/// The cluster, a database, and the people of the benchmark.
struct Bench {
    cluster: Cluster,
    database: TestDatabase,
    requester: Person,
    approver: Person,
    /// The approver's own API client: starting `kubectl` would take longer than what is measured.
    approvals: Client,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let as_json = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--json") => true,
        Some(other) => bail!("unknown argument {other}: write --json or nothing"),
    };
    let cluster = Cluster::fresh("bench").await?;
    let measured = tokio::time::timeout(LIMIT, measure(cluster)).await;
    let figures = measured.with_context(|| format!("the benchmark took longer than {LIMIT:?}"))??;
    if as_json {
        println!("{}", figures.json())
    } else {
        println!("{}", figures.table())
    }
    Ok(())
}

async fn measure(cluster: Cluster) -> anyhow::Result<Figures> {
    let database = cluster.orders().await?;
    let mut object = database.object();
    object["spec"]["limits"] =
        json!({"sessions": 100, "grantRows": 1_000_000_000, "grantBytes": 1_000_000_000_000_u64});
    cluster.applies(&object.to_string()).await?;
    let (requester, approver) = (cluster.requester().await?, cluster.approver().await?);
    let groups = ["approvers".to_owned(), "system:authenticated".to_owned()];
    let approvals = harness::cluster::impersonating(&cluster.bed, "approver", &groups).await?;
    let bench = Bench { cluster, database, requester, approver, approvals };
    let mut figures = Figures::default();
    eprintln!("bare pods");
    figures.add(bench.bare_pods().await?);
    eprintln!("grants: opened, revoked, ended");
    bench.grants(&mut figures).await?;
    // Late: a node tells of its images some seconds after they came.
    figures.add(bench.image_size().await?);
    eprintln!("identities of the network");
    for figure in bench.identities().await? {
        figures.add(figure);
    }
    eprintln!("point selects");
    bench.point_selects(&mut figures).await?;
    bench.cluster.leave().await?;
    Ok(figures)
}

impl Bench {
    /// As the node's container runtime reports it.
    async fn image_size(&self) -> anyhow::Result<Figure> {
        let nodes = self.cluster.bed.kubectl().args(["get", "nodes", "-o", "json"]).succeeds().await?;
        let nodes: serde_json::Value = serde_json::from_str(&nodes)?;
        let images = nodes["items"][0]["status"]["images"].as_array().cloned().unwrap_or_default();
        let of_proxy = images.iter().find(|image| image["names"].to_string().contains("keyhole-proxy"));
        let bytes =
            of_proxy.and_then(|image| image["sizeBytes"].as_f64()).context("no node has the image")?;
        Ok(Figure::of("proxy image", "MB", vec![bytes / 1e6]))
    }
}
