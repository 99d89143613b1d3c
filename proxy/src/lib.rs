//! The proxy of one grant: the only holder of its credential, the only path to its database, reading only.
//!
//! `main.rs` is thin; everything is here so that tests can reach it.

pub mod credential;
pub mod ending;
pub mod usage;
