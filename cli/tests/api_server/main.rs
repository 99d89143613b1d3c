//! The built plug-in against a stand-in for the API server: what it asks, and what it makes of answers that no real one
//! gives on demand.

// All of this is test, its helpers too, which clippy can't know.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

mod by_database;
mod completion;
mod decisions;
mod doctor;
mod ends;
mod fake;
mod held;
mod objects;
mod options;
mod revoke;
mod shut;
mod waits;
