//! What every session is pinned to, before a client's first statement and again after everything that resets a
//! session. The server-side lock: reading only, a character set that the gate reads, and a time limit of the server's own. Its
//! `sql_mode` is what the server has; it is followed.

use access::{Limits, StatementLimits};
use sql::mysql::Flavour;
use wire::mysql::command;
use wire::mysql::response::status_flags::StatusFlags;

use super::connection::{CommandError, Connection};
use super::proof::prove;

/// Survives commits and implicit commits; `START TRANSACTION READ ONLY` alone does not. At SERIALIZABLE, which a server may
/// have by default, a reader would lock the rows that it reads.
const READ_ONLY: &str = "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// The statements that pin a session of one grant, and what they make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pins {
    settings: String,
    kept: Vec<(&'static str, String)>,
}

impl Pins {
    /// The pins for a server and the grant's limits.
    pub fn new(flavour: Flavour, limits: &Limits) -> Self {
        // Rows, bytes and sessions are counted here; no server bounds them as a grant means it.
        let Limits { statement, budget: _, sessions: _ } = limits;
        let StatementLimits { rows: _, seconds, bytes: _ } = statement;
        // One second more than our own clock: it is ours that tells the client which limit it met.
        let seconds = seconds.saturating_add(1);
        let (variable, limit) = match flavour {
            Flavour::MariaDb => ("@@SESSION.max_statement_time", u64::from(seconds)),
            Flavour::MySql => ("@@SESSION.max_execution_time", u64::from(seconds).saturating_mul(1_000)),
        };
        let settings = format!("SET NAMES utf8mb4, SESSION autocommit=1, {variable}={limit}");
        let kept = [
            ("@@SESSION.character_set_client", "utf8mb4"),
            ("@@SESSION.character_set_connection", "utf8mb4"),
            ("@@SESSION.character_set_results", "utf8mb4"),
            ("@@SESSION.autocommit", "1"),
            ("@@SESSION.transaction_isolation", "REPEATABLE-READ"),
            ("@@SESSION.transaction_read_only", "1"),
            (variable, &limit.to_string()),
        ];
        Self { settings, kept: kept.map(|(variable, value)| (variable, value.to_owned())).to_vec() }
    }

    /// The session variables as they are then, by the names that MySQL has for them.
    pub(super) fn kept(&self) -> &[(&'static str, String)] {
        &self.kept
    }

    /// Pins the session. An error means that it must not be used.
    pub async fn apply(&self, database: &mut Connection) -> Result<(), CommandError> {
        database.execute("the session's settings", &self.settings).await?;
        database.execute(READ_ONLY, READ_ONLY).await?;
        if !is_pinned(database.belief.status()) {
            return Err(CommandError::Unpinned { what: "the session's settings" });
        }
        database.belief.is_pinned();
        Ok(())
    }

    /// A fresh session on the same connection, pinned and proved again.
    pub async fn reset(&self, database: &mut Connection) -> Result<(), CommandError> {
        database.belief.is_fresh();
        database.simple("COM_RESET_CONNECTION", &command::encode_reset_connection()).await?;
        self.apply(database).await?;
        prove(database, self).await
    }
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
        let pins = |flavour| Pins::new(flavour, &Limits::DEFAULT).settings;
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
