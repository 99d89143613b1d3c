//! The audit log: takes records from proxies and the operator, says that they are on the disk only when they are, and makes a
//! transparency log of them that anybody can verify.
//!
//! It knows no Kubernetes, no Vault and no database.

pub mod accept_loss;
pub mod anchor;
pub mod append;
pub mod args;
pub mod arriving;
pub mod bucket;
pub mod clock;
mod crowd;
pub mod displaced;
pub mod engine;
pub mod figures;
pub mod home;
pub mod index;
pub mod mark;
pub mod mend;
pub mod mirror;
pub mod place;
pub mod pruning;
pub mod read;
pub mod restore;
pub mod retention;
pub mod scrub;
pub mod scrubbing;
pub mod seal;
pub mod serve;
pub mod source;
pub mod threads;
pub mod tls;
pub mod wrapped;
