//! Why a connection does not become a session, whose fault that is, and what the client reads. The client hears what
//! to do; what we learnt of the database or of other sessions it does not.

use std::io;

use wire::mysql::response::err::{ErrPacket, ErrSummary};

use crate::audit::NotRecorded;
use crate::ending::EndCause;
use crate::engines::mysql::packets::PacketError;
use crate::engines::mysql::server::{CommandError, ConnectError};
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
    /// Client: it took longer than a handshake may.
    #[error("the client's handshake took longer than 10 seconds")]
    Slow,
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
    /// Client: too many connections are in their handshake.
    #[error("too many connections are in their handshake")]
    Crowded,
    /// Client: the gate refused the schema that it wants to start in.
    #[error("the schema is refused with error {code}")]
    Schema {
        /// The error's code.
        code: u16,
        /// The error's SQLSTATE.
        sqlstate: [u8; 5],
        /// The gate's sentence, for the client.
        message: String,
    },
    /// Database: no connection or login.
    #[error("the database could not be reached")]
    Connect(#[source] ConnectError),
    /// Database: the session could not be made read-only, or the schema is not there.
    #[error("the database session could not be set up")]
    Setup(#[source] CommandError),
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
    /// The error packet for the client; `None` where it could not be understood or nobody would read it. `grant`: how
    /// the grant is called.
    pub(crate) fn packet(&self, grant: &str) -> Option<Vec<u8>> {
        let (code, sqlstate, message) = self.words(grant)?;
        // The gate's sentences begin with the name already.
        let message = if message.starts_with("Keyhole: ") { message } else { format!("Keyhole: {message}") };
        let summary = ErrSummary { code, sqlstate };
        Some(ErrPacket { summary, message: message.as_bytes() }.encode())
    }

    /// The code of that packet.
    pub(super) fn code(&self) -> Option<u16> {
        self.words("").map(|(code, _, _)| code)
    }

    fn words(&self, grant: &str) -> Option<(u16, [u8; 5], String)> {
        let words: (u16, [u8; 5], String) = match self {
            Self::Packet(_) | Self::Tls(_) | Self::Alpn | Self::Slow => return None,
            Self::Malformed(_) | Self::Capabilities(_) => (
                1043,
                *b"08S01",
                "this client's handshake cannot be read: use one of MySQL 8 or MariaDB".into(),
            ),
            Self::Compression => {
                (1043, *b"08S01", "compression is not offered: turn it off in the client".into())
            }
            Self::Insecure => (
                3159,
                *b"HY000",
                format!("TLS is required before anything else: run `kubectl keyhole connect {grant}`"),
            ),
            Self::Identity(error) => {
                (1045, *b"28000", format!("{error}: run `kubectl keyhole connect {grant}`"))
            }
            Self::TooMany { limit } => (
                1040,
                *b"08004",
                format!("{limit} sessions are open, the most for this grant: close one and try again"),
            ),
            Self::Crowded => (1040, *b"08004", "too many connections at once: try again in a moment".into()),
            Self::Schema { code, sqlstate, message } => (*code, *sqlstate, message.clone()),
            Self::Setup(CommandError::Refused { error, .. }) if matches!(error.code, 1044 | 1049) => {
                (error.code, error.sqlstate, "this schema does not exist or is not open to you".into())
            }
            Self::Connect(_) | Self::Setup(_) => {
                (1053, *b"08S01", "the database cannot be reached now: try again in a moment".into())
            }
            Self::NotRecorded(_) => {
                (1053, *b"08S01", "the session could not be put on record, so it was not opened".into())
            }
            Self::Ours { .. } => (1105, *b"HY000", "the proxy failed: try again in a moment".into()),
            Self::Ended(cause) => (1053, *b"08S01", cause.message.clone()),
        };
        Some(words)
    }
}
