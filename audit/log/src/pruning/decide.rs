//! Which records may be removed, and what comes next. Pure: from what is known of the log, and of those who keep a copy of it or vouch for it.

use record::Time;
use tlog::WIDTH;

/// Which part of the log goes at once, at the least: one of so many.
const PART: u64 = 32;

/// How far somebody is whom the log must not leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// There is nobody.
    Nobody,
    /// So many records.
    UpTo(u64),
}

/// What is known when it is asked what may go.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The index of the log's first record: a multiple of 256.
    pub begins: u64,
    /// How many records the newest checkpoint has.
    pub published: u64,
    /// How many of them the index knows.
    pub indexed: u64,
    /// How far the checkpoint is that others have seen and vouch for.
    pub witnessed: Bound,
    /// How far the mirror's checkpoint is.
    pub mirrored: Bound,
    /// The first record of any grant that is not over, or has texts that can be opened; `None`, where there is no such grant.
    pub open: Option<u64>,
    /// Of the bundles from the first on, the newest time that their records name; `None` for one that cannot be read. No more of them need
    /// to be known than up to the first that is not old enough.
    pub newest: Vec<Option<Time>>,
    /// What is earlier than this was kept long enough.
    pub oldest: Time,
}

/// What a record `prune` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The first index that stays.
    pub minimum: u64,
    /// The index of that record.
    pub record: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until tomorrow.
    Rest,
    /// What is old enough waits for the witness, the mirror or the index.
    Wait,
    /// To put on record that the log begins with this index.
    Say(u64),
    /// To remove what is before an index, as a record says that others have.
    Prune(Said),
}

/// What keeps records in the log that were kept long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldUp {
    /// The grant whose records begin with this one.
    Grant(u64),
    /// This bundle, which cannot be read.
    Unread(u64),
    /// This bundle, if others behind it are old: one of its records has this time.
    Young(u64, Time),
}

/// What keeps the records behind it in the log, however old they are; `None`, where nothing does but the time that is to come.
pub fn held_up(facts: &Facts) -> Option<HeldUp> {
    let old = old(facts);
    let bundle = facts.begins.checked_div(WIDTH.into()).unwrap_or(0).saturating_add(old);
    if let Some(first) = facts.open.filter(|first| *first < bundle.saturating_mul(WIDTH.into())) {
        return Some(HeldUp::Grant(first));
    }
    let next = facts.newest.get(usize::try_from(old).unwrap_or(usize::MAX))?;
    Some(next.map_or(HeldUp::Unread(bundle), |newest| HeldUp::Young(bundle, newest)))
}

/// What comes next. `said`: the newest record `prune`.
///
/// A record that is not carried out yet is carried out before another is written, and as far as its own and today's facts both allow. Nothing
/// is said for the sake of little: each time the index is made again.
pub fn next(facts: &Facts, said: Option<Said>) -> Next {
    let (old, may) = (old_enough(facts), may_go(facts));
    let is_worth_it = |minimum: u64| minimum.saturating_sub(facts.begins) >= least(facts);
    let waits = if old > may && is_worth_it(old) { Next::Wait } else { Next::Rest };
    match said.filter(|said| said.minimum > facts.begins) {
        None if may > facts.begins && is_worth_it(may) => Next::Say(may),
        None => waits,
        Some(Said { minimum, record }) => match facts.witnessed {
            _ if may <= facts.begins => waits,
            Bound::UpTo(size) if size <= record => Next::Wait,
            Bound::UpTo(_) | Bound::Nobody => Next::Prune(Said { minimum: minimum.min(may), record }),
        },
    }
}

/// The first index that must stay: whatever is before it may go. A multiple of 256, and never before the log's beginning.
pub fn may_go(facts: &Facts) -> u64 {
    let up_to = |bound| match bound {
        Bound::Nobody => u64::MAX,
        Bound::UpTo(size) => size,
    };
    let others = up_to(facts.witnessed).min(up_to(facts.mirrored)).min(facts.indexed);
    whole(others).min(old_enough(facts)).max(facts.begins)
}

/// The first index that is too young to go, is of a grant that is not over, or is in the last bundle of the log: one must be left, by which
/// whoever reads the files finds where they begin.
fn old_enough(facts: &Facts) -> u64 {
    let old = old(facts).saturating_mul(WIDTH.into());
    let last = facts.published.saturating_sub(1).min(facts.open.unwrap_or(u64::MAX));
    facts.begins.saturating_add(old).min(whole(last)).max(facts.begins)
}

