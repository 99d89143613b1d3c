//! The built plug-in over logs in folders: good ones, damaged ones, and those that nobody should trust, without a cluster or a kubeconfig;
//! and over a real log, which is asked through a stand-in for the API server.

// All of this is test, its helpers too, which clippy can't know.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::arithmetic_side_effects)]

mod cluster;
mod copy;
mod export;
#[allow(dead_code, reason = "its other tests need the rest")]
#[path = "../api_server/fake.rs"]
mod fake;
mod follow;
mod help;
mod live;
#[allow(dead_code, reason = "its other tests need the rest")]
#[path = "../api_server/objects.rs"]
mod objects;
mod page;
mod proof;
mod show;
mod texts;
mod verify;
mod web;
mod witness;
