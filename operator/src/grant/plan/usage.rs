//! What a grant used, whatever pod served it. It never shrinks: a report that says less is an older one, or a lie.

use access::report::Usage;
use access::{Limits, Used};
use crds::{AccessGrantStatus, ChargedStatus, LeaseStatus, UsageStatus};

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

/// How many steps there are in a budget.
const STEPS: u64 = 20;

/// Whether this is so much more than what is on record that it goes there at once: another twentieth of the budget, a first statement
/// or refusal, a first session or none any more.
pub fn is_step(status: &AccessGrantStatus, reported: &Usage, limits: &Limits) -> bool {
    let Usage { open_sessions, sessions: _, statements, refused, rows, bytes } = *reported;
    let before = status.usage.clone().unwrap_or_default();
    let step = |used: u64, all: u64| used.saturating_mul(STEPS).checked_div(all).unwrap_or(used);
    let steps = |used: u64, before: u64, all: u64| used > before && step(used, all) != step(before, all);
    let begins = |one: u64, before: u64| one > 0 && before == 0;
    (open_sessions > 0) != (before.open_sessions > 0)
        || begins(statements, before.statements)
        || begins(refused, before.refused)
        || steps(rows, before.rows, limits.budget.rows)
        || steps(bytes, before.bytes, limits.budget.bytes)
}

/// What the next proxy counts on from.
pub fn used(status: &AccessGrantStatus) -> Used {
    let UsageStatus { open_sessions: _, statements, refused, rows, bytes } =
        status.usage.clone().unwrap_or_default();
    Used { statements, refused, rows, bytes }
}

/// Counts as used what pods that are gone may have read after their last report, once for each. A guess: what one statement may answer
/// at the most, for each session that was open, one at least; more may have been read. What stands in their last words is known, and is
/// not counted again.
pub fn charge(status: &mut AccessGrantStatus, limits: &Limits) {
    let Limits { statement, budget, sessions: most_sessions, .. } = *limits;
    let mut usage = status.usage.clone().unwrap_or_default();
    // The last one reported them; the others' are gone.
    let of_last = u64::from(usage.open_sessions.min(most_sessions).max(1));
    let last = status.leases.len().saturating_sub(1);
    let unheard = status.leases.iter_mut().enumerate().filter(|(_, line)| died_unheard(line));
    for (number, line) in unheard {
        let sessions = if number == last { of_last } else { 1 };
        let more =
            |of_one: u64, used: u64, all: u64| of_one.saturating_mul(sessions).min(all.saturating_sub(used));
        let charged = ChargedStatus {
            rows: more(statement.rows, usage.rows, budget.rows),
            bytes: more(statement.bytes, usage.bytes, budget.bytes),
        };
        usage.rows = usage.rows.saturating_add(charged.rows);
        usage.bytes = usage.bytes.saturating_add(charged.bytes);
        usage.open_sessions = 0;
        line.charged = Some(charged);
        status.usage = Some(usage.clone());
    }
}