/// How many bundles are old enough, from the first on.
fn old(facts: &Facts) -> u64 {
    let is_old = |newest: &&Option<Time>| newest.is_some_and(|newest| newest < facts.oldest);
    u64::try_from(facts.newest.iter().take_while(is_old).count()).unwrap_or(0)
}

/// How many records must go at once.
fn least(facts: &Facts) -> u64 {
    facts.published.saturating_sub(facts.begins).checked_div(PART).unwrap_or(0)
}

/// How many of so many records are in whole bundles.
fn whole(records: u64) -> u64 {
    records.saturating_sub(records.checked_rem(WIDTH.into()).unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use record::samples::Dice;

    use super::*;

    fn at(day: i64) -> Time {
        Time::from_micros(day * 86_400_000_000).unwrap()
    }

    /// Ten bundles that are old, and one that is not; everybody has all.
    fn facts() -> Facts {
        let newest = (0..10).map(|day| Some(at(day))).chain([Some(at(100))]).collect();
        let (published, all) = (11 * 256 + 7, Bound::UpTo(11 * 256 + 7));
        let (begins, open) = (0, None);
        Facts {
            begins,
            published,
            indexed: published,
            witnessed: all,
            mirrored: all,
            open,
            newest,
            oldest: at(100),
        }
    }

    #[test]
    fn what_is_older_than_the_limit_goes_and_what_is_of_the_very_moment_stays() {
        assert_eq!(may_go(&facts()), 10 * 256);
        assert_eq!(may_go(&Facts { oldest: at(9), ..facts() }), 9 * 256);
        assert_eq!(may_go(&Facts { oldest: at(0), ..facts() }), 0);
        let mut one_is_young = facts();
        one_is_young.newest[3] = Some(at(200));
        assert_eq!(may_go(&one_is_young), 3 * 256, "what is behind it stays, however old");
        let mut one_is_damaged = facts();
        one_is_damaged.newest[3] = None;
        assert_eq!(may_go(&one_is_damaged), 3 * 256);
    }

    #[test]
    fn nobody_is_left_behind() {
        for few in [0, 255, 256, 257, 1_000, 2_559] {
            let bundles = few / 256 * 256;
            for facts in [
                Facts { witnessed: Bound::UpTo(few), ..facts() },
                Facts { mirrored: Bound::UpTo(few), ..facts() },
                Facts { indexed: few, ..facts() },
            ] {
                assert_eq!(may_go(&facts), bundles, "{facts:?}");
                assert_eq!(next(&facts, None), if bundles > 0 { Next::Say(bundles) } else { Next::Wait });
            }
            let open = Facts { open: Some(few), ..facts() };
            assert_eq!(may_go(&open), bundles, "{open:?}");
            assert_eq!(next(&open, None), if bundles > 0 { Next::Say(bundles) } else { Next::Rest });
        }
        let alone = Facts { witnessed: Bound::Nobody, mirrored: Bound::Nobody, ..facts() };
        assert_eq!(may_go(&alone), 10 * 256);
    }

    #[test]
    fn the_last_bundle_stays() {
        let all_old = Facts { published: 10 * 256, indexed: 10 * 256, ..facts() };
        assert_eq!(may_go(&all_old), 9 * 256);
        assert_eq!(may_go(&Facts { published: 0, newest: Vec::new(), ..facts() }), 0);
    }

    #[test]
    fn a_record_comes_first_then_the_witness_and_then_the_removal() {
        let said = Said { minimum: 10 * 256, record: 11 * 256 + 7 };
        assert_eq!(next(&facts(), None), Next::Say(10 * 256));
        assert_eq!(next(&facts(), Some(said)), Next::Wait, "the witness has all before the record");
        let seen = Facts { witnessed: Bound::UpTo(said.record + 1), ..facts() };
        assert_eq!(next(&seen, Some(said)), Next::Prune(said));
        assert_eq!(next(&Facts { begins: said.minimum, newest: Vec::new(), ..seen }, Some(said)), Next::Rest);
    }

    #[test]
    fn what_is_too_little_to_make_the_index_again_for_stays_for_now_and_what_was_said_is_done() {
        let newest = (0..100).map(|bundle| Some(at(bundle))).collect();
        let all = Bound::UpTo(100 * 256);
        let facts = Facts {
            published: 100 * 256,
            indexed: 100 * 256,
            witnessed: all,
            mirrored: all,
            newest,
            ..facts()
        };
        let after = |day| Facts { oldest: at(day), ..facts.clone() };
        assert_eq!([1, 2, 3].map(|day| next(&after(day), None)), [Next::Rest; 3]);
        assert_eq!(next(&after(4), None), Next::Say(4 * 256), "a 32nd part, or more");
        let said = Said { minimum: 4 * 256, record: 99 * 256 };
        assert_eq!(next(&after(2), Some(said)), Next::Prune(Said { minimum: 2 * 256, ..said }));
        let behind = |day| Facts { mirrored: Bound::UpTo(0), ..after(day) };
        assert_eq!([3, 4].map(|day| next(&behind(day), None)), [Next::Rest, Next::Wait]);
    }

    #[test]
    fn what_keeps_old_records_is_named() {
        assert_eq!(held_up(&facts()), Some(HeldUp::Young(10, at(100))));
        let open = |open| Facts { open: Some(open), ..facts() };
        assert_eq!(held_up(&open(700)), Some(HeldUp::Grant(700)));
        assert_eq!(held_up(&open(2_560)), Some(HeldUp::Young(10, at(100))), "it is not old itself");
        let mut unread = Facts { begins: 512, ..facts() };
        unread.newest[3] = None;
        assert_eq!(held_up(&unread), Some(HeldUp::Unread(5)));
        assert_eq!(held_up(&Facts { newest: vec![Some(at(1))], ..facts() }), None);
    }

    #[test]
    fn what_may_not_go_any_more_is_not_removed_whatever_was_said() {
        let said = Said { minimum: 10 * 256, record: 11 * 256 };
        let opened = Facts { open: Some(700), ..facts() };
        assert_eq!(next(&opened, Some(said)), Next::Prune(Said { minimum: 512, ..said }));
        assert_eq!(next(&Facts { oldest: at(-1), ..facts() }, Some(said)), Next::Rest);
        assert_eq!(next(&Facts { mirrored: Bound::UpTo(0), ..facts() }, Some(said)), Next::Wait);
    }

    /// All of it by dice: whatever is known, nothing goes that must not.
    #[test]
    fn whatever_is_known_nothing_goes_that_anybody_needs() {
        let mut dice = Dice::of(7);
        let mut pruned = 0;
        for _ in 0..200_000 {
            let bundles = dice.below(20_u64);
            let begins = dice.below(bundles + 1) * 256;
            let published = bundles * 256 + dice.below(256_u64);
            let mut some = || match dice.below(3) {
                0 => Bound::Nobody,
                _ => Bound::UpTo(dice.below(published + 1)),
            };
            let (witnessed, mirrored) = (some(), some());
            let indexed = dice.below(published + 1);
            let open = Some(begins + dice.below(6_000_u64)).filter(|_| dice.coin());
            let mut newest = || Some(at(dice.below(40_i64))).filter(|_| dice.below(30) > 0);
            let newest: Vec<_> = (begins / 256..bundles).map(|_| newest()).collect();
            let oldest = at(20 + dice.below(25_i64));
            let facts = Facts { begins, published, indexed, witnessed, mirrored, open, newest, oldest };
            let said = Some(Said { minimum: dice.below(21_u64) * 256, record: dice.below(published + 1) });
            let said = said.filter(|_| dice.coin());
            let minimum = match next(&facts, said) {
                Next::Rest | Next::Wait => continue,
                Next::Say(minimum) => minimum,
                Next::Prune(will) => {
                    let said = said.unwrap();
                    assert!(will.minimum <= said.minimum && will.record == said.record, "{facts:?}");
                    if let Bound::UpTo(size) = witnessed {
                        assert!(size > said.record, "{facts:?}");
                    }
                    will.minimum
                }
            };
            pruned += 1;
            assert!(minimum.is_multiple_of(256) && minimum > begins && minimum < published, "{facts:?}");
            assert!(minimum <= indexed && open.is_none_or(|open| minimum <= open), "{facts:?}");
            for bound in [witnessed, mirrored] {
                assert!(!matches!(bound, Bound::UpTo(size) if size < minimum), "{facts:?}");
            }
            let gone = usize::try_from((minimum - begins) / 256).unwrap();
            let are_old = facts.newest[..gone].iter().all(|newest| newest.unwrap() < oldest);
            assert!(are_old, "{facts:?}");
        }
        assert!(pruned > 10_000, "{pruned}");
    }
}
