//! Why a connection does not become a session, whose fault that is, and what the client reads. The client hears what
//! to do; what we learnt of the database or of other sessions it does not.

use std::io;

use sql::Refusal;
use wire::mysql::response::err::ErrSummary;

use crate::audit::{NotRecorded, SqlError};
use crate::ending::EndCause;
use crate::engines::mysql::errors;
use crate::engines::mysql::packets::PacketError;
use crate::engines::mysql::server::{CommandError, ConnectError};
use crate::rule::Rule;
use crate::sessions::IdentityError;

/// A connection that did not become a session.
#[derive(Debug, thiserror::Error)]
pub enum TurnedAway {
    /// Client: it broke off, or sent what is no packet.
    #[error("the client's handshake broke off")]
    Packet(#[source] PacketError),
    /// Client: a packet is not what the protocol says.
    #[error("the client's handshake is malformed")]
    Malformed(#[source] wire::mysql::reader::Malformed),
    /// Client: it wanted to go on without TLS.
    #[error("the client did not ask for TLS")]
    Insecure,
    /// Client: the TLS handshake failed.
    #[error("the TLS handshake with the client failed")]
    Tls(#[source] io::Error),
    /// Client: TLS first, and then another protocol.
    #[error("the client did not choose the protocol by ALPN")]
    Alpn,
    /// Client: it is too old.
    #[error("the client lacks what a session needs")]
    Capabilities(#[source] wire::mysql::connect::capabilities::MissingCapabilities),
    /// Client: it compresses, though nobody offered that. Clients that do as they were offered don't say so.
    #[error("the client compresses, which was not offered")]
    Compression,
    /// Client: it could not prove who it is.
    #[error("the client has no identity here")]
    Identity(#[source] IdentityError),
    /// Client: as many sessions as the grant allows are open.
    #[error("{limit} sessions are open, the most for this grant")]
    TooMany {
        /// The grant's bound.
        limit: u32,
    },
    /// Client: too many connections are in their handshake, and this one lost its place to a newer one.
    #[error("too many connections are in their handshake")]
    Crowded,
    /// Client: the gate refused the schema that it wants to start in.
    #[error("the schema is refused by rule {}", .0.reason.word())]
    Schema(Refusal),
    /// Database: no connection or login.
    #[error("the database could not be reached")]
    Connect(#[source] ConnectError),
    /// Database: the session could not be made read-only, or the schema is not there.
    #[error("the database session could not be set up")]
    Setup(#[source] CommandError),
    /// Database: it is another one than the grant was made ready for.
    #[error("another server answers at the database's address: {what}")]
    OtherServer {
        /// In what it differs.
        what: &'static str,
    },
    /// Ours: its start could not be put on record.
    #[error("the session's start could not be put on record")]
    NotRecorded(#[source] NotRecorded),
    /// Ours: something that should never fail did.
    #[error("the proxy failed: {what}")]
    Ours {
        /// What failed.
        what: &'static str,
    },
    /// The grant ended meanwhile.
    #[error("the grant has ended")]
    Ended(EndCause),
}

impl TurnedAway {
    /// The error packet for the client; `None` where it could not be understood or nobody would read it.
    pub(crate) fn packet(&self) -> Option<Vec<u8>> {
        self.words().map(|(summary, sentence)| errors::packet(summary, &sentence))
    }

    /// The error of that packet.
    pub(super) fn error(&self) -> Option<SqlError> {
        self.words().map(|(summary, _)| summary.into())
    }

    /// Most of it goes to somebody without an identity: not even the grant's name is in it.
    fn words(&self) -> Option<(ErrSummary, String)> {
        let words = match self {
            Self::Packet(_) | Self::Tls(_) | Self::Alpn => return None,
            Self::Malformed(_) | Self::Capabilities(_) => (
                errors::BAD_HANDSHAKE,
                "this client's handshake cannot be read: use one of MySQL 8 or MariaDB".into(),
            ),
            Self::Compression => {
                (errors::BAD_HANDSHAKE, "compression is not offered: turn it off in the client".into())
            }
            Self::Insecure => (
                errors::INSECURE,
                "TLS is required before anything else: connect with `kubectl keyhole connect`".into(),
            ),
            Self::Identity(error) => {
                (errors::NO_IDENTITY, format!("{error}: connect with `kubectl keyhole connect`"))
            }
            Self::TooMany { limit } => (
                errors::TOO_MANY,
                format!("{limit} sessions are open, the most for this grant: close one and try again"),
            ),
            Self::Crowded => (errors::TOO_MANY, "too many connections at once: try again in a moment".into()),
            Self::Schema(refusal) => (errors::of(Rule::Gate(refusal.reason)), refusal.message()),
            Self::Setup(CommandError::Refused { error, .. }) if matches!(error.code, 1044 | 1049) => {
                (*error, "this schema does not exist or is not open to you".into())
            }
            Self::OtherServer { .. } => {
                (errors::GONE, format!("{self}: try again, or ask for a new grant if it stays so"))
            }
            Self::Setup(CommandError::UnreadMode(mode)) => (errors::GONE, mode.to_string()),
            Self::Connect(_) | Self::Setup(_) => {
                (errors::GONE, "the database cannot be reached now: try again in a moment".into())
            }
            Self::NotRecorded(_) => {
                (errors::GONE, "the session could not be put on record, so it was not opened".into())
            }
            Self::Ours { .. } => (errors::OURS, "the proxy failed: try again in a moment".into()),
            Self::Ended(cause) => (errors::GONE, cause.message.clone()),
        };
        Some(words)
    }
}
