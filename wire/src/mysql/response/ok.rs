//! OK_Packet: the command was carried out. Reads no session state changes: they are relayed as they came.
//!
//! Source: "OK_Packet",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html>.
//!
//! ```text
//! int<1>          0x00, or 0xfe where it ends a result (DEPRECATE_EOF)
//! int<lenenc>     affected rows
//! int<lenenc>     last insert id
//! int<2>          status flags
//! int<2>          warnings
//! string<lenenc>  info           ─┐ SESSION_TRACK; info may be left out when both are empty
//! string<lenenc>  state changes  ─┘ SESSION_STATE_CHANGED
//!   or string<EOF> info, without SESSION_TRACK (MariaDB: string<lenenc>)
//! ```

use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::response::status_flags::StatusFlags;
use crate::mysql::writer::Writer;

/// The first byte of an OK packet.
pub const HEADER: u8 = 0x00;

/// The first byte of the OK packet that ends a result under `DEPRECATE_EOF`.
pub const HEADER_AFTER_ROWS: u8 = 0xfe;

/// The fixed part of an OK packet, all that decisions need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OkSummary {
    /// Rows changed.
    pub affected_rows: u64,
    /// The last AUTO_INCREMENT value given.
    pub last_insert_id: u64,
    /// The session's status after the statement.
    pub status: StatusFlags,
    /// How many warnings SHOW WARNINGS would list.
    pub warnings: u16,
}

impl OkSummary {
    /// The longest encoding of header and summary in bytes.
    pub(crate) const MAX_LEN: usize = 1 + 9 + 9 + 2 + 2;

    /// Reads what follows the header.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            affected_rows: reader.lenenc()?,
            last_insert_id: reader.lenenc()?,
            status: StatusFlags::from_bits(reader.u16()?),
            warnings: reader.u16()?,
        })
    }
}

/// A whole OK packet. `Debug` shows the summary only: the info may quote a statement.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct OkPacket<'a> {
    /// The fixed part.
    pub summary: OkSummary,
    /// A sentence for people, mostly empty.
    pub info: &'a [u8],
    /// Session state changes, still encoded; only with `SESSION_TRACK`.
    pub state_changes: &'a [u8],
}

impl<'a> OkPacket<'a> {
    /// Reads an OK packet with either header.
    pub fn decode(body: &'a [u8], capabilities: Capabilities) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        match reader.u8()? {
            HEADER | HEADER_AFTER_ROWS => {}
            _ => return Err(Malformed::Invalid { field: "header" }),
        }
        let summary = OkSummary::decode(&mut reader)?;
        if !capabilities.contains(Capabilities::SESSION_TRACK) {
            return Ok(Self { summary, info: plain_info(reader.rest()), state_changes: &[] });
        }
        let info = if reader.is_empty() { &[] } else { reader.lenenc_bytes()? };
        let changed = summary.status.contains(StatusFlags::SESSION_STATE_CHANGED);
        let state_changes = if changed { reader.lenenc_bytes()? } else { &[] };
        reader.end()?;
        Ok(Self { summary, info, state_changes })
    }

    /// Writes the OK packet that answers a command without a result.
    pub fn encode(&self, capabilities: Capabilities) -> Vec<u8> {
        self.encode_with(HEADER, capabilities)
    }

    /// Writes the OK packet that ends a result under `DEPRECATE_EOF`.
    pub fn encode_after_rows(&self, capabilities: Capabilities) -> Vec<u8> {
        self.encode_with(HEADER_AFTER_ROWS, capabilities)
    }

    fn encode_with(&self, header: u8, capabilities: Capabilities) -> Vec<u8> {
        let OkSummary { affected_rows, last_insert_id, status, warnings } = self.summary;
        let mut writer = Writer::new();
        writer.u8(header).lenenc(affected_rows).lenenc(last_insert_id).u16(status.bits()).u16(warnings);
        if !capabilities.contains(Capabilities::SESSION_TRACK) {
            writer.bytes(self.info);
            return writer.into_body();
        }
        let changed = status.contains(StatusFlags::SESSION_STATE_CHANGED);
        if changed || !self.info.is_empty() {
            writer.lenenc_bytes(self.info);
        }
        if changed {
            writer.lenenc_bytes(self.state_changes);
        }
        writer.into_body()
    }
}

/// MySQL sends the info bare, MariaDB with its length in front: take the length off where it is exactly one.
fn plain_info(rest: &[u8]) -> &[u8] {
    let mut reader = Reader::new(rest);
    match reader.lenenc_bytes() {
        Ok(info) if reader.is_empty() => info,
        _ => rest,
    }
}

impl std::fmt::Debug for OkPacket<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OkPacket").field("summary", &self.summary).finish_non_exhaustive()
    }
}
