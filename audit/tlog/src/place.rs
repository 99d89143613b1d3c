//! Where in the tree a node stands, and which parts of the tree a proof needs.

/// A node above a whole power of two of leaves: all of them are there. Level 0 holds the leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// How many levels above the leaves: 0 to 63.
    pub level: u8,
    /// Its number within the level, from 0.
    pub index: u64,
}

impl Place {
    /// The place of a leaf.
    pub fn leaf(index: u64) -> Self {
        Self { level: 0, index }
    }

    /// The node above this one and its sibling.
    pub fn parent(self) -> Self {
        Self { level: self.level.saturating_add(1), index: self.index >> 1 }
    }

    /// Whether it is the right one of the two below their parent.
    pub fn is_right(self) -> bool {
        self.index & 1 == 1
    }
}

/// Leaves from `start` on, `end` not included; `start` is where a node may begin that covers them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: u64,
    pub end: u64,
}

impl Span {
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Where RFC 6962 divides it: the left part has the largest power of two of leaves that is less than all. Of two or more.
    pub fn middle(self) -> u64 {
        let half = self.len().saturating_sub(1).checked_ilog2().map_or(0, |bits| 1_u64 << bits);
        self.start.saturating_add(half)
    }

    /// The places of its whole subtrees, largest first.
    pub fn places(self) -> impl Iterator<Item = Place> {
        let mut start = self.start;
        std::iter::from_fn(move || {
            let level = Span { start, end: self.end }.len().checked_ilog2()?;
            let place = Place { level: u8::try_from(level).ok()?, index: start >> level };
            start = start.saturating_add(1 << level);
            Some(place)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(start: u64, end: u64) -> Vec<(u8, u64)> {
        Span { start, end }.places().map(|place| (place.level, place.index)).collect()
    }

    #[test]
    fn a_span_is_made_of_its_largest_subtrees() {
        assert_eq!(places(0, 0), []);
        assert_eq!(places(0, 1), [(0, 0)]);
        assert_eq!(places(0, 8), [(3, 0)]);
        assert_eq!(places(0, 7), [(2, 0), (1, 2), (0, 6)]);
        assert_eq!(places(8, 13), [(2, 2), (0, 12)]);
        assert_eq!(places(0, u64::MAX).len(), 64);
    }

    #[test]
    fn the_left_part_is_whole_and_the_right_one_is_not_larger() {
        for (len, left) in [(2, 1), (3, 2), (4, 2), (5, 4), (8, 4), (9, 8), (u64::MAX, 1 << 63)] {
            assert_eq!(Span { start: 0, end: len }.middle(), left, "{len}");
        }
        assert_eq!(Span { start: 8, end: 13 }.middle(), 12);
    }
}
