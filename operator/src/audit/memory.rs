//! What a leader knows of the audit log's past, beside what is kept in the ConfigMap, and which of its own records the log's tree has to
//! show. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use record::{Count, Head};
use tlog::{Hash, VerifierKey};
use tokio::time::Instant;

use super::anchor::{Anchor, Forked, forked_in};
use super::facts::Fact;

/// How long a record may be acknowledged until it is in the tree: the log makes it every second, and a busy machine is slow.
const IN_THE_TREE: Duration = Duration::from_secs(20);

/// In how many looks a record may be late: they follow each other by a second, while the log answers.
const LOST: u32 = 300;

/// What this leader knows by itself.
#[derive(Default)]
pub struct Memory {
    /// What it saw last.
    seen: Option<Anchor>,
    /// Another past that the ConfigMap does not tell of yet.
    untold: Option<Forked>,
    /// The ConfigMap tells of one, or did when this leader looked last.
    is_forked: bool,
    /// What must be on record before the ConfigMap says the same.
    pub owes: Option<Fact>,
    /// What the tree has to show.
    pub pace: Pace,
}

/// What the log has to have grown out of.
#[derive(Clone, Debug, PartialEq)]
pub struct Before {
    /// `None`: nobody knows of any past, so it is met as it is.
    pub anchor: Option<Anchor>,
    /// A leader goes by this from now on, and has not said so.
    pub is_new: bool,
}

impl Memory {
    /// What the log has to have grown out of: what this leader saw itself or, where it has just begun, what is kept. `held`: the data of the
    /// ConfigMap. That it tells of another past always counts; that it does so no more is a person's word: the log goes on from what was
    /// seen of it last or, where there is no ConfigMap any more, as it is.
    pub fn before(
        &mut self,
        held: Option<&BTreeMap<String, String>>,
        witness: &VerifierKey,
    ) -> Result<Before, Forked> {
        if let Some(forked) = &self.untold {
            return Err(forked.clone());
        }
        if let Some(before) = held.and_then(forked_in) {
            self.is_forked = true;
            return Err(before);
        }
        Ok(match (held, &self.seen) {
            (None, None) => Before { anchor: None, is_new: true },
            (None, Some(_)) if self.is_forked => Before { anchor: None, is_new: true },
            (Some(_) | None, Some(seen)) => Before { anchor: Some(seen.clone()), is_new: self.is_forked },
            (Some(held), None) => Before { anchor: Some(Anchor::read(held, witness)?), is_new: true },
        })
    }

    /// The log has the past that it had.
    pub fn sees(&mut self, anchor: Anchor) {
        (self.seen, self.is_forked) = (Some(anchor), false);
    }

    /// It has another one, of which the ConfigMap does not tell yet. What was seen before that is what a restored log must have.
    pub fn forks(&mut self, forked: Forked) -> Option<&Anchor> {
        self.untold = Some(forked);
        self.seen.as_ref()
    }

    /// The ConfigMap tells of it.
    pub fn told(&mut self) {
        (self.untold, self.is_forked) = (None, true);
    }
}

/// The records of this leader's own, as they are when a tree of the log has been seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own {
    /// How many it handed over.
    pub handed_over: Count,
    /// How far the log acknowledged them.
    pub acknowledged: Head,
}

/// Which of this leader's own records is to be shown in the tree next. Each names the one before it by its hash: so the newest that was
/// acknowledged shows all of them, and one that was altered has another hash in its place, as have those behind it.
#[derive(Default)]
pub struct Pace {
    /// The size of the tree, and how many records had been handed over, at the last look: later ones stand behind it.
    seen: Option<(u64, Count)>,
    /// So many records are shown, or were handed over before the first look. Those behind them stand at this index or later.
    shown: (Count, u64),
    sought: Option<Sought>,
}

/// A record that was acknowledged, and is not shown yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    /// Its hash.
    pub leaf: Hash,
    /// It stands at this index or later.
    pub from: u64,
    /// How many records there are with it.
    count: Count,
    since: Instant,
    /// In how many looks it was late.
    late: u32,
}

/// What it means that a record is not in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It may come.
    OnItsWay,
    /// It must have come. A log that is in trouble may bring it yet.
    Late,
    /// It does not come: there is something else in its place.
    Lost,
}

impl Pace {
    /// What is to be shown now, if anything is, of a tree of this size.
    pub fn seeks(&mut self, now: Instant, size: u64, own: Own) -> Option<Sought> {
        let Own { handed_over, acknowledged: Head { count, last } } = own;
        let Some((size_before, before)) = self.seen.replace((size, handed_over)) else {
            self.shown = (handed_over, size);
            return None;
        };
        if self.sought.is_none() && count > self.shown.0 {
            let from = if count > before { size_before } else { self.shown.1 };
            self.sought = last.map(|leaf| Sought { leaf, from, count, since: now, late: 0 });
        }
        self.sought
    }

    /// It stands there.
    pub fn shows(&mut self, sought: Sought, index: u64) {
        self.shown = (sought.count, index.saturating_add(1));
        self.sought = None;
    }

