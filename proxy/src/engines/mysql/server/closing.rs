//! The end of the database's side: statements stopped, sessions killed, and what the server's own list of them shows; and
//! whether the credential still opens anything.
//!
//! What is said here to be gone was seen to be gone. Every user may see their own sessions, so whoever can log in can look.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use access::chain;
use tokio::time::{Instant, sleep};
use wire::mysql::connect::capabilities::Capabilities;

use super::connection::{CommandError, Connection, LISTS};
use super::connections::{Opened, ServerName};
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
        id: u32,
    },
    /// What answers is not the server itself: it was told, and nobody can see what came of it.
    #[error("session {id} was killed, and no list shows whether it is gone")]
    Unseen {
        /// Its number.
        id: u32,
    },
    /// It was killed and is still there.
    #[error("session {id} is still there 2 seconds after it was killed")]
    Still {
        /// Its number.
        id: u32,
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

/// What is known of the credential's sessions on the server when the grant is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionsEnd {
    /// None is left.
    Gone(SeenGone),
    /// Some may be left.
    Open {
        /// What is known, or why nothing is.
        why: String,
        /// The numbers of those that may be left, as far as they are known.
        ids: Vec<u64>,
    },
    /// Nobody can tell any more, and why.
    Unprovable(String),
}

/// That no session is left, and how it was seen. Made in this file only, of what a server said or of no login at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenGone(How);

#[derive(Clone, Debug, PartialEq, Eq)]
enum How {
    NeverOpened,
    NotListed { killed: usize },
    EachClosed,
}

impl SeenGone {
    /// No login was ever sent to a server. A dialer that sent one can't say so.
    pub fn never_opened(dialer: &Dialer) -> Option<Self> {
        (dialer.connections.ever() == 0).then_some(Self(How::NeverOpened))
    }
}

impl fmt::Display for SeenGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            How::NeverOpened => f.write_str("no login was ever sent to the server"),
            How::NotListed { killed: 0 } => {
                f.write_str("the server's process list was read: none was there")
            }
            How::NotListed { killed } => {
                write!(f, "{killed} killed and seen to be gone from the server's process list, which has no other")
            }
            How::EachClosed => f.write_str(
                "the credential is dead, so that nobody can look; the server was seen to close each one while it had \
                 nothing to do",
            ),
        }
    }
}

/// Kills every session of the credential's user but the one that asks, and looks until none is left.
pub async fn end_sessions(dialer: &Dialer, credential: &Credential) -> SessionsEnd {
    let mut asker = match dialer.connect(credential, Capabilities::NONE).await {
        Ok(asker) => asker,
        Err(ConnectError::Refused { code }) if is_denied(code) => {
            let left = dialer.connections.left();
            if left.is_empty() {
                return SessionsEnd::Gone(SeenGone(How::EachClosed));
            }
            let why =
                "the user is gone or locked, so that nobody can look, and the server was not seen to close";
            return SessionsEnd::Open { why: why.to_owned(), ids: ids(&left) };
        }
        Err(error) => return SessionsEnd::Open { why: chain(&error), ids: ids(&dialer.connections.left()) },
    };
    let end = watch(dialer, &mut asker, &credential.user).await;
    asker.quit().await;
    end
}

/// What is to be said when there was no time to look.
pub fn not_looked(dialer: &Dialer) -> SessionsEnd {
    let why = "the database did not answer in time".to_owned();
    SessionsEnd::Open { why, ids: ids(&dialer.connections.left()) }
}

