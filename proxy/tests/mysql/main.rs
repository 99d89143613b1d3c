//! Sessions from the client's first byte to its last, through a real proxy to a real MariaDB or MySQL, with real clients.

// Tests and their machinery and nothing else: what goes wrong here is a failed test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod bad_connections;
mod belief;
mod cut;
#[path = "../../benches/ear/mod.rs"]
mod ear;
mod ends;
mod extended_metadata;
mod findings;
mod hostile_database;
mod identity;
mod idle;
mod kill;
mod limits;
mod long_records;
mod masks;
mod on_mysql;
mod paths;
mod preflight;
mod prepared;
mod reading;
mod record;
mod secrets;
mod several;
mod standbys;
mod support;
#[path = "../../src/test_log.rs"]
mod test_log;
mod variables;
mod whole_records;
