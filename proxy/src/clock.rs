//! The only place that reads the wall clock.

use jiff::Timestamp;

/// Now, as this machine's clock has it.
pub fn now() -> Timestamp {
    Timestamp::now()
}
