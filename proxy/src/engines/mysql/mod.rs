//! MySQL and MariaDB: the server that a client meets, the relay, and the client that the database meets.

pub mod belief;
pub mod client;
mod engine;
pub mod errors;
mod gate;
mod on_record;
pub mod packets;
pub mod relay;
pub mod server;
mod unfit;

pub use engine::{Checked, MySql};

/// What all sessions of a grant share.
pub type Shared = crate::sessions::Shared<MySql>;
