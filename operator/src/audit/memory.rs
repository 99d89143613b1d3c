//! What a leader knows of the audit log's past, beside what is kept in the ConfigMap, and whether the log's tree keeps up with what the log
//! says that it has. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tlog::VerifierKey;
use tokio::time::Instant;

use super::anchor::{Anchor, Forked, forked_in};
use super::facts::Fact;

/// How long a record may be acknowledged until it is in the tree: the log makes it every second, and a busy machine is slow.
const IN_THE_TREE: Duration = Duration::from_secs(20);

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
    /// Whether the tree keeps up.
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

/// Holds the size of the tree against the records of this leader's own: those that it handed over after a look cannot be in the tree of that
/// look, and those that were acknowledged a while ago must be in the tree of now.
#[derive(Default)]
pub struct Pace {
    /// The size that was seen first, and how many records had been handed over then.
    first: Option<(u64, u64)>,
    /// How many were acknowledged, at each look since.
    acknowledged: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// Whether the tree has what it must have. `handed_over`, `acknowledged`: how many of its records this leader handed over and the log
    /// acknowledged, counted after the tree of `size` was seen.
    pub fn keeps_up(&mut self, now: Instant, size: u64, handed_over: u64, acknowledged: u64) -> bool {
        let (first, before) = *self.first.get_or_insert((size, handed_over));
        self.acknowledged.push_back((now, acknowledged));
        let is_old = |(then, _): &(Instant, u64)| now.duration_since(*then) >= IN_THE_TREE;
        let mut known = None;
        while let Some((_, old)) = self.acknowledged.front().copied().filter(|one| is_old(one)) {
            known = Some(old);
            if self.acknowledged.get(1).is_some_and(is_old) {
                self.acknowledged.pop_front()
            } else {
                break;
            };
        }
        known.is_none_or(|old| size.saturating_sub(first) >= old.saturating_sub(before))
    }
}

#[cfg(test)]
mod tests {
    use tlog::{Algorithm, Checkpoint, Hash, Signer};

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

    #[test]
    fn a_tree_that_does_not_grow_by_what_is_acknowledged_is_noticed() {
        let began = Instant::now();
        let at = |seconds| began.checked_add(Duration::from_secs(seconds)).unwrap();
        let mut pace = Pace::default();
        assert!(pace.keeps_up(at(0), 100, 5, 5));
        assert!(pace.keeps_up(at(10), 100, 5, 5), "nothing was written");
        // Two more are acknowledged, and may be on their way into the tree.
        assert!(pace.keeps_up(at(20), 100, 7, 7));
        assert!(pace.keeps_up(at(39), 100, 7, 7));
        assert!(!pace.keeps_up(at(40), 100, 7, 7));
        assert!(!pace.keeps_up(at(41), 101, 7, 7), "one of them");
        assert!(pace.keeps_up(at(42), 102, 7, 7));
        // What is late to be acknowledged was handed over before the first look, and may have been in that tree.
        let mut pace = Pace::default();
        assert!(pace.keeps_up(at(0), 100, 9, 2));
        assert!(pace.keeps_up(at(30), 100, 9, 9) && pace.keeps_up(at(90), 100, 9, 9));
    }
}
