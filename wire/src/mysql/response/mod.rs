//! Follows the server's answer to one command, frame by frame, without holding or copying a row.
//!
//! Source: "Text Resultset",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html>, and the
//! answers of the single commands.
//!
//! ```text
//!             ┌─ OK, ERR ──────────────────────────────────────────────┐
//! First ──────┤                                                        ├─ Complete
//!   ▲         └─ count ─ Definitions ─ EOF* ─ Rows ─ EOF, OK(0xfe), ERR┘
//!   └────────────────────── MORE_RESULTS_EXISTS ────────┘     * not with DEPRECATE_EOF
//! ```
//!
//! A definition is read as a whole, by the capabilities that were agreed on: its shape depends on them.
//!
//! A row may begin with 0xfe as well as an end of rows. It is then a first column of 16 MiB and more, so its first
//! frame is full (0xffffff), and an end never is. What does not fit the grammar is an error: the session must be
//! cut, for proxy and client could understand the bytes differently. A server that kills the session or shuts down
//! may send an ERR between commands: nobody follows an answer then, so it is the end of the session.

pub mod column;
pub mod column_type;
pub mod eof;
pub mod err;
pub mod extended_metadata;
pub mod joint;
pub mod ok;
mod packet;
pub mod prepare_ok;
pub mod status_flags;
pub mod text_result;

#[cfg(test)]
mod tests;

use self::packet::Packet;
use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::frame::{HEADER_LEN, Header, OutOfOrder, Sequence};
use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::response::eof::EofPacket;
use crate::mysql::response::err::ErrSummary;
use crate::mysql::response::ok::OkSummary;
use crate::mysql::response::prepare_ok::PrepareOk;
use crate::mysql::response::status_flags::StatusFlags;

const LOCAL_INFILE: u8 = 0xfb;
const BINARY_ROW: u8 = 0x00;
/// A column definition begins with the catalog: always "def", three bytes long.
const DEFINITION: u8 = 0x03;

/// How many payload bytes of a frame `ResponseTracker::observe` needs to see at most; of a definition `column::LONGEST`.
pub const HEAD_LEN: usize = 32;

const _: () = assert!(OkSummary::MAX_LEN <= HEAD_LEN && ErrSummary::MAX_LEN <= HEAD_LEN);
const _: () = assert!(PrepareOk::LEN <= HEAD_LEN && eof::LEN <= HEAD_LEN);

/// The shape of an answer, given by the command (`Command::answer`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// COM_QUERY, COM_PROCESS_INFO: OK, ERR, or results with text rows.
    Query,
    /// COM_STMT_EXECUTE: OK, ERR, or results with binary rows, or a cursor.
    Execute,
    /// COM_STMT_PREPARE: its own OK and definitions, or ERR.
    Prepare,
    /// COM_STMT_FETCH: binary rows.
    Fetch,
    /// COM_FIELD_LIST: definitions.
    FieldList,
    /// COM_STATISTICS: one packet of text.
    Statistics,
    /// One OK, EOF or ERR.
    Simple,
    /// No answer at all.
    Nothing,
}

/// What one frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A further frame of the packet before. Nothing may be put in front of it.
    Continuation,
    /// A statement without a result, or a simple command, is done.
    Ok(OkSummary),
    /// The command failed; the answer is complete.
    Err(ErrSummary),
    /// The server asks for a file of the client's: never pass it on, cut the session. The answer counts as complete.
    LocalInfile,
    /// A result begins, with this many columns.
    ColumnCount(u16),
    /// A statement is prepared.
    PrepareOk(PrepareOk),
    /// The definition of a column or parameter.
    Definition,
    /// The EOF behind definitions.
    DefinitionsEnd(EofPacket),
    /// The first frame of a row.
    Row,
    /// The end of rows, or of a COM_FIELD_LIST's definitions.
    RowsEnd {
        /// The session's status after the statement.
        status: StatusFlags,
        /// How many warnings SHOW WARNINGS would list.
        warnings: u16,
    },
    /// COM_STATISTICS' text.
    Text,
}

impl Seen {
    /// The session's status, where the frame tells it: the place to look for a writable transaction.
    pub fn status(&self) -> Option<StatusFlags> {
        match self {
            Self::Ok(ok) => Some(ok.status),
            Self::DefinitionsEnd(eof) => Some(eof.status),
            Self::RowsEnd { status, .. } => Some(*status),
            Self::Continuation
            | Self::Err(_)
            | Self::LocalInfile
            | Self::ColumnCount(_)
            | Self::PrepareOk(_)
            | Self::Definition
            | Self::Row
            | Self::Text => None,
        }
    }
}

