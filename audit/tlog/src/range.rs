//! A tree that only grows, by the few hashes that its root depends on.

use crate::hash::Hash;
use crate::place::{Place, Span};

/// The leaves from the first on, as the roots of the whole subtrees that they make, largest first ("compact range"). Empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    size: u64,
    peaks: Vec<Hash>,
}

/// A tree of 2^64 - 1 leaves, which takes no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tree has as many leaves as can be counted")]
pub struct TreeFull;

/// Hashes that are no tree of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves is made of {} hashes, and {found} are there", .size.count_ones())]
pub struct BadRange {
    size: u64,
    found: usize,
}

impl Range {
    /// From the hashes of [`Range::places`], in their order.
    pub fn new(size: u64, peaks: Vec<Hash>) -> Result<Self, BadRange> {
        let found = peaks.len();
        if u32::try_from(found) != Ok(size.count_ones()) {
            return Err(BadRange { size, found });
        }
        Ok(Self { size, peaks })
    }

    /// The places of the hashes that a tree of this size is made of, largest subtree first.
    pub fn places(size: u64) -> impl Iterator<Item = Place> {
        Span { start: 0, end: size }.places()
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hashes it is made of, largest subtree first.
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Takes the next leaf. `each` hears of it and of every node that it completes, from the leaf upwards.
    pub fn push(&mut self, leaf: Hash, mut each: impl FnMut(Place, Hash)) -> Result<(), TreeFull> {
        let size = self.size.checked_add(1).ok_or(TreeFull)?;
        let (mut place, mut hash) = (Place::leaf(self.size), leaf);
        each(place, hash);
        while place.is_right()
            && let Some(left) = self.peaks.pop()
        {
            (place, hash) = (place.parent(), Hash::of_node(&left, &hash));
            each(place, hash);
        }
        self.peaks.push(hash);
        self.size = size;
        Ok(())
    }

    /// The root: RFC 6962's `MTH`.
    pub fn root(&self) -> Hash {
        joined(self.peaks.iter().copied())
    }
}

/// The hash above the roots of subtrees that follow each other, largest first.
pub(crate) fn joined(peaks: impl DoubleEndedIterator<Item = Hash>) -> Hash {
    peaks.rev().reduce(|right, left| Hash::of_node(&left, &right)).unwrap_or_else(Hash::of_nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As RFC 6962 defines it, word by word.
    fn root_of(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of_nothing(),
            [one] => *one,
            more => {
                let left = more.len().next_power_of_two() / 2;
                Hash::of_node(&root_of(&more[..left]), &root_of(&more[left..]))
            }
        }
    }

    #[test]
    fn the_root_is_that_of_the_definition_at_every_size() {
        let (mut range, mut leaves, mut told) = (Range::default(), Vec::new(), Vec::new());
        for number in 0..600_u32 {
            assert_eq!(range.root(), root_of(&leaves), "{number} leaves");
            let places: Vec<_> = Range::places(range.size()).collect();
            let peaks = range.peaks().iter().copied();
            assert!(places.iter().copied().zip(peaks).all(|peak| number == 0 || told.contains(&peak)));
            assert_eq!(Range::new(range.size(), range.peaks().to_vec()), Ok(range.clone()));
            let leaf = Hash::of_leaf(&number.to_be_bytes());
            leaves.push(leaf);
            range.push(leaf, |place, hash| told.push((place, hash))).unwrap();
        }
        for (Place { level, index }, hash) in told {
            let (first, count) = (usize::try_from(index).unwrap() << level, 1_usize << level);
            assert_eq!(hash, root_of(&leaves[first..first + count]), "level {level}, {index}");
        }
    }

    #[test]
    fn too_few_or_too_many_hashes_are_no_tree() {
        let one = Hash::of_nothing();
        assert!(Range::new(0, vec![one]).is_err() && Range::new(3, vec![one]).is_err());
        let error = Range::new(5, vec![]).unwrap_err();
        assert_eq!(error.to_string(), "a tree of 5 leaves is made of 2 hashes, and 0 are there");
    }

    #[test]
    fn a_tree_that_cannot_be_counted_takes_no_leaf() {
        let hashes = vec![Hash::of_nothing(); 64];
        let mut full = Range::new(u64::MAX, hashes.clone()).unwrap();
        assert_eq!(full.push(Hash::of_nothing(), |_, _| ()), Err(TreeFull));
        assert_eq!((full.size(), full.peaks()), (u64::MAX, hashes.as_slice()));
    }
}
