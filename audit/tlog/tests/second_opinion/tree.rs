//! Roots and proofs.

use std::cell::RefCell;
use std::collections::BTreeSet;

use tlog::{Hash, Place, verify_consistency, verify_inclusion};
use tlog_tiles::{
    HashReader, check_record, check_tree, prove_record, prove_tree, split_stored_hash_index, stored_hashes,
    tree_hash,
};

use super::log::Log;

type Their = tlog_tiles::Hash;

fn theirs(hash: Hash) -> Their {
    tlog_tiles::Hash(hash.0)
}

fn ours(proof: &[Their]) -> Vec<Hash> {
    proof.iter().map(|hash| Hash(hash.0)).collect()
}

/// Their way to keep a tree: all nodes in one row.
struct Row(Vec<Their>);

impl HashReader for Row {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Their>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

/// The same tree, grown by them.
fn grown(log: &Log) -> Row {
    let mut row = Row(Vec::new());
    for (number, entry) in (0..).zip(&log.entries) {
        let more = stored_hashes(number, entry, &row).unwrap();
        row.0.extend(more);
    }
    row
}

/// Numbers that look drawn and are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    /// From 0 to `end`, not included.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[test]
fn roots_and_nodes_agree_at_every_size_to_three_thousand() {
    let log = Log::of_size(3_000);
    let row = grown(&log);
    for size in 0..=3_000 {
        assert_eq!(theirs(log.root(size)), tree_hash(size, &row).unwrap(), "{size} leaves");
    }
    for (position, hash) in (0..).zip(&row.0) {
        let (level, index) = split_stored_hash_index(position);
        assert_eq!(theirs(log.node(Place { level, index })), *hash, "level {level}, {index}");
    }
}

/// Both make the same proof, both verify it, and both say the same of claims and proofs that are almost it.
fn inclusion_agrees(log: &Log, row: &Row, index: u64, size: u64) {
    let proof = log.inclusion(index, size);
    assert_eq!(proof, ours(&prove_record(size, index, row).unwrap()), "{index} in {size}");
    let leaf = Hash::of_leaf(&log.entries[usize::try_from(index).unwrap()]);
    let verdict = |index, size, root, proof: &[Hash]| {
        let our = verify_inclusion((index, leaf), (size, root), proof).is_ok();
        let their_proof = proof.iter().copied().map(theirs).collect();
        let their = check_record(&their_proof, size, theirs(root), index, theirs(leaf)).is_ok();
        assert_eq!(our, their, "{index} in {size} with {root}: {proof:?}");
        our
    };
    let root = log.root(size);
    assert!(verdict(index, size, root, &proof));
    if !is_tried_closely(index + size) {
        return;
    }
    assert!(!verdict(index, size, log.root(size - 1), &proof));
    // Another place, and another size, may ask for proofs of the same form.
    for other in [index ^ 1, index + 1, index / 2] {
        verdict(other, size, root, &proof);
    }
    for other in [size - 1, size + 1, size * 2, size / 2] {
        verdict(index, other, root, &proof);
    }
    almost(&proof).iter().for_each(|other| assert!(!verdict(index, size, root, other)));
}

/// The same for growth. Of an empty tree they make no proof; for C2SP (tlog-witness) it is the empty one.
fn consistency_agrees(log: &Log, row: &Row, old: u64, new: u64) {
    let proof = log.consistency(old, new);
    assert_eq!(proof, ours(&prove_tree(new, old, row).unwrap()), "{old} to {new}");
    let verdict = |(old, old_root), (new, new_root), proof: &[Hash]| {
        let our = verify_consistency((old, old_root), (new, new_root), proof).is_ok();
        let their_proof = proof.iter().copied().map(theirs).collect();
        let their = check_tree(&their_proof, new, theirs(new_root), old, theirs(old_root)).is_ok();
        assert_eq!(our, their, "{old} with {old_root} to {new} with {new_root}: {proof:?}");
        our
    };
    let at = |size| (size, log.root(size));
    assert!(verdict(at(old), at(new), &proof));
    if !is_tried_closely(old + new) {
        return;
    }
    assert!(!verdict((old, log.root(old - 1)), at(new), &proof));
    assert!(!verdict(at(old), (new, log.root(new - 1)), &proof));
    // Another size may ask for a proof of the same form.
    for other in [new - 1, new + 1, new * 2, new / 2] {
        verdict(at(old), (other, log.root(new)), &proof);
    }
    for other in [old + 1, old * 2, new] {
        verdict((other, log.root(old)), at(new), &proof);
    }
    almost(&proof).iter().for_each(|other| assert!(!verdict(at(old), at(new), other)));
}

/// What is almost right is tried of some: of all it would take seconds.
fn is_tried_closely(number: u64) -> bool {
    number < 40 || number.is_multiple_of(13)
}

/// The proof with one hash more, with one less, and with a bit changed in its first hash and in its last.
fn almost(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut others = vec![[proof, &[Hash::of_nothing()]].concat()];
    if let [first, .., last] = proof {
        let changed = |hash: &Hash| Hash(hash.0.map(|byte| byte ^ 1));
        others.push(proof[1..].to_vec());
        others.push(proof[..proof.len() - 1].to_vec());
        others.push([&[changed(first)], &proof[1..]].concat());
        others.push([&proof[..proof.len() - 1], &[changed(last)]].concat());
    }
    others
}

#[test]
fn every_inclusion_proof_agrees_in_every_tree_to_130_leaves() {
    let log = Log::of_size(131);
    let row = grown(&log);
    for size in 1..=130 {
        (0..size).for_each(|index| inclusion_agrees(&log, &row, index, size));
    }
}

#[test]
fn every_consistency_proof_agrees_between_any_trees_to_130_leaves() {
    let log = Log::of_size(130);
    let row = grown(&log);
    for new in 1..=130 {
        (1..=new).for_each(|old| consistency_agrees(&log, &row, old, new));
    }
}

#[test]
fn a_proof_of_each_kind_agrees_at_every_size_to_three_thousand() {
    let log = Log::of_size(3_000);
    let (row, mut numbers) = (grown(&log), Numbers(6_962));
    for size in 131..=3_000 {
        inclusion_agrees(&log, &row, numbers.below(size), size);
        consistency_agrees(&log, &row, 1 + numbers.below(size), size);
    }
}

/// A tree of any size whose leaves are all the same, so that one hash stands for each level; it remembers what was asked for.
#[derive(Default)]
struct Uniform {
    levels: Vec<Hash>,
    asked: RefCell<BTreeSet<Place>>,
}

impl Uniform {
    fn new() -> Self {
        let mut levels = vec![Hash::of_leaf(b"the same")];
        for level in 0..63 {
            levels.push(Hash::of_node(&levels[level], &levels[level]));
        }
        Self { levels, asked: RefCell::default() }
    }

