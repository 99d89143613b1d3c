//! The one seam towards the record of what was done. A statement's intent is handed over before any byte of its
//! answer leaves the proxy; its outcome before the next statement's answer. The text of a statement goes here and
//! nowhere else.
//!
//! The journal counts. It keeps nothing of what it is given, and it takes nothing any more once the grant has ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::ending::Ending;
use crate::rule::Rule;
use crate::usage::UsageMeter;

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

/// What somebody asks for, and what was decided, before it happens. `Debug` shows neither text nor values.
pub struct Intent<'a> {
    /// Whose session it is.
    pub who: &'a Who,
    /// The protocol's name of the command.
    pub command: &'static str,
    /// The text as the client sent it; empty for commands without one.
    pub text: &'a [u8],
    /// The values of a prepared statement's parameters.
    pub parameters: &'a [Parameter<'a>],
    /// What was decided.
    pub decision: Decision,
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
        f.debug_struct("Intent")
            .field("command", &self.command)
            .field("decision", &self.decision)
            .finish_non_exhaustive()
    }
}

/// The proof that an intent is on record: without one, no function writes a byte of an answer to a client.
#[must_use = "the outcome must be handed over too"]
#[derive(Debug)]
pub struct Recorded {
    _private: (),
}

/// The intent is not on record, so the statement must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// The grant has ended: nothing more is begun.
    #[error("the grant has ended")]
    Ended,
}

/// Where intents and outcomes go.
pub struct Journal {
    usage: Arc<UsageMeter>,
    ending: Ending,
}

impl Journal {
    /// The journal of one grant.
    pub fn new(usage: Arc<UsageMeter>, ending: Ending) -> Self {
        Self { usage, ending }
    }

    /// Puts an intent on record. Only after that may its answer begin.
    pub async fn intent(&self, intent: Intent<'_>) -> Result<Recorded, NotRecorded> {
        if self.ending.cause().is_some() {
            return Err(NotRecorded::Ended);
        }
        match intent.decision {
            Decision::Forwarded | Decision::Answered => self.usage.count_statement(),
            Decision::Refused { .. } => self.usage.count_refusal(),
        }
        Ok(Recorded { _private: () })
    }

    /// Puts the outcome on record. Rows and bytes were counted as they went.
    pub async fn outcome(&self, recorded: Recorded, outcome: Outcome) -> Result<(), NotRecorded> {
        let Recorded { _private: () } = recorded;
        let Outcome { rows: _, bytes: _, duration: _, error: _ } = outcome;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ending::EndCause;
    use access::EndReason;

    fn who() -> Who {
        Who {
            grant_uid: "u".into(),
            user: "requester".into(),
            proof: Proof::Certificate { serial: "01".into() },
            session: 1,
            peer: ([127, 0, 0, 1], 1).into(),
        }
    }

    fn intent<'a>(who: &'a Who, decision: Decision) -> Intent<'a> {
        Intent { who, command: "COM_QUERY", text: b"SELECT 'secret'", parameters: &[], decision }
    }

    #[tokio::test]
    async fn nothing_is_begun_after_the_end() {
        let ending = Ending::new();
        let journal = Journal::new(Arc::default(), ending.clone());
        let who = who();
        assert!(journal.intent(intent(&who, Decision::Forwarded)).await.is_ok());
        ending.begin(EndCause::of(EndReason::Revoked));
        let late = journal.intent(intent(&who, Decision::Forwarded)).await;
        assert_eq!(late.map(|_| ()), Err(NotRecorded::Ended));
    }

    #[tokio::test]
    async fn refusals_are_counted_apart() {
        let usage = Arc::new(UsageMeter::default());
        let journal = Journal::new(Arc::clone(&usage), Ending::new());
        let who = who();
        let refused = Decision::Refused { rule: Rule::Gate(sql::Reason::Statement) };
        for decision in [Decision::Forwarded, Decision::Answered, refused] {
            let recorded = journal.intent(intent(&who, decision)).await.unwrap();
            journal.outcome(recorded, Outcome::default()).await.unwrap();
        }
        assert_eq!((usage.so_far().statements, usage.so_far().refused), (2, 1));
    }

    #[test]
    fn debug_shows_no_statement() {
        let shown = format!("{:?}", intent(&who(), Decision::Answered));
        assert!(!shown.contains("secret") && shown.contains("COM_QUERY"), "{shown}");
    }
}
