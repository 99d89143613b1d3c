//! The operator's two small pages: health for the kubelet, figures for Prometheus. Neither says anything about people.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::context::Context;

/// Whether the operator has all it needs. A replica that waits for its turn is ready too.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// From now on it has.
    pub fn reached(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `/healthz` and `/readyz`, until dropped.
pub async fn health(address: IpAddr, port: u16, ready: Readiness) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(readyz))
        .with_state(ready);
    let listener = TcpListener::bind(SocketAddr::new(address, port)).await?;
    axum::serve(listener, router).await
}

/// `/metrics`, until dropped.
pub async fn metrics(address: IpAddr, port: u16, context: Arc<Context>) -> std::io::Result<()> {
    let router = Router::new().route("/metrics", get(page)).with_state(context);
    let listener = TcpListener::bind(SocketAddr::new(address, port)).await?;
    axum::serve(listener, router).await
}

async fn readyz(State(Readiness(ready)): State<Readiness>) -> StatusCode {
    if ready.load(Ordering::Relaxed) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn page(State(context): State<Arc<Context>>) -> String {
    context.metrics.page(context.grants.get())
}
