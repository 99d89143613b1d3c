//! What a statement left the session in: after everything that changes it, or may have, the server is asked where it is. A
//! session that is elsewhere than its client was told, or than it may be, ends.

use sql::mysql::{SessionEffect, Verdict};

use super::answered::{Answered, End, Stopped};
use super::{Ended, Relay};
use crate::engines::mysql::server::ask_mode;

impl Relay {
    /// A statement with this effect is sent: what it may change is not known until it is settled.
    pub(super) fn unsettle(&mut self, effect: &SessionEffect) {
        match effect {
            SessionEffect::SetsSqlMode => self.database.belief.mode_may_change(),
            SessionEffect::None | SessionEffect::UsesSchema(_) => {}
        }
    }

    /// Settles what a statement with this effect did. The client has its answer.
    pub(super) async fn settle(&mut self, effect: &SessionEffect, answered: &Answered) -> Result<(), Ended> {
        let wanted = match effect {
            SessionEffect::None => return Ok(()),
            // A server may have set one of several variables before it said no to another.
            SessionEffect::SetsSqlMode => return Ok(ask_mode(&mut self.database).await?),
            SessionEffect::UsesSchema(wanted) => wanted,
        };
        match answered.end {
            // A server that says no has changed nothing; and to ask would wipe off what SHOW WARNINGS tells of it.
            End::Failed | End::Stopped { by_database: Stopped::InTime } => Ok(()),
            End::Done => self.enters(Some(wanted.clone())).await,
            // The client was told that it failed.
            End::Stopped { by_database: Stopped::TooLate } => {
                let before = self.database.belief.schema().map(str::to_owned);
                self.database.ask_schema().await?;
                if self.database.belief.schema() == before.as_deref() { Ok(()) } else { Err(Ended::Astray) }
            }
        }
    }

    /// Asks the server where the session is. `permitted`: the schema that the gate let pass, or the one that it was in. The
    /// server may call it otherwise, and then the gate is asked again.
    pub(super) async fn enters(&mut self, permitted: Option<String>) -> Result<(), Ended> {
        self.database.ask_schema().await?;
        self.stays(permitted).await
    }

    /// The same, where the server was asked already.
    pub(super) async fn stays(&mut self, permitted: Option<String>) -> Result<(), Ended> {
        let told = self.database.belief.schema();
        if told == permitted.as_deref() {
            return Ok(());
        }
        let Some(told) = told.map(str::to_owned) else { return Err(Ended::Astray) };
        match self.shared.checked.gate.decide_schema(told).await {
            Ok(Verdict::Forward(_)) => Ok(()),
            Ok(Verdict::Answer(_) | Verdict::Refuse(_)) | Err(_) => Err(Ended::Astray),
        }
    }
}
