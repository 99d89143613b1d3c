//! How long a grant may stay open.

/// How long a grant stays open, in whole minutes: 1 to 720 (twelve hours), both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantMinutes(u16);

/// A duration that no grant can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a grant lasts 1 to 720 whole minutes, not {minutes}")]
pub struct OutOfRange {
    /// What was asked for, in minutes.
    pub minutes: i64,
}

impl GrantMinutes {
    /// The number of minutes, 1 to 720.
    pub fn get(self) -> u16 {
        self.0
    }

    /// The same span in seconds, 60 to 43,200.
    pub fn seconds(self) -> u32 {
        u32::from(self.0).saturating_mul(60)
    }
}

impl TryFrom<i64> for GrantMinutes {
    type Error = OutOfRange;

    fn try_from(minutes: i64) -> Result<Self, OutOfRange> {
        match u16::try_from(minutes) {
            Ok(whole @ 1..=720) => Ok(Self(whole)),
            _ => Err(OutOfRange { minutes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_negative_and_a_year_are_out_of_range() {
        for minutes in [0, -1, 721, 525_600, i64::MIN, i64::MAX] {
            assert_eq!(GrantMinutes::try_from(minutes), Err(OutOfRange { minutes }));
        }
    }

    #[test]
    fn both_ends_are_included() {
        assert_eq!(GrantMinutes::try_from(1).unwrap().seconds(), 60);
        assert_eq!(GrantMinutes::try_from(720).unwrap().get(), 720);
    }
}
