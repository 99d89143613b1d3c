//! What a gate answers, whichever it is. A [`Permit`] can be built in this crate only. Nothing here shows SQL in `Debug`.

use crate::facts::Facts;
use crate::refusal::Refusal;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

/// A gate: it decides the texts of one kind of server. What it says beside yes and no are types of its own.
pub trait Decides: Sized {
    /// What of a session a verdict depends on.
    type Session: Clone + Eq + Hash;
    /// The kinds of statements that it may permit.
    type Kind: Copy + fmt::Debug;
    /// What a permitted statement may change in its session.
    type Effect: Clone + fmt::Debug;
    /// What it has answered without the database.
    type Answer: Clone + fmt::Debug;

    /// Decides one text. The same input gives the same verdict. The permit may share the text.
    fn decides(&self, text: &Arc<[u8]>, session: &Self::Session) -> Verdict<Self>;

    /// How much memory a session's description takes beside its own size, in bytes.
    fn weighs(session: &Self::Session) -> usize;
}

/// The gate's decision on one text. Cheap to copy.
#[derive(Clone, Debug)]
pub enum Verdict<G: Decides> {
    /// Send [`Permit::forwarded`] to the database.
    Forward(Arc<Permit<G>>),
    /// Answer without the database.
    Answer(G::Answer),
    /// Answer with an error.
    Refuse(Refusal),
}

/// Proof that the gate let a text pass. Made in this crate only, by gates.
pub struct Permit<G: Decides> {
    forwarded: Arc<[u8]>,
    kind: G::Kind,
    facts: Facts,
    effect: G::Effect,
}

impl<G: Decides> Permit<G> {
    pub(crate) fn new(forwarded: Arc<[u8]>, kind: G::Kind, facts: Facts, effect: G::Effect) -> Arc<Self> {
        Arc::new(Self { forwarded, kind, facts, effect })
    }

    /// The bytes for the database: the ones that came in, at most with the interiors of comments blanked.
    #[must_use]
    pub fn forwarded(&self) -> &[u8] {
        &self.forwarded
    }

    /// The same bytes, to be kept: those that the gate was given, where nothing was blanked.
    #[must_use]
    pub fn shared(&self) -> Arc<[u8]> {
        Arc::clone(&self.forwarded)
    }

    /// The statement's kind.
    #[must_use]
    pub fn kind(&self) -> G::Kind {
        self.kind
    }

    /// What the statement touches; hardly anything from a gate that keeps no facts.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What changes in the session when the server answers OK.
    #[must_use]
    pub fn effect(&self) -> G::Effect {
        self.effect.clone()
    }
}

impl<G: Decides> fmt::Debug for Permit<G> {
    /// Shows kind and length only: text and names are for the audit trail.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("kind", &self.kind)
            .field("bytes", &self.forwarded.len())
            .finish_non_exhaustive()
    }
}
