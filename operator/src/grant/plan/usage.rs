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
        let budget = Limits::DEFAULT.budget.rows;
        for (read, left) in [(0, budget), (budget - 1, 1), (budget, 0)] {
            let mut world = World::ready();
            world.reads(read);
            world.run(1, 200);
            let pod = world.pod.as_mut().unwrap();
            (pod.died, pod.finished_at) = (true, Some(world.now));
            world.run(24, 1000);
            assert_eq!((world.made, world.status().phase), (2, GrantPhase::Ready));
            let file = world.file.as_ref().unwrap();
            assert_eq!(file.limits.budget.rows - file.used.rows, left);
            assert_eq!(world.status().usage.unwrap().rows, read, "the new pod's report counts on from there");
            world.reads(5);
            world.run(1, 200);
            assert_eq!(world.status().usage.unwrap().rows, read + 5);
        }
    }

    #[test]
    fn what_a_pod_read_after_its_last_report_stands_in_its_last_words() {
        let mut world = World::ready();
        world.usage = UsageDue::Later;
        world.reads(10);
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