/// One frame at the front of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What it is.
    pub seen: Seen,
    /// Its length in bytes with its header: forward exactly these, they may reach beyond the buffer.
    pub len: usize,
    /// Its sequence id: an ERR sent in its place must bear this one.
    pub sequence: u8,
}

/// The server's answer breaks the protocol: the session must be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// A frame was lost, added or replayed.
    #[error("the database's answer is out of order")]
    Order(#[source] OutOfOrder),
    /// A packet that may come here is not well formed.
    #[error("the database's answer is malformed")]
    Packet(#[source] Malformed),
    /// A packet that may not come here.
    #[error(
        "the database's answer has a packet of {len} bytes with header {header:#04x} where none such may come"
    )]
    Unexpected {
        /// Its first byte.
        header: u8,
        /// The length of its first frame's payload.
        len: usize,
    },
    /// The database speaks though its answer is complete.
    #[error("the database goes on after the end of its answer")]
    AfterEnd,
}

/// Where in the answer we are: what the next packet may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    First,
    /// `left` definitions are to come, 1 or more; then `then`.
    Definitions {
        left: u16,
        then: Then,
    },
    /// The EOF behind definitions.
    DefinitionsEof(Then),
    /// Rows or their end.
    Rows,
    Complete,
}

/// What follows definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Rows,
    /// After a prepared statement's parameters: its columns, in this number, 0 included.
    Columns(u16),
}

/// Follows the answer to one command.
///
/// `observe` the front of the received bytes, forward `Observed::len` bytes, and again, until `is_complete`.
#[derive(Clone, Debug)]
pub struct ResponseTracker {
    answer: Answer,
    capabilities: Capabilities,
    state: State,
    continues: bool,
    sequence: Sequence,
    rows: u64,
    bytes: u64,
}

impl ResponseTracker {
    /// Expects the answer to a command. `capabilities`: those agreed on both sides; `sequence`: as it stands after
    /// sending the command (1 for a command of one frame).
    pub fn new(answer: Answer, capabilities: Capabilities, sequence: Sequence) -> Self {
        let state = match answer {
            Answer::Nothing => State::Complete,
            Answer::Fetch => State::Rows,
            Answer::Query
            | Answer::Execute
            | Answer::Prepare
            | Answer::FieldList
            | Answer::Statistics
            | Answer::Simple => State::First,
        };
        Self { answer, capabilities, state, continues: false, sequence, rows: 0, bytes: 0 }
    }

    /// Looks at the frame at the front of `buffer`. `None`: it needs more bytes, at most `HEADER_LEN + HEAD_LEN`, or with
    /// `column::LONGEST` for a definition, and has changed nothing. Otherwise the frame counts as seen: the next call is for the frame behind it.
    pub fn observe(&mut self, buffer: &[u8]) -> Result<Option<Observed>, ResponseError> {
        let Some((head, payload)) = buffer.split_first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let header = Header::decode(*head);
        let needed = if self.is_definition(payload) { column::LONGEST } else { HEAD_LEN };
        let Some(payload) = payload.get(..header.len.min(needed)) else { return Ok(None) };
        if self.is_complete() {
            return Err(ResponseError::AfterEnd);
        }
        self.sequence.accept(header).map_err(ResponseError::Order)?;
        let seen = if self.continues { Seen::Continuation } else { self.packet(header, payload)? };
        self.continues = header.continues();
        let len = HEADER_LEN.saturating_add(header.len);
        self.bytes = self.bytes.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        if seen == Seen::Row {
            self.rows = self.rows.saturating_add(1);
        }
        Ok(Some(Observed { seen, len, sequence: header.sequence }))
    }

