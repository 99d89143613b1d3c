//! The end of a session: the client hears why in a way that its protocol allows, the outcome goes on record, and the
//! database's side is closed. Bounded in time: nobody who doesn't read can hold it up.

use std::time::Duration;

use tokio::time::timeout;
use wire::mysql::command;
use wire::mysql::frame::Sequence;

use super::client_side::FIRST_ANSWER;
use super::several::Position;
use super::{Ended, Relay};
use crate::engines::mysql::errors;

/// How long the client may take to hear it.
const TELLING: Duration = Duration::from_millis(250);

/// How long the database may take to take our goodbye.
const LEAVING: Duration = Duration::from_millis(100);

/// How long the database may take to kill what still runs for a client that is gone.
const KILLING: Duration = Duration::from_secs(10);

impl Relay {
    /// Closes both sides. Whether the client was told why.
    pub(super) async fn part(&mut self, ended: &Ended) -> bool {
        // A client that doesn't listen is not told; it finds the connection closed.
        let told = timeout(TELLING, self.tell(ended)).await.unwrap_or(false);
        if let Some(exchange) = &mut self.exchange {
            exchange.error = exchange.error.or(Some(errors::GONE.into()));
        }
        self.record_outcome();
        self.leave_database(ended).await;
        told
    }

    async fn leave_database(&mut self, ended: &Ended) {
        if !self.busy {
            let _ = timeout(LEAVING, self.database.leave()).await;
            return;
        }
        let _ = timeout(LEAVING, self.database.send(&command::encode_quit())).await;
        // What still runs there is stopped. At the end of the grant all its connections are killed together.
        if matches!(ended, Ended::Grant(_)) {
            return;
        }
        let shared = &self.shared;
        let session = self.database.opened();
        let kill = shared.engine.dialer.kill_connection(&shared.credential, &session);
        tokio::select! {
            biased;
            _ = shared.ending.began() => {}
            killed = timeout(KILLING, kill) => match killed {
                Ok(Ok(())) => {}
                // The cause is in the log already.
                Ok(Err(_)) => tracing::warn!("a database session may still run its last statement"),
                Err(_) => tracing::warn!("the database does not answer: its session may still run its last statement"),
            }
        }
    }

    /// Whether the client has heard it.
    async fn tell(&mut self, ended: &Ended) -> bool {
        let mut said = false;
        if let Some(packet) = ended.packet() {
            // What was let pass is said first, and the frame that is under way must be whole before anything else.
            while self.owed > 0 {
                if self.pay().await.is_err() {
                    return false;
                }
                if self.owed > 0 && !self.more_comes(ended).await {
                    break;
                }
            }
            if self.exchange.is_none() && self.position == Position::Alone {
                // To whoever sends a next command this is its answer.
                self.client.set_sequence(Sequence::starting_at(FIRST_ANSWER));
            }
            if self.owed == 0 && !self.client.is_mid_packet() {
                self.client.goodbye(&packet);
                said = true;
            }
        }
        let heard = self.client.flush().await.is_ok();
        if heard {
            self.client.close().await;
        }
        said && heard
    }

    /// Whether the database had more of the frame that is under way. It is asked at the end of the grant only:
    /// otherwise it is the database that broke off, or the client.
    async fn more_comes(&mut self, ended: &Ended) -> bool {
        let received = self.database.inbound.fill(&mut self.database.stream);
        matches!(ended, Ended::Grant(_)) && matches!(received.await, Ok(received) if received > 0)
    }
}
