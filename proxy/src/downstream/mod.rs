//! The client's side: two listeners, TLS before anything else, an identity before any database, and then the relay.
//! A connection that proves nothing gets nothing but an error that says what to do.

mod greeting;
mod identity;
mod listen;
mod seats;
mod session;
mod shared;
mod start;
mod tls;
mod token;
mod turned_away;

pub use greeting::{Claim, reauthenticate};
pub use identity::{IdentityError, SessionAuthority};
pub use listen::{Listeners, serve};
pub use seats::Seat;
pub use shared::{ServingIdentity, Shared, SharedError, SharedParts};
pub use tls::TlsError;
pub use turned_away::TurnedAway;
