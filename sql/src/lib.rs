//! SQL gates: text in, verdict and facts out. A gate decides whether one statement may go to a server of its kind; there is a
//! folder for each kind, and what all of them answer stands beside the folders.
//!
//! This crate is pure: it has no clock, no network, no log, and a gate no state between calls. What a gate does not fully
//! understand it refuses. It never prints a parsed tree: what is forwarded is the text that came in, at most with the
//! interiors of comments blanked in place.

pub mod mysql;

mod facts;
mod refusal;
mod remembered;
mod verdict;

pub use facts::{Facts, TableName};
pub use refusal::{Place, Reason, Refusal};
pub use remembered::Remembered;
pub use verdict::{Decides, Permit, Verdict};
