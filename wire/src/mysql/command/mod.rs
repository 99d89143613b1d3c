//! What a client asks for in the command phase, and the few commands that the proxy sends itself. It decides nothing.
//!
//! Source: "Command Phase",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html>. The first byte names the
//! command. Layouts assume that neither QUERY_ATTRIBUTES nor MariaDB's bulk operations were agreed, as is the case.

pub mod change_user;
pub mod execute_params;

use crate::mysql::command::change_user::ChangeUser;
use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::response::Answer;
use crate::mysql::writer::Writer;

const QUIT: u8 = 0x01;
const INIT_DB: u8 = 0x02;
const QUERY: u8 = 0x03;
const FIELD_LIST: u8 = 0x04;
const STATISTICS: u8 = 0x09;
const PROCESS_INFO: u8 = 0x0a;
const PROCESS_KILL: u8 = 0x0c;
const PING: u8 = 0x0e;
const CHANGE_USER: u8 = 0x11;
const STMT_PREPARE: u8 = 0x16;
const STMT_EXECUTE: u8 = 0x17;
const STMT_SEND_LONG_DATA: u8 = 0x18;
const STMT_CLOSE: u8 = 0x19;
const STMT_RESET: u8 = 0x1a;
const SET_OPTION: u8 = 0x1b;
const STMT_FETCH: u8 = 0x1c;
const RESET_CONNECTION: u8 = 0x1f;

/// The statement's id by which MariaDB's clients mean the one that they prepared last. They send it before they know that one's.
///
/// Source: <https://mariadb.com/docs/server/reference/clientserver-protocol/3-binary-protocol-prepared-statements/com_stmt_execute>.
pub const LAST_PREPARED: u32 = u32::MAX;

/// One command. `Debug` names it and leaves out its text and data.
#[derive(Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// COM_QUIT: the client closes.
    Quit,
    /// COM_INIT_DB: use this schema.
    InitDb(&'a [u8]),
    /// COM_QUERY: run this SQL text.
    Query(&'a [u8]),
    /// COM_FIELD_LIST: the columns of a table.
    FieldList {
        /// The table's name.
        table: &'a [u8],
        /// A LIKE pattern for the columns.
        wildcard: &'a [u8],
    },
    /// COM_STATISTICS: a sentence of figures.
    Statistics,
    /// COM_PROCESS_INFO: SHOW PROCESSLIST.
    ProcessInfo,
    /// COM_PROCESS_KILL: kill this connection id.
    ProcessKill(u32),
    /// COM_PING.
    Ping,
    /// COM_CHANGE_USER: authenticate again.
    ChangeUser(ChangeUser<'a>),
    /// COM_RESET_CONNECTION: a fresh session on the same connection.
    ResetConnection,
    /// COM_SET_OPTION: 0 turns multi-statements on, 1 off.
    SetOption(u16),
    /// COM_STMT_PREPARE: prepare this SQL text.
    StmtPrepare(&'a [u8]),
    /// COM_STMT_EXECUTE.
    StmtExecute(StmtExecute<'a>),
    /// COM_STMT_SEND_LONG_DATA: append to a parameter. Has no answer.
    StmtSendLongData {
        /// The statement's id.
        id: u32,
        /// Which parameter, from 0.
        parameter: u16,
        /// A piece of its value.
        data: &'a [u8],
    },
    /// COM_STMT_CLOSE: forget the statement with this id. Has no answer.
    StmtClose(u32),
    /// COM_STMT_RESET: forget long data and cursor of the statement with this id.
    StmtReset(u32),
    /// COM_STMT_FETCH: more rows of a cursor.
    StmtFetch {
        /// The statement's id.
        id: u32,
        /// How many rows at most.
        rows: u32,
    },
    /// Any other command byte, obsolete and replication commands included: to be refused with error 1047.
    Unsupported(u8),
}

/// COM_STMT_EXECUTE: run a prepared statement.
///
/// Source: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html>.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StmtExecute<'a> {
    /// The statement's id. MariaDB reads [`LAST_PREPARED`] as another one: refuse ids that are not known.
    pub id: u32,
    /// Which kind of cursor: 0 for none, 1 for a read-only one.
    pub flags: u8,
    /// The parameter block, for `execute_params`.
    pub parameters: &'a [u8],
}

impl<'a> Command<'a> {
    /// Reads a command by the capabilities agreed in the handshake.
    pub fn decode(body: &'a [u8], capabilities: Capabilities) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let command = match reader.u8()? {
            QUIT => Self::Quit,
            INIT_DB => Self::InitDb(reader.rest()),
            QUERY => Self::Query(reader.rest()),
            FIELD_LIST => Self::FieldList { table: reader.nul_terminated()?, wildcard: reader.rest() },
            STATISTICS => Self::Statistics,
            PROCESS_INFO => Self::ProcessInfo,
            PROCESS_KILL => Self::ProcessKill(reader.u32()?),
            PING => Self::Ping,
            CHANGE_USER => return ChangeUser::decode(reader, capabilities).map(Self::ChangeUser),
            STMT_PREPARE => Self::StmtPrepare(reader.rest()),
            STMT_EXECUTE => Self::StmtExecute(StmtExecute::decode(&mut reader)?),
            STMT_SEND_LONG_DATA => {
                Self::StmtSendLongData { id: reader.u32()?, parameter: reader.u16()?, data: reader.rest() }
            }
            STMT_CLOSE => Self::StmtClose(reader.u32()?),
            STMT_RESET => Self::StmtReset(reader.u32()?),
            SET_OPTION => Self::SetOption(reader.u16()?),
            STMT_FETCH => Self::StmtFetch { id: reader.u32()?, rows: reader.u32()? },
            RESET_CONNECTION => Self::ResetConnection,
            other => return Ok(Self::Unsupported(other)),
        };
        reader.end()?;
        Ok(command)
    }

    /// The shape of the server's answer; `None` where this crate does not know it: COM_CHANGE_USER (an
    /// authentication of its own) and unsupported commands.
    pub fn answer(&self) -> Option<Answer> {
        match self {
            Self::Quit | Self::StmtSendLongData { .. } | Self::StmtClose(_) => Some(Answer::Nothing),
            Self::Query(_) | Self::ProcessInfo => Some(Answer::Query),
            Self::StmtExecute(_) => Some(Answer::Execute),
            Self::StmtPrepare(_) => Some(Answer::Prepare),
            Self::StmtFetch { .. } => Some(Answer::Fetch),
            Self::FieldList { .. } => Some(Answer::FieldList),
            Self::Statistics => Some(Answer::Statistics),
            Self::InitDb(_)
            | Self::ProcessKill(_)
            | Self::Ping
            | Self::ResetConnection
            | Self::SetOption(_)
            | Self::StmtReset(_) => Some(Answer::Simple),
            Self::ChangeUser(_) | Self::Unsupported(_) => None,
        }
    }

    /// The manual's name of the command, for logs and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Quit => "COM_QUIT",
            Self::InitDb(_) => "COM_INIT_DB",
            Self::Query(_) => "COM_QUERY",
            Self::FieldList { .. } => "COM_FIELD_LIST",
            Self::Statistics => "COM_STATISTICS",
            Self::ProcessInfo => "COM_PROCESS_INFO",
            Self::ProcessKill(_) => "COM_PROCESS_KILL",
            Self::Ping => "COM_PING",
            Self::ChangeUser(_) => "COM_CHANGE_USER",
            Self::ResetConnection => "COM_RESET_CONNECTION",
            Self::SetOption(_) => "COM_SET_OPTION",
            Self::StmtPrepare(_) => "COM_STMT_PREPARE",
            Self::StmtExecute(_) => "COM_STMT_EXECUTE",
            Self::StmtSendLongData { .. } => "COM_STMT_SEND_LONG_DATA",
            Self::StmtClose(_) => "COM_STMT_CLOSE",
            Self::StmtReset(_) => "COM_STMT_RESET",
            Self::StmtFetch { .. } => "COM_STMT_FETCH",
            Self::Unsupported(_) => "an unsupported command",
        }
    }
}

