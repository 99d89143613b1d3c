//! One session of one user, pinned as the proxy pins its sessions and with its mode followed, and the check that it still is.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};
use servers::mysql::Kind;
use sql::Verdict;
use sql::mysql::{Gate, SessionEffect, SqlMode, StatementKind};
use std::collections::BTreeSet;
use std::time::Duration;

use crate::mysql::server::Canary;

/// Longer than the server's own limit on a statement.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whose session it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// May do everything, and is not read only: a hole shows.
    Privileged,
    /// May read, and is read only, which must last.
    Reader,
}

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The gate did not forward it.
    Held,
    /// The server executed it.
    Done,
    /// The server refused it.
    Failed,
    /// The server saw more than one statement in it.
    Several,
    /// The connection was lost, or nothing came back in time.
    Lost,
}

/// A session.
pub struct Session {
    pub(crate) who: Who,
    kind: Kind,
    conn: Conn,
    schema: String,
    /// How the server reads texts, as it told.
    mode: SqlMode,
    /// User variables that the gate said would be set.
    set: BTreeSet<String>,
}

impl Session {
    /// Opens one.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn open(canary: &Canary, who: Who) -> mysql_async::Result<Self> {
        let user = if who == Who::Privileged { "privileged" } else { "reader" };
        let conn = canary.connect(user).await?;
        let mut session = Self {
            who,
            kind: canary.kind(),
            conn,
            schema: String::new(),
            mode: SqlMode::default(),
            set: BTreeSet::new(),
        };
        session.pin().await?;
        Ok(session)
    }

    /// A fresh session on the same connection. What was not committed is, so that it shows.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) async fn pin(&mut self) -> mysql_async::Result<()> {
        self.conn.query_drop("COMMIT").await?;
        self.conn.reset().await?;
        let limit = match self.kind {
            Kind::MariaDb => "SESSION max_statement_time=2",
            Kind::MySql => "SESSION max_execution_time=2000",
        };
        // The last two: a hole must not make the next session wait.
        let settings = format!(
            "SET NAMES utf8mb4, SESSION autocommit=1, {limit}, \
             SESSION lock_wait_timeout=2, SESSION innodb_lock_wait_timeout=2"
        );
        self.conn.query_drop(settings).await?;
        self.conn.query_drop("USE shop").await?;
        if self.who == Who::Reader {
            self.conn.query_drop("SET SESSION TRANSACTION READ ONLY").await?;
        }
        self.schema = "shop".into();
        self.set.clear();
        self.mode = SqlMode::of_variable(&self.modes().await?).expect("the servers' own mode is read");
        Ok(())
    }

    /// The session's modes, in the server's words.
    async fn modes(&mut self) -> mysql_async::Result<String> {
        let modes: Option<String> =
            self.conn.query_first("SELECT CONVERT(@@SESSION.sql_mode USING binary) LIMIT 1").await?;
        Ok(modes.unwrap_or_default())
    }

    /// Follows what became of the mode, as the proxy does; a session in one that is not read ends there.
    async fn follow_mode(&mut self) -> mysql_async::Result<()> {
        match SqlMode::of_variable(&self.modes().await?) {
            Ok(mode) => self.mode = mode,
            Err(_) => self.pin().await?,
        }
        Ok(())
    }

    /// What the gate forwards of a text is executed. Without a gate, everything is.
    pub(crate) async fn execute(&mut self, gate: Option<&Gate>, text: &[u8]) -> Outcome {
        let Some(gate) = gate else {
            return self.send(text).await;
        };
        let read = sql::mysql::Session { schema: Some(self.schema.as_str().into()), mode: self.mode };
        let Verdict::Forward(permit) = gate.decide(text, read) else {
            return Outcome::Held;
        };
        let outcome = self.send(permit.forwarded()).await;
        if outcome != Outcome::Lost {
            self.set.extend(permit.facts().variables_set.iter().map(|name| plain(name)));
        }
        match (outcome, permit.effect()) {
            (Outcome::Done, SessionEffect::UsesSchema(schema)) => self.schema = schema,
            (Outcome::Lost, SessionEffect::SetsSqlMode) => {}
            (_, SessionEffect::SetsSqlMode) if self.follow_mode().await.is_err() => return Outcome::Lost,
            _ => {}
        }
        // These may make a session read only, or undo what others did: most statements run without them.
        let settings = matches!(permit.kind(), StatementKind::Set | StatementKind::Transaction);
        let often = text.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) % 4 != 0;
        if outcome == Outcome::Done
            && settings
            && often
            && self.is_pinned().await.is_ok_and(|wrong| wrong.is_empty())
        {
            return if self.pin().await.is_ok() { outcome } else { Outcome::Lost };
        }
        outcome
    }

    async fn send(&mut self, text: &[u8]) -> Outcome {
        match tokio::time::timeout(PATIENCE, results(&mut self.conn, text)).await {
            Ok(Ok(1)) => Outcome::Done,
            Ok(Ok(_)) => Outcome::Several,
            Ok(Err(mysql_async::Error::Server(_))) => Outcome::Failed,
            Ok(Err(_)) | Err(_) => Outcome::Lost,
        }
    }

    /// What in this session is not as it was pinned and as the gate was told.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) async fn is_pinned(&mut self) -> mysql_async::Result<Vec<String>> {
        let mut wrong = Vec::new();
        // What follows is read here, in whatever characters a text has asked for its results.
        self.conn.query_drop("SET character_set_results = utf8mb4").await?;
        // The limit of its own holds where a text has set sql_select_limit to 0.
        let asked = "SELECT CONCAT(@@session.sql_mode), CONCAT(@@session.character_set_client), \
                     CONCAT(@@session.character_set_connection), @@session.transaction_read_only LIMIT 1";
        let asked = match self.kind {
            Kind::MariaDb => asked.replace("transaction_read_only", "tx_read_only"),
            Kind::MySql => asked.to_owned(),
        };
        let (mode, client, connection, only): (String, String, String, bool) =
            self.conn.query_first(asked).await?.unwrap();
        if SqlMode::of_variable(&mode).as_ref() != Ok(&self.mode) {
            wrong.push(format!("texts are read in sql_mode {mode}, and judged by {:?}", self.mode));
        }
        for charset in [client, connection] {
            if !charset.starts_with("utf8") {
                wrong.push(format!("a character set is {charset}"));
            }
        }
        if self.who == Who::Reader && !only {
            wrong.push("the session is not read only".into());
        }
        let variables = match self.kind {
            Kind::MariaDb => "SELECT VARIABLE_NAME FROM information_schema.user_variables LIMIT 1000",
            Kind::MySql => {
                "SELECT VARIABLE_NAME FROM performance_schema.user_variables_by_thread WHERE THREAD_ID = ps_current_thread_id() \
                 LIMIT 1000"
            }
        };
        // Only the privileged user can see them.
        if self.who == Who::Privileged {
            let found: Vec<String> = self.conn.query(variables).await?;
            let known = |name: &String| self.set.iter().any(|set| set.starts_with(&plain(name)));
            let extra = found.iter().filter(|name| !known(name));
            wrong.extend(extra.map(|name| format!("the user variable {name} was set")));
        }
        Ok(wrong)
    }

    /// The connection's id.
    pub(crate) fn id(&self) -> u32 {
        self.conn.id()
    }
}

/// What of a user variable's name the servers list as it was written: they list 64 characters, blanks at the end left out, and
/// a question mark for what takes four bytes.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// Executes a text and counts its results.
async fn results(conn: &mut Conn, text: &[u8]) -> mysql_async::Result<usize> {
    let mut result = conn.query_iter(text).await?;
    let mut count = 0;
    loop {
        count += 1;
        result.for_each(drop).await?;
        if result.is_empty() {
            return Ok(count);
        }
    }
}

/// A value of a row, for comparing.
pub(crate) fn shown(value: Value) -> String {
    value.as_sql(true)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn names_of_variables_are_compared_as_servers_list_them() {
        let (written, listed) =
            (format!("@`q \u{1f600}{} `", "A ".repeat(40)), format!("q ?{}", "a ".repeat(30)));
        assert!(plain(&written).starts_with(&plain(&listed)));
        assert!(!plain(&written).starts_with(&plain("into_canary")));
    }
}
