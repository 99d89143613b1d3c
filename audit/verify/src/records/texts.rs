//! The texts of a grant: which are here, which were erased, and which are absent for another reason.

use record::Uid;

use crate::asked::Absent;
use crate::finding::{Finding, Wrong};
use crate::notice::Notice;
use crate::report::{Counts, Found};

/// How many there are of each. They have one key, so they are opened for a copy, and erased, together.
#[derive(Default)]
pub(super) struct Texts {
    there: u64,
    unasked: u64,
    unknown: u64,
    undecided: u64,
    missing: u64,
    /// The first that is absent though it may have been asked for.
    first: Option<u64>,
    /// How many entries a log must have that says what became of those that are undecided.
    by: u64,
    erased: u64,
    kept: u64,
}

impl Texts {
    pub(super) fn is_there(&mut self) {
        self.there = self.there.saturating_add(1);
    }

    pub(super) fn is_absent(&mut self, index: u64, absent: Absent) {
        let count = match absent {
            Absent::Unasked => &mut self.unasked,
            Absent::Unknown => &mut self.unknown,
            Absent::Undecided(by) => {
                self.by = self.by.max(by);
                &mut self.undecided
            }
            Absent::Missing => &mut self.missing,
        };
        *count = count.saturating_add(1);
        if absent != Absent::Unasked {
            self.first = self.first.or(Some(index));
        }
    }

    /// Those that stand before are erased.
    pub(super) fn erase(&mut self) {
        let Self { there, unasked, unknown, undecided, missing, first: _, by: _, erased, kept } = *self;
        let erased = [unasked, unknown, undecided, missing]
            .into_iter()
            .fold(erased, |sum, count| sum.saturating_add(count));
        *self = Self { erased, kept: kept.saturating_add(there), ..Self::default() };
    }

    /// `in_copy`: whether the copy has files of texts at all. Of one that has none, and does not say that any were asked for, the counts say
    /// it.
    pub(super) fn end(&self, grant: &Uid, in_copy: bool, counts: &mut Counts, found: &mut Found<'_>) {
        let Self { there, unasked, unknown, undecided, missing, first, by, erased, kept } = *self;
        let absent = unknown.saturating_add(undecided).saturating_add(missing);
        counts.texts = counts.texts.saturating_add(there).saturating_add(kept);
        counts.texts_erased = counts.texts_erased.saturating_add(erased);
        counts.texts_absent = counts.texts_absent.saturating_add(absent).saturating_add(unasked);
        counts.texts_unasked = counts.texts_unasked.saturating_add(unasked);
        let of = || grant.clone();
        if missing > 0 || (unknown > 0 && there > 0) {
            let wrong = Wrong::TextsMissing { count: absent };
            found.wrong(Finding { index: first, grant: Some(of()), stream: None, wrong });
        } else if undecided > 0 {
            found.notice(Notice::TextsUndecided { grant: of(), count: undecided, by });
        } else if unknown > 0 && in_copy {
            found.notice(Notice::TextsUnopened { grant: of(), count: unknown });
        }
        if kept > 0 {
            found.notice(Notice::TextsKept { grant: of(), count: kept });
        }
    }
}
