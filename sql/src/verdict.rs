//! What the gate answers. A [`Permit`] can be built in this crate only. Nothing here shows SQL in `Debug`.

use crate::facts::Facts;
use crate::refusal::Refusal;
use std::fmt;
use std::sync::Arc;

/// The gate's decision on one text. Cheap to copy.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Send [`Permit::forwarded`] to the database.
    Forward(Arc<Permit>),
    /// Answer without the database.
    Answer(LocalAnswer),
    /// Answer with an error packet.
    Refuse(Refusal),
}

/// What kind of statement was permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// `SELECT`, `VALUES`, `TABLE`, with or without `WITH`.
    Query,
    /// `SHOW`.
    Show,
    /// `EXPLAIN` (and `DESCRIBE`, `DESC`) of a query.
    Explain,
    /// `DESCRIBE` (and `DESC`, `EXPLAIN`) of a table.
    Describe,
    /// `SET` of session variables, user variables or character sets.
    Set,
    /// `USE`.
    Use,
    /// `BEGIN`, `START TRANSACTION`, `COMMIT`, `ROLLBACK`, `SAVEPOINT` and the like.
    Transaction,
}

/// What the proxy must keep in mind once the server said OK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEffect {
    /// Nothing.
    None,
    /// The session's current schema is now this one.
    UsesSchema(String),
    /// The session's `sql_mode` may be another one now, and with it how texts are read: it must be asked for.
    SetsSqlMode,
}

/// Proof that the gate let a text pass. Only [`crate::mysql::Gate`] makes one.
pub struct Permit {
    forwarded: Arc<[u8]>,
    kind: StatementKind,
    facts: Facts,
    effect: SessionEffect,
}

impl Permit {
    pub(crate) fn new(
        forwarded: Arc<[u8]>,
        kind: StatementKind,
        facts: Facts,
        effect: SessionEffect,
    ) -> Arc<Self> {
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
    pub fn kind(&self) -> StatementKind {
        self.kind
    }

    /// What the statement touches; hardly anything from a gate [without facts](crate::mysql::Gate::without_facts).
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What changes in the session when the server answers OK.
    #[must_use]
    pub fn effect(&self) -> SessionEffect {
        self.effect.clone()
    }
}

impl fmt::Debug for Permit {
    /// Shows kind and length only: text and names are for the audit trail.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("kind", &self.kind)
            .field("bytes", &self.forwarded.len())
            .finish_non_exhaustive()
    }
}

/// An answer that the proxy gives itself, where forwarding would weaken a lock and refusing would break a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAnswer {
    /// An OK packet, no rows.
    Ok,
    /// A result set of text columns; `None` is NULL.
    Rows {
        /// The columns' names.
        columns: Vec<String>,
        /// The rows, each as long as `columns`.
        rows: Vec<Vec<Option<String>>>,
    },
    /// `KILL`: the proxy ends a session, or the statement in it, when it is one of the same grant.
    Kill {
        /// The number from the greeting, which `CONNECTION_ID()` does not give: that is the database's own.
        session: u64,
        /// The session goes on; only what it executes ends.
        query_only: bool,
    },
}
