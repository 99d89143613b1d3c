//! What the end-to-end tests and the demo stand on: a real cluster, real people, real databases, the built binaries.
//!
//! A test speaks of people and grants; how that becomes `kubectl`, `bao` and `mariadb` calls stands here. Nothing in
//! here looks into Keyhole's own code: it sees what a user sees.

pub mod auditor;
pub mod bed;
pub mod cluster;
pub mod database;
pub mod faults;
pub mod figures;
pub mod grant;
mod log;
pub mod past;
pub mod person;
pub mod session;
pub mod shell;
pub mod story;
pub mod wait;

pub use bed::Bed;
pub use cluster::Cluster;
pub use database::TestDatabase;
pub use grant::OpenGrant;
pub use person::Person;
pub use session::Session;
pub use shell::{Finished, Shell};
