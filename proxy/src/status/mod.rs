//! What the proxy says about itself: the report for the operator (mutual TLS) and health for the kubelet.

mod accept;
mod board;
mod health;
mod operator;

pub use board::{Board, NotOurs};
pub use health::serve_health;
pub use operator::{Operator, serve_operator};
