//! The only place that reads the clock. Everything that decides gets the time as an argument.

use jiff::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    Timestamp::now()
}
