//! The operator of Keyhole.

mod admission;
mod clock;
mod config;
mod grant;
mod request;
mod words;

fn main() {}
