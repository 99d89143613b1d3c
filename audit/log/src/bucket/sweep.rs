//! Objects that nobody needs, until they are removed: those that could not be are tried again when there is more to remove.

use std::collections::VecDeque;

/// How many are kept at the most. What is forgotten of the journal is found by the next start; the rest stays, and harms nobody.
const MOST: usize = 10_000;

/// Objects that nobody needs.
pub(super) struct LeftOver<P> {
    paths: VecDeque<P>,
    /// Whether somebody removes them now.
    is_swept: bool,
    /// Whether the last one could not be removed.
    fails: bool,
}

impl<P> Default for LeftOver<P> {
    fn default() -> Self {
        Self { paths: VecDeque::new(), is_swept: false, fails: false }
    }
}

impl<P> LeftOver<P> {
    /// Adds some. Whether whoever adds them has to see to it that they are removed: nobody else does now.
    pub fn add(&mut self, paths: impl IntoIterator<Item = P>) -> bool {
        let room = MOST.saturating_sub(self.paths.len());
        self.paths.extend(paths.into_iter().take(room));
        !std::mem::replace(&mut self.is_swept, true)
    }

    /// The next of them, so many at the most. None: whoever removes them is done.
    pub fn next(&mut self, most: usize) -> Vec<P> {
        let next: Vec<P> = self.paths.drain(..most.min(self.paths.len())).collect();
        self.is_swept = !next.is_empty();
        next
    }

    /// These are left of those that were to be removed. Whoever removed them is done, if any are, until more are added. Whether that is news:
    /// the first failure, or the end of failures.
    pub fn are_left(&mut self, paths: Vec<P>) -> bool {
        let fails = !paths.is_empty();
        self.is_swept = !fails;
        // Behind all others, so that one that can never be removed keeps none of them.
        self.paths.extend(paths);
        std::mem::replace(&mut self.fails, fails) != fails
    }

    /// How many could not be removed; 0, where the last one could.
    pub fn count(&self) -> usize {
        if self.fails { self.paths.len() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_removed_is_kept_and_tried_with_what_comes_later() {
        let mut left = LeftOver::default();
        assert!(left.add([1, 2, 3]) && !left.add([4]), "one sweeps");
        assert_eq!(left.next(2), [1, 2]);
        assert!(left.are_left(vec![2]), "it is told once");
        assert_eq!(left.count(), 3);
        assert!(left.add([5]));
        assert_eq!(left.next(2), [3, 4]);
        assert!(!left.are_left(vec![3, 4]));
        assert!(left.add([]));
        assert_eq!(left.next(9), [2, 5, 3, 4]);
        assert!(left.are_left(vec![]), "it is told that it works again");
        assert!(left.next(9).is_empty() && left.count() == 0);
        assert!(left.add([6]), "nobody sweeps any more");
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let mut left = LeftOver::default();
        left.add(0..MOST + 1);
        assert_eq!(left.paths.len(), MOST);
    }
}
