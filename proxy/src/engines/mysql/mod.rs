//! MySQL and MariaDB: the server that a client meets, the relay, and the client that the database meets.

pub mod belief;
pub mod client;
pub mod errors;
pub mod packets;
pub mod relay;
pub mod server;
