//! The one seam towards the record of what was done. A statement's intent is handed over before any byte of its
//! answer leaves the proxy; its outcome before the next statement's answer. The text of a statement goes here and
//! nowhere else.
//!
//! Here is what a record says; how records come one after the other, and who waits for which, is in [`journal`]. Nothing is begun any
//! more once the grant has ended.

mod acknowledgements;
mod journal;
mod keeper;
mod not_recorded;
mod turned_away;
mod waits;

use std::net::SocketAddr;
use std::time::Duration;

use record::What;
use sql::Facts;

use crate::rule::Rule;

pub use acknowledgements::Acknowledgements;
pub use journal::{Completeness, Forwarded, Journal, Keeper, Local, Number, Recorded, Ticket};
pub use keeper::{LogKeeper, NoStream, Stream};
pub use not_recorded::NotRecorded;

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Uid of the grant.
    pub grant_uid: String,
    /// The person, as the API server names them.
    pub user: String,
    /// How they proved it.
    pub proof: Proof,
    /// Number of the session, unique within the proxy.
    pub session: u32,
    /// Where the connection comes from: mostly a tunnel's end.
    pub peer: SocketAddr,
    /// What the client calls itself. Nobody verifies it.
    pub program: Option<String>,
    /// The version of TLS.
    pub tls: TlsVersion,
}

/// A version of TLS that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

impl TlsVersion {
    /// As it goes on record.
    pub fn word(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// How a person proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// With the key of a session certificate, in the TLS handshake.
    Certificate {
        /// The certificate's serial number, in hex.
        serial: String,
    },
    /// With a token signed by that key.
    Token {
        /// The certificate's serial number, in hex.
        serial: String,
    },
}

/// One record.
pub enum Record<'a> {
    /// A session is open.
    SessionOpened(&'a Who),
    /// A session is over.
    SessionClosed {
        /// Its number.
        session: u32,
        /// Why, in words for the log.
        why: &'a str,
        /// How many commands it had that carry nothing, as a ping does.
        counted: u64,
    },
    /// A connection did not become a session.
    TurnedAway {
        /// Its number.
        session: u32,
        /// Where it came from.
        peer: SocketAddr,
        /// Why, in words for the log.
        why: &'a str,
        /// How many before it are not on record.
        more: u64,
    },
    /// A command, before it happens.
    Intent {
        /// What is asked.
        intent: Intent<'a>,
        /// What was decided.
        decision: Decision,
    },
    /// How a command went.
    Outcome {
        /// The record of its intent.
        of: Number,
        /// Which of its answers it is.
        answer: Answer,
        /// How it went.
        outcome: &'a Outcome,
    },
    /// A command came to no end: its session was cut.
    Cut {
        /// The record of its intent.
        of: Number,
        /// Which of its answers it was.
        answer: Answer,
    },
    /// Something of the proxy's own life.
    Life(&'a What),
    /// The last record: everything else is there, but for so many ends of commands.
    Closed {
        /// How many were not taken.
        owed: u64,
    },
}

/// What somebody asks for, before it happens. `Debug` shows neither text nor values.
#[derive(Clone, Copy)]
pub struct Intent<'a> {
    /// Whose session it is.
    pub who: &'a Who,
    /// The protocol's name of the command.
    pub command: &'static str,
    /// The text as the client sent it; empty for commands without one, and where another record has it.
    pub text: &'a [u8],
    /// How many bytes the text has, where this is its shape, and where no value goes on record. `None`: this is all of it.
    pub shape_of: Option<usize>,
    /// The record of the command that this one goes on with: of its preparation, for an execution.
    pub of: Option<Number>,
    /// The values of a prepared statement's parameters.
    pub parameters: &'a [Parameter<'a>],
    /// What the gate knows of it, where it let it pass.
    pub known: Option<Known<'a>>,
    /// The session's schema.
    pub schema: Option<&'a str>,
}

/// What a gate knows of a statement that it lets pass.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// What kind of statement it is, in one word.
    pub kind: &'static str,
    /// What it touches.
    pub facts: &'a Facts,
}

/// One value of a prepared statement's parameters, whatever the protocol.
pub enum Parameter<'a> {
    /// NULL.
    Null,
    /// A whole number of any width, with or without sign.
    Integer(i128),
    /// A floating-point number of 32 bits.
    Single(f32),
    /// A floating-point number of 64 bits.
    Double(f64),
    /// Written out by us, as SQL writes it: a date, a time.
    Written(String),
    /// As the client sent it: text, bytes, or the text of a number.
    Sent(&'a [u8]),
}

/// What the proxy does with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes to the database.
    Forwarded,
    /// The proxy answers it.
    Answered,
    /// The client gets an error.
    Refused {
        /// Which rule refused it.
        rule: Rule,
    },
}

/// Which answer to a command: a cursor is read by several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The first.
    First,
    /// More of its rows.
    More,
}

/// How it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rows that went to the client.
    pub rows: u64,
    /// Bytes of packets that went to the client.
    pub bytes: u64,
    /// From the command's arrival to the last byte of its answer.
    pub duration: Duration,
    /// The error that it ended with, the database's or ours.
    pub error: Option<SqlError>,
    /// The rule that stopped its answer.
    pub rule: Option<Rule>,
}

/// An error as SQL knows it, whatever the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// Five characters of class and subclass, for example `42000`.
    pub sqlstate: [u8; 5],
    /// The engine's own number, where it has one: 1064.
    pub number: Option<u16>,
}

impl std::fmt::Debug for Intent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intent").field("command", &self.command).field("of", &self.of).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Who {
    /// The requester, in this session.
    pub(crate) fn sample(session: u32) -> Self {
        Self {
            grant_uid: "u".into(),
            user: "requester".into(),
            proof: Proof::Certificate { serial: "01".into() },
            session,
            peer: ([127, 0, 0, 1], 1).into(),
            program: None,
            tls: TlsVersion::V1_3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_statement() {
        let who = Who::sample(1);
        let intent = Intent {
            who: &who,
            command: "COM_QUERY",
            text: b"SELECT 'secret'",
            shape_of: None,
            of: None,
            parameters: &[],
            known: None,
            schema: None,
        };
        let shown = format!("{intent:?}");
        assert!(!shown.contains("secret") && shown.contains("COM_QUERY"), "{shown}");
    }
}
