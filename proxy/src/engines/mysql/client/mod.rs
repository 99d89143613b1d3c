//! The client's side: greeting, TLS, proof of identity, and the way to a permitted session. Nobody reaches the database here
//! before it is known who they are.

mod greeting;
mod session;
mod start;
mod turned_away;

pub use greeting::{Claim, reauthenticate};
pub(crate) use session::Plain;
pub use session::{Identity, Permitted, Session};
pub use turned_away::TurnedAway;
