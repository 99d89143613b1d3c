//! Proofs that an entry is in a tree, and that a tree has grown out of another: made and verified.
//!
//! Made as RFC 6962 defines them (sections 2.1.1 and 2.1.2); verified as RFC 9162 says (2.1.3.2 and 2.1.4.2).

use crate::hash::Hash;
use crate::place::{Place, Span};
use crate::range::joined;

/// Why a proof cannot be made. `E`: why a node could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProof<E> {
    /// The leaf, or the older tree, is not of the newer tree.
    #[error("{what} is not of a tree of {size} leaves")]
    OutOfTree {
        /// The leaf's number, or the older size.
        what: u64,
        /// The size of the newer tree.
        size: u64,
    },
    /// A node of it could not be read.
    #[error("cannot read a node of the tree")]
    Node(#[source] E),
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// It is about a leaf, or an older tree, that a tree of that size cannot have.
    #[error("a tree of that size has no such leaf, or has not grown out of one so large")]
    OutOfTree,
    /// It has too few hashes, or too many.
    #[error("the proof has a wrong number of hashes")]
    WrongLength,
    /// It leads to another root.
    #[error("the proof leads to another root")]
    WrongRoot,
}

/// The proof that leaf `index` is in the tree of `size` leaves: from its sibling upwards. `node` reads the hash at a place.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    node: impl FnMut(Place) -> Result<Hash, E>,
) -> Result<Vec<Hash>, NoProof<E>> {
    if index >= size {
        return Err(NoProof::OutOfTree { what: index, size });
    }
    let (mut rest, mut beside) = (Span { start: 0, end: size }, Vec::new());
    while rest.len() > 1 {
        let (left, right) = halves(rest);
        let other;
        (rest, other) = if index < right.start { (left, right) } else { (right, left) };
        beside.push(other);
    }
    hashed(beside, node)
}