async fn watch(dialer: &Dialer, asker: &mut Connection, user: &str) -> SessionsEnd {
    let open = |why: String, ids: Vec<u64>| SessionsEnd::Open { why, ids };
    let unseen = |why: String| open(why, ids(&dialer.connections.left()));
    let Some(server) = asker.listed.server() else {
        return unseen("what answers is not the server itself, so its list is not the server's".to_owned());
    };
    let deadline = Instant::now().checked_add(GOING);
    let mut killed = BTreeSet::new();
    loop {
        // Whoever connects while we look is not in what we see.
        let ever = dialer.connections.ever();
        let others = match others(asker, user).await {
            Ok(Some(others)) => others,
            Ok(None) => {
                return unseen("the process list does not show the session that asks for it".to_owned());
            }
            Err(error) => return unseen(chain(&error)),
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

/// What a list without others says of the connections that were not seen to be gone: it speaks for one server.
fn judge(killed: usize, server: &ServerName, left: &[Opened]) -> SessionsEnd {
    let is_elsewhere = |opened: &&Opened| opened.server.as_ref().is_some_and(|name| name != server);
    let elsewhere: Vec<Opened> = left.iter().filter(is_elsewhere).cloned().collect();
    if let Some(Opened { server: Some(other), .. }) = elsewhere.first() {
        let why = format!(
            "several servers answer at the address: the process list of {server} was read, and some were on {other}"
        );
        return SessionsEnd::Open { why, ids: ids(&elsewhere) };
    }
    let nameless = left.iter().filter(|opened| opened.server.is_none()).count();
    if nameless > 0 {
        return SessionsEnd::Unprovable(format!(
            "{nameless} broke off before the server said which one it is, so no list can be said to be theirs; nothing \
             was ever asked on them. The process list of {server} has none"
        ));
    }
    SessionsEnd::Gone(SeenGone(How::NotListed { killed }))
}

fn ids(opened: &[Opened]) -> Vec<u64> {
    opened.iter().map(|opened| opened.id.into()).collect()
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
    fn note(&self, id: u32, killed: Result<(), KillError>) -> Result<(), KillError> {
        killed.inspect_err(|error| {
            tracing::warn!(database_session = id, error = chain(error), "a statement could not be stopped");
        })
    }

    async fn try_kill_query(&self, credential: &Credential, one: &Opened) -> Result<(), KillError> {
        let mut database = self.beside(credential, one).await?;
        kill(&mut database, "KILL QUERY", one.id.into()).await.map_err(KillError::Command)?;
        database.quit().await;
        Ok(())
    }

    async fn try_kill_connection(&self, credential: &Credential, one: &Opened) -> Result<(), KillError> {
        let mut database = self.beside(credential, one).await?;
        let id = one.id;
        kill(&mut database, "KILL CONNECTION", id.into()).await.map_err(KillError::Command)?;
        let server = database.listed.server().ok_or(KillError::Unseen { id })?;
        let deadline = Instant::now().checked_add(GOING);
        loop {
            let others = others(&mut database, &credential.user).await.map_err(KillError::Command)?;
            if !others.ok_or(KillError::Unseen { id })?.contains(&id.into()) {
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

async fn kill(database: &mut Connection, what: &'static str, id: u64) -> Result<(), CommandError> {
    match database.execute(what, &format!("{what} {id}")).await {
        Err(CommandError::Refused { error, .. }) if error.code == NO_SUCH_THREAD => Ok(()),
        other => other,
    }
}

/// The sessions of the user that the server lists beside the one that asks; `None` when that one is not listed itself. A user
/// that may see those of others does not get them here.
async fn others(asker: &mut Connection, user: &str) -> Result<Option<Vec<u64>>, CommandError> {
    const WHAT: &str = "SHOW PROCESSLIST";
    let mut own = Vec::new();
    for row in asker.query_within(WHAT, WHAT, LISTS).await? {
        let mut columns = row.into_iter().map(Option::unwrap_or_default);
        let (Some(id), Some(listed)) = (columns.next(), columns.next()) else {
            return Err(CommandError::Surprise { what: WHAT });
        };
        if listed == user {
            own.push(id.parse::<u64>().map_err(|_| CommandError::Surprise { what: WHAT })?);
        }
    }
    let all = own.len();
    own.retain(|id| *id != u64::from(asker.id));
    Ok((own.len() < all).then_some(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(id: u32, server: Option<&str>) -> Opened {
        Opened { id, server: server.map(ServerName::new) }
    }

    #[test]
    fn a_list_speaks_for_the_server_that_it_is_of_and_for_no_other() {
        let here = ServerName::new("here 3306 1");
        let judged = |left: &[Opened]| judge(1, &here, left);
        assert!(matches!(judged(&[]), SessionsEnd::Gone(_)));
        let ours = opened(7, Some("here 3306 1"));
        assert!(
            matches!(judged(std::slice::from_ref(&ours)), SessionsEnd::Gone(_)),
            "the list does not show it"
        );
        let theirs = opened(8, Some("there 3306 2"));
        let SessionsEnd::Open { why, ids } = judged(&[ours, theirs, opened(9, None)]) else {
            panic!("what is on another server may still be there")
        };
        assert!(ids == [8] && why.contains("there 3306 2"), "{why} {ids:?}");
        assert!(
            matches!(judged(&[opened(9, None)]), SessionsEnd::Unprovable(_)),
            "where it was, nobody knows"
        );
    }
}
