//! What the witness has seen of the audit log, as it is kept in a ConfigMap: the log's keys, the newest checkpoint with the witness's
//! signature, and those before it. Whether another one grew out of it is decided here. Pure.
//!
//! Whoever may edit that ConfigMap must not be able to change whom the operator believes: so keys and checkpoints count only as the witness
//! signed them, and a leader goes by what it saw itself. A past that is not the one before is kept there, too, until a person takes it out.

use std::collections::BTreeMap;

use tlog::{Checkpoint, Hash, Note, Signer, VerifierKey, verify_consistency};

/// How many checkpoints are kept.
const KEPT: usize = 100;

/// The log's keys, one in each line after the first, with the witness's signature.
const KEYS: &str = "log.vkeys";
/// What those keys begin with: no checkpoint has such a second line as follows it.
const KEYS_ARE: &str = "keyhole.internal/keys of the audit log\n";
/// The newest checkpoint, as the log reads it at its start.
const CHECKPOINT: &str = "checkpoint";
/// Those before it, the newest first.
const HISTORY: &str = "history";
/// Whom to trust, as `kubectl keyhole audit verify --policy` reads it (C2SP tlog-policy).
const POLICY: &str = "policy";
/// How the log showed another past than before.
const FORKED: &str = "forked";

/// What stands between two notes of the history.
const BETWEEN: &str = "---\n";

/// What was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
    /// The log's keys, as they were met first.
    pub keys: Vec<VerifierKey>,
    /// Those keys as a note that the witness signed.
    keys_note: String,
    /// The newest checkpoint.
    pub checkpoint: Checkpoint,
    /// That checkpoint with its signatures, and those before it, the newest first.
    pub notes: Vec<String>,
}

/// What is no growth. Each means that the log, or whoever stands in its place, shows another past than before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forked {
    /// What the ConfigMap holds is not understood, or not signed by the witness.
    #[error("ConfigMap keyhole-log-anchor does not hold what this operator's witness signed")]
    Anchor,
    /// It did so once, and nobody took that back.
    #[error("{0}")]
    Before(String),
    /// Nobody whom we know signed it.
    #[error("the audit log's checkpoint is not signed by the key that it had when it was met first")]
    Unsigned,
    /// It is another one.
    #[error("the audit log is now {0}, and was another one")]
    Other(String),
    /// It has less than before.
    #[error("the audit log has {now} records, and had {before}")]
    Smaller {
        /// How many it has.
        now: u64,
        /// How many it had.
        before: u64,
    },
    /// It has something else than before.
    #[error(
        "the audit log's records are not those that it had: its tree of {now} has not grown out of that of {before}"
    )]
    Rewritten {
        /// How many it has.
        now: u64,
        /// How many it had.
        before: u64,
    },
    /// It acknowledged a record, and does not have it.
    #[error(
        "the audit log acknowledged a record of this operator minutes ago, and its tree of {size} does not have it"
    )]
    Lost {
        /// How many it has.
        size: u64,
    },
    /// It says that it has a record where its tree has something else.
    #[error("the audit log answers with a record of index {index} that its tree does not have there")]
    Another {
        /// Which.
        index: u64,
    },
}

impl Anchor {
    /// The log as it is met first: its keys, and the checkpoint with its note. `now`: seconds of Unix time.
    pub fn first(
        keys: Vec<VerifierKey>,
        (checkpoint, note): (Checkpoint, String),
        witness: &Signer,
        now: u64,
    ) -> Result<Self, Forked> {
        let keys = each_once(keys);
        Ok(Self { keys_note: keys_note(&keys, witness, now)?, keys, checkpoint, notes: vec![note] })
    }

    /// From the data of the ConfigMap, where the witness signed it and nobody says that the log showed another past.
    pub fn read(data: &BTreeMap<String, String>, witness: &VerifierKey) -> Result<Self, Forked> {
        if let Some(before) = forked_in(data) {
            return Err(before);
        }
        let part = |name: &str| data.get(name).map(String::as_str).ok_or(Forked::Anchor);
        let (keys_note, newest) = (part(KEYS)?.to_owned(), part(CHECKPOINT)?.to_owned());
        let named = cosigned(&keys_note, witness)?;
        let lines = named.text().strip_prefix(KEYS_ARE).ok_or(Forked::Anchor)?.lines();
        let keys: Vec<VerifierKey> =
            lines.map(str::parse).collect::<Result<_, _>>().map_err(|_| Forked::Anchor)?;
        let keys = each_once(keys);
        let checkpoint = signed(&cosigned(&newest, witness)?, &keys)?;
        let older = part(HISTORY)?.split(BETWEEN).filter(|note| !note.is_empty()).map(str::to_owned);
        Ok(Self { keys, keys_note, checkpoint, notes: [newest].into_iter().chain(older).collect() })
    }

