//! The proxy of one grant: the only holder of its credential, the only path to its database, reading only.
//!
//! `main.rs` is thin; everything is here so that tests can reach it.

pub(crate) mod alarm;
pub mod args;
pub mod audit;
pub mod bytes;
pub mod certificate;
pub mod clock;
pub mod credential;
pub mod database;
pub mod ending;
pub mod engine;
pub mod engines;
pub(crate) mod exchange;
pub mod gate_pool;
pub mod hardening;
pub mod identity_files;
pub mod life;
pub mod memory;
pub mod metrics;
pub mod panics;
pub mod rule;
pub mod runtime;
pub mod serving;
pub mod sessions;
pub mod status;
pub mod termination;
#[cfg(test)]
mod test_log;
pub mod usage;
