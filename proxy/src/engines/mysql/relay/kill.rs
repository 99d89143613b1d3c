//! KILL: what a client sends from a second connection when its user presses Ctrl-C. It reaches sessions of this grant,
//! which are all of one person, and nobody else's; no number of a client's reaches the database.

use super::refused::Refused;
use super::{Ended, Relay, Request};
use crate::audit::Decision;
use crate::database::Opened;
use crate::engines::mysql::Shared;
use crate::rule::Rule;
use crate::sessions::Seat;

/// What is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// What the session executes.
    Statement,
    /// The session.
    Session,
}

impl Relay {
    pub(super) async fn kill(
        &mut self,
        request: Request<'_>,
        number: u64,
        reach: Reach,
    ) -> Result<(), Ended> {
        let Some(seat) = self.shared.seats.find(number) else {
            let message = format!("Unknown thread id: {number}");
            return self.refuse(request, Refused::new(Rule::UnknownSession, message)).await;
        };
        self.begin(request, Decision::Answered).await?;
        if seat.is(&self.seat) {
            // What is to be stopped is this very statement.
            self.answer_error(&interrupted())?;
            self.finish().await?;
            return match reach {
                Reach::Statement => Ok(()),
                Reach::Session => Err(Ended::Killed),
            };
        }
        match reach {
            Reach::Session => seat.kill(),
            Reach::Statement => {
                if let Err(refused) = stop_statement(&self.shared, &seat).await {
                    self.answer_error(&refused)?;
                    return self.finish().await;
                }
            }
        }
        self.answer_ok()?;
        self.finish().await
    }
}

/// Stops what another session executes, if anything. Its next statement waits until that is done.
async fn stop_statement(shared: &Shared, seat: &Seat<Opened>) -> Result<(), Refused> {
    let mut turn = seat.turn.lock().await;
    if !turn.asked {
        return Ok(());
    }
    turn.stopped = true;
    let killed = shared.engine.dialer.kill_query(&shared.credential, &seat.cancel).await;
    killed.map_err(|_| {
        let message = "the database could not be told to stop the statement: try again";
        Refused::new(Rule::NotStopped, message)
    })
}

/// What the servers say.
fn interrupted() -> Refused {
    Refused::new(Rule::Interrupted, "Query execution was interrupted")
}
