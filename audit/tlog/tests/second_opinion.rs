//! Trees and notes held against another implementation, Cloudflare's `tlog_tiles` and `signed_note`, which share no code with ours: the same
//! roots, proofs, tiles, names and signatures, and the same is refused. Where one accepts more than the other is told here, and why.

// Tests and nothing else: what goes wrong here is a failed test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "support/change.rs"]
mod change;
#[path = "support/log.rs"]
mod log;
#[path = "second_opinion/notes.rs"]
mod notes;
#[path = "second_opinion/tiles.rs"]
mod tiles;
#[path = "second_opinion/tree.rs"]
mod tree;
