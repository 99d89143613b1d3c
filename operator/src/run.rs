//! Start: context, HTTP endpoints, leader election, controllers. Stop: at a signal, or when we lead no more.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::clock::now;
use crate::config;
use crate::context::{Context, Parts};
use crate::leader::Candidate;
use crate::leases::VaultDesk;
use crate::pki::store;
use crate::serve::Readiness;
use crate::{clients, controllers, serve};

/// Where the pages are.
#[derive(Clone, Copy, Debug)]
pub struct Pages {
    /// Address to listen on.
    pub address: IpAddr,
    /// `/metrics`.
    pub metrics_port: u16,
    /// `/healthz`, `/readyz`.
    pub health_port: u16,
}

/// The operator's means, from its configuration file.
pub async fn means(path: &Path) -> anyhow::Result<Arc<Context>> {
    let config = config::load(path)?;
    let clients = clients::find().await?;
    let authorities = store::load(&clients.calls, &config, now()).await?;
    let vault = VaultDesk::new(&config.vault)?;
    let replica = replica();
    Ok(Arc::new(Context::new(Parts { clients, config, authorities, vault, replica })))
}

/// A candidate for the operator's lease.
pub fn candidate(context: &Context) -> Candidate {
    Candidate::new(&context.client, &context.config, &replica())
}

/// Runs until told to stop.
pub async fn run(path: &Path, pages: Pages) -> anyhow::Result<()> {
    let ready = Readiness::default();
    let Pages { address, metrics_port, health_port } = pages;
    let health = serve::health(address, health_port, ready.clone());
    let work = async {
        let context = means(path).await?;
        ready.reached(&context);
        let metrics = serve::metrics(address, metrics_port, Arc::clone(&context));
        tokio::select! {
            ended = lead(context) => ended,
            ended = metrics => ended.context("cannot serve /metrics"),
        }
    };
    tokio::select! {
        ended = work => ended,
        ended = health => ended.context("cannot serve /healthz"),
    }
}

/// Waits for its turn, then runs the loops. The process that loses its turn ends: half-done plans converge in the next.
async fn lead(context: Arc<Context>) -> anyhow::Result<()> {
    let mut candidate = candidate(&context);
    let mut stop = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let lead = tokio::select! {
        lead = candidate.acquire() => lead,
        _ = stop.recv() => return Ok(()),
    };
    context.leads(lead.leadership);
    tracing::info!(leadership = lead.leadership, "leading");
    // In a task of its own: whatever the loops are busy with, the lease is renewed in time.
    let (stopped, told_to_stop) = oneshot::channel();
    let mut holding = tokio::spawn(candidate.hold_until(lead, told_to_stop));
    tokio::select! {
        () = controllers::run(context) => anyhow::bail!("the loops ended by themselves"),
        _ = &mut holding => anyhow::bail!("another replica leads, or the API server does not answer"),
        _ = stop.recv() => {}
    }
    // The loops have ended; only now may another replica begin.
    stopped.send(()).ok();
    holding.await.context("the leader's lease was not released")
}

/// The pod's name; without one, of a run by hand, the process's.
fn replica() -> String {
    std::env::var("POD_NAME")
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_else(|_| format!("process-{}", std::process::id()))
}
