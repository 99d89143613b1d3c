//! What each kind of record holds. The fields of each value stand in the order of their names in JSON, which is the order of its text.

pub mod log;
pub mod operator;
pub mod proxy;

use serde::{Deserialize, Serialize};

/// The most names of a list, so that its record fits into an entry.
pub const MOST_NAMES: usize = 64;

/// Whether something at the end of a grant is shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum State {
    /// It is.
    Proved,
    /// It is not, or not yet.
    Open,
    /// Nobody can say any more.
    Unprovable,
}
