//! The end of the database's side: statements stopped, sessions killed, and what the server's own list of them shows; and
//! whether the credential still opens anything.
//!
//! What is said here to be gone was seen to be gone. Every user may see their own sessions, so whoever can log in can look.

use std::collections::BTreeSet;
use std::time::Duration;

use access::chain;
use tokio::time::{Instant, sleep};
use wire::mysql::connect::capabilities::Capabilities;

use super::connection::{CommandError, Connection, LISTS};
use super::dial::{ConnectError, Dialer};
use crate::credential::Credential;
use crate::database::{LoginProbe, Opened, SeenGone, SessionId, SessionsEnd, judge};

/// "Unknown thread id": it is gone already.
const NO_SUCH_THREAD: u16 = 1094;

/// "Access denied": the one answer that proves a login dead.
const ACCESS_DENIED: u16 = 1045;
/// The same without a word about a password. MariaDB hides which users exist: for one that is gone it plays the plug-in
/// of another user, and when that one takes no password (`unix_socket`), the refusal has this code.
const ACCESS_DENIED_NO_PASSWORD: u16 = 1698;

/// How long we watch killed sessions go.
const GOING: Duration = Duration::from_secs(2);

/// How long until we look again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Why a statement could not be stopped, or a session not be ended.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// No connection to kill from.
    #[error("cannot connect to kill")]
    Connect(#[source] ConnectError),
    /// The server refused or broke off.
    #[error("cannot kill")]
    Command(#[source] CommandError),
    /// The address led to another server than the session is on, where its number means nothing, or another session.
    #[error("session {id} is not on the server that answered")]
    OtherServer {
        /// Its number.
        id: SessionId,
    },
    /// What answers is not the server itself: it was told, and nobody can see what came of it.
    #[error("session {id} was killed, and no list shows whether it is gone")]
    Unseen {
        /// Its number.
        id: SessionId,
    },
    /// It was killed and is still there.
    #[error("session {id} is still there 2 seconds after it was killed")]
    Still {
        /// Its number.
        id: SessionId,
    },
}

/// Kills every session of the credential's user but the one that asks, and looks until none is left.
pub async fn end_sessions(dialer: &Dialer, credential: &Credential) -> SessionsEnd {
    let mut asker = match dialer.connect(credential, Capabilities::NONE).await {
        Ok(asker) => asker,
        Err(ConnectError::Refused { code }) if is_denied(code) => {
            return match SeenGone::each_closed(&dialer.connections) {
                Some(seen) => SessionsEnd::Gone(seen),
                None => dialer.connections.may_be_left(
                    "the user is gone or locked, so that nobody can look, and the server was not seen to close",
                ),
            };
        }
        Err(error) => return dialer.connections.may_be_left(&chain(&error)),
    };
    let end = watch(dialer, &mut asker, &credential.user).await;
    asker.quit().await;
    end
}

async fn watch(dialer: &Dialer, asker: &mut Connection, user: &str) -> SessionsEnd {
    let open = |why: String, ids: Vec<SessionId>| SessionsEnd::Open { why, ids };
    let unseen = |why: &str| dialer.connections.may_be_left(why);
    let Some(server) = asker.listed.server() else {
        return unseen("what answers is not the server itself, so its list is not the server's");
    };
    let deadline = Instant::now().checked_add(GOING);
    let mut killed = BTreeSet::new();
    loop {
        // Whoever connects while we look is not in what we see.
        let ever = dialer.connections.ever();
        let others = match others(asker, user).await {
            Ok(Some(others)) => others,
            Ok(None) => {
                return unseen("the process list does not show the session that asks for it");
            }
            Err(error) => return unseen(&chain(&error)),
        };
        if others.is_empty() && ever == dialer.connections.ever() {
            return judge(killed.len(), &server, &dialer.connections.left());
        }
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            return open("still there 2 seconds after they were killed".to_owned(), others);
        }
        for id in &others {
            if killed.insert(*id)
                && let Err(error) = kill(asker, "KILL CONNECTION", *id).await
            {
                return open(chain(&error), others);
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn is_denied(code: u16) -> bool {
    matches!(code, ACCESS_DENIED | ACCESS_DENIED_NO_PASSWORD)
}

/// Tries to log in, as somebody would who had kept the credential.
pub async fn try_login(dialer: &Dialer, credential: &Credential) -> LoginProbe {
    match dialer.only_log_in(credential).await {
        Ok(database) => {
            database.quit().await;
            LoginProbe::Accepted
        }
        Err(ConnectError::Refused { code }) if is_denied(code) => LoginProbe::Refused,
        Err(error) => LoginProbe::Unknown(chain(&error)),
    }
}

impl Dialer {
    /// Stops the statement that runs on a connection; the connection stays.
    pub async fn kill_query(&self, credential: &Credential, one: &Opened) -> Result<(), KillError> {
        let killed = self.try_kill_query(credential, one).await;
        self.note(one.id, killed)
    }

    /// Ends a connection and whatever runs on it: `Ok` means that the server's list shows it no more.
    pub async fn kill_connection(&self, credential: &Credential, one: &Opened) -> Result<(), KillError> {
        let killed = self.try_kill_connection(credential, one).await;
        self.note(one.id, killed)
    }

    /// Whoever reads the log can tell this from a database that closed a session by itself.
    fn note(&self, id: SessionId, killed: Result<(), KillError>) -> Result<(), KillError> {
        killed.inspect_err(|error| {
            tracing::warn!(database_session = %id, error = chain(error), "a statement could not be stopped");
        })
    }

    async fn try_kill_query(&self, credential: &Credential, one: &Opened) -> Result<(), KillError> {
        let mut database = self.beside(credential, one).await?;
        kill(&mut database, "KILL QUERY", one.id).await.map_err(KillError::Command)?;
        database.quit().await;
        Ok(())
    }

    async fn try_kill_connection(&self, credential: &Credential, one: &Opened) -> Result<(), KillError> {
        let mut database = self.beside(credential, one).await?;
        let id = one.id;
        kill(&mut database, "KILL CONNECTION", id).await.map_err(KillError::Command)?;
        let server = database.listed.server().ok_or(KillError::Unseen { id })?;
        let deadline = Instant::now().checked_add(GOING);
        loop {
            let others = others(&mut database, &credential.user).await.map_err(KillError::Command)?;
            if !others.ok_or(KillError::Unseen { id })?.contains(&id) {
                self.connections.seen_gone(id, &server);
                database.quit().await;
                return Ok(());
            }
            if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
                return Err(KillError::Still { id });
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// One more connection to the server that a connection is on.
    async fn beside(&self, credential: &Credential, one: &Opened) -> Result<Connection, KillError> {
        let database = self.connect(credential, Capabilities::NONE).await.map_err(KillError::Connect)?;
        // One server gives each number once, but two may give the same one: the name decides.
        if database.listed.server() == one.server {
            Ok(database)
        } else {
            database.quit().await;
            Err(KillError::OtherServer { id: one.id })
        }
    }
}

async fn kill(database: &mut Connection, what: &'static str, id: SessionId) -> Result<(), CommandError> {
    match database.execute(what, &format!("{what} {id}")).await {
        Err(CommandError::Refused { error, .. }) if error.code == NO_SUCH_THREAD => Ok(()),
        other => other,
    }
}

/// The sessions of the user that the server lists beside the one that asks; `None` when that one is not listed itself. A user
/// that may see those of others does not get them here.
async fn others(asker: &mut Connection, user: &str) -> Result<Option<Vec<SessionId>>, CommandError> {
    const WHAT: &str = "SHOW PROCESSLIST";
    let mut own = Vec::new();
    for row in asker.query_within(WHAT, WHAT, LISTS).await? {
        let mut columns = row.into_iter().map(Option::unwrap_or_default);
        let (Some(id), Some(listed)) = (columns.next(), columns.next()) else {
            return Err(CommandError::Surprise { what: WHAT });
        };
        if listed == user {
            own.push(SessionId(id.parse().map_err(|_| CommandError::Surprise { what: WHAT })?));
        }
    }
    let all = own.len();
    own.retain(|id| *id != asker.id);
    Ok((own.len() < all).then_some(own))
}
