//! What a statement and a whole grant may use up.

/// The bounds of one grant: each statement has its own, and all of them together share a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What one statement may use.
    pub statement: StatementLimits,
    /// What all statements of the grant may use together.
    pub budget: Budget,
    /// Seconds that a session may hold a transaction or a cursor open without reading anything.
    pub idle_transaction_seconds: u32,
    /// How many client sessions may be open at the same time, 1 to 1,000.
    pub sessions: u32,
    /// How many refused statements of the whole grant end it, 1 to 1,000,000. `None`: no number of them does.
    pub refusals: Option<u32>,
}

/// What one statement may use before it is stopped and its client told which limit it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatementLimits {
    /// Rows in the answer.
    pub rows: u64,
    /// Seconds from the statement's arrival to the last byte of its answer.
    pub seconds: u32,
    /// Bytes of the answer's packets, headers not counted.
    pub bytes: u64,
}

/// What all statements of a grant may use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Rows in all answers.
    pub rows: u64,
    /// Bytes of all answers.
    pub bytes: u64,
}

/// What earlier proxies of a grant used: the next one counts on from here, for the budget is the grant's and not a process's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Statements forwarded or answered.
    pub statements: u64,
    /// Statements refused.
    pub refused: u64,
    /// Rows relayed.
    pub rows: u64,
    /// Bytes relayed.
    pub bytes: u64,
}

impl Limits {
    /// 10,000 rows, 30 s and 10 MB for a statement; a hundred times that for the grant; 30 s for an idle transaction; 20 sessions; any number
    /// of refused statements.
    pub const DEFAULT: Self = Self {
        statement: StatementLimits { rows: 10_000, seconds: 30, bytes: 10_000_000 },
        budget: Budget { rows: 1_000_000, bytes: 1_000_000_000 },
        idle_transaction_seconds: 30,
        sessions: 20,
        refusals: None,
    };

    /// For each bound the smaller of the two: a rule can narrow what its database allows, never widen it.
    #[must_use]
    pub fn narrowed_by(self, other: Self) -> Self {
        Self {
            statement: StatementLimits {
                rows: self.statement.rows.min(other.statement.rows),
                seconds: self.statement.seconds.min(other.statement.seconds),
                bytes: self.statement.bytes.min(other.statement.bytes),
            },
            budget: Budget {
                rows: self.budget.rows.min(other.budget.rows),
                bytes: self.budget.bytes.min(other.budget.bytes),
            },
            idle_transaction_seconds: self.idle_transaction_seconds.min(other.idle_transaction_seconds),
            sessions: self.sessions.min(other.sessions),
            refusals: self.refusals.into_iter().chain(other.refusals).min(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrowing_never_widens_any_bound() {
        let wide = Limits {
            statement: StatementLimits { rows: u64::MAX, seconds: u32::MAX, bytes: u64::MAX },
            budget: Budget { rows: 1, bytes: u64::MAX },
            idle_transaction_seconds: u32::MAX,
            sessions: 1,
            refusals: Some(5),
        };
        let both = Limits::DEFAULT.narrowed_by(wide);
        assert_eq!(both.statement, Limits::DEFAULT.statement);
        assert_eq!(both.budget, Budget { rows: 1, bytes: Limits::DEFAULT.budget.bytes });
        assert_eq!(both.idle_transaction_seconds, Limits::DEFAULT.idle_transaction_seconds);
        assert_eq!((both.sessions, both.refusals), (1, Some(5)));
        let fewer = Limits { refusals: Some(4), ..wide };
        assert_eq!([wide.narrowed_by(fewer), fewer.narrowed_by(wide)], [fewer; 2]);
        assert_eq!(both, wide.narrowed_by(Limits::DEFAULT));
    }
}
