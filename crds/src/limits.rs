//! Limits as objects write them: every field optional, the defaults are `access::Limits::DEFAULT`.

use access::{Budget, Limits, StatementLimits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds of what a grant may use. A rule's limits narrow those of its database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitsSpec {
    /// Rows in the answer of one statement. Default 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000i64))]
    pub rows: Option<u64>,
    /// Seconds for one statement. Default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub seconds: Option<u32>,
    /// Bytes in the answer of one statement. Default 10,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000i64))]
    pub bytes: Option<u64>,
    /// Rows of the whole grant. Default 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000i64))]
    pub grant_rows: Option<u64>,
    /// Bytes of the whole grant. Default 1,000,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000i64))]
    pub grant_bytes: Option<u64>,
    /// Seconds that a session may hold a transaction or a cursor open without reading anything. Default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub idle_transaction_seconds: Option<u32>,
    /// Client sessions open at the same time, 1 to 1,000. Default 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub sessions: Option<u32>,
    /// Refused statements of the whole grant that end it, 1 to 1,000,000. Default: any number of them may be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub refusals: Option<u32>,
}

impl LimitsSpec {
    /// These limits, each absent one from `default`.
    pub fn over(&self, default: Limits) -> Limits {
        let Self {
            rows,
            seconds,
            bytes,
            grant_rows,
            grant_bytes,
            idle_transaction_seconds,
            sessions,
            refusals,
        } = self;
        Limits {
            statement: StatementLimits {
                rows: rows.unwrap_or(default.statement.rows),
                seconds: seconds.unwrap_or(default.statement.seconds),
                bytes: bytes.unwrap_or(default.statement.bytes),
            },
            budget: Budget {
                rows: grant_rows.unwrap_or(default.budget.rows),
                bytes: grant_bytes.unwrap_or(default.budget.bytes),
            },
            idle_transaction_seconds: idle_transaction_seconds.unwrap_or(default.idle_transaction_seconds),
            sessions: sessions.unwrap_or(default.sessions),
            refusals: refusals.or(default.refusals),
        }
    }
}

impl From<Limits> for LimitsSpec {
    fn from(limits: Limits) -> Self {
        let Limits { statement, budget, idle_transaction_seconds, sessions, refusals } = limits;
        let StatementLimits { rows, seconds, bytes } = statement;
        let Budget { rows: grant_rows, bytes: grant_bytes } = budget;
        Self {
            rows: Some(rows),
            seconds: Some(seconds),
            bytes: Some(bytes),
            grant_rows: Some(grant_rows),
            grant_bytes: Some(grant_bytes),
            idle_transaction_seconds: Some(idle_transaction_seconds),
            sessions: Some(sessions),
            refusals,
        }
    }
}