impl<'a> StmtExecute<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let (id, flags, iterations) = (reader.u32()?, reader.u8()?, reader.u32()?);
        if iterations != 1 {
            return Err(Malformed::Invalid { field: "iteration count" });
        }
        Ok(Self { id, flags, parameters: reader.rest() })
    }
}

impl std::fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsupported(byte) => write!(f, "command {byte:#04x}"),
            known => f.write_str(known.name()),
        }
    }
}

/// Puts an id in the place of [`LAST_PREPARED`] in a command that names a prepared statement so.
pub fn name_last_prepared(body: &mut [u8], id: u32) {
    let Some((&mut (STMT_EXECUTE | STMT_SEND_LONG_DATA | STMT_CLOSE | STMT_RESET | STMT_FETCH), rest)) =
        body.split_first_mut()
    else {
        return;
    };
    if let Some(named) = rest.first_chunk_mut()
        && *named == LAST_PREPARED.to_le_bytes()
    {
        *named = id.to_le_bytes();
    }
}

/// Whether a client waits for one packet in answer to this command, though its rest can't be read: COM_CHANGE_USER is an
/// exchange of its own, and of those that have no answer it can't be told what a client reads.
pub fn awaits_answer(body: &[u8]) -> bool {
    !matches!(body.first(), Some(&(CHANGE_USER | QUIT | STMT_CLOSE | STMT_SEND_LONG_DATA)))
}

/// The body of a COM_QUERY; `sql` may differ from what the client sent (comments blanked).
pub fn encode_query(sql: &[u8]) -> Vec<u8> {
    named(QUERY, sql)
}

/// The body of a COM_STMT_PREPARE.
pub fn encode_prepare(sql: &[u8]) -> Vec<u8> {
    named(STMT_PREPARE, sql)
}

/// The body of a COM_INIT_DB.
pub fn encode_init_db(schema: &[u8]) -> Vec<u8> {
    named(INIT_DB, schema)
}

/// The body of a COM_PING.
pub fn encode_ping() -> Vec<u8> {
    named(PING, &[])
}

/// The body of a COM_RESET_CONNECTION.
pub fn encode_reset_connection() -> Vec<u8> {
    named(RESET_CONNECTION, &[])
}

/// The body of a COM_QUIT.
pub fn encode_quit() -> Vec<u8> {
    named(QUIT, &[])
}

/// The body of a COM_STMT_CLOSE.
pub fn encode_stmt_close(id: u32) -> Vec<u8> {
    named(STMT_CLOSE, &id.to_le_bytes())
}

fn named(command: u8, rest: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.u8(command).bytes(rest);
    writer.into_body()
}
