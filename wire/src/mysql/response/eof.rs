//! The end of definitions or rows, for clients without `DEPRECATE_EOF`.
//!
//! Source: "EOF_Packet",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_eof_packet.html>.
//!
//! ```text
//! int<1>  0xfe
//! int<2>  warnings
//! int<2>  status flags
//! ```

use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::response::status_flags::StatusFlags;
use crate::mysql::writer::Writer;

/// The packet's first byte. A row may begin with it too: only the length tells them apart.
pub const HEADER: u8 = 0xfe;

/// The packet's length in bytes, always.
pub const LEN: usize = 5;

/// Definitions or rows end here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EofPacket {
    /// How many warnings SHOW WARNINGS would list.
    pub warnings: u16,
    /// The session's status after the statement.
    pub status: StatusFlags,
}

impl EofPacket {
    /// Reads an EOF packet, which is exactly `LEN` bytes long.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        reader.expect(HEADER, "header")?;
        let eof = Self { warnings: reader.u16()?, status: StatusFlags::from_bits(reader.u16()?) };
        reader.end()?;
        Ok(eof)
    }

    /// Writes an EOF packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(HEADER).u16(self.warnings).u16(self.status.bits());
        writer.into_body()
    }
}
