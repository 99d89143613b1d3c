//! The head of a COM_STMT_PREPARE's answer; definitions of parameters and columns follow as packets of their own.
//!
//! Source: "COM_STMT_PREPARE Response",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_prepare.html>.
//!
//! ```text
//! int<1>  0x00
//! int<4>  statement id
//! int<2>  number of columns
//! int<2>  number of parameters
//! int<1>  filler
//! int<2>  warnings
//! ```

use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::writer::Writer;

const HEADER: u8 = 0x00;

/// A statement is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrepareOk {
    /// The statement's id, valid in this session only.
    pub id: u32,
    /// How many columns its result has, as known now.
    pub columns: u16,
    /// How many parameters it takes.
    pub parameters: u16,
    /// How many warnings SHOW WARNINGS would list.
    pub warnings: u16,
}

impl PrepareOk {
    /// The packet's length in bytes, always.
    pub const LEN: usize = 12;

    /// Reads the packet.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        reader.expect(HEADER, "header")?;
        let (id, columns, parameters) = (reader.u32()?, reader.u16()?, reader.u16()?);
        reader.u8()?;
        let warnings = reader.u16()?;
        reader.end()?;
        Ok(Self { id, columns, parameters, warnings })
    }

    /// Writes the packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(HEADER).u32(self.id).u16(self.columns).u16(self.parameters).u8(0).u16(self.warnings);
        writer.into_body()
    }
}
