//! What others have seen of the log: it signs nothing that has not grown out of it.

use tlog::{Checkpoint, NoProof, TileName, consistency, verify_consistency};

use super::integrate::Tree;
use super::recover::{NotOpened, tile};
use super::volume::Files;

/// A checkpoint that others have, as long as the log was not seen to have grown out of it.
pub(super) struct Anchor {
    awaited: Option<Checkpoint>,
}

impl Anchor {
    pub(super) fn new(anchor: Option<&Checkpoint>) -> Self {
        Self { awaited: anchor.cloned() }
    }

    /// Holds it against the tree of the last checkpoint, where it is not larger.
    pub(super) fn is_before<F: Files>(&mut self, files: &F, tree: &Tree) -> Result<(), NotOpened> {
        let Some(anchor) = &self.awaited else { return Ok(()) };
        let (old, new) = ((anchor.size, anchor.root), (tree.size(), tree.root()));
        if old.0 > new.0 {
            return Ok(());
        }
        let node = |place| {
            let name = TileName::above(place, new.0).ok_or(NotOpened::Checkpoint)?;
            tile(files, name)?.node(place).ok_or_else(|| NotOpened::Differs(name.to_string()))
        };
        let proof = consistency(old.0, new.0, node).map_err(|error| match error {
            NoProof::Node(error) => error,
            NoProof::OutOfTree { .. } => NotOpened::Beside(old.0),
        })?;
        verify_consistency(old, new, &proof).map_err(|_| NotOpened::Beside(old.0))?;
        self.awaited = None;
        Ok(())
    }

    /// The tree has grown, out of the journal.
    pub(super) fn grown(&mut self, tree: &Tree) -> Result<(), NotOpened> {
        let Some(anchor) = self.awaited.take_if(|anchor| anchor.size == tree.size()) else { return Ok(()) };
        if anchor.root == tree.root() { Ok(()) } else { Err(NotOpened::Beside(anchor.size)) }
    }

    /// All of the log was read.
    pub(super) fn is_passed(&self, found: u64) -> Result<(), NotOpened> {
        match &self.awaited {
            Some(anchor) => Err(NotOpened::Behind { anchor: anchor.size, found }),
            None => Ok(()),
        }
    }
}
