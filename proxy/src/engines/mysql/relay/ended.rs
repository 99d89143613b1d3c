//! How a session ended: one value, whose fault it was, and what the client reads as its last word.

use std::fmt;

use sql::mysql::UnreadMode;
use wire::mysql::response::ResponseError;

use super::limits::Met;
use crate::audit::NotRecorded;
use crate::ending::EndCause;
use crate::engines::mysql::belief::Violation;
use crate::engines::mysql::errors;
use crate::engines::mysql::server::CommandError;

/// The end of a session.
#[derive(Debug)]
pub enum Ended {
    /// Grant: it is over.
    Grant(EndCause),
    /// Client: it said goodbye.
    ClientQuit,
    /// Client: its person ended it, with KILL.
    Killed,
    /// Client: it closed or broke off.
    ClientGone,
    /// Client: it doesn't read its answers.
    ClientStalled,
    /// Client: it held a transaction or a cursor open and read nothing for this many seconds.
    Idle(u32),
    /// Client: it broke the protocol.
    ClientBroke,
    /// Client: it could not prove again who it is.
    ClientUnproven,
    /// Client: its answer met a limit in the middle of a packet, where no error can be said.
    Limit(Met),
    /// Database: it closed or broke off.
    DatabaseGone,
    /// Database: its answer breaks the protocol.
    DatabaseBroke(ResponseError),
    /// Database: it did what a read-only session never does.
    Violation(Violation),
    /// Database: its session is in another schema than the client was told, or than it may be in.
    Astray,
    /// Database: another server answers in the place of the one that the session was on.
    OtherServer,
    /// Client: it set a mode in which texts are not read.
    UnreadMode(UnreadMode),
    /// Ours: the statement or its outcome could not be put on record.
    NotRecorded(NotRecorded),
    /// Ours: something that should never fail did.
    Ours,
}

impl Ended {
    /// The last packet for the client; `None` where it is not there to read it.
    pub(super) fn packet(&self) -> Option<Vec<u8>> {
        let (summary, sentence) = match self {
            Self::ClientQuit | Self::ClientGone | Self::ClientStalled | Self::Limit(_) => return None,
            Self::Grant(cause) => (errors::GONE, cause.message.as_str()),
            Self::Idle(seconds) => {
                let sentence = format!(
                    "nothing was read for {seconds} seconds while a transaction or a cursor was open: connect again, and \
                     COMMIT or set autocommit=1 before a pause"
                );
                return Some(errors::packet(errors::IDLE, &sentence));
            }
            Self::Killed => (errors::GONE, "this session was ended by KILL: connect again"),
            Self::ClientUnproven => (errors::NO_IDENTITY, "this is not who the session was opened by"),
            Self::ClientBroke => (errors::MALFORMED, "this packet cannot be read"),
            Self::DatabaseGone => (errors::GONE, "the database closed the session: connect again"),
            Self::DatabaseBroke(_) => (errors::GONE, "the database's answer cannot be read: connect again"),
            Self::Violation(violation) => (errors::GONE, violation.sentence()),
            Self::Astray => {
                (errors::GONE, "the session is not in the schema that it should be in: connect again")
            }
            Self::OtherServer => {
                (errors::GONE, "another server answers at the database's address: connect again")
            }
            Self::UnreadMode(mode) => {
                return Some(errors::packet(errors::GONE, &format!("{mode}: connect again")));
            }
            Self::NotRecorded(_) => {
                (errors::GONE, "the statement could not be put on record, so it was not run")
            }
            Self::Ours => (errors::GONE, "the proxy failed: connect again"),
        };
        Some(errors::packet(summary, sentence))
    }
}

impl From<CommandError> for Ended {
    /// A command of ours failed in the client's session.
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Violation(violation) => Self::Violation(violation),
            CommandError::Unpinned { .. } => Self::Violation(Violation::Unpinned),
            CommandError::OtherServer => Self::OtherServer,
            CommandError::UnreadMode(mode) => Self::UnreadMode(mode),
            _ => Self::DatabaseGone,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(cause) => write!(f, "grant: {}", cause.reason.word()),
            Self::ClientQuit => f.write_str("client: quit"),
            Self::Killed => f.write_str("client: killed"),
            Self::ClientGone => f.write_str("client: gone"),
            Self::Idle(seconds) => write!(f, "client: idle for {seconds} s in a transaction"),
            Self::ClientStalled => f.write_str("client: does not read"),
            Self::ClientUnproven => f.write_str("client: no identity"),
            Self::ClientBroke => f.write_str("client: broke the protocol"),
            Self::Limit(met) => write!(f, "client: {met}"),
            Self::DatabaseGone => f.write_str("database: gone"),
            Self::DatabaseBroke(error) => write!(f, "database: {error}"),
            Self::Violation(violation) => write!(f, "database: {}", violation.sentence()),
            Self::OtherServer => f.write_str("database: another server answers"),
            Self::Astray => f.write_str("database: its session is in another schema"),
            Self::UnreadMode(mode) => write!(f, "client: {mode}"),
            Self::NotRecorded(error) => write!(f, "ours: not recorded, for {error}"),
            Self::Ours => f.write_str("ours: the proxy failed"),
        }
    }
}
