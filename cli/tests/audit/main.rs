//! The built plug-in over logs in folders: good ones, damaged ones, and those that nobody should trust. There is no cluster, and no
//! kubeconfig.

// All of this is test, its helpers too, which clippy can't know.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::arithmetic_side_effects)]

mod copy;
mod export;
mod page;
mod show;
mod verify;
