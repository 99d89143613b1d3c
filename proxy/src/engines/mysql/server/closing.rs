//! The end of the database's side: statements and sessions killed, and the proof that the credential is dead.

use std::time::Duration;

use access::Grant;
use tokio::time::{Instant, sleep};
use wire::mysql::connect::capabilities::Capabilities;

use super::connection::{CommandError, Connection};
use super::dial::{ConnectError, Dialer};
use crate::credential::Credential;

/// "Unknown thread id": it is gone already.
const NO_SUCH_THREAD: u16 = 1094;

/// "Access denied": the one answer that proves a login dead.
const ACCESS_DENIED: u16 = 1045;
/// The same without a word about a password. MariaDB hides which users exist: for one that is gone it plays the plug-in
/// of another user, and when that one takes no password (`unix_socket`), the refusal has this code.
const ACCESS_DENIED_NO_PASSWORD: u16 = 1698;

/// How long we watch killed sessions go.
const GOING: Duration = Duration::from_secs(2);

/// Why sessions could not be killed.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// No connection to kill from.
    #[error("cannot connect to kill sessions")]
    Connect(#[source] ConnectError),
    /// The server refused or broke off.
    #[error("cannot kill sessions")]
    Command(#[source] CommandError),
    /// They were killed and are still there.
    #[error("{} sessions are still there 2 seconds after they were killed", ids.len())]
    Still {
        /// Their connection ids.
        ids: Vec<u32>,
    },
}

/// What became of a login with the grant's credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginProbe {
    /// Access denied (error 1045, or 1698): the credential is dead.
    Refused,
    /// It still works.
    Accepted,
    /// Anything else proves nothing; the sentence says what happened.
    Unknown(String),
}

/// Kills these sessions of the credential's own user and watches until they are gone: `Ok` means none is left.
pub async fn kill_sessions(grant: &Grant, credential: &Credential, ids: &[u32]) -> Result<(), KillError> {
    if ids.is_empty() {
        return Ok(());
    }
    let dialer = Dialer::new(&grant.target).map_err(KillError::Connect)?;
    let mut database = dialer.connect(credential, Capabilities::NONE).await.map_err(KillError::Connect)?;
    for id in ids {
        kill(&mut database, "KILL CONNECTION", *id).await.map_err(KillError::Command)?;
    }
    let deadline = Instant::now().checked_add(GOING);
    loop {
        let left = still_there(&mut database, ids).await.map_err(KillError::Command)?;
        if left.is_empty() {
            database.quit().await;
            return Ok(());
        }
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return Err(KillError::Still { ids: left });
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Tries to log in, as somebody would who had kept the credential.
pub async fn try_login(grant: &Grant, credential: &Credential) -> LoginProbe {
    let attempt = match Dialer::new(&grant.target) {
        Ok(dialer) => dialer.connect(credential, Capabilities::NONE).await,
        Err(error) => Err(error),
    };
    match attempt {
        Ok(database) => {
            database.quit().await;
            LoginProbe::Accepted
        }
        Err(ConnectError::Refused { code: ACCESS_DENIED | ACCESS_DENIED_NO_PASSWORD }) => LoginProbe::Refused,
        Err(error) => LoginProbe::Unknown(error.to_string()),
    }
}

impl Dialer {
    /// Stops the statement that runs on connection `id`; the connection stays.
    pub async fn kill_query(&self, credential: &Credential, id: u32) -> Result<(), KillError> {
        self.kill(credential, "KILL QUERY", id).await
    }

    /// Ends connection `id` and whatever runs on it.
    pub async fn kill_connection(&self, credential: &Credential, id: u32) -> Result<(), KillError> {
        self.kill(credential, "KILL CONNECTION", id).await
    }

    async fn kill(&self, credential: &Credential, what: &'static str, id: u32) -> Result<(), KillError> {
        let mut database = self.connect(credential, Capabilities::NONE).await.map_err(KillError::Connect)?;
        kill(&mut database, what, id).await.map_err(KillError::Command)?;
        database.quit().await;
        Ok(())
    }
}

async fn kill(database: &mut Connection, what: &'static str, id: u32) -> Result<(), CommandError> {
    match database.execute(what, &format!("{what} {id}")).await {
        Err(CommandError::Refused { error, .. }) if error.code == NO_SUCH_THREAD => Ok(()),
        other => other,
    }
}

/// Which of `ids` the server still lists. Every user may see their own sessions.
async fn still_there(database: &mut Connection, ids: &[u32]) -> Result<Vec<u32>, CommandError> {
    let listed = database.query("SHOW PROCESSLIST", "SHOW PROCESSLIST").await?;
    let id = |row: &Vec<Option<String>>| row.first()?.as_deref()?.parse::<u32>().ok();
    Ok(listed.iter().filter_map(id).filter(|id| ids.contains(id)).collect())
}
