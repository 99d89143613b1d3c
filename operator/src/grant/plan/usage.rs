//! What a grant used, whatever pod served it. It never shrinks: a report that says less is an older one, or a lie.

use access::Used;
use access::report::Usage;
use crds::{AccessGrantStatus, UsageStatus};

/// Puts what a proxy reports on record.
pub fn note(status: &mut AccessGrantStatus, reported: &Usage) {
    let Usage { open_sessions, sessions: _, statements, refused, rows, bytes } = *reported;
    let before = used(status);
    status.usage = Some(UsageStatus {
        open_sessions,
        statements: before.statements.max(statements),
        refused: before.refused.max(refused),
        rows: before.rows.max(rows),
        bytes: before.bytes.max(bytes),
    });
}

/// What the next proxy counts on from.
pub fn used(status: &AccessGrantStatus) -> Used {
    let UsageStatus { open_sessions: _, statements, refused, rows, bytes } =
        status.usage.clone().unwrap_or_default();
    Used { statements, refused, rows, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_used_is_forgotten_and_sessions_close() {
        let mut status = AccessGrantStatus::default();
        assert_eq!(used(&status), Used::default());
        let much = Usage { open_sessions: 3, sessions: 9, statements: 8, refused: 7, rows: 6, bytes: 5 };
        note(&mut status, &much);
        note(&mut status, &Usage::default());
        let all = Used { statements: 8, refused: 7, rows: 6, bytes: 5 };
        assert_eq!((used(&status), status.usage.as_ref().unwrap().open_sessions), (all, 0));
        note(&mut status, &Usage { rows: 7, ..much });
        assert_eq!(used(&status), Used { rows: 7, ..all });
    }
}
