//! Health for the kubelet: plain HTTP, no content, nothing to learn.
//!
//! `/healthz` is 200 while the process lives; `/readyz` is 200 only while people can connect.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use super::Board;
use super::accept::{accept, speak_http};

/// Answers the kubelet until dropped.
pub async fn serve_health(listener: TcpListener, board: Board) {
    let router = router(board);
    accept(listener, |stream| speak_http(stream, router.clone())).await;
}

fn router(board: Board) -> Router {
    Router::new()
        .route("/healthz", get(|| async { StatusCode::OK }))
        .route("/readyz", get(readiness))
        .with_state(board)
}

async fn readiness(State(board): State<Board>) -> StatusCode {
    match board.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}
