//! Start: context, HTTP endpoints, leader election, controllers. Stop: at a signal, or when we lead no more.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use access::chain;
use anyhow::Context as _;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::backoff::Backoff;
use crate::clock::now;
use crate::config::{self, Config};
use crate::context::{Context, Parts};
use crate::leader::Candidate;
use crate::leases::VaultDesk;
use crate::pki::log;
use crate::pki::store::{self, Authorities, SecretError};
use crate::serve::Readiness;
use crate::{clients, controllers, serve};

/// How long an API server is left alone that could not be reached.
const ASK_AGAIN: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(5) };

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
    let authorities = loaded(&clients.calls, &config).await?;
    let vault = VaultDesk::new(&config.vault)?;
    let replica = replica();
    Ok(Arc::new(Context::new(Parts { clients, config, authorities, vault, replica })))
}

/// The authorities, as soon as the API server can be reached: a process that ended instead would wait for the kubelet's back-off, minutes at last,
/// and nobody could take over meanwhile.
async fn loaded(client: &Client, config: &Config) -> Result<Authorities, SecretError> {
    let mut failures = 0_u32;
    loop {
        match prepared(client, config).await {
            Err(error) if error.may_pass() => {
                tracing::warn!(error = %chain(&error), "not started yet");
                failures = failures.saturating_add(1);
                tokio::time::sleep(ASK_AGAIN.wait(failures, &replica())).await;
            }
            loaded => return loaded,
        }
    }
}

/// The authorities, and with them what the audit log waits for.
async fn prepared(client: &Client, config: &Config) -> Result<Authorities, SecretError> {
    let authorities = store::load(client, config, now()).await?;
    log::keep(client, config, &authorities, now()).await?;
    Ok(authorities)
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
    let mut stop = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
    let work = async {
        let context = tokio::select! {
            context = means(path) => context?,
            _ = stop.recv() => return Ok(()),
        };
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
    context.leads(lead);
    tracing::info!(leadership = lead.leadership, "leading");
    // In a task of its own: whatever the loops are busy with, the lease is renewed in time.
    let (stopped, told_to_stop) = oneshot::channel();
    let mut holding = tokio::spawn(candidate.hold_until(lead, told_to_stop));
    let records = Arc::clone(&context);
    tokio::select! {
        () = controllers::run(context) => anyhow::bail!("the loops ended by themselves"),
        () = records.records.run(&records) => tracing::error!("nothing goes on record any more: another may lead"),
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::{Request, Response};
    use kube::client::Body;

    use super::*;
    use crate::config::tests::example;

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_away_is_waited_for_and_a_refusal_is_told() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let api_server = tower::service_fn(move |_: Request<Body>| {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                let code = match number {
                    0..20 => return Err(tower::BoxError::from("it cannot be reached")),
                    20..40 => 503,
                    _ => 403,
                };
                let status = serde_json::json!({"kind": "Status", "code": code, "reason": "Other"});
                Ok(Response::builder().status(code).body(Body::from(serde_json::to_vec(&status)?))?)
            }
        });
        let client = Client::new(api_server, "keyhole-system");
        assert!(!loaded(&client, &example()).await.map(drop).unwrap_err().may_pass());
        assert_eq!(asked.load(Ordering::Relaxed), 41);
    }
}
