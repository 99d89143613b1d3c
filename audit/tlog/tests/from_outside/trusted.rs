//! What is trusted: whatever is changed on the way, a policy believes what the log and its witness signed, or nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::OnceLock;

use proptest::prelude::*;
use tlog::{
    Algorithm, Checkpoint, Hash, Place, Policy, ProofFile, Range, Signer, Trusted, verify_consistency,
    verify_inclusion,
};

use super::change::{changed_text, changes};
use super::config;
use super::texts::hash;

const WITNESSED: u64 = 1_679_315_147;

/// How many entries the log has.
const SIZE: u64 = 300;

/// A log whose newest checkpoint is signed and witnessed.
struct Shown {
    policy: Policy,
    checkpoint: Checkpoint,
    note: String,
    roots: Vec<Hash>,
    nodes: HashMap<Place, Hash>,
}

fn shown() -> &'static Shown {
    static SHOWN: OnceLock<Shown> = OnceLock::new();
    SHOWN.get_or_init(|| {
        let signer =
            |name: &str, algorithm, seed| Signer::new(name.parse().unwrap(), algorithm, &[seed; 32]).unwrap();
        let log = signer("example.com/log", Algorithm::Ed25519, 1);
        let witness = signer("witness.example.com/w1", Algorithm::Cosignature, 2);
        let policy = format!("log {}\nwitness w {}\nquorum w\n", log.verifier(), witness.verifier());
        let (mut range, mut nodes) = (Range::default(), HashMap::new());
        let mut roots = vec![range.root()];
        for number in 0..SIZE {
            range.push(leaf(number), |place, hash| _ = nodes.insert(place, hash)).unwrap();
            roots.push(range.root());
        }
        let origin = log.verifier().name().clone();
        let checkpoint = Checkpoint { origin, size: SIZE, root: range.root() };
        let note = checkpoint.signed([&log, &witness], WITNESSED).unwrap().to_string();
        Shown { policy: policy.parse().unwrap(), checkpoint, note, roots, nodes }
    })
}

fn entry(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn leaf(number: u64) -> Hash {
    Hash::of_leaf(&entry(number))
}

impl Shown {
    fn trusted(&self) -> Trusted {
        Trusted { checkpoint: self.checkpoint.clone(), witnessed: Some(WITNESSED) }
    }

    fn node(&self) -> impl FnMut(Place) -> Result<Hash, Infallible> {
        |place| Ok(self.nodes[&place])
    }

    fn proof(&self, index: u64) -> ProofFile {
        let path = tlog::inclusion(index, SIZE, self.node()).unwrap();
        ProofFile { extra: Some(b"not proved".to_vec()), index, path, checkpoint: self.note.clone() }
    }

    fn root(&self, size: u64) -> Hash {
        self.roots[usize::try_from(size).unwrap()]
    }
}

#[test]
fn what_nobody_changed_is_trusted() {
    let shown = shown();
    assert_eq!(shown.policy.check(&shown.note), Ok(shown.trusted()));
    for index in [0, 255, 256, SIZE - 1] {
        assert_eq!(shown.proof(index).verify(&entry(index), &shown.policy), Ok(shown.trusted()));
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_changed_checkpoint_is_what_was_signed_or_is_not_trusted(changes in changes()) {
        let shown = shown();
        if let Ok(trusted) = shown.policy.check(&changed_text(&shown.note, &changes)) {
            prop_assert_eq!(trusted, shown.trusted());
        }
    }

    #[test]
    fn a_changed_proof_proves_the_same_entry_or_nothing(index in 0..SIZE, changes in changes()) {
        let shown = shown();
        let proof = shown.proof(index);
        let Ok(changed) = changed_text(&proof.to_string(), &changes).parse::<ProofFile>() else { return Ok(()) };
        if let Ok(trusted) = changed.verify(&entry(index), &shown.policy) {
            prop_assert_eq!(trusted, shown.trusted());
            prop_assert_eq!((changed.index, changed.path), (proof.index, proof.path));
        }
    }

    #[test]
    fn a_proof_proves_no_other_entry(index in 0..SIZE, other in 0..SIZE, drawn: Vec<u8>) {
        let shown = shown();
        let proof = shown.proof(index);
        prop_assert_eq!(proof.verify(&entry(other), &shown.policy).is_ok(), other == index);
        prop_assert!(proof.verify(&drawn, &shown.policy).is_err() || drawn == entry(index));
    }

    #[test]
    fn a_way_with_another_hash_leads_to_another_root(
        numbers in (0..SIZE, 1..SIZE), place: prop::sample::Index, other in hash(),
    ) {
        let (shown, (index, old)) = (shown(), numbers);
        let change = |mut proof: Vec<Hash>| {
            let at = place.index(proof.len().max(1));
            proof.get_mut(at).map(|hash| *hash = other)?;
            Some(proof)
        };
        let tree = (SIZE, shown.root(SIZE));
        if let Some(proof) = change(tlog::inclusion(index, SIZE, shown.node()).unwrap()) {
            prop_assert!(verify_inclusion((index, leaf(index)), tree, &proof).is_err());
        }
        if let Some(proof) = change(tlog::consistency(old, SIZE, shown.node()).unwrap()) {
            prop_assert!(verify_consistency((old, shown.root(old)), tree, &proof).is_err());
        }
    }
}
