//! Which record of a stream.

/// The place of a record in its proxy's stream, from 0 without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub(super) u64);

impl Number {
    /// As a number.
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
impl Number {
    /// Of the first record there is.
    pub(crate) const FIRST: Self = Self(0);
}
