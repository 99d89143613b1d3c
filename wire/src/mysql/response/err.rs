//! The server refuses, or Keyhole does.
//!
//! Source: "ERR_Packet",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html>.
//!
//! ```text
//! int<1>       0xff
//! int<2>       error code
//! string[6]    '#' and five characters of SQLSTATE (may be missing before the capabilities are known)
//! string<EOF>  message
//! ```

use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::writer::Writer;

/// The packet's first byte.
pub const HEADER: u8 = 0xff;

/// The SQLSTATE of an error that names none.
pub const GENERAL_ERROR: [u8; 5] = *b"HY000";

const MARKER: u8 = b'#';

/// An error's code and class: what may be logged of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrSummary {
    /// For example 1045.
    pub code: u16,
    /// For example `28000`.
    pub sqlstate: [u8; 5],
}

impl ErrSummary {
    /// The longest encoding of header and summary in bytes.
    pub(crate) const MAX_LEN: usize = 1 + 2 + 6;

    /// Reads header, code and SQLSTATE; the message stays in `reader`.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.expect(HEADER, "header")?;
        let code = reader.u16()?;
        let mut ahead = reader.clone();
        if ahead.u8() != Ok(MARKER) {
            return Ok(Self { code, sqlstate: GENERAL_ERROR });
        }
        let sqlstate = ahead.array()?;
        *reader = ahead;
        Ok(Self { code, sqlstate })
    }
}

/// A whole ERR packet. `Debug` leaves out the message: it may quote a statement or a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErrPacket<'a> {
    /// Code and SQLSTATE.
    pub summary: ErrSummary,
    /// A sentence for people. For the client only, never for a log.
    pub message: &'a [u8],
}

impl<'a> ErrPacket<'a> {
    /// Reads an ERR packet.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let summary = ErrSummary::decode(&mut reader)?;
        Ok(Self { summary, message: reader.rest() })
    }

    /// Writes an ERR packet, with its SQLSTATE.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(HEADER).u16(self.summary.code).u8(MARKER).bytes(&self.summary.sqlstate).bytes(self.message);
        writer.into_body()
    }
}

impl std::fmt::Debug for ErrPacket<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ErrPacket").field("summary", &self.summary).finish_non_exhaustive()
    }
}
