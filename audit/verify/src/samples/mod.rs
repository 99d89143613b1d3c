//! Logs as they look after some weeks, signed and laid out as files: for the tests of those that read them. Keys and names are the same in
//! every log, so nothing here is worth trusting.

// Machinery of tests and nothing else: what goes wrong here is a failed test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod layout;
mod writers;

pub use layout::{Entry, Files, Keys, Layout, ORIGIN, Put, lay_out};
pub use record::samples::Dice;
pub use writers::{Plan, Writers, grant};
