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
    if lent.saturating_add(ROUNDING) >= life.deadline.left() {
        return;
    }
    let (ending, over) = (life.ending.clone(), Moment::after(lent));
    tokio::spawn(async move {
        over.earlier(LEAD).comes().await;
        ending.begin(EndCause::of(EndReason::Stopped));
    });
}
