//! A session that holds on to something and reads nothing: the owner's `ALTER TABLE` waits for its locks, and behind that
//! everybody else. It is told and cut; one that only may hold on to something lets go of it. A ping, and whatever else is only
//! counted, answered here or refused, is no reading: clients send such things by themselves for as long as they are connected.

use std::time::Duration;

use tokio::time::Instant;
use wire::mysql::command;
use wire::mysql::response::status_flags::StatusFlags;

use super::{Ended, Relay};
use crate::alarm::Alarm;
use crate::engines::mysql::belief::Holding;

/// Ends what holds locks without being a transaction, whatever `completion_type` is.
const LET_GO: &[u8] = b"ROLLBACK AND NO CHAIN NO RELEASE";

/// Waits until `patience` is over since then.
pub(super) async fn idle_for(alarm: &mut Alarm, since: Instant, patience: Duration) {
    match since.checked_add(patience) {
        Some(deadline) => alarm.rings(deadline).await,
        None => std::future::pending().await,
    }
}

impl Relay {
    /// How long a session may hold on to something and read nothing.
    pub(super) fn idle_patience(&self) -> Duration {
        Duration::from_secs(self.shared.grant.limits.idle_transaction_seconds.into())
    }

    /// Whoever sends commands ahead is never waited for, and reads as little by pings as others do.
    pub(super) async fn is_not_idle_too_long(&mut self) -> Result<(), Ended> {
        if self.database.belief.holding() == Holding::Nothing {
            return Ok(());
        }
        match self.read_at.checked_add(self.idle_patience()) {
            Some(deadline) if deadline <= Instant::now() => self.lets_go().await,
            Some(_) | None => Ok(()),
        }
    }

    /// Nothing was read for as long as that may be. What is not known, the server is asked.
    pub(super) async fn lets_go(&mut self) -> Result<(), Ended> {
        if self.database.belief.holding() == Holding::Untold {
            self.database.simple("COM_PING", &command::encode_ping()).await?;
        }
        let belief = &self.database.belief;
        if belief.holding() == Holding::Something {
            return Err(Ended::Idle(self.shared.grant.limits.idle_transaction_seconds));
        }
        // There is no transaction that could be lost.
        if !belief.status().contains(StatusFlags::AUTOCOMMIT) {
            self.database.simple("ROLLBACK", &command::encode_query(LET_GO)).await?;
        }
        self.database.belief.holds_nothing();
        // From here on it may hold on to something anew.
        self.read_at = Instant::now();
        Ok(())
    }
}
