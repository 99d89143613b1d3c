//! The gate of MySQL and MariaDB from outside: what passes, what is refused, and what real servers make of it.

// All of this is test code; the lints see that in the marked functions only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod bypass;
mod caps;
mod columns;
mod corpus;
mod facts;
mod findings;
mod lines;
mod modes;
mod passwords;
mod real;
mod several;
