//! Moments in records.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment by its writer's clock, to the microsecond. As text RFC 3339 in UTC with six digits: `2026-11-30T07:14:24.000001Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Timestamp);

impl Time {
    /// The moment that many microseconds after the start of 1970; `None` beyond the year 9999.
    pub fn from_micros(micros: i64) -> Option<Self> {
        Timestamp::from_microsecond(micros).ok().map(Self)
    }

    /// Microseconds since the start of 1970.
    pub fn micros(self) -> i64 {
        self.0.as_microsecond()
    }

    /// How much later it is than another moment: negative, where it is earlier.
    pub fn since(self, other: Self) -> SignedDuration {
        self.0.duration_since(other.0)
    }
}

impl From<Timestamp> for Time {
    /// What is finer than a microsecond is cut off.
    fn from(moment: Timestamp) -> Self {
        Self(Timestamp::from_microsecond(moment.as_microsecond()).unwrap_or(moment))
    }
}

impl From<Time> for Timestamp {
    fn from(time: Time) -> Self {
        time.0
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    /// Reads every form of RFC 3339: that a record has the one form is seen when it is written again.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Timestamp::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_six_digits() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_700_000_000_000_001, "2023-11-14T22:13:20.000001Z"),
            (1_700_000_000_100_000, "2023-11-14T22:13:20.100000Z"),
        ] {
            let time = Time::from_micros(micros).unwrap();
            assert_eq!((time.to_string().as_str(), time.micros()), (text, micros));
        }
        let fine: Timestamp = "2023-11-14T22:13:20.000001999Z".parse().unwrap();
        assert_eq!(Time::from(fine).to_string(), "2023-11-14T22:13:20.000001Z");
    }
}
