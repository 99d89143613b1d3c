//! The operator's port: report, figures, custody, end. Mutual TLS, and of all the holders of internal certificates only the
//! operator: another proxy's certificate is of the same CA and must not get in.

use std::sync::Arc;
use std::time::Duration;

use access::EndReason;
use access::report::{CustodyNote, EndOrder, Report, since};
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Board;
use super::accept::{accept, speak_http};
use crate::certificate;
use crate::ending::{EndCause, Ending};
use crate::metrics::{self, Metrics};

const HANDSHAKE: Duration = Duration::from_secs(5);
/// The longest body of a request, in bytes; no order is near it.
const LONGEST_BODY: usize = 4 * 1024;
/// The longest sentence a client is shown.
const LONGEST_MESSAGE: usize = 200;

/// What the operator can reach.
#[derive(Clone)]
pub struct Operator {
    /// What it may read.
    pub board: Board,
    /// What it may export.
    pub metrics: Metrics,
    /// What it may begin.
    pub ending: Ending,
}

/// Answers the operator until dropped. `tls` must require a certificate of the internal CA.
pub async fn serve_operator(listener: TcpListener, tls: Arc<ServerConfig>, operator: Operator) {
    let acceptor = TlsAcceptor::from(tls);
    let router = router(operator);
    accept(listener, |stream| {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        async move {
            if let Some(stream) = let_in(acceptor, stream).await {
                // A task of its own: no stranger's connections can push the operator's out.
                tokio::spawn(speak_http(stream, router));
            }
        }
    })
    .await;
}

async fn let_in(acceptor: TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::warn!(%error, "refused on the status port: no TLS with an internal certificate");
            return None;
        }
        Err(_) => return None,
    };
    let (_, connection) = stream.get_ref();
    let leaf = connection.peer_certificates().and_then(<[_]>::first)?;
    if !certificate::names(leaf, certificate::OPERATOR_URI) {
        tracing::warn!("refused on the status port: the certificate is not the operator's");
        return None;
    }
    Some(stream)
}

fn router(operator: Operator) -> Router {
    Router::new()
        .route("/v1/report", get(report))
        .route("/metrics", get(page))
        .route("/v1/custody", post(custody))
        .route("/v1/end", post(end))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(operator)
}

async fn report(RawQuery(query): RawQuery, State(operator): State<Operator>) -> Json<Report> {
    Json(match since(query.as_deref()) {
        Some(revision) => operator.board.report_since(revision).await,
        None => operator.board.report(),
    })
}

async fn page(State(operator): State<Operator>) -> impl IntoResponse {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], operator.metrics.page(operator.board.report().usage))
}

async fn custody(State(operator): State<Operator>, Json(note): Json<CustodyNote>) -> StatusCode {
    match operator.board.confirm(&note.token_accessor) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::CONFLICT,
    }
}

async fn end(State(operator): State<Operator>, Json(order): Json<EndOrder>) -> StatusCode {
    operator.ending.begin(cause(order));
    StatusCode::ACCEPTED
}

/// An order ends the grant whatever its words are; only what the client is shown depends on them.
fn cause(order: EndOrder) -> EndCause {
    let EndOrder { reason, message } = order;
    let reason = EndReason::from_word(&reason).unwrap_or(EndReason::Stopped);
    let presentable = !message.is_empty()
        && message.chars().count() <= LONGEST_MESSAGE
        && !message.chars().any(char::is_control);
    match presentable {
        true => EndCause { reason, message },
        false => EndCause::of(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(reason: &str, message: &str) -> EndCause {
        cause(EndOrder { reason: reason.into(), message: message.into() })
    }

    #[test]
    fn an_order_with_unknown_or_unpresentable_words_still_ends_the_grant() {
        assert_eq!(
            order("Revoked", "approver revoked it"),
            EndCause { reason: EndReason::Revoked, message: "approver revoked it".into() }
        );
        assert_eq!(order("FromTheFuture", "closed").reason, EndReason::Stopped);
        for message in ["", "two\nlines", &"x".repeat(201)] {
            assert_eq!(order("Revoked", message).message, EndReason::Revoked.sentence(), "{message:?}");
        }
    }
}
