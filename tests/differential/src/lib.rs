//! The gate against real servers: generated statements go through the gate, and what it forwards is executed on a server
//! on which nothing may change.
//!
//! The sessions here are pinned as the proxy pins them, but for the one thing that would hide a hole: the privileged
//! user's session is not read only.

pub mod mysql;
