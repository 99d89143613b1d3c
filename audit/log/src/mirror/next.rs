//! What the mirror copies next. Pure: from how far the log is and how far its mirror is.

use std::time::Duration;

use tlog::{Holds, TileName, WIDTH};

/// How long files that are not whole may wait. In a bucket whose objects are locked each width that was copied stays for years.
pub const MINUTE: Duration = Duration::from_secs(60);

/// How far the mirror is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mirrored {
    /// How many records its checkpoint has; 0, where it has none.
    pub size: u64,
    /// Of how many bundles, from the first on, everything is in it that will not change any more.
    pub bundles: u64,
}

/// What is known when it is asked what comes next.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// How many records the log's newest checkpoint has.
    pub published: u64,
    /// How far the mirror is.
    pub mirrored: Mirrored,
    /// Whether a receipt is among the records that the mirror's checkpoint does not have.
    pub has_receipt: bool,
    /// How long ago the mirror's checkpoint was put there; `None`, where this process has not done so yet.
    pub since_checkpoint: Option<Duration>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Copy a bundle that is whole, and what belongs to it.
    Bundle(u64),
    /// Copy what is not whole, and then the checkpoint.
    Rest,
    /// Wait for a newer checkpoint of the log, and no longer than so, if a time is given.
    Wait(Option<Duration>),
}

/// What comes next.
pub fn next(facts: &Facts) -> Next {
    let Facts { published, mirrored, has_receipt, since_checkpoint } = *facts;
    if mirrored.bundles < whole_bundles(published) {
        return Next::Bundle(mirrored.bundles);
    }
    if published <= mirrored.size {
        return Next::Wait(None);
    }
    let left = MINUTE.saturating_sub(since_checkpoint.unwrap_or(MINUTE));
    if has_receipt || left.is_zero() { Next::Rest } else { Next::Wait(Some(left)) }
}

/// How many bundles of a tree of this size are whole.
pub fn whole_bundles(size: u64) -> u64 {
    size.checked_div(u64::from(WIDTH)).unwrap_or(0)
}

/// The tiles that are whole once this bundle is: that of its leaves first, then those above it that it completes.
pub fn tiles_with(bundle: u64) -> Vec<TileName> {
    let (mut tiles, mut index) = (Vec::new(), bundle);
    for level in 0..8 {
        tiles.push(TileName { holds: Holds::Hashes(level), index, width: WIDTH });
        let after = index.saturating_add(1);
        if after.checked_rem(u64::from(WIDTH)) != Some(0) {
            break;
        }
        index = whole_bundles(after).saturating_sub(1);
    }
    tiles
}

/// The bundle and the tiles of a tree of this size that are not whole, from below.
pub fn not_whole(size: u64) -> Vec<TileName> {
    let of = |holds, length: u64| TileName::in_tree(holds, whole_bundles(length), size);
    let tiles = (0_u8..8).filter_map(|level| {
        let length = size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0);
        of(Holds::Hashes(level), length)
    });
    of(Holds::Entries, size).into_iter().chain(tiles).filter(|name| name.width < WIDTH).collect()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn facts(published: u64, (size, bundles): (u64, u64)) -> Facts {
        let mirrored = Mirrored { size, bundles };
        Facts { published, mirrored, has_receipt: false, since_checkpoint: Some(Duration::from_secs(20)) }
    }

    #[test]
    fn what_is_whole_goes_at_once_and_the_rest_once_a_minute() {
        assert_eq!(next(&facts(0, (0, 0))), Next::Wait(None));
        assert_eq!(next(&facts(600, (0, 0))), Next::Bundle(0));
        assert_eq!(next(&facts(600, (0, 1))), Next::Bundle(1));
        assert_eq!(next(&facts(600, (0, 2))), Next::Wait(Some(Duration::from_secs(40))));
        assert_eq!(next(&facts(600, (600, 2))), Next::Wait(None));
        let late = Facts { since_checkpoint: Some(MINUTE), ..facts(600, (512, 2)) };
        assert_eq!(next(&late), Next::Rest);
        let first = Facts { since_checkpoint: None, ..facts(600, (512, 2)) };
        assert_eq!(next(&first), Next::Rest, "what a process that ended left behind waits no longer");
        let whole = Facts { since_checkpoint: Some(MINUTE), ..facts(512, (300, 2)) };
        assert_eq!(next(&whole), Next::Rest, "a checkpoint beside which everything is whole");
    }

    #[test]
    fn a_receipt_does_not_wait() {
        let ends = Facts { has_receipt: true, ..facts(600, (512, 2)) };
        assert_eq!(next(&ends), Next::Rest);
        let behind = Facts { has_receipt: true, ..facts(600, (256, 1)) };
        assert_eq!(next(&behind), Next::Bundle(1), "its checkpoint comes last");
    }

    #[test]
    fn a_log_that_has_less_than_its_mirror_copies_nothing() {
        assert_eq!(next(&facts(300, (600, 2))), Next::Wait(None));
    }

    #[test]
    fn every_file_of_a_tree_is_copied_and_no_other() {
        for size in [1, 255, 256, 257, 512, 65_535, 65_536, 65_537, 131_073, 200_000] {
            let mut copied = BTreeSet::new();
            for bundle in 0..whole_bundles(size) {
                let entries = TileName { holds: Holds::Entries, index: bundle, width: WIDTH };
                copied.extend(tiles_with(bundle).into_iter().chain([entries]).map(|name| name.to_string()));
            }
            copied.extend(not_whole(size).into_iter().map(|name| name.to_string()));
            let all: BTreeSet<String> = TileName::all(size).map(|name| name.to_string()).collect();
            assert_eq!(copied, all, "{size}");
        }
    }
}
