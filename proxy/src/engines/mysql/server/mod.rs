//! The database's side: the one place that dials it, logs in, and makes a session read-only. No text of a client
//! passes here; what this folder sends are its own few statements.

mod closing;
mod connection;
mod dial;
mod login;
mod lookup;
mod met;
mod misfits;
mod pin;
mod preflight;
mod privileges;
mod proof;

pub use closing::{KillError, end_sessions, try_login};
pub use connection::{CommandError, Connection, INBOUND};
pub use dial::{ConnectError, Dialer};
pub use lookup::{LookUpError, look_up};
pub use met::Met;
pub use pin::Pins;
pub use preflight::{PreflightError, ServerInfo, examine, preflight};
pub use privileges::Refused as PrivilegeRefused;
pub use proof::{Answerer, ask_mode, prove};
