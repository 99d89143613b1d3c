//! What every session is pinned to, before a client's first statement and again after everything that resets a
//! session. The server-side lock: reading only, a character set that the gate reads, and a time limit of the server's own. Its
//! `sql_mode` is what the server has; it is followed.

use access::{Limits, StatementLimits};
use sql::mysql::Flavour;
use wire::mysql::command;
use wire::mysql::connect::collation::Utf8Collation;
use wire::mysql::response::status_flags::StatusFlags;

use super::connection::{CommandError, Connection};
use super::proof::prove;

/// Survives commits and implicit commits; `START TRANSACTION READ ONLY` alone does not. At SERIALIZABLE, which a server may
/// have by default, a reader would lock the rows that it reads.
const READ_ONLY: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// "Unknown collation".
const UNKNOWN_COLLATION: u16 = 1273;

/// The statements that pin a session of one grant, and what they make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    /// The server's own limit on a statement's time: its variable, and the value.
    limit: (&'static str, String),
}

impl Pins {
    /// The pins for a server and the grant's limits.
    pub fn new(flavour: Flavour, limits: &Limits) -> Self {
        // Rows, bytes and sessions are counted here, and so is idling; no server bounds them as a grant means it.
        let Limits { statement, budget: _, idle_transaction_seconds: _, sessions: _, refusals: _ } = limits;
        let StatementLimits { rows: _, seconds, bytes: _ } = statement;
        // One second more than our own clock: it is ours that tells the client which limit it met.
        let seconds = seconds.saturating_add(1);
        let (variable, limit) = match flavour {
            Flavour::MariaDb => ("@@SESSION.max_statement_time", u64::from(seconds)),
            Flavour::MySql => ("@@SESSION.max_execution_time", u64::from(seconds).saturating_mul(1_000)),
        };
        Self { limit: (variable, limit.to_string()) }
    }

    /// The session variables as they are then, by the names that MySQL has for them.
    pub(super) fn kept(&self, collation: Option<Utf8Collation>) -> Vec<(&'static str, &str)> {
        let charset = charset(collation);
        let (variable, limit) = &self.limit;
        vec![
            ("@@SESSION.character_set_client", charset),
            ("@@SESSION.character_set_connection", charset),
            ("@@SESSION.character_set_results", charset),
            ("@@SESSION.autocommit", "1"),
            ("@@SESSION.transaction_isolation", "REPEATABLE-READ"),
            ("@@SESSION.transaction_read_only", "1"),
            (variable, limit),
        ]
    }

    /// Pins the session of a client that named this collation. An error means that it must not be used.
    pub async fn apply(
        &self,
        database: &mut Connection,
        collation: Option<Utf8Collation>,
    ) -> Result<(), CommandError> {
        let what = "the session's settings";
        match database.execute(what, &self.settings(collation, Compares::AsNamed)).await {
            // A collation that this server doesn't have: by itself it takes its own for the character set.
            Err(CommandError::Refused { error, .. }) if error.code == UNKNOWN_COLLATION => {
                database.execute(what, &self.settings(collation, Compares::AsTheServerDoes)).await?;
            }
            other => other?,
        }
        database.execute(READ_ONLY, READ_ONLY).await?;
        if !is_pinned(database.belief.status()) {
            return Err(CommandError::Unpinned { what });
        }
        database.belief.is_pinned();
        Ok(())
    }

    fn settings(&self, collation: Option<Utf8Collation>, compares: Compares) -> String {
        let (variable, limit) = &self.limit;
        let compares = match (collation, compares) {
            (Some(collation), Compares::AsNamed) => {
                format!(" SESSION collation_connection={},", collation.number())
            }
            (None, _) | (_, Compares::AsTheServerDoes) => String::new(),
        };
        format!("SET NAMES {},{compares} SESSION autocommit=1, {variable}={limit}", charset(collation))
    }

    /// A fresh session on the same connection, pinned and proved again.
    pub async fn reset(
        &self,
        database: &mut Connection,
        collation: Option<Utf8Collation>,
    ) -> Result<(), CommandError> {
        database.belief.is_fresh();
        database.simple("COM_RESET_CONNECTION", &command::encode_reset_connection()).await?;
        self.apply(database, collation).await?;
        prove(database, self, collation).await
    }
}

/// By what the session compares strings.
#[derive(Clone, Copy)]
enum Compares {
    AsNamed,
    AsTheServerDoes,
}

fn charset(collation: Option<Utf8Collation>) -> &'static str {
    collation.map_or("utf8mb4", Utf8Collation::charset)
}

/// What a status tells of the pins; that the session is read only, it tells inside a transaction only.
fn is_pinned(status: StatusFlags) -> bool {
    status.contains(StatusFlags::AUTOCOMMIT) && !status.contains(StatusFlags::IN_TRANS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_gets_its_own_time_limit_a_second_after_ours() {
        let pins = |flavour| Pins::new(flavour, &Limits::DEFAULT).settings(None, Compares::AsNamed);
        assert!(pins(Flavour::MariaDb).ends_with(" @@SESSION.max_statement_time=31"));
        assert!(pins(Flavour::MySql).ends_with(" @@SESSION.max_execution_time=31000"));
    }

    #[test]
    fn a_session_that_is_in_a_transaction_is_not_pinned() {
        let auto = StatusFlags::AUTOCOMMIT;
        assert!(is_pinned(auto));
        assert!(!is_pinned(StatusFlags::default()));
        assert!(is_pinned(auto.with(StatusFlags::NO_BACKSLASH_ESCAPES)));
        assert!(!is_pinned(auto.with(StatusFlags::IN_TRANS)));
    }
}
