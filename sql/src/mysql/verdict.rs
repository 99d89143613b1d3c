//! What the gate of MySQL and MariaDB says beside yes and no. It decides nothing.

use super::Gate;

/// The gate's decision on one text.
pub type Verdict = crate::Verdict<Gate>;

/// Proof that the gate let a text pass.
pub type Permit = crate::Permit<Gate>;

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

impl StatementKind {
    /// Whether it leaves the session as it is: what it did need not be undone where its answer is not shown.
    #[must_use]
    pub fn only_reads(self) -> bool {
        match self {
            Self::Query | Self::Show | Self::Explain | Self::Describe => true,
            Self::Set | Self::Use | Self::Transaction => false,
        }
    }

    /// The word that goes on record.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Show => "show",
            Self::Explain => "explain",
            Self::Describe => "describe",
            Self::Set => "set",
            Self::Use => "use",
            Self::Transaction => "transaction",
        }
    }
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
