//! The gate of MySQL and MariaDB against both servers: nothing changes, facts are the servers' own, masks hold.

// All of this is test code; the lints see that in the marked functions only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod columns;
mod facts;
mod nothing_changes;