    /// It is not in the tree below this index.
    pub fn lacks(&mut self, sought: Sought, now: Instant, index: u64) -> Lack {
        let is_late = now.duration_since(sought.since) >= IN_THE_TREE;
        let late = sought.late.saturating_add(u32::from(is_late));
        self.sought = Some(Sought { from: sought.from.max(index), late, ..sought });
        match late {
            0 => Lack::OnItsWay,
            1..LOST => Lack::Late,
            LOST.. => Lack::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use tlog::{Algorithm, Checkpoint, Signer};

    use super::super::anchor::note_fork;
    use super::*;

    const LOG: &str = "keyhole.internal/log/0123456789abcdef";

    fn witness() -> Signer {
        Signer::new("keyhole.internal/witness".parse().unwrap(), Algorithm::Cosignature, &[3; 32]).unwrap()
    }

    fn anchor(size: u64) -> Anchor {
        let log = Signer::new(LOG.parse().unwrap(), Algorithm::Ed25519, &[1; 32]).unwrap();
        let checkpoint = Checkpoint { origin: LOG.parse().unwrap(), size, root: Hash([9; 32]) };
        let mut note = checkpoint.signed([&log], 0).unwrap();
        note.add(witness().sign(note.text(), 1_800_000_000));
        let keys = vec![log.verifier().clone()];
        Anchor::first(keys, (checkpoint, note.to_string()), &witness(), 1_800_000_000).unwrap()
    }

    fn before(
        memory: &mut Memory,
        held: Option<&BTreeMap<String, String>>,
    ) -> Result<(Option<u64>, bool), Forked> {
        let before = memory.before(held, witness().verifier())?;
        Ok((before.anchor.map(|anchor| anchor.checkpoint.size), before.is_new))
    }

    #[test]
    fn a_leader_begins_with_what_is_kept_and_goes_on_with_what_it_saw() {
        let mut memory = Memory::default();
        assert_eq!(before(&mut memory, None), Ok((None, true)), "nobody knows of any past");
        let kept = anchor(7).write(witness().verifier());
        assert_eq!(before(&mut memory, Some(&kept)), Ok((Some(7), true)));
        memory.sees(anchor(9));
        for held in [None, Some(&kept), Some(&BTreeMap::new())] {
            assert_eq!(before(&mut memory, held), Ok((Some(9), false)), "whatever somebody did to it");
        }
    }

    #[test]
    fn a_fork_stays_one_until_a_person_takes_it_back_and_then_what_was_seen_last_counts() {
        let mut memory = Memory::default();
        memory.sees(anchor(9));
        let forked = Forked::Smaller { now: 3, before: 9 };
        memory.forks(forked.clone());
        let kept = anchor(7).write(witness().verifier());
        for held in [None, Some(&kept)] {
            assert_eq!(before(&mut memory, held), Err(forked.clone()), "nobody was told of it");
        }
        memory.told();
        let mut told = anchor(9).write(witness().verifier());
        note_fork(&mut told, &forked);
        assert!(matches!(before(&mut memory, Some(&told)), Err(Forked::Before(_))));
        // Who takes it back and puts an older one, well signed, in its place wins nothing.
        assert_eq!(before(&mut memory, Some(&kept)), Ok((Some(9), true)));
        assert_eq!(before(&mut memory, None), Ok((None, true)), "as it is");
        memory.sees(anchor(4));
        assert_eq!(before(&mut memory, None), Ok((Some(4), false)));
    }

    #[test]
    fn another_leaders_fork_or_a_persons_counts_though_this_leader_saw_none() {
        let mut memory = Memory::default();
        memory.sees(anchor(9));
        let mut told = anchor(9).write(witness().verifier());
        note_fork(&mut told, &Forked::Unsigned);
        assert!(matches!(before(&mut memory, Some(&told)), Err(Forked::Before(_))));
    }

    fn own(handed_over: u64, acknowledged: u64) -> Own {
        let last = (acknowledged > 0).then(|| Hash::of_leaf(&acknowledged.to_be_bytes()));
        let acknowledged = Head { count: Count::of(acknowledged), last };
        Own { handed_over: Count::of(handed_over), acknowledged }
    }

    #[test]
    fn the_newest_record_that_was_acknowledged_is_sought_where_it_can_stand() {
        let now = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.seeks(now, 100, own(5, 5)), None, "they may have been in that tree");
        assert_eq!(pace.seeks(now, 110, own(5, 5)), None, "nothing was written");
        // Handed over after the second look, and in no tree yet.
        let sought = pace.seeks(now, 120, own(8, 7)).unwrap();
        assert_eq!((sought.leaf, sought.from), (Hash::of_leaf(&7_u64.to_be_bytes()), 110));
        assert_eq!(pace.lacks(sought, now, 120), Lack::OnItsWay);
        let sought = pace.seeks(now, 130, own(9, 9)).unwrap();
        assert_eq!(
            (sought.leaf, sought.from),
            (Hash::of_leaf(&7_u64.to_be_bytes()), 120),
            "one after the other"
        );
        pace.shows(sought, 121);
        // What was handed over before the last look, and acknowledged after it, may stand anywhere behind what is shown.
        let sought = pace.seeks(now, 140, own(9, 9)).unwrap();
        assert_eq!((sought.leaf, sought.from), (Hash::of_leaf(&9_u64.to_be_bytes()), 122));
        pace.shows(sought, 122);
        assert_eq!(pace.seeks(now, 150, own(9, 9)), None);
    }

    #[test]
    fn a_record_may_be_on_its_way_into_the_tree_for_a_while() {
        let began = Instant::now();
        let at = |seconds| began.checked_add(Duration::from_secs(seconds)).unwrap();
        let mut pace = Pace::default();
        pace.seeks(at(0), 100, own(0, 0));
        let mut lacks = |seconds, size| {
            let sought = pace.seeks(at(seconds), size, own(1, 1)).unwrap();
            pace.lacks(sought, at(seconds), size)
        };
        assert_eq!([lacks(10, 100), lacks(20, 150), lacks(29, 150)], [Lack::OnItsWay; 3]);
        // However many others are there; and however long nobody could look.
        assert_eq!([lacks(30, 200), lacks(3000, 200)], [Lack::Late; 2]);
        assert!((0..LOST - 3).all(|look| lacks(3000 + u64::from(look), 300) == Lack::Late));
        assert_eq!(lacks(4000, 300), Lack::Lost);
    }
}
