//! The verifier over whole logs: good ones, in which nothing is found, and manipulated ones, in which each manipulation is.

// Tests and their machinery and nothing else: what goes wrong here is a failed test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod aged;
mod export;
mod follow;
mod found;
mod good;
mod liar;
mod manipulated;
mod notices;
mod pruned;
mod read;
mod speed;
mod story;
mod texts;
mod tree;
