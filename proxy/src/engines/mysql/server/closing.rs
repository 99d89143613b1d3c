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
use crate::database::{LoginProbe, Opened, Place, SeenGone, ServerName, SessionId, SessionsEnd, judge};

/// "Unknown thread id": it is gone already.
const NO_SUCH_THREAD: u16 = 1094;

/// "Access denied": the one answer that proves a login dead.
const ACCESS_DENIED: u16 = 1045;
/// The same without a word about a password. MariaDB hides which users exist: for one that is gone it plays the plug-in
/// of another user, and when that one takes no password (`unix_socket`), the refusal has this code.
const ACCESS_DENIED_NO_PASSWORD: u16 = 1698;

/// Of a server that the credential no longer opens.
const NOBODY_CAN_LOOK: &str =
    "the user is gone or locked, so that nobody can look, and the server was not seen to close";

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

/// Kills every session of the credential's user but the one that asks, and looks until none is left: on each server that a
/// connection was ever opened to, and whatever comes of the others.
pub async fn end_sessions(dialer: &Dialer, credential: &Credential) -> SessionsEnd {
    let Asking { askers, mut open } = ask_all(dialer, credential).await;
    let (mut killed, mut servers) = (0_usize, Vec::new());
    for mut asker in askers {
        match watch(dialer, &mut asker, &credential.user).await {
            Ok(Looked { server, killed: there }) => {
                killed = killed.saturating_add(there);
                servers.push(server);
            }
            Err(may_be) => open.push(may_be),
        }
        asker.quit().await;
    }
    if open.is_empty() && servers.is_empty() {
        return match SeenGone::each_closed(&dialer.connections) {
            Some(seen) => SessionsEnd::Gone(seen),
            None => dialer.connections.may_be_left(NOBODY_CAN_LOOK),
        };
    }
    let judged = judge(killed, &servers, &dialer.connections.left());
    if open.is_empty() {
        return judged;
    }
    let mut ids: BTreeSet<SessionId> = open.iter().flat_map(|may_be| &may_be.ids).copied().collect();
    // Those on servers that were not looked at are among them.
    if let SessionsEnd::Open { why: _, ids: elsewhere } = judged {
        ids.extend(elsewhere);
    }
    let mut why: Vec<String> = open.into_iter().map(|may_be| may_be.why).collect();
    why.dedup();
    SessionsEnd::Open { why: why.join("; "), ids: ids.into_iter().collect() }
}

/// Those who ask for the lists, one on each server, and what may be left on those that nobody can ask.
struct Asking {
    askers: Vec<Connection>,
    open: Vec<MayBe>,
}

/// What may be left on one server, and why nobody knows.
struct MayBe {
    why: String,
    ids: Vec<SessionId>,
}

/// What the list of one server showed: none, after so many were killed.
struct Looked {
    server: ServerName,
    killed: usize,
}

/// What was opened to this place and not seen to be gone.
fn left_at(dialer: &Dialer, place: Place, why: &str) -> MayBe {
    let left = dialer.connections.left().into_iter().filter(|opened| opened.place == place);
    MayBe { why: why.to_owned(), ids: left.map(|opened| opened.id).collect() }
}

async fn ask_all(dialer: &Dialer, credential: &Credential) -> Asking {
    let mut asking = Asking { askers: Vec::new(), open: Vec::new() };
    for place in dialer.connections.places() {
        match dialer.connect_to(place, credential, Capabilities::NONE).await {
            // Two addresses may lead to one server; two who ask there would end each other.
            Ok(asker) if asking.askers.iter().any(|other| is_beside(other, &asker)) => asker.quit().await,
            Ok(asker) => asking.askers.push(asker),
            Err(ConnectError::Refused { code }) if is_denied(code) => {
                let left = left_at(dialer, place, NOBODY_CAN_LOOK);
                asking.open.extend((!left.ids.is_empty()).then_some(left));
            }
            Err(error) => asking.open.push(left_at(dialer, place, &chain(&error))),
        }
    }
    asking
}

fn is_beside(one: &Connection, other: &Connection) -> bool {
    one.listed.server().is_some() && one.listed.server() == other.listed.server()
}

async fn watch(dialer: &Dialer, asker: &mut Connection, user: &str) -> Result<Looked, MayBe> {
    let place = asker.place;
    let unseen = |why: &str| left_at(dialer, place, why);
    let Some(server) = asker.listed.server() else {
        return Err(unseen("what answers is not the server itself, so its list is not the server's"));
    };
    let deadline = Instant::now().checked_add(GOING);
    let mut killed = BTreeSet::new();
    loop {
        // Whoever connects while we look is not in what we see.
        let ever = dialer.connections.ever();
        let others = match others(asker, user).await {
            Ok(Some(others)) => others,
            Ok(None) => return Err(unseen("the process list does not show the session that asks for it")),
            Err(error) => return Err(unseen(&chain(&error))),
        };
        if others.is_empty() && ever == dialer.connections.ever() {
            return Ok(Looked { server, killed: killed.len() });
        }
        if deadline.is_none_or(|deadline| Instant::now() >= deadline) {
            let why = "still there 2 seconds after they were killed".to_owned();
            return Err(MayBe { why, ids: others });
        }
        for id in &others {
            if killed.insert(*id)
                && let Err(error) = kill(asker, "KILL CONNECTION", *id).await
            {
                return Err(MayBe { why: chain(&error), ids: others });
            }
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn is_denied(code: u16) -> bool {
    matches!(code, ACCESS_DENIED | ACCESS_DENIED_NO_PASSWORD)
}

/// Tries to log in, as somebody would who had kept the credential: on each server that a connection was ever opened to.
pub async fn try_login(dialer: &Dialer, credential: &Credential) -> LoginProbe {
    let mut seen = LoginProbe::Refused;
    for place in dialer.connections.places() {
        match dialer.only_log_in(place, credential).await {
            Ok(database) => {
                database.quit().await;
                return LoginProbe::Accepted;
            }
            Err(ConnectError::Refused { code }) if is_denied(code) => {}
            Err(error) => seen = LoginProbe::Unknown(chain(&error)),
        }
    }
    seen
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
        let connected = self.connect_to(one.place, credential, Capabilities::NONE).await;
        let database = connected.map_err(KillError::Connect)?;
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
