//! The operator of Keyhole.

mod admission;
mod clock;
mod config;
mod context;
mod events;
mod grant;
mod metrics;
mod pki;
mod request;
mod vault_desk;
mod words;

fn main() {}
