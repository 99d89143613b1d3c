//! What a statement and the grant may use, checked before each frame of an answer is passed on. Pure.

use std::fmt;

use access::report::Usage;
use access::{Budget, Limits, StatementLimits};

use super::refused::Refused;
use crate::rule::Rule;

/// A limit that was met. The client hears which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// Rows of one statement.
    Rows(u64),
    /// Bytes of one statement.
    Bytes(u64),
    /// Seconds of one statement.
    Seconds(u32),
    /// Rows of the whole grant.
    GrantRows(u64),
    /// Bytes of the whole grant.
    GrantBytes(u64),
}

/// What one more frame would make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct After {
    /// Rows of the statement with this frame.
    pub rows: u64,
    /// Bytes of the statement with this frame.
    pub bytes: u64,
    /// Rows in this frame: 0 or 1.
    pub more_rows: u64,
    /// Bytes in this frame.
    pub more_bytes: u64,
}

/// Whether one more frame would go beyond a limit; a limit itself may be reached. `used`: by the grant, before it.
pub(super) fn met(limits: &Limits, used: &Usage, after: After) -> Option<Met> {
    let After { rows, bytes, more_rows, more_bytes } = after;
    // Sessions are counted when one opens, refusals where one goes on record, and seconds are watched while nothing comes.
    let Limits { statement, budget, idle_transaction_seconds: _, sessions: _, refusals: _ } = *limits;
    let StatementLimits { rows: most_rows, seconds: _, bytes: most_bytes } = statement;
    if rows > most_rows {
        Some(Met::Rows(most_rows))
    } else if bytes > most_bytes {
        Some(Met::Bytes(most_bytes))
    } else {
        beyond(budget, used, more_rows, more_bytes)
    }
}

/// Whether the grant's budget is used up before a statement begins.
pub(super) fn used_up(limits: &Limits, used: &Usage) -> Option<Met> {
    beyond(limits.budget, used, 1, 1)
}

/// Whether this much more would go beyond the budget.
fn beyond(budget: Budget, used: &Usage, more_rows: u64, more_bytes: u64) -> Option<Met> {
    let Budget { rows: most_rows, bytes: most_bytes } = budget;
    let Usage { open_sessions: _, sessions: _, statements: _, refused: _, rows, bytes } = *used;
    if rows.saturating_add(more_rows) > most_rows {
        Some(Met::GrantRows(most_rows))
    } else if bytes.saturating_add(more_bytes) > most_bytes {
        Some(Met::GrantBytes(most_bytes))
    } else {
        None
    }
}

impl Met {
    /// What the client hears.
    pub(super) fn refused(self) -> Refused {
        let rule = match self {
            Self::Rows(_) => Rule::Rows,
            Self::Bytes(_) => Rule::Bytes,
            Self::Seconds(_) => Rule::Seconds,
            Self::GrantRows(_) => Rule::GrantRows,
            Self::GrantBytes(_) => Rule::GrantBytes,
        };
        Refused::new(rule, self.to_string())
    }
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "limit of {rows} rows per statement reached"),
            Self::Bytes(bytes) => write!(f, "limit of {bytes} bytes per statement reached"),
            Self::Seconds(seconds) => write!(f, "limit of {seconds} seconds per statement reached"),
            Self::GrantRows(rows) => {
                write!(f, "the grant's budget of {rows} rows is used up: ask for a new grant")
            }
            Self::GrantBytes(bytes) => {
                write!(f, "the grant's budget of {bytes} bytes is used up: ask for a new grant")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::{Budget, StatementLimits};

    const LIMITS: Limits = Limits {
        statement: StatementLimits { rows: 10, seconds: 1, bytes: 100 },
        budget: Budget { rows: 20, bytes: 200 },
        idle_transaction_seconds: 1,
        sessions: 1,
        refusals: None,
    };

    fn one_row(rows: u64, bytes: u64, used: (u64, u64)) -> Option<Met> {
        let used = Usage { rows: used.0, bytes: used.1, ..Usage::default() };
        met(&LIMITS, &used, After { rows, bytes, more_rows: 1, more_bytes: 10 })
    }

    #[test]
    fn a_limit_may_be_reached_and_not_passed() {
        assert_eq!(one_row(10, 100, (0, 0)), None);
        assert_eq!(one_row(11, 100, (0, 0)), Some(Met::Rows(10)));
        assert_eq!(one_row(10, 101, (0, 0)), Some(Met::Bytes(100)));
    }

    #[test]
    fn the_grants_budget_binds_all_statements_together() {
        assert_eq!(one_row(1, 10, (19, 190)), None);
        assert_eq!(one_row(1, 10, (20, 0)), Some(Met::GrantRows(20)));
        assert_eq!(one_row(1, 10, (0, 191)), Some(Met::GrantBytes(200)));
    }

    #[test]
    fn with_the_budget_used_up_no_statement_begins() {
        let used = |rows, bytes| used_up(&LIMITS, &Usage { rows, bytes, ..Usage::default() });
        assert_eq!(used(19, 199), None);
        assert_eq!(used(20, 0), Some(Met::GrantRows(20)));
        assert_eq!(used(0, 200), Some(Met::GrantBytes(200)));
    }
}