/// It may have had a credential, and nobody heard how it ended.
fn died_unheard(line: &LeaseStatus) -> bool {
    line.had_credential() && line.proofs.is_empty() && line.charged.is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use access::Limits;
    use crds::GrantPhase;

    use super::super::model::World;
    use super::super::tests::everything_is_shut;
    use super::*;
    use crate::grant::observed::UsageDue;

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

    #[test]
    fn a_pod_after_one_that_died_begins_with_the_budget_that_is_left() {
        let Limits { statement, budget, .. } = Limits::DEFAULT;
        for (read, left) in [
            (0, budget.rows - statement.rows),
            (budget.rows - statement.rows - 1, 1),
            (budget.rows - 1, 0),
            (budget.rows, 0),
        ] {
            let mut world = World::ready();
            world.reads(read);
            world.run(1, 200);
            let pod = world.pod.as_mut().unwrap();
            (pod.died, pod.finished_at) = (true, Some(world.now));
            world.run(24, 1000);
            assert_eq!((world.made, world.status().phase), (2, GrantPhase::Ready));
            let file = world.file.as_ref().unwrap();
            assert_eq!(file.limits.budget.rows - file.used.rows, left);
            let charged = world.status().leases[0].charged.unwrap();
            assert_eq!((charged.rows, charged.bytes), (budget.rows - read - left, statement.bytes));
            assert_eq!(
                world.status().usage.unwrap().rows,
                read + charged.rows,
                "the new pod counts on from there"
            );
            world.reads(5);
            world.run(1, 200);
            assert_eq!(world.status().usage.unwrap().rows, read + charged.rows + 5);
            assert_eq!(world.status().leases[1].charged, None);
        }
    }

    #[test]
    fn each_session_of_a_pod_that_died_is_charged_and_one_that_told_its_end_is_not() {
        let line = |confirmed: Option<bool>, proofs: usize| LeaseStatus {
            confirmed,
            proofs: vec![crds::ProofStatus::default(); proofs],
            ..LeaseStatus::default()
        };
        let one = Limits::DEFAULT.statement.rows;
        for (line, sessions, rows) in [
            (line(Some(true), 0), 0, one),
            (line(Some(true), 0), 3, 3 * one),
            (line(Some(true), 0), u32::MAX, u64::from(Limits::DEFAULT.sessions) * one),
            (line(Some(true), 4), 3, 0),
            (line(Some(false), 0), 3, 0),
        ] {
            let usage = UsageStatus { open_sessions: sessions, ..UsageStatus::default() };
            let leases = vec![line.clone()];
            let mut status = AccessGrantStatus { usage: Some(usage), leases, ..AccessGrantStatus::default() };
            for _ in 0..2 {
                charge(&mut status, &Limits::DEFAULT);
                assert_eq!(used(&status).rows, rows, "{line:?} with {sessions}");
            }
        }
    }

    #[test]
    fn several_that_died_are_charged_at_once_within_the_budget() {
        let line = LeaseStatus { confirmed: Some(true), ..LeaseStatus::default() };
        let usage = UsageStatus { open_sessions: 2, ..UsageStatus::default() };
        let leases = vec![line.clone(), line.clone()];
        let mut status = AccessGrantStatus { usage: Some(usage), leases, ..AccessGrantStatus::default() };
        charge(&mut status, &Limits::DEFAULT);
        assert_eq!(used(&status).rows, 3 * Limits::DEFAULT.statement.rows);
        status.leases = vec![line; 200];
        charge(&mut status, &Limits::DEFAULT);
        assert_eq!(used(&status).rows, Limits::DEFAULT.budget.rows);
    }

    #[test]
    fn a_step_goes_on_record_at_once_and_what_is_less_with_the_next() {
        let Limits { budget, .. } = Limits::DEFAULT;
        let on_record = UsageStatus { open_sessions: 1, statements: 5, refused: 1, rows: 10, bytes: 10 };
        let status = AccessGrantStatus { usage: Some(on_record), ..AccessGrantStatus::default() };
        let said = Usage { open_sessions: 1, sessions: 1, statements: 5, refused: 1, rows: 10, bytes: 10 };
        let steps = |said: Usage| is_step(&status, &said, &Limits::DEFAULT);
        assert!(!steps(said));
        assert!(!steps(Usage { open_sessions: 3, statements: 900, refused: 7, ..said }));
        assert!(!steps(Usage { rows: budget.rows / 20 - 1, bytes: budget.bytes / 20 - 1, ..said }));
        assert!(steps(Usage { rows: budget.rows / 20, ..said }));
        assert!(steps(Usage { bytes: budget.bytes / 20, ..said }));
        assert!(steps(Usage { open_sessions: 0, ..said }));
        assert!(!steps(Usage { rows: 0, bytes: 0, ..said }), "it never shrinks");
        assert!(is_step(&AccessGrantStatus::default(), &said, &Limits::DEFAULT), "a first statement");
        let four_fifths = UsageStatus { rows: budget.rows / 5 * 4 - 1, ..status.usage.clone().unwrap() };
        let status = AccessGrantStatus { usage: Some(four_fifths), ..AccessGrantStatus::default() };
        assert!(is_step(&status, &Usage { rows: budget.rows / 5 * 4, ..said }, &Limits::DEFAULT));
    }

    #[test]
    fn what_a_pod_said_last_goes_on_record_when_it_dies_and_is_charged_once() {
        let Limits { statement, .. } = Limits::DEFAULT;
        let mut world = World::ready();
        world.usage = UsageDue::Later;
        let pod = world.pod.as_mut().unwrap();
        (pod.died, pod.finished_at) = (true, Some(world.now));
        world.heard = Some(Usage { open_sessions: 2, statements: 9, rows: 70, ..Usage::default() });
        world.run(24, 1000);
        assert_eq!((world.made, world.status().phase), (2, GrantPhase::Ready));
        let usage = world.status().usage.unwrap();
        assert_eq!((usage.statements, usage.rows, usage.open_sessions), (9, 70 + 2 * statement.rows, 0));
    }

    #[test]
    fn what_a_pod_read_after_its_last_report_stands_in_its_last_words() {
        let mut world = World::ready();
        world.reads(7);
        world.run(1, 200);
        world.usage = UsageDue::Later;
        world.reads(3);
        assert!(world.plan().actions.is_empty(), "not yet");
        let now = world.now;
        world.pod.as_mut().unwrap().deleting_since = Some(now);
        for _ in 0..4 {
            world.tick(200);
        }
        assert!(world.pod.is_none());
        world.run(30, 200);
        assert_eq!(world.pod.as_ref().unwrap().used.rows, 10);
    }

    #[test]
    fn a_report_that_says_less_takes_nothing_back() {
        let mut world = World::ready();
        world.reads(10);
        world.run(1, 200);
        world.pod.as_mut().unwrap().used = Used::default();
        world.run(2, 200);
        assert_eq!(world.status().usage.unwrap().rows, 10);
        world.revoke();
        world.run(30, 200);
        everything_is_shut(&world);
        assert_eq!(world.status().usage.unwrap().rows, 10);
    }
}
