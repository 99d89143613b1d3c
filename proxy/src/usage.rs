//! Counts what the sessions of the grant use, on from what they used on earlier proxies: shared by all sessions and by
//! the report.
//!
//! It ends nothing: whether a budget is used up is decided where statements are relayed, and what becomes of too many refusals
//! where they go on record.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use access::report::Usage;
use access::{Limits, Used};
use record::kinds::proxy::BudgetOf;

/// The counters of one grant. Every method may be called from any session at any time.
#[derive(Debug, Default)]
pub struct UsageMeter {
    open_sessions: AtomicU32,
    sessions: AtomicU64,
    statements: AtomicU64,
    refused: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
    most_refused: Option<u32>,
    turn: Mutex<()>,
    /// Which parts of budgets were told of: a bit for each.
    told: AtomicU8,
}

/// A part of a budget that is used now, and was not told of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedPart {
    /// Of what.
    pub of: BudgetOf,
    /// How much there is.
    pub budget: u64,
    /// How much is used.
    pub used: u64,
}

/// One place among the open sessions; dropping it gives the place back.
#[derive(Debug)]
pub struct OpenSession {
    meter: Arc<UsageMeter>,
}

impl From<Used> for UsageMeter {
    /// Counts on from what was used before.
    fn from(used: Used) -> Self {
        let Used { statements, refused, rows, bytes } = used;
        Self {
            open_sessions: AtomicU32::default(),
            sessions: AtomicU64::default(),
            statements: statements.into(),
            refused: refused.into(),
            rows: rows.into(),
            bytes: bytes.into(),
            most_refused: None,
            turn: Mutex::default(),
            told: AtomicU8::default(),
        }
    }
}

impl UsageMeter {
    /// Counts on from what was used before, and knows how many statements may be refused.
    pub fn of(used: Used, limits: &Limits) -> Self {
        Self { most_refused: limits.refusals, ..Self::from(used) }
    }

    /// Takes a place for one more session, unless `limit` are open.
    pub fn open_session(self: &Arc<Self>, limit: u32) -> Option<OpenSession> {
        let one_more = |open: u32| if open < limit { open.checked_add(1) } else { None };
        self.open_sessions.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        self.sessions.fetch_add(1, Ordering::Relaxed);
        Some(OpenSession { meter: Arc::clone(self) })
    }