    /// The data of the ConfigMap. `witness`: the key by which the notes are signed besides.
    pub fn write(&self, witness: &VerifierKey) -> BTreeMap<String, String> {
        let logs: String = self.keys.iter().map(|key| format!("log {key}\n")).collect();
        let policy = format!("{logs}witness operator {witness}\nquorum operator\n");
        let (newest, older) = self
            .notes
            .split_first()
            .map_or((String::new(), &[][..]), |(newest, older)| (newest.clone(), older));
        let entries = [
            (KEYS, self.keys_note.clone()),
            (CHECKPOINT, newest),
            (HISTORY, older.join(BETWEEN)),
            (POLICY, policy),
        ];
        entries.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
    }

    /// Whether it is signed by this witness: its key may be another one now.
    pub fn is_signed_by(&self, witness: &VerifierKey) -> bool {
        let newest = self.notes.first().map_or("", String::as_str);
        cosigned(&self.keys_note, witness).is_ok() && cosigned(newest, witness).is_ok()
    }

    /// The same, with a newer note, signed by this witness. `now`: seconds of Unix time.
    pub fn grown(
        mut self,
        (checkpoint, note): (Checkpoint, String),
        witness: &Signer,
        now: u64,
    ) -> Result<Self, Forked> {
        if cosigned(&self.keys_note, witness.verifier()).is_err() {
            self.keys_note = keys_note(&self.keys, witness, now)?;
        }
        self.checkpoint = checkpoint;
        self.notes.insert(0, note);
        self.notes.truncate(KEPT);
        Ok(self)
    }
}

/// A log names its key at each start, and no policy takes one twice.
fn each_once(keys: Vec<VerifierKey>) -> Vec<VerifierKey> {
    let mut once: Vec<VerifierKey> = Vec::new();
    for key in keys {
        if !once.contains(&key) {
            once.push(key);
        }
    }
    once
}

fn keys_note(keys: &[VerifierKey], witness: &Signer, now: u64) -> Result<String, Forked> {
    let lines: String = keys.iter().map(|key| format!("{key}\n")).collect();
    let mut note = Note::new(format!("{KEYS_ARE}{lines}")).map_err(|_| Forked::Anchor)?;
    note.add(witness.sign(note.text(), now));
    Ok(note.to_string())
}

/// Puts into the data of the ConfigMap that the log shows another past.
pub fn note_fork(data: &mut BTreeMap<String, String>, forked: &Forked) {
    data.entry(FORKED.to_owned()).or_insert_with(|| forked.to_string());
}

/// Whether the data of the ConfigMap says that the log showed another past.
pub fn forked_in(data: &BTreeMap<String, String>) -> Option<Forked> {
    data.get(FORKED).cloned().map(Forked::Before)
}

/// A note that the witness signed.
fn cosigned(text: &str, witness: &VerifierKey) -> Result<Note, Forked> {
    let note: Note = text.parse().map_err(|_| Forked::Anchor)?;
    note.verify(std::slice::from_ref(witness)).map_err(|_| Forked::Anchor)?;
    Ok(note)
}

/// A checkpoint that is signed by one of these keys.
pub fn signed(note: &Note, keys: &[VerifierKey]) -> Result<Checkpoint, Forked> {
    let checkpoint: Checkpoint = note.text().parse().map_err(|_| Forked::Unsigned)?;
    if keys.iter().all(|key| *key.name() != checkpoint.origin) {
        return Err(Forked::Other(checkpoint.origin.to_string()));
    }
    note.verify(keys).map_err(|_| Forked::Unsigned)?;
    Ok(checkpoint)
}

/// Whether the newer one can have grown out of the older, as far as their sizes tell.
pub fn is_longer(old: &Checkpoint, new: &Checkpoint) -> Result<(), Forked> {
    if new.origin != old.origin {
        return Err(Forked::Other(new.origin.to_string()));
    }
    if new.size < old.size { Err(Forked::Smaller { now: new.size, before: old.size }) } else { Ok(()) }
}

/// Whether it has grown out of it, as the proof shows.
pub fn has_grown(old: &Checkpoint, new: &Checkpoint, proof: &[Hash]) -> Result<(), Forked> {
    is_longer(old, new)?;
    verify_consistency((old.size, old.root), (new.size, new.root), proof)
        .map_err(|_| Forked::Rewritten { now: new.size, before: old.size })
}

