//! What the proxy says about itself: the report for the operator (mutual TLS) and health for the kubelet.

mod accept;
mod board;
mod health;
mod operator;
mod tls;

pub use board::{Board, NotOurs};
pub use health::serve_health;
pub use operator::{Operator, serve_operator};
pub use tls::{StatusTlsError, status_tls};
