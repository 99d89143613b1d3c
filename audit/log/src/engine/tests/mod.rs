//! The engine on a disk in memory.

mod crashes;
mod damage;
mod network;
mod sim;
mod sim_disk;
mod world;