/// A policy that nobody could read would be no help.
#[cfg(test)]
fn trusts(data: &BTreeMap<String, String>) -> bool {
    let policy: tlog::Policy = data[POLICY].parse().unwrap();
    policy.check(&data[CHECKPOINT]).is_ok()
}

#[cfg(test)]
mod tests {
    use tlog::{Algorithm, Range, Signer, consistency};

    use super::*;

    const LOG: &str = "keyhole.internal/log/0123456789abcdef";

    fn signer(name: &str, algorithm: Algorithm, seed: u8) -> Signer {
        Signer::new(name.parse().unwrap(), algorithm, &[seed; 32]).unwrap()
    }

    /// A tree of so many leaves, which say `what`: its checkpoint, and all its nodes.
    fn tree(size: u64, what: &str) -> (Checkpoint, BTreeMap<tlog::Place, Hash>) {
        let (mut range, mut nodes) = (Range::default(), BTreeMap::new());
        for leaf in 0..size {
            let hash = Hash::of_leaf(format!("{what} {leaf}").as_bytes());
            range.push(hash, |place, hash| _ = nodes.insert(place, hash)).unwrap();
        }
        (Checkpoint { origin: LOG.parse().unwrap(), size, root: range.root() }, nodes)
    }

    #[test]
    fn a_log_that_grows_is_taken_and_one_with_another_past_is_not() {
        let ((old, _), (new, nodes)) = (tree(5, "record"), tree(300, "record"));
        let proof = consistency(5, 300, |place| Ok::<_, ()>(nodes[&place])).unwrap();
        assert_eq!(has_grown(&old, &new, &proof), Ok(()));
        let (other, _) = tree(5, "another record");
        assert_eq!(has_grown(&other, &new, &proof), Err(Forked::Rewritten { now: 300, before: 5 }));
        assert_eq!(has_grown(&new, &old, &[]), Err(Forked::Smaller { now: 5, before: 300 }));
        let (same, _) = tree(300, "another record");
        assert_eq!(has_grown(&new, &same, &[]), Err(Forked::Rewritten { now: 300, before: 300 }));
        assert_eq!(has_grown(&new, &new, &[]), Ok(()));
        let elsewhere = Checkpoint { origin: "keyhole.internal/log/2".parse().unwrap(), ..new.clone() };
        assert!(matches!(has_grown(&old, &elsewhere, &proof), Err(Forked::Other(_))));
    }

    #[test]
    fn a_checkpoint_counts_by_the_key_that_was_met_first() {
        let (own, other) = (signer(LOG, Algorithm::Ed25519, 1), signer(LOG, Algorithm::Ed25519, 2));
        let (checkpoint, _) = tree(7, "record");
        let note = |signer: &Signer| checkpoint.signed([signer], 0).unwrap();
        let keys = [own.verifier().clone()];
        assert_eq!(signed(&note(&own), &keys), Ok(checkpoint.clone()));
        assert_eq!(signed(&note(&other), &keys), Err(Forked::Unsigned));
        let name = "keyhole.internal/log/2";
        let elsewhere = Checkpoint { origin: name.parse().unwrap(), ..checkpoint.clone() };
        let theirs = elsewhere.signed([&signer(name, Algorithm::Ed25519, 1)], 0).unwrap();
        assert_eq!(signed(&theirs, &keys), Err(Forked::Other(name.into())));
    }

