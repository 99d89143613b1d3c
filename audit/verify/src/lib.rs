//! Reads an audit log that somebody else keeps: verifies all of it, tells the story of one grant, and writes its records for other
//! programs.
//!
//! Pure: it works over a [`Source`] of files and public keys alone; no clock, disk, network or Kubernetes. What it reads it does not
//! trust: a file may be missing, torn, altered, or made by a log that lies.

mod asked;
pub mod export;
mod files;
mod finding;
mod follow;
mod nodes;
mod notice;
mod place;
mod plain;
mod proof;
mod read;
mod records;
mod report;
#[cfg(feature = "samples")]
pub mod samples;
mod source;
pub mod story;
mod verify;

pub use asked::{ASKED, Asked, BadAsked};
pub use finding::{Finding, Wrong};
pub use follow::{Begins, Follower, NotFollowed, has_grown, whole_bundles};
pub use nodes::Unproved;
pub use notice::Notice;
pub use plain::plain;
pub use proof::prove;
pub use read::{Piece, Records, Signed};
pub use report::{Report, Verdict};
pub use source::Source;
pub use verify::{Options, Progress, Unreadable, first_entry, verify};
