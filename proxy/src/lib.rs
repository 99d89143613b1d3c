//! The proxy of one grant: the only holder of its credential, the only path to its database, reading only.
//!
//! `main.rs` is thin; everything is here so that tests can reach it.

pub mod args;
pub mod audit;
pub mod certificate;
pub mod clock;
pub mod credential;
pub mod downstream;
pub mod ending;
pub mod gate_pool;
pub mod hardening;
pub mod identity_files;
pub mod life;
pub mod packets;
pub mod relay;
pub mod status;
pub mod termination;
pub mod upstream;
pub mod usage;
