//! The database's side, as far as it is the same whatever the engine: the list of the connections that were opened, what was seen
//! of their end, and TLS on the way. Nothing here speaks a protocol.

mod connections;
mod probe;
mod sessions_end;
mod tls;

pub use connections::{Connections, Listed, Opened, Place, ServerName, SessionId};
pub use probe::LoginProbe;
pub use sessions_end::{SeenGone, SessionsEnd, judge};
pub use tls::{BadTlsSettings, ServerTls};