/// The proof that the tree of `new` leaves has grown out of that of `old` leaves. It is empty where there is nothing to prove: `old` is 0
/// or `new`. `node` reads the hash at a place.
pub fn consistency<E>(
    old: u64,
    new: u64,
    node: impl FnMut(Place) -> Result<Hash, E>,
) -> Result<Vec<Hash>, NoProof<E>> {
    if old > new {
        return Err(NoProof::OutOfTree { what: old, size: new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut rest, mut needed) = (Span { start: 0, end: new }, Vec::new());
    while rest.end != old {
        let (left, right) = halves(rest);
        let other;
        (rest, other) = if old <= right.start { (left, right) } else { (right, left) };
        needed.push(other);
    }
    // All of the old tree: whoever verifies has its root.
    if rest.start != 0 {
        needed.push(rest);
    }
    hashed(needed, node)
}

fn halves(span: Span) -> (Span, Span) {
    let middle = span.middle();
    (Span { start: span.start, end: middle }, Span { start: middle, end: span.end })
}

/// The hashes of these parts, the last one first.
fn hashed<E>(
    parts: Vec<Span>,
    mut node: impl FnMut(Place) -> Result<Hash, E>,
) -> Result<Vec<Hash>, NoProof<E>> {
    let hash = |part: Span| {
        let peaks: Vec<Hash> = part.places().map(&mut node).collect::<Result<_, E>>()?;
        Ok(joined(peaks.into_iter()))
    };
    parts.into_iter().rev().map(hash).collect::<Result<_, E>>().map_err(NoProof::Node)
}

/// That leaf `index`, whose hash this is, is in the tree of `size` leaves with this root.
pub fn verify_inclusion(
    (index, leaf): (u64, Hash),
    (size, root): (u64, Hash),
    proof: &[Hash],
) -> Result<(), BadProof> {
    let mut way = Way::new(index, size)?;
    let mut hash = leaf;
    for beside in proof {
        hash = match way.up()? {
            Side::Left => Hash::of_node(beside, &hash),
            Side::Right => Hash::of_node(&hash, beside),
        };
    }
    way.is_over()?;
    if hash == root { Ok(()) } else { Err(BadProof::WrongRoot) }
}

/// That the tree of the second size and root has grown out of the first.
pub fn verify_consistency(old: (u64, Hash), new: (u64, Hash), proof: &[Hash]) -> Result<(), BadProof> {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 || old_size == new_size {
        let expected = if old_size == 0 { Hash::of_nothing() } else { new_root };
        return match proof {
            [] if old_root == expected => Ok(()),
            [] => Err(BadProof::WrongRoot),
            _ => Err(BadProof::WrongLength),
        };
    }
    let mut way = Way::new(old_size.saturating_sub(1), new_size)?;
    way.skip_right();
    // Of an old tree that is one whole subtree of the new one, the proof does not repeat the root.
    let (first, rest) = match proof {
        rest if old_size.is_power_of_two() => (&old_root, rest),
        [first, rest @ ..] => (first, rest),
        [] => return Err(BadProof::WrongLength),
    };
    let (mut in_old, mut in_new) = (*first, *first);
    for beside in rest {
        match way.up()? {
            Side::Left => {
                in_old = Hash::of_node(beside, &in_old);
                in_new = Hash::of_node(beside, &in_new);
            }
            Side::Right => in_new = Hash::of_node(&in_new, beside),
        }
    }
    way.is_over()?;
    if in_old == old_root && in_new == new_root { Ok(()) } else { Err(BadProof::WrongRoot) }
}

/// On which side the next hash of a proof stands.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// The way from a leaf to the root: `fn` and `sn` of RFC 9162.
struct Way {
    node: u64,
    last: u64,
}

impl Way {
    fn new(leaf: u64, size: u64) -> Result<Self, BadProof> {
        let last = size.checked_sub(1).ok_or(BadProof::OutOfTree)?;
        if leaf > last { Err(BadProof::OutOfTree) } else { Ok(Self { node: leaf, last }) }
    }

    /// Past all levels where the node is the right one: what is below them is whole.
    fn skip_right(&mut self) {
        let levels = self.node.trailing_ones();
        self.rise(levels);
    }

    /// One level up, and past those where the node has no sibling.
    fn up(&mut self) -> Result<Side, BadProof> {
        if self.last == 0 {
            return Err(BadProof::WrongLength);
        }
        if self.node & 1 == 0 && self.node != self.last {
            self.rise(1);
            return Ok(Side::Right);
        }
        let without_sibling = self.node.trailing_zeros();
        self.rise(without_sibling);
        self.rise(1);
        Ok(Side::Left)
    }

    fn rise(&mut self, levels: u32) {
        self.node = self.node.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }

    fn is_over(&self) -> Result<(), BadProof> {
        if self.last == 0 { Ok(()) } else { Err(BadProof::WrongLength) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::range::Range;

    /// A tree with all its nodes and the root of each size.
    struct Tree {
        leaves: Vec<Hash>,
        nodes: HashMap<Place, Hash>,
        roots: Vec<Hash>,
    }

    fn tree(size: u64) -> Tree {
        let (mut range, mut nodes) = (Range::default(), HashMap::new());
        let (mut leaves, mut roots) = (Vec::new(), vec![range.root()]);
        for number in 0..size {
            let leaf = Hash::of_leaf(&number.to_be_bytes());
            leaves.push(leaf);
            range
                .push(leaf, |place, hash| {
                    nodes.insert(place, hash);
                })
                .unwrap();
            roots.push(range.root());
        }
        Tree { leaves, nodes, roots }
    }

    impl Tree {
        fn node(&self) -> impl FnMut(Place) -> Result<Hash, Infallible> {
            |place| Ok(self.nodes[&place])
        }

        fn at(&self, size: u64) -> (u64, Hash) {
            (size, self.roots[usize::try_from(size).unwrap()])
        }

        fn leaf(&self, index: u64) -> (u64, Hash) {
            (index, self.leaves[usize::try_from(index).unwrap()])
        }
    }

    #[test]
    fn each_leaf_of_each_tree_is_proved_and_in_no_other_place_or_tree() {
        let tree = tree(40);
        for size in 1..=40 {
            for index in 0..size {
                let proof = inclusion(index, size, tree.node()).unwrap();
                assert_eq!(
                    verify_inclusion(tree.leaf(index), tree.at(size), &proof),
                    Ok(()),
                    "{index} in {size}"
                );
                for other in (0..size).filter(|other| *other != index) {
                    let moved = (other, tree.leaf(index).1);
                    assert!(
                        verify_inclusion(moved, tree.at(size), &proof).is_err(),
                        "{other} for {index} in {size}"
                    );
                }
                assert!(verify_inclusion(tree.leaf(index), (size, Hash::of_nothing()), &proof).is_err());
                is_exact(&proof, |proof| verify_inclusion(tree.leaf(index), tree.at(size), proof));
            }
        }
    }

    #[test]
    fn each_tree_has_grown_out_of_each_smaller_one_and_no_other() {
        let tree = tree(40);
        for new in 0..=40 {
            for old in 0..=new {
                let proof = consistency(old, new, tree.node()).unwrap();
                assert_eq!(verify_consistency(tree.at(old), tree.at(new), &proof), Ok(()), "{old} to {new}");
                let forked = (old, Hash::of_leaf(b"forked"));
                assert!(verify_consistency(forked, tree.at(new), &proof).is_err(), "{old} to {new}");
                if old > 0 {
                    let forked = (new, Hash::of_leaf(b"forked"));
                    assert!(verify_consistency(tree.at(old), forked, &proof).is_err(), "{old} to {new}");
                    is_exact(&proof, |proof| verify_consistency(tree.at(old), tree.at(new), proof));
                }
            }
        }
    }

    /// No other list of hashes proves the same: one less, one more, one changed.
    fn is_exact(proof: &[Hash], verify: impl Fn(&[Hash]) -> Result<(), BadProof>) {
        let mut longer = proof.to_vec();
        longer.push(Hash::of_nothing());
        assert!(verify(&longer).is_err());
        for (number, hash) in proof.iter().enumerate() {
            let mut changed = proof.to_vec();
            changed[number].0[31] ^= 1;
            assert!(verify(&changed).is_err(), "hash {number} is {hash}");
            changed.remove(number);
            assert!(verify(&changed).is_err());
        }
    }

    #[test]
    fn what_is_not_of_the_tree_has_no_proof() {
        let tree = tree(3);
        assert_eq!(inclusion(3, 3, tree.node()), Err(NoProof::OutOfTree { what: 3, size: 3 }));
        assert_eq!(inclusion(0, 0, tree.node()), Err(NoProof::OutOfTree { what: 0, size: 0 }));
        assert_eq!(consistency(3, 2, tree.node()), Err(NoProof::OutOfTree { what: 3, size: 2 }));
        assert_eq!(verify_inclusion((3, Hash::of_nothing()), tree.at(3), &[]), Err(BadProof::OutOfTree));
        assert_eq!(verify_inclusion((0, Hash::of_nothing()), tree.at(0), &[]), Err(BadProof::OutOfTree));
        assert_eq!(verify_consistency(tree.at(3), tree.at(2), &[]), Err(BadProof::OutOfTree));
        assert_eq!(inclusion(0, 3, |_| Err("torn")), Err(NoProof::Node("torn")));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_from_outside_panics(
            numbers: [u64; 4],
            proof in prop::collection::vec(any::<[u8; 32]>().prop_map(Hash), 0..70),
        ) {
            let [index, size, old, new] = numbers;
            let root = Hash::of_nothing();
            prop_assert!(verify_inclusion((index, root), (size, root), &proof).is_err() || size == 1);
            if old != 0 && old != new {
                prop_assert!(verify_consistency((old, root), (new, root), &proof).is_err());
            }
            let node = |_| Ok::<_, Infallible>(root);
            prop_assert!(inclusion(index, size, node).is_ok_and(|proof| proof.len() <= 64) || index >= size);
            prop_assert!(consistency(old, new, node).is_ok_and(|proof| proof.len() <= 65) || old > new);
        }
    }
}
