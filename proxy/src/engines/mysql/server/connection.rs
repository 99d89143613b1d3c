//! One connection to the database, logged in. Runs our own few statements; the relay borrows its parts for a client's.

use std::time::Duration;

use sql::mysql::UnreadMode;
use tokio::time::timeout;
use wire::mysql::command;
use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::connect::greeting::Greeting;
use wire::mysql::frame::{self, HEADER_LEN, Sequence};
use wire::mysql::reader::Malformed;
use wire::mysql::response::column;
use wire::mysql::response::err::ErrSummary;
use wire::mysql::response::ok::OkSummary;
use wire::mysql::response::{Answer, ResponseError, ResponseTracker, Seen};
use wire::mysql::rows::text_row::TextRow;

use super::proof::Answerer;
use crate::bytes::{Inbound, Stream};
use crate::database::{Listed, Opened, Place, SessionId};
use crate::engines::mysql::belief::{Belief, Violation};
use crate::engines::mysql::packets::{PacketError, write_packet};

/// The buffer through which answers flow: the memory that a session needs, whatever the size of its results.
pub const INBOUND: usize = 32 * 1024;

// A definition is read as a whole.
const _: () = assert!(HEADER_LEN + column::LONGEST <= INBOUND);

/// How long the database may take to take a command, or to answer one of our own.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the database may take to close a connection after our goodbye.
const LEAVING: Duration = Duration::from_millis(500);

/// Our own statements have small answers.
const SMALL: Bounds = Bounds { rows: 10_000, row_bytes: INBOUND, bytes: 256 * 1024 };

/// Grants and connections may be many.
pub(super) const LISTS: Bounds = Bounds { bytes: 4 * 1024 * 1024, ..SMALL };

/// What a row takes in memory besides its values, in bytes, and roughly.
const ROW: usize = 64;
/// The same of one value.
const VALUE: usize = 40;

/// As bytes, for a client may have set what results are written in, and with a LIMIT against the one that it may have set.
const CURRENT_SCHEMA: &str = "SELECT CONVERT(CONVERT(DATABASE() USING utf8mb4) USING binary) LIMIT 1";

/// How large the answer to a statement of ours may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Rows.
    pub rows: usize,
    /// Bytes of each packet, its header included.
    pub row_bytes: usize,
    /// Bytes that all rows take in memory.
    pub bytes: usize,
}

