//! One more step of an authentication plugin, sent by the server. It runs no plugin.
//!
//! Source: "Protocol::AuthMoreData",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_auth_more_data.html>.
//!
//! ```text
//! int<1>       0x01
//! string<EOF>  the plugin's data
//! ```

use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::writer::Writer;

/// The packet's first byte.
pub const HEADER: u8 = 0x01;

/// Data for the plugin that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthMoreData<'a> {
    /// The plugin's data, without the header.
    pub data: &'a [u8],
}

impl<'a> AuthMoreData<'a> {
    /// Reads the packet.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        reader.expect(HEADER, "header")?;
        Ok(Self { data: reader.rest() })
    }

    /// Writes the packet.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(HEADER).bytes(self.data);
        writer.into_body()
    }
}