    /// One statement was forwarded, or answered by the proxy itself.
    pub fn count_statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    /// One statement was refused.
    pub fn count_refusal(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// How many statements may be refused, once so many were, or more.
    pub fn refused_too_often(&self) -> Option<u32> {
        self.most_refused.filter(|most| self.refused.load(Ordering::Relaxed) >= u64::from(*most))
    }

    /// The turn of one session to see whether more fits into the budget, and to count it: two that saw the same rest would both
    /// take it. Not to be held over an await.
    pub fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what went to a client of an answer. Called as it goes, not at its end: a budget binds all sessions together.
    pub fn count_answer(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The parts of the grant's budgets that are used now and were not a moment ago: four fifths, and all. Each is said once.
    pub fn newly_used(&self, limits: &Limits) -> Vec<UsedPart> {
        let Usage { refused, rows, bytes, .. } = self.so_far();
        let budgets = [
            (BudgetOf::Rows, rows, limits.budget.rows),
            (BudgetOf::Bytes, bytes, limits.budget.bytes),
            (BudgetOf::Refusals, refused, limits.refusals.map_or(u64::MAX, u64::from)),
        ];
        let (mut new, mut bit) = (Vec::new(), 1_u8);
        for (of, used, budget) in budgets {
            for is_used in [used >= budget.saturating_sub(budget.div_ceil(5)), used >= budget] {
                if is_used && self.told.fetch_or(bit, Ordering::AcqRel) & bit == 0 {
                    new.push(UsedPart { of, budget, used });
                }
                bit = bit.wrapping_shl(1);
            }
        }
        new
    }

    /// What was used so far.
    pub fn so_far(&self) -> Usage {
        // No status can hold more: whatever an earlier proxy claimed, what this one says can be recorded.
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed).min(i64::MAX.unsigned_abs());
        Usage {
            open_sessions: self.open_sessions.load(Ordering::Acquire),
            sessions: count(&self.sessions),
            statements: count(&self.statements),
            refused: count(&self.refused),
            rows: count(&self.rows),
            bytes: count(&self.bytes),
        }
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.meter.open_sessions.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_session_opens_beyond_the_limit_and_a_closed_one_gives_its_place_back() {
        let meter = Arc::new(UsageMeter::default());
        let first = meter.open_session(2).unwrap();
        let second = meter.open_session(2).unwrap();
        assert!(meter.open_session(2).is_none());
        drop(first);
        let third = meter.open_session(2).unwrap();
        assert_eq!((meter.so_far().open_sessions, meter.so_far().sessions), (2, 3));
        drop((second, third));
        assert_eq!(meter.so_far().open_sessions, 0);
    }

    #[test]
    fn each_part_of_a_budget_is_told_of_once() {
        let budget = access::Budget { rows: 10, bytes: 1_000 };
        let limits = Limits { budget, refusals: Some(5), ..Limits::DEFAULT };
        let meter = UsageMeter::of(Used::default(), &limits);
        let rows = |used| UsedPart { of: BudgetOf::Rows, budget: 10, used };
        assert_eq!(meter.newly_used(&limits), []);
        meter.count_answer(7, 0);
        assert_eq!(meter.newly_used(&limits), []);
        meter.count_answer(1, 0);
        assert_eq!(meter.newly_used(&limits), [rows(8)]);
        assert_eq!(meter.newly_used(&limits), []);
        meter.count_answer(2, 1_000);
        let bytes = UsedPart { of: BudgetOf::Bytes, budget: 1_000, used: 1_000 };
        assert_eq!(meter.newly_used(&limits), [rows(10), bytes, bytes], "both parts at once");
        (0..4).for_each(|_| meter.count_refusal());
        assert_eq!(meter.newly_used(&limits), [UsedPart { of: BudgetOf::Refusals, budget: 5, used: 4 }]);
    }

    #[test]
    fn answers_add_up_on_what_earlier_proxies_gave() {
        let meter = UsageMeter::from(Used { statements: 1_000, refused: 100, rows: 10_000, bytes: 100_000 });
        meter.count_answer(2, 30);
        meter.count_answer(1, 10);
        meter.count_statement();
        meter.count_refusal();
        let Usage { open_sessions, sessions, statements, refused, rows, bytes } = meter.so_far();
        assert_eq!((statements, refused, rows, bytes), (1_001, 101, 10_003, 100_040));
        assert_eq!((open_sessions, sessions), (0, 0));
    }

    #[test]
    fn refusals_of_earlier_proxies_count_towards_the_most_that_may_be() {
        let limits = |refusals| Limits { refusals, ..Limits::DEFAULT };
        let meter = UsageMeter::of(Used { refused: 2, ..Used::default() }, &limits(Some(4)));
        meter.count_refusal();
        assert_eq!(meter.refused_too_often(), None);
        meter.count_refusal();
        assert_eq!(meter.refused_too_often(), Some(4));
        meter.count_refusal();
        assert_eq!(meter.refused_too_often(), Some(4));
        let unbounded = UsageMeter::of(Used { refused: u64::MAX, ..Used::default() }, &limits(None));
        assert_eq!(unbounded.refused_too_often(), None);
    }

    #[test]
    fn sessions_on_several_threads_take_no_more_than_there_is() {
        const BUDGET: u64 = 100_000;
        let meter = UsageMeter::default();
        let takes = || {
            loop {
                let _turn = meter.turn();
                if meter.so_far().rows >= BUDGET {
                    break;
                }
                meter.count_answer(1, 1);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(takes);
            }
        });
        assert_eq!(meter.so_far().rows, BUDGET);
    }

    #[test]
    fn what_is_told_never_exceeds_what_a_status_can_hold() {
        let most = i64::MAX.unsigned_abs();
        let meter = UsageMeter::from(Used { statements: most, refused: most, rows: most, bytes: most });
        meter.count_answer(1, 1);
        meter.count_statement();
        meter.count_refusal();
        let Usage { open_sessions: _, sessions: _, statements, refused, rows, bytes } = meter.so_far();
        assert_eq!([statements, refused, rows, bytes], [most; 4]);
    }
}
