//! The engine on a disk in memory, and in a bucket.

mod age;
mod blocks;
mod buckets;
mod crashes;
mod damage;
mod network;
mod old_keys;
mod prune;
mod sim;
mod sim_disk;
mod world;

/// The first seed of the tests that draw: 0, or KEYHOLE_SEED, so that `make soak` tries new ones and one that failed can be tried again.
fn first_seed() -> u64 {
    std::env::var("KEYHOLE_SEED").map_or(0, |seed| seed.parse().unwrap())
}
