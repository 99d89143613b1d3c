//! The few calls to Vault (or OpenBao) that Keyhole makes, each by hand: ready-made clients drop the lease id and the
//! `Date` header, which are what we need.
//!
//! This crate never retries, never follows a redirect, never speaks without TLS, and never puts a secret or the text
//! of an answer into an error. It decides nothing: callers do. Secrets are wiped when dropped; the buffers of the HTTP
//! and TLS libraries that they pass through are not.

mod auth;
mod client;
mod error;
mod lease;
mod secret;

pub use auth::{AppRole, LoginToken, OwningToken};
pub use client::{Answer, BadVaultAddress, Index, Vault};
pub use error::{Call, VaultError};
pub use lease::{Credentials, LeaseState};
pub use secret::Secret;