    #[test]
    fn what_is_kept_is_read_again_and_trusted_by_its_own_policy() {
        let log = signer(LOG, Algorithm::Ed25519, 1);
        let witness = signer("keyhole.internal/witness", Algorithm::Cosignature, 3);
        let note = |size| {
            let (checkpoint, _) = tree(size, "record");
            let mut note = checkpoint.signed([&log], 0).unwrap();
            note.add(witness.sign(note.text(), 1_800_000_000));
            (checkpoint, note.to_string())
        };
        let (checkpoint, text) = note(1);
        let keys = vec![log.verifier().clone()];
        let mut anchor = Anchor::first(keys, (checkpoint, text), &witness, 1_800_000_000).unwrap();
        for size in 2..=120 {
            let (checkpoint, text) = note(size);
            anchor = anchor.grown((checkpoint, text), &witness, 1_800_000_000).unwrap();
            let data = anchor.write(witness.verifier());
            assert!(trusts(&data));
            assert_eq!(Anchor::read(&data, witness.verifier()).unwrap(), anchor);
        }
        assert_eq!(anchor.notes.len(), KEPT);
        assert_eq!(anchor.checkpoint.size, 120);
        // Another key of the witness: the next leader reads what this one signed anew.
        let next = signer("keyhole.internal/witness", Algorithm::Cosignature, 4);
        assert!(anchor.is_signed_by(witness.verifier()) && !anchor.is_signed_by(next.verifier()));
        let (checkpoint, _) = tree(120, "record");
        let mut note = checkpoint.signed([&log], 0).unwrap();
        note.add(next.sign(note.text(), 1_800_000_000));
        let anchor = anchor.grown((checkpoint, note.to_string()), &next, 1_800_000_000).unwrap();
        assert!(anchor.is_signed_by(next.verifier()));
        let data = anchor.write(next.verifier());
        assert!(trusts(&data));
        assert_eq!(Anchor::read(&data, next.verifier()).unwrap(), anchor);
    }

    #[test]
    fn a_key_that_the_log_named_twice_is_one() {
        let log = signer(LOG, Algorithm::Ed25519, 1);
        let witness = signer("keyhole.internal/witness", Algorithm::Cosignature, 3);
        let (checkpoint, _) = tree(7, "record");
        let mut note = checkpoint.signed([&log], 0).unwrap();
        note.add(witness.sign(note.text(), 1_800_000_000));
        let twice = vec![log.verifier().clone(), log.verifier().clone()];
        let seen = (checkpoint.clone(), note.to_string());
        let anchor = Anchor::first(twice.clone(), seen, &witness, 1_800_000_000).unwrap();
        let mut data = anchor.write(witness.verifier());
        assert!(trusts(&data));
        // As an earlier release kept it.
        data.insert(KEYS.into(), keys_note(&twice, &witness, 1_800_000_000).unwrap());
        let read = Anchor::read(&data, witness.verifier()).unwrap();
        assert_eq!(read.keys, [log.verifier().clone()]);
        assert!(trusts(&read.write(witness.verifier())));
    }

    #[test]
    fn who_edits_what_is_kept_changes_nobodys_trust() {
        let (log, other) = (signer(LOG, Algorithm::Ed25519, 1), signer(LOG, Algorithm::Ed25519, 2));
        let witness = signer("keyhole.internal/witness", Algorithm::Cosignature, 3);
        let (checkpoint, _) = tree(7, "record");
        let mut note = checkpoint.signed([&log], 0).unwrap();
        note.add(witness.sign(note.text(), 1_800_000_000));
        let of = |key: &Signer, note: &Note, witness: &Signer| {
            let seen = (checkpoint.clone(), note.to_string());
            Anchor::first(vec![key.verifier().clone()], seen, witness, 1_800_000_000).unwrap()
        };
        let own = of(&log, &note, &witness).write(witness.verifier());
        let read = |data: &BTreeMap<String, String>| Anchor::read(data, witness.verifier());
        assert!(read(&own).is_ok());
        let with = |name: &str, text: String| {
            let mut data = own.clone();
            data.insert(name.into(), text);
            read(&data)
        };
        // The true text, with another log's signature beside the witness's, and keys that the witness did not sign.
        let mut both = note.clone();
        both.add(other.sign(note.text(), 0));
        let stranger = signer("keyhole.internal/witness", Algorithm::Cosignature, 4);
        let theirs = of(&other, &both, &stranger).write(witness.verifier());
        assert_eq!(with(KEYS, theirs[KEYS].clone()), Err(Forked::Anchor));
        assert_eq!(with(KEYS, format!("{}\n", other.verifier())), Err(Forked::Anchor));
        // What the witness signed as a checkpoint is no list of keys, nor the other way round.
        assert_eq!(with(KEYS, own[CHECKPOINT].clone()), Err(Forked::Anchor));
        assert!(with(CHECKPOINT, own[KEYS].clone()).is_err());
        assert_eq!(with(CHECKPOINT, "something else".into()), Err(Forked::Anchor));
        assert_eq!(with(CHECKPOINT, checkpoint.signed([&log], 0).unwrap().to_string()), Err(Forked::Anchor));
        let mut forked = own.clone();
        note_fork(&mut forked, &Forked::Smaller { now: 3, before: 7 });
        note_fork(&mut forked, &Forked::Unsigned);
        assert_eq!(read(&forked), Err(Forked::Before("the audit log has 3 records, and had 7".into())));
    }
}
