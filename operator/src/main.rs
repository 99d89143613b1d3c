//! The operator of Keyhole.

mod admission;
mod clock;
mod request;
mod words;

fn main() {}
