//! The beginning of a pruned log: of each bundle that is gone a hash is left, and what stands above it.

use tlog::{Holds, Range, TileName, WIDTH};

use super::{Scrub, Step, collect};
use crate::engine::integrate::bundle_of;
use crate::engine::prune::first_of;

/// How many levels the hashes above whole bundles stand above the leaves.
const HEIGHT: u8 = 8;

impl Scrub {
    /// Whether the next bundle was pruned.
    pub(super) fn is_before_the_beginning(&self) -> bool {
        first_of(self.next) < self.files.begins().index()
    }

    /// Goes to the first bundle that there is. The tree before it is made of the hashes that are left, and the tiles above those are held
    /// against it; that it leads to the root, the end shows.
    pub(super) fn skip(&mut self, step: &mut Step) {
        let bundles = bundle_of(self.files.begins().index());
        let (mut blocks, mut full) = (Range::default(), Vec::new());
        self.levels = Vec::new();
        self.is_sound = true;
        for index in 0..bundles.div_ceil(u64::from(WIDTH)) {
            let name = TileName::in_tree(Holds::Hashes(1), index, self.checkpoint.size);
            let hashes = name.and_then(|name| self.tile(name, step)).unwrap_or_default();
            let left = usize::try_from(bundles.saturating_sub(blocks.size())).unwrap_or(usize::MAX);
            // Behind one that cannot be read nothing has its place any more.
            self.is_sound &= hashes.len() >= left.min(usize::from(WIDTH));
            if !self.is_sound {
                continue;
            }
            for hash in hashes.into_iter().take(left) {
                let levels = &mut self.levels;
                let pushed = blocks.push(hash, |place, hash| {
                    let place = tlog::Place { level: place.level.saturating_add(HEIGHT), ..place };
                    if place.level.is_multiple_of(HEIGHT) {
                        collect(levels, place, hash, &mut full);
                    }
                });
                self.is_sound &= pushed.is_ok();
            }
            full.drain(..).for_each(|(tile, hashes)| self.holds(tile, &hashes, step));
        }
        self.is_sound &= blocks.size() == bundles;
        match Range::new(first_of(bundles), blocks.peaks().to_vec()) {
            Ok(range) if self.is_sound => self.range = range,
            _ => self.is_sound = false,
        }
        self.next = bundles;
    }
}