    /// Whether the last frame observed was the answer's last.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete && !self.continues
    }

    /// Rows observed so far, over all results of the command.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of all frames observed so far, headers included, as on the wire.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The sequence id that the next frame must bear.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Whether a frame with this payload can be nothing but a definition.
    fn is_definition(&self, payload: &[u8]) -> bool {
        let defines = match self.state {
            State::Definitions { .. } => true,
            State::First => self.answer == Answer::FieldList,
            State::DefinitionsEof(_) | State::Rows | State::Complete => false,
        };
        defines && !self.continues && payload.first() == Some(&DEFINITION)
    }

    /// The first frame of a packet. `head`: its first bytes, all of them where they are no more than `observe` needs.
    fn packet(&mut self, header: Header, head: &[u8]) -> Result<Seen, ResponseError> {
        let first = Reader::new(head).u8().map_err(ResponseError::Packet)?;
        let packet = Packet { first, len: header.len, continues: header.continues(), head };
        // An error may come in any state. No row or definition begins like this: it is no length.
        if first == err::HEADER && self.answer != Answer::Statistics {
            packet.is_whole()?;
            let err = ErrSummary::decode(&mut Reader::new(head)).map_err(ResponseError::Packet)?;
            self.state = State::Complete;
            return Ok(Seen::Err(err));
        }
        match self.state {
            State::First => self.first(packet),
            State::Definitions { left, then } => self.definition(packet, left, then),
            State::DefinitionsEof(then) => self.definitions_end(packet, then),
            State::Rows => self.row(packet),
            State::Complete => Err(ResponseError::AfterEnd),
        }
    }

    fn first(&mut self, packet: Packet<'_>) -> Result<Seen, ResponseError> {
        match (self.answer, packet.first) {
            (Answer::Statistics, _) => {
                self.state = State::Complete;
                Ok(Seen::Text)
            }
            (Answer::Prepare, ok::HEADER) => self.prepared(packet),
            (Answer::Query | Answer::Execute | Answer::Simple, ok::HEADER) => {
                let ok = packet.ok()?;
                self.after_result(ok.status);
                Ok(Seen::Ok(ok))
            }
            (Answer::Simple, eof::HEADER) => self.rows_end(packet),
            (Answer::FieldList, eof::HEADER) => self.rows_end(packet),
            (Answer::FieldList, DEFINITION) => packet.listed(self.capabilities),
            (Answer::Query | Answer::Execute, LOCAL_INFILE) => {
                self.state = State::Complete;
                Ok(Seen::LocalInfile)
            }
            (Answer::Query | Answer::Execute, _) => {
                let columns = packet.column_count()?;
                self.state = State::Definitions { left: columns, then: Then::Rows };
                Ok(Seen::ColumnCount(columns))
            }
            (Answer::Prepare | Answer::Fetch | Answer::FieldList | Answer::Simple | Answer::Nothing, _) => {
                Err(packet.unexpected())
            }
        }
    }

    fn prepared(&mut self, packet: Packet<'_>) -> Result<Seen, ResponseError> {
        packet.has_len(PrepareOk::LEN)?;
        let prepared = PrepareOk::decode(packet.head).map_err(ResponseError::Packet)?;
        self.state = match prepared.parameters {
            0 => columns_or_complete(prepared.columns),
            left => State::Definitions { left, then: Then::Columns(prepared.columns) },
        };
        Ok(Seen::PrepareOk(prepared))
    }

    fn definition(&mut self, packet: Packet<'_>, left: u16, then: Then) -> Result<Seen, ResponseError> {
        let seen = packet.definition(self.capabilities)?;
        self.state = match left.saturating_sub(1) {
            0 if self.deprecate_eof() => self.after_definitions(then),
            0 => State::DefinitionsEof(then),
            left => State::Definitions { left, then },
        };
        Ok(seen)
    }

    fn definitions_end(&mut self, packet: Packet<'_>, then: Then) -> Result<Seen, ResponseError> {
        let eof = packet.eof()?;
        // With a cursor the rows come by COM_STMT_FETCH. (With DEPRECATE_EOF this is an ordinary end of rows.)
        let cursor = self.answer == Answer::Execute && eof.status.contains(StatusFlags::CURSOR_EXISTS);
        self.state = if cursor { State::Complete } else { self.after_definitions(then) };
        Ok(Seen::DefinitionsEnd(eof))
    }

    fn after_definitions(&self, then: Then) -> State {
        match then {
            Then::Columns(columns) => columns_or_complete(columns),
            Then::Rows if self.answer == Answer::Prepare => State::Complete,
            Then::Rows => State::Rows,
        }
    }

    fn row(&mut self, packet: Packet<'_>) -> Result<Seen, ResponseError> {
        if packet.first == eof::HEADER && !packet.continues {
            return self.rows_end(packet);
        }
        let binary = matches!(self.answer, Answer::Execute | Answer::Fetch);
        if binary && packet.first != BINARY_ROW {
            return Err(packet.unexpected());
        }
        Ok(Seen::Row)
    }

    fn rows_end(&mut self, packet: Packet<'_>) -> Result<Seen, ResponseError> {
        let (status, warnings) = if self.deprecate_eof() {
            let ok = packet.ok()?;
            (ok.status, ok.warnings)
        } else {
            let eof = packet.eof()?;
            (eof.status, eof.warnings)
        };
        self.after_result(status);
        Ok(Seen::RowsEnd { status, warnings })
    }

    fn deprecate_eof(&self) -> bool {
        self.capabilities.contains(Capabilities::DEPRECATE_EOF)
    }

    fn after_result(&mut self, status: StatusFlags) {
        let more = matches!(self.answer, Answer::Query | Answer::Execute)
            && status.contains(StatusFlags::MORE_RESULTS_EXISTS);
        self.state = if more { State::First } else { State::Complete };
    }
}

fn columns_or_complete(columns: u16) -> State {
    match columns {
        0 => State::Complete,
        left => State::Definitions { left, then: Then::Rows },
    }
}
