//! From a record to the disk: the journal, by which it is durable before it is acknowledged, and the files of the tree, which follow.
//!
//! Everything here waits for nobody but the disk, and reads no clock. Two threads run it: one commits, one integrates what is committed.

mod anchor;
pub mod block;
pub mod blocks;
pub mod commit;
pub mod disk;
pub mod integrate;
pub mod journal;
pub mod keys;
pub mod objects;
pub mod prune;
pub mod recover;
pub mod storage;
pub mod streams;
#[cfg(test)]
mod tests;
pub mod trial;
pub mod volume;
