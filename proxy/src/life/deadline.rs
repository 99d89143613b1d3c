//! The proxy's own clock ends its grant: at its deadline, and before what Vault lent for it is over.

use std::time::Duration;

use access::EndReason;

use super::Life;
use super::moment::Moment;
use crate::ending::{EndCause, Ending};

/// How long before its token ends in Vault the proxy shuts by itself, so that the clients hear why and the lease is
/// revoked while the token still may. The grant is never longer than its terms, only this much shorter.
const LEAD: Duration = Duration::from_secs(2);

/// How much earlier than a grant a token may end that was made for all its time: Vault counts whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

/// Ends the grant at its deadline, `LEAD` before its token ends.
pub async fn end_in_time(ending: Ending, deadline: Moment) {
    deadline.earlier(LEAD).comes().await;
    ending.begin(EndCause::of(EndReason::Expired));
}

/// Vault may lend a token or a credential for less time than the grant has left: people hear of it in time, and a new proxy
/// brings a new one. Vault counts whole seconds, so what it lends for all the time that is left ends up to one earlier.
pub fn end_before<E>(life: &Life<E>, lent: Duration) {
    if is_too_short(lent, life.deadline.left()) {
        tokio::spawn(stop_in_time(life.ending.clone(), Moment::after(lent)));
    }
}

fn is_too_short(lent: Duration, left: Duration) -> bool {
    lent.saturating_add(ROUNDING) < left
}

async fn stop_in_time(ending: Ending, over: Moment) {
    over.earlier(LEAD).comes().await;
    ending.begin(EndCause::of(EndReason::Stopped));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_seconds_before_either_is_over_the_grant_ends_and_says_which() {
        for (reason, is_of_the_deadline) in [(EndReason::Expired, true), (EndReason::Stopped, false)] {
            let (ending, began, over) = (Ending::new(), std::time::Instant::now(), Moment::after(LEAD));
            match is_of_the_deadline {
                true => end_in_time(ending.clone(), over).await,
                false => stop_in_time(ending.clone(), over).await,
            }
            assert_eq!(ending.cause(), Some(EndCause::of(reason)));
            assert!(began.elapsed() < LEAD, "{:?}", began.elapsed());
        }
    }

    #[test]
    fn what_vault_rounded_down_is_long_enough() {
        let left = Duration::from_secs(1800);
        assert!(!is_too_short(left, left));
        assert!(!is_too_short(left.saturating_sub(ROUNDING), left));
        assert!(is_too_short(left.saturating_sub(ROUNDING).saturating_sub(Duration::from_millis(1)), left));
    }
}
