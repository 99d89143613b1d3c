//! The operator's two small pages: health for the kubelet, figures for Prometheus. Neither says anything about people.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use kube::runtime::reflector::Store;
use tokio::net::TcpListener;

use crate::clock::now;
use crate::context::Context;

/// The operator's means, once it has all it needs. A replica that waits for its turn is ready too.
#[derive(Clone, Default)]
pub struct Readiness(Arc<OnceLock<Arc<Context>>>);

impl Readiness {
    /// From now on it has.
    pub fn reached(&self, context: &Arc<Context>) {
        self.0.get_or_init(|| Arc::clone(context));
    }
}

/// `/healthz` and `/readyz`, until dropped.
pub async fn health(address: IpAddr, port: u16, ready: Readiness) -> std::io::Result<()> {
    let router =
        Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(ready);
    let listener = TcpListener::bind(SocketAddr::new(address, port)).await?;
    axum::serve(listener, router).await
}

/// `/metrics`, until dropped.
pub async fn metrics(address: IpAddr, port: u16, context: Arc<Context>) -> std::io::Result<()> {
    let router = Router::new().route("/metrics", get(page)).with_state(context);
    let listener = TcpListener::bind(SocketAddr::new(address, port)).await?;
    axum::serve(listener, router).await
}

/// A leader that gets nowhere is not healthy: it must make room for another.
async fn healthz(State(Readiness(context)): State<Readiness>) -> StatusCode {
    let is_stuck = context.get().is_some_and(|context| context.progress.is_stuck());
    if is_stuck { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

async fn readyz(State(Readiness(context)): State<Readiness>) -> StatusCode {
    if context.get().is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn page(State(context): State<Arc<Context>>) -> String {
    let live = context.grants.get().filter(|_| context.progress.leads()).map(Store::state);
    context.metrics.page(live.as_deref(), context.leases.in_hand(), now())
}
