//! The client's side: two listeners, TLS before anything else, an identity before any database, and then the relay.
//! A connection that proves nothing gets nothing but an error that says what to do.

mod door;
mod identity;
mod listen;
mod seats;
mod shared;
mod tls;
mod token;

pub(crate) use door::{MEMORY, Place};
pub use identity::{IdentityError, SessionAuthority};
pub(crate) use listen::Port;
pub use listen::{Arrival, Listeners, Served, listen, serve};
pub use seats::Seat;
pub(crate) use seats::Seated;
pub use shared::{Shared, SharedParts};