/// Why one of our own statements failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The connection broke.
    #[error("the connection to the database broke")]
    Packet(#[source] PacketError),
    /// The server said no.
    #[error("the database answered {what} with error {}", error.code)]
    Refused {
        /// Which of our statements.
        what: &'static str,
        /// Code and class.
        error: ErrSummary,
    },
    /// The answer breaks the protocol.
    #[error("the database's answer breaks the protocol")]
    Response(#[source] ResponseError),
    /// A row could not be read.
    #[error("the database's answer has a malformed row")]
    Row(#[source] Malformed),
    /// The session is not what every session must be.
    #[error("the database's session is not held to reading as it should be")]
    Violation(Violation),
    /// The session is not as it was made.
    #[error("the database does not keep {what} as they were set")]
    Unpinned {
        /// What it does not keep.
        what: &'static str,
    },
    /// The session is in a mode in which texts are not read.
    #[error("{0}")]
    UnreadMode(UnreadMode),
    /// The server is not the one that answered before.
    #[error("another server answers at the database's address")]
    OtherServer,
    /// The answer is not of the kind or size that the statement has.
    #[error("the database's answer to {what} is not what it should be")]
    Surprise {
        /// Which of our statements.
        what: &'static str,
    },
}

/// A row of text, as the server sent it.
pub(super) type Row = Vec<Option<String>>;

/// One connection, logged in.
pub struct Connection {
    /// The socket.
    pub stream: Stream,
    /// What came from it and was not used yet.
    pub inbound: Inbound,
    /// Which of the database's addresses it was opened to.
    pub place: Place,
    /// The number to kill it by.
    pub id: SessionId,
    /// The version in its greeting, which is not to be believed.
    pub(super) greeted: String,
    /// Which server it is on, once that was asked.
    pub(super) answerer: Option<Answerer>,
    /// What the server can do.
    pub offered: Capabilities,
    /// What holds on this connection.
    pub capabilities: Capabilities,
    /// What is believed of its session.
    pub belief: Belief,
    /// Its place on the list of the grant's connections.
    pub(super) listed: Listed,
    /// Whether a statement of ours waits for its answer. What a client asked is the relay's to know.
    busy: bool,
}

impl Connection {
    pub(super) fn new(
        stream: Stream,
        greeting: &Greeting<'_>,
        (capabilities, ok): (Capabilities, OkSummary),
        (place, listed): (Place, Listed),
    ) -> Self {
        Self {
            stream,
            place,
            inbound: Inbound::bounded(INBOUND),
            id: SessionId(greeting.connection_id.into()),
            greeted: String::from_utf8_lossy(greeting.server_version).into_owned(),
            answerer: None,
            offered: greeting.capabilities,
            capabilities,
            belief: Belief::new(ok.status),
            listed,
            busy: false,
        }
    }

    /// Its number, and the server on which that is its number.
    pub fn opened(&self) -> Opened {
        Opened { place: self.place, id: self.id, server: self.listed.server() }
    }

    /// Which server it is on, in its own words. `None` if nothing but the login was asked of it.
    pub fn answerer(&self) -> Option<&Answerer> {
        self.answerer.as_ref()
    }

    /// Sends a command, as a new exchange. After an error the connection is of no more use. A server that speaks unasked is
    /// not asked any more: what it said would be taken for the answer, and each answer for the one after it.
    pub async fn send(&mut self, body: &[u8]) -> Result<(), PacketError> {
        if !self.inbound.unread().is_empty() {
            return Err(PacketError::Unasked);
        }
        let mut sequence = Sequence::default();
        let sent = write_packet(&mut self.stream, &mut sequence, body);
        timeout(PATIENCE, sent).await.unwrap_or(Err(PacketError::Silent))
    }

    /// Sends a command and waits for its OK. `what` names it in errors.
    pub async fn simple(&mut self, what: &'static str, body: &[u8]) -> Result<(), CommandError> {
        self.busy = true;
        self.send(body).await.map_err(CommandError::Packet)?;
        match self.rows(what, Answer::Simple, SMALL).await? {
            rows if rows.is_empty() => Ok(()),
            _ => Err(CommandError::Surprise { what }),
        }
    }

    /// Runs a statement of ours that has no rows.
    pub(super) async fn execute(&mut self, what: &'static str, sql: &str) -> Result<(), CommandError> {
        self.simple(what, &command::encode_query(sql.as_bytes())).await
    }

    /// Runs a statement of ours that has rows.
    pub(super) async fn query(&mut self, what: &'static str, sql: &str) -> Result<Vec<Row>, CommandError> {
        self.query_within(what, sql, SMALL).await
    }

    /// The same, where the answer is larger.
    pub(super) async fn query_within(
        &mut self,
        what: &'static str,
        sql: &str,
        bounds: Bounds,
    ) -> Result<Vec<Row>, CommandError> {
        self.busy = true;
        self.send(&command::encode_query(sql.as_bytes())).await.map_err(CommandError::Packet)?;
        self.inbound.may_hold(bounds.row_bytes);
        let rows = self.rows(what, Answer::Query, bounds).await;
        self.inbound.may_hold(INBOUND);
        rows
    }

    /// Says goodbye. Nothing is lost when it isn't heard.
    pub async fn quit(mut self) {
        self.leave().await;
    }

    /// Says goodbye; no statement of a client's may be unanswered. A server that has nothing to do for a connection closes it
    /// when it is done with it: once that was seen, the connection is off the list.
    pub async fn leave(&mut self) {
        // The server may have closed first, and then it is not heard.
        let _ = self.send(&command::encode_quit()).await;
        if self.busy || self.listed.server().is_none() {
            return;
        }
        if timeout(LEAVING, self.is_closed()).await == Ok(true) {
            self.listed.is_gone();
        }
    }

    /// Waits until the server has closed. What it still says is thrown away.
    async fn is_closed(&mut self) -> bool {
        loop {
            self.inbound.consume(self.inbound.unread().len());
            match self.inbound.fill(&mut self.stream).await {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return matches!(PacketError::from(error), PacketError::Closed),
            }
        }
    }

    /// Asks in which schema the session is, whatever the client has set. The answer is what is believed from here on.
    pub async fn ask_schema(&mut self) -> Result<(), CommandError> {
        let what = "the current schema";
        let rows = self.query(what, CURRENT_SCHEMA).await?;
        match rows.as_slice() {
            [row] if row.len() == 1 => self.belief.is_in(row.first().cloned().flatten()),
            _ => return Err(CommandError::Surprise { what }),
        }
        Ok(())
    }

    async fn rows(
        &mut self,
        what: &'static str,
        answer: Answer,
        bounds: Bounds,
    ) -> Result<Vec<Row>, CommandError> {
        let rows = timeout(PATIENCE, self.rows_at_last(what, answer, bounds)).await;
        rows.unwrap_or(Err(CommandError::Packet(PacketError::Silent)))
    }

    async fn rows_at_last(
        &mut self,
        what: &'static str,
        answer: Answer,
        bounds: Bounds,
    ) -> Result<Vec<Row>, CommandError> {
        let mut tracker = ResponseTracker::new(answer, self.capabilities, Sequence::starting_at(1));
        let (mut columns, mut rows, mut bytes) = (0, Vec::new(), 0_usize);
        while !tracker.is_complete() {
            let Some(observed) = tracker.observe(self.inbound.unread()).map_err(CommandError::Response)?
            else {
                self.receive(what).await?;
                continue;
            };
            if observed.len > frame::MAX_PAYLOAD.min(bounds.row_bytes) {
                return Err(CommandError::Surprise { what });
            }
            while self.inbound.unread().len() < observed.len {
                self.receive(what).await?;
            }
            self.belief.note(&observed.seen).map_err(CommandError::Violation)?;
            match observed.seen {
                Seen::Err(error) => return Err(self.refused(what, error, observed.len)),
                Seen::ColumnCount(count) => columns = count,
                Seen::Row if rows.len() < bounds.rows => {
                    let body = self.inbound.unread().get(HEADER_LEN..observed.len).unwrap_or_default();
                    let values = usize::from(columns).saturating_mul(VALUE);
                    bytes = [body.len(), ROW, values].into_iter().fold(bytes, usize::saturating_add);
                    if bytes > bounds.bytes {
                        return Err(CommandError::Surprise { what });
                    }
                    rows.push(text(body, columns)?);
                }
                Seen::Row => return Err(CommandError::Surprise { what }),
                _ => {}
            }
            self.inbound.consume(observed.len);
        }
        self.busy = false;
        Ok(rows)
    }

    fn refused(&mut self, what: &'static str, error: ErrSummary, len: usize) -> CommandError {
        self.inbound.consume(len);
        self.busy = false;
        CommandError::Refused { what, error }
    }

    async fn receive(&mut self, what: &'static str) -> Result<(), CommandError> {
        if self.inbound.is_full() {
            return Err(CommandError::Surprise { what });
        }
        match self.inbound.fill(&mut self.stream).await {
            Ok(0) => Err(CommandError::Packet(PacketError::Closed)),
            Ok(_) => Ok(()),
            Err(error) => Err(CommandError::Packet(error.into())),
        }
    }
}

fn text(body: &[u8], columns: u16) -> Result<Row, CommandError> {
    let row = TextRow::decode(body, columns).map_err(CommandError::Row)?;
    let owned = |value: Option<&[u8]>| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Ok(row.values.into_iter().map(owned).collect())
}
