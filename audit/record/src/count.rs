//! Whole numbers in records.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A whole number from 0 to 2^53 - 1: what every reader of JSON reads exactly (RFC 8785, appendix D).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Count(u64);

/// A number that is too large for a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is more than 2^53 - 1")]
pub struct TooLarge(u64);

impl Count {
    /// The largest.
    pub const MOST: Self = Self((1 << 53) - 1);

    /// The number, or the largest if it is larger: nothing that Keyhole counts can become so many.
    pub fn of(number: u64) -> Self {
        Self(number.min(Self::MOST.0))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The next one.
    pub fn next(self) -> Self {
        Self::of(self.0.saturating_add(1))
    }
}

impl From<u32> for Count {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl From<Count> for u64 {
    fn from(count: Count) -> Self {
        count.0
    }
}

impl TryFrom<u64> for Count {
    type Error = TooLarge;

    fn try_from(number: u64) -> Result<Self, TooLarge> {
        if number > Self::MOST.0 { Err(TooLarge(number)) } else { Ok(Self(number)) }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_of_json_may_round_is_no_count() {
        assert_eq!(serde_json::from_str::<Count>("9007199254740991").unwrap(), Count::MOST);
        for bad in ["9007199254740992", "18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "null"] {
            assert!(serde_json::from_str::<Count>(bad).is_err(), "{bad}");
        }
        assert_eq!(Count::of(u64::MAX), Count::MOST);
    }
}
