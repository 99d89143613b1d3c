//! The only place that reads the wall clock.

use jiff::Timestamp;
use record::Time;

/// Now, as this machine's clock has it.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn now() -> Time {
    Timestamp::now().into()
}