    fn node(&self, place: Place) -> Hash {
        self.asked.borrow_mut().insert(place);
        self.levels[usize::from(place.level)]
    }

    fn asked(&self) -> BTreeSet<Place> {
        self.asked.take()
    }
}

impl HashReader for Uniform {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Their>, tlog_tiles::Error> {
        let place = |index: &u64| {
            let (level, index) = split_stored_hash_index(*index);
            Place { level, index }
        };
        Ok(indexes.iter().map(|index| theirs(self.node(place(index)))).collect())
    }
}

#[test]
fn proofs_of_trees_that_no_disk_holds_agree_and_need_the_same_nodes() {
    let (tree, mut numbers) = (Uniform::new(), Numbers(9_162));
    for _ in 0..400 {
        let bits = 2 + numbers.below(59);
        let size = (1 << bits) + numbers.below(1 << bits);
        let (index, old) = (numbers.below(size), 1 + numbers.below(size));
        let node = |place| Ok::<_, std::convert::Infallible>(tree.node(place));
        let (root, old_root) = (tree_hash(size, &tree).unwrap(), tree_hash(old, &tree).unwrap());
        tree.asked();

        let proof = tlog::inclusion(index, size, node).unwrap();
        let asked = tree.asked();
        assert_eq!(proof, ours(&prove_record(size, index, &tree).unwrap()), "{index} in {size}");
        assert_eq!(asked, tree.asked(), "{index} in {size}");
        assert_eq!(verify_inclusion((index, tree.levels[0]), (size, Hash(root.0)), &proof), Ok(()));

        let proof = tlog::consistency(old, size, node).unwrap();
        let asked = tree.asked();
        assert_eq!(proof, ours(&prove_tree(size, old, &tree).unwrap()), "{old} to {size}");
        assert_eq!(asked, tree.asked(), "{old} to {size}");
        assert_eq!(verify_consistency((old, Hash(old_root.0)), (size, Hash(root.0)), &proof), Ok(()));
    }
}
