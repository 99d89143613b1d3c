//! How often one person may ask for certificates, of whichever signer: each answer is work, and a client that asks in a loop must not keep
//! others waiting.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The most that one person may ask for at once.
const AT_ONCE: u32 = 30;

/// How long after one more may be asked for.
const ONE_MORE: Duration = Duration::from_secs(2);

/// Who asked lately: each with the time at which all they asked for is made up for. Whose time is past is not kept.
#[derive(Default)]
pub struct Rates(Mutex<HashMap<String, Asked>>);

struct Asked {
    until: Instant,
    /// The request that was counted last: looked at again, it counts no second time.
    last: String,
}

impl Rates {
    /// Counts one request, by its uid, of this person. An error is how long they must wait.
    pub fn take(&self, user: &str, request: &str, now: Instant) -> Result<(), Duration> {
        let mut people = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        people.retain(|_, asked| asked.until > now);
        let asked = people.get(user);
        if asked.is_some_and(|asked| asked.last == request) {
            return Ok(());
        }
        let until = asked.map_or(now, |asked| asked.until);
        let allowed = ONE_MORE.saturating_mul(AT_ONCE.saturating_sub(1));
        let ahead = until.duration_since(now);
        if ahead > allowed {
            return Err(ahead.saturating_sub(allowed));
        }
        if let Some(until) = until.checked_add(ONE_MORE) {
            people.insert(user.to_owned(), Asked { until, last: request.to_owned() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects)]

    use super::*;

    #[test]
    fn who_asks_too_often_waits_and_nobody_else_does() {
        let (rates, now) = (Rates::default(), Instant::now());
        let mut number = 0;
        let mut take = |user: &str, now: Instant| {
            number += 1;
            rates.take(user, &number.to_string(), now)
        };
        for _ in 0..AT_ONCE {
            assert_eq!(take("requester", now), Ok(()));
        }
        let wait = take("requester", now).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= ONE_MORE, "{wait:?}");
        assert_eq!(take("approver", now), Ok(()));
        let later = now.checked_add(wait).unwrap();
        assert_eq!(take("requester", later), Ok(()));
        assert!(take("requester", later).is_err());
        let much_later = later.checked_add(ONE_MORE.saturating_mul(AT_ONCE)).unwrap();
        assert_eq!(take("stranger", much_later), Ok(()));
        assert_eq!(rates.0.lock().unwrap().len(), 1, "nobody is kept for ever");
    }

    #[test]
    fn one_request_that_is_looked_at_again_counts_once() {
        let (rates, now) = (Rates::default(), Instant::now());
        for _ in 0..AT_ONCE * 2 {
            assert_eq!(rates.take("requester", "one", now), Ok(()));
        }
        assert_eq!(rates.take("requester", "two", now), Ok(()));
    }
}
