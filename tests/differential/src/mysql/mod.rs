//! Statements for MariaDB and MySQL, and the servers that they run on.

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
