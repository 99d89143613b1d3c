//! Answers that are not shown to their end: the client hears why in the place of the next packet, and the database is made to stop.

use std::time::Duration;

use tokio::time::timeout;
use wire::mysql::frame::Sequence;
use wire::mysql::response::ResponseTracker;

use super::Relay;
use super::answer::Following;
use super::answered::Answered;
use super::client_side::FIRST_ANSWER;
use super::ended::Ended;
use super::refused::Refused;
use crate::audit::NotRecorded;
use crate::engines::mysql::server::{CommandError, INBOUND};

/// How long a client may take to hear that a limit was met.
const HEARING: Duration = Duration::from_secs(1);

/// How long the database may take to stop a statement.
pub(super) const STOPPING: Duration = Duration::from_secs(5);

/// "Query execution was interrupted": a late KILL QUERY.
const INTERRUPTED: u16 = 1317;

impl Relay {
    /// Tells the client in place of the next packet, where everything that was let pass has gone out, and makes the database stop.
    /// The session goes on if the database does.
    pub(super) async fn interrupt(
        &mut self,
        refused: Refused,
        following: Following<'_>,
    ) -> Result<Answered, Ended> {
        let Following { mut tracker, answered, held, .. } = following;
        self.database.inbound.may_hold(INBOUND);
        self.answer_error(&refused)?;
        match timeout(HEARING, self.client.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Ended::ClientGone),
            Err(_) => return Err(Ended::ClientStalled),
        }
        self.stop(held, &mut tracker, answered).await
    }

    /// The command is not on record in time, so nothing of its answer is shown: the client hears that in its place, and the database is
    /// made to stop.
    pub(super) async fn withhold(
        &mut self,
        why: NotRecorded,
        following: Following<'_>,
    ) -> Result<Answered, Ended> {
        if !why.may_pass() {
            return Err(Ended::NotRecorded(why));
        }
        let Following { mut tracker, answered, held, .. } = following;
        match timeout(HEARING, self.say_unrecorded(why)).await {
            Ok(said) => said?,
            Err(_) => return Err(Ended::ClientStalled),
        }
        self.stop(held, &mut tracker, answered).await
    }

    /// Makes the database stop what the client has heard the end of, and reads the rest of its answer.
    async fn stop(
        &mut self,
        held: usize,
        tracker: &mut ResponseTracker,
        answered: Answered,
    ) -> Result<Answered, Ended> {
        // That was the whole of its answer. Should the session end now, the next command is what it hears that to.
        self.client.set_sequence(Sequence::starting_at(FIRST_ANSWER));
        let shared = std::sync::Arc::clone(&self.shared);
        let stopped = async {
            let killed = shared.engine.dialer.kill_query(&shared.credential, &self.database.opened()).await;
            killed.map_err(|_| Ended::DatabaseGone)?;
            let answered = self.drain(held, tracker, answered).await?;
            self.absorb().await?;
            Ok(answered.stopped())
        };
        timeout(STOPPING, stopped).await.unwrap_or(Err(Ended::DatabaseGone))
    }

    /// Reads the rest of the answer and throws it away: what the whole answer was. `left`: of the frame at the front.
    async fn drain(
        &mut self,
        mut left: usize,
        tracker: &mut ResponseTracker,
        mut answered: Answered,
    ) -> Result<Answered, Ended> {
        let database = &mut self.database;
        loop {
            let here = database.inbound.unread().len().min(left);
            database.inbound.consume(here);
            left = left.saturating_sub(here);
            if left == 0 {
                if tracker.is_complete() {
                    return Ok(answered);
                }
                let observed = tracker.observe(database.inbound.unread()).map_err(Ended::DatabaseBroke)?;
                if let Some(observed) = observed {
                    database.belief.note(&observed.seen).map_err(Ended::Violation)?;
                    answered.note(&observed.seen);
                    left = observed.len;
                    continue;
                }
            }
            match database.inbound.fill(&mut database.stream).await {
                Ok(received) if received > 0 => {}
                Ok(_) | Err(_) => return Err(Ended::DatabaseGone),
            }
        }
    }

    /// A KILL QUERY that came after the statement's end hits the next one: let that be ours.
    pub(super) async fn absorb(&mut self) -> Result<(), Ended> {
        for _ in 0..2 {
            match self.database.simple("COM_PING", &wire::mysql::command::encode_ping()).await {
                Ok(()) => return Ok(()),
                Err(CommandError::Refused { error, .. }) if error.code == INTERRUPTED => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Ended::DatabaseGone)
    }
}
