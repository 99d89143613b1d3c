//! One kind of database, as everything else sees it: what depends on its protocol or its SQL stands behind this trait, in a
//! folder of its own below `engines`. Which one a grant has is decided once, at the start of its life.

use std::error::Error;
use std::sync::Arc;

use access::{Grant, Target};

use crate::audit::Who;
use crate::credential::Credential;
use crate::database::{Connections, LoginProbe, SessionId, SessionsEnd};
use crate::sessions::{Arrival, Shared};

/// One kind of database. A value is the way to one, and the list of the connections that went it.
pub trait Engine: Sized + Send + Sync + 'static {
    /// The protocol's name in ALPN (RFC 7301), on the port where TLS comes first.
    const ALPN: &'static [u8];

    /// What preflight made of the server: how sessions on it are set up, and by what statements are judged.
    type Checked: Send + Sync;
    /// A client that proved who it is, and has not reached the database yet.
    type Client: Send;
    /// A client with its session of the database's.
    type Session: Send;
    /// How another connection stops what a session executes.
    type CancelKey: Send + Sync;

    /// The way to a target. It is not gone yet: nobody is called.
    fn new(target: &Target) -> Result<Self, Unfit>;

    /// Every connection that was opened with the grant's credential.
    fn connections(&self) -> &Connections;

    /// Checks server, credential and the lock that holds sessions to reading.
    fn preflight(
        &self,
        grant: &Grant,
        credential: &Credential,
    ) -> impl Future<Output = Result<Self::Checked, Unfit>> + Send;

    /// The server's version, for reports.
    fn version(checked: &Self::Checked) -> &str;

    /// Secures a connection and finds out who it is. It may take no longer than a handshake may; it is dropped then.
    fn identify(
        shared: Arc<Shared<Self>>,
        number: u32,
        arrival: Arrival,
    ) -> impl Future<Output = Result<Self::Client, TurnedAway>> + Send;

    /// Opens a session at the database for somebody who may have one.
    fn open(client: Self::Client) -> impl Future<Output = Result<Self::Session, TurnedAway>> + Send;

    /// Who the client is.
    fn who(client: &Self::Client) -> &Who;

    /// The number of a session at the database.
    fn database_session(session: &Self::Session) -> SessionId;

    /// Relays until either side closes or the grant ends, and tells the client why.
    fn relay(session: Self::Session) -> impl Future<Output = Over> + Send;

    /// Ends every session of the credential's at the database, and looks until none is left.
    fn end_sessions(&self, credential: &Credential) -> impl Future<Output = SessionsEnd> + Send;

    /// Tries to log in, as somebody would who had kept the credential.
    fn try_login(&self, credential: &Credential) -> impl Future<Output = LoginProbe> + Send;

    /// What the server's administrator does by hand where something may be left.
    fn remedies() -> Remedies;
}

/// Why nobody may connect to a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// One of the words of [`access::report::failure`].
    pub reason: &'static str,
    /// What is wrong.
    pub sentence: String,
    /// Whether the same check may succeed later without anybody changing the grant.
    pub may_pass: bool,
}

/// Why a connection did not become a session. `Display` is for the log; what its client reads was sent already.
pub type TurnedAway = Box<dyn Error + Send + Sync>;

/// A session that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// Why, for the log.
    pub reason: String,
    /// Whether its client was told.
    pub told: bool,
    /// How many commands it had that carry nothing.
    pub counted: u64,
}

/// How things are ended by hand, in the words of an engine. Each is a sentence's part that follows "as the server's
/// administrator".
#[derive(Clone, Copy)]
pub struct Remedies {
    /// How to find and end the sessions of a user: by number, for a user that is gone can't be named to the server.
    pub end_sessions: fn(user: &str) -> String,
    /// The statement that ends the session of this number.
    pub end_session: fn(SessionId) -> String,
    /// How to end a user and what it still has open.
    pub end_user: fn(user: &str) -> String,
}
