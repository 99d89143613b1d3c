//! The way from a local connection to the grant's proxy: one port-forward for each.

mod forward;
mod open_port;
mod private_socket;

pub use forward::{Forward, ForwardError, ProxyTls};
pub use open_port::OpenPort;
pub use private_socket::{PrivateFolder, PrivateSocket};
