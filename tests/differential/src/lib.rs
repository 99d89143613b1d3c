//! The gate against real servers: generated statements go through the gate, and what it forwards is executed on a server
//! on which nothing may change.
//!
//! The sessions here are pinned as the proxy pins them, but for the one thing that would hide a hole: the privileged
//! user's session is not read only.

mod fragments;
mod generate;
mod grammar;
mod random;
mod report;
mod runner;
mod secrets;
mod server;
mod session;
mod snapshot;

pub use generate::Generator;
pub use random::Random;
pub use report::{Counts, Finding};
pub use runner::Runner;
pub use secrets::{SCHEMA, Secrets};
pub use server::Canary;
pub use session::{Session, Who};
pub use snapshot::Snapshot;
