//! Column rules, before a statement is forwarded: the gate traces it, and is told of the tables that it asks about. What
//! is known of tables lasts for one statement.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sql::TableName;
use sql::mysql::{Catalogue, Flavour, Session, Trace};
use tokio::time::{Instant, timeout};
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::response::status_flags::StatusFlags;

use super::super::refused::Refused;
use super::super::{Ended, Relay};
use super::editor::Masks;
use crate::engines::mysql::Shared;
use crate::engines::mysql::server::{Answerer, CommandError, Connection, LookUpError, look_up, prove};
use crate::rule::Rule;

/// How deep a view of views is followed.
const MOST_ROUNDS: usize = 16;

/// The most tables of one statement, those behind its views included.
const MOST_TABLES: usize = 1_000;

/// How long the database may take to tell of the tables of one statement, in all rounds together.
const TELLING: Duration = Duration::from_secs(10);

/// What is left of that time. The gate's own time, and the wait for it, are no fault of the database's and don't count.
pub(in crate::engines::mysql::relay) struct Telling(Duration);

impl Telling {
    /// All of it.
    pub(in crate::engines::mysql::relay) fn whole() -> Self {
        Self(TELLING)
    }

    /// Waits for an answer as long as it may still take; `None`: it took longer.
    async fn hears<T>(&mut self, answer: impl Future<Output = T>) -> Option<T> {
        let began = Instant::now();
        let heard = timeout(self.0, answer).await.ok();
        self.0 = self.0.saturating_sub(began.elapsed());
        heard
    }
}

/// What the column rules say of a statement.
pub(in crate::engines::mysql::relay) enum Columns {
    /// Its result passes as it is.
    Plain,
    /// Its result passes masked.
    Masked(Masks),
    /// It does not pass.
    Refused(Refused),
}

impl Relay {
    /// What the column rules say of a text that the gate let pass.
    pub(in crate::engines::mysql::relay) async fn traced(
        &mut self,
        text: &[u8],
        session: &Session,
    ) -> Result<Columns, Ended> {
        self.traced_within(&mut Telling::whole(), text, session).await
    }

    /// The same within what is left of the time for several texts that are looked at before any is sent.
    pub(in crate::engines::mysql::relay) async fn traced_within(
        &mut self,
        telling: &mut Telling,
        text: &[u8],
        session: &Session,
    ) -> Result<Columns, Ended> {
        if !self.shared.checked.gate.gate().has_column_rules() {
            return Ok(Columns::Plain);
        }
        let (mut catalogue, mut tables) = (Arc::new(Catalogue::default()), 0_usize);
        let mut memory = self.shared.memory.share();
        for _ in 0..MOST_ROUNDS {
            let known = Arc::clone(&catalogue);
            let wanted = match self.shared.checked.gate.trace(text, session, known).await {
                Ok(Trace::Open) => return Ok(Columns::Plain),
                Ok(Trace::Masked(columns)) => return Ok(Columns::Masked(Masks::new(columns))),
                Ok(Trace::Refuse(refusal)) => return Ok(Columns::Refused(Refused::by_gate(&refusal))),
                Ok(Trace::Wanted(wanted)) => wanted,
                Err(_) => return Ok(Columns::Refused(Refused::no_verdict())),
            };
            tables = tables.saturating_add(wanted.len());
            if wanted.is_empty() || tables > MOST_TABLES {
                break;
            }
            self.busy = true;
            match telling.hears(self.tell_of(&wanted, Arc::make_mut(&mut catalogue))).await {
                Some(Ok(())) => self.busy = false,
                Some(Err(LookUpError::Untold)) => {
                    self.busy = false;
                    let message = "the database does not tell which columns its tables have, so the column rules can't \
                                   be checked: try again";
                    return Ok(Columns::Refused(Refused::new(Rule::UnknownTables, message)));
                }
                Some(Err(LookUpError::Broken(error))) => return Err(error.into()),
                None => return Err(Ended::DatabaseGone),
            }
            // By the server's own status the text may be read otherwise now than it was judged.
            if self.database.belief.session().is_none() {
                return Ok(Columns::Refused(Refused::no_verdict()));
            }
            if memory.becomes(catalogue.bytes()).is_err() {
                return Ok(Columns::Refused(Refused::no_room()));
            }
        }
        let message =
            "the statement reads too many tables, or views of views, for the column rules to be checked";
        Ok(Columns::Refused(Refused::new(Rule::TooManyTables, message)))
    }

    /// Asks in the session itself; but MySQL tells whoever has a transaction open what it knew when that began.
    async fn tell_of(
        &mut self,
        wanted: &BTreeSet<TableName>,
        catalogue: &mut Catalogue,
    ) -> Result<(), LookUpError> {
        let in_the_past = self.shared.checked.server.server.flavour == Flavour::MySql
            && self.database.belief.status().contains(StatusFlags::IN_TRANS);
        if !in_the_past {
            return look_up(&mut self.database, wanted, catalogue).await;
        }
        let (dialer, credential) = (&self.shared.engine.dialer, &self.shared.credential);
        let connected = dialer.connect_to(self.database.place, credential, Capabilities::NONE).await;
        let mut database = connected.map_err(|_| LookUpError::Untold)?;
        let session = self.database.answerer().cloned();
        let told = told_by(&self.shared, session, &mut database, wanted, catalogue).await;
        database.quit().await;
        told.map_err(|error| match error {
            LookUpError::Broken(CommandError::Violation(_) | CommandError::Unpinned { .. }) => error,
            // This connection is not the session's, so its end isn't either.
            LookUpError::Broken(_) | LookUpError::Untold => LookUpError::Untold,
        })
    }
}

/// Asks on a connection beside the session's, which must be on the same server, and as good as a session's.
async fn told_by(
    shared: &Shared,
    session: Option<Answerer>,
    database: &mut Connection,
    wanted: &BTreeSet<TableName>,
    catalogue: &mut Catalogue,
) -> Result<(), LookUpError> {
    if database.answerer() != session.as_ref() {
        return Err(LookUpError::Untold);
    }
    shared.checked.pins.apply(database, None).await?;
    prove(database, &shared.checked.pins, None).await?;
    look_up(database, wanted, catalogue).await
}
