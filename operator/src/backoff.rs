//! How long to wait before something that failed is tried again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Waits that double, from the first to the longest.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The longest first wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Backoff {
    /// The wait after so many failures in a row: between half and all of what is due. Things that fail together are not tried
    /// again together: the name of the thing decides where between.
    pub fn wait(self, failures: u32, name: &str) -> Duration {
        let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let due = self.first.saturating_mul(doubled).min(self.longest);
        let mut hasher = DefaultHasher::new();
        (name, failures).hash(&mut hasher);
        let of_a_thousand = u32::try_from(hasher.finish() % 1_000).unwrap_or(0);
        due.div_f64(2.0).saturating_add(due.div_f64(2_000.0).saturating_mul(of_a_thousand))
    }
}

/// How often each object failed in a row.
#[derive(Debug)]
pub struct Failures {
    backoff: Backoff,
    in_a_row: Mutex<HashMap<String, u32>>,
}

impl Failures {
    /// None yet.
    pub fn none(backoff: Backoff) -> Self {
        Self { backoff, in_a_row: Mutex::default() }
    }

    /// The object with this uid failed once more: how long to wait now.
    pub fn again_in(&self, uid: &str) -> Duration {
        let mut all = self.locked();
        let failures = all.entry(uid.to_owned()).or_default();
        *failures = failures.saturating_add(1);
        self.backoff.wait(*failures, uid)
    }

    /// It did not fail this time.
    pub fn went_well(&self, uid: &str) {
        self.locked().remove(uid);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.in_a_row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

    #[test]
    fn waits_double_up_to_the_longest() {
        for (failures, due) in [(1, 1), (2, 2), (5, 16), (6, 30), (40, 30), (u32::MAX, 30)] {
            let (due, wait) = (Duration::from_secs(due), BACKOFF.wait(failures, "a"));
            assert!((due / 2..=due).contains(&wait), "{failures}: {wait:?}");
        }
    }

    #[test]
    fn one_success_begins_anew() {
        let failures = Failures::none(BACKOFF);
        let first = failures.again_in("a");
        assert!(failures.again_in("a") > first);
        failures.went_well("a");
        assert_eq!(failures.again_in("a"), first);
    }

    #[test]
    fn what_fails_together_is_not_tried_again_together() {
        let waits: BTreeSet<Duration> = (0..100).map(|n| BACKOFF.wait(3, &format!("grant {n}"))).collect();
        assert!(waits.len() > 80, "{waits:?}");
    }
}
