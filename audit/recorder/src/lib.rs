//! The writer's end of the way to the log: what is handed over is kept until the log has it on its disk, and sent again after every break,
//! so that each record is there once.

mod connection;
mod link;
mod outbox;

pub use connection::{Listener, PATIENCE, Recorder};
pub use link::{Link, tls};
pub use outbox::{Fault, Heard, NotTaken, Outbox, Urgency};
