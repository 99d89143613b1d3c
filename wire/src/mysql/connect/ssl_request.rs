//! The client's wish for TLS, in clear text, before anything secret. It starts no TLS.
//!
//! Source: "Protocol::SSLRequest",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_ssl_request.html>.
//!
//! ```text
//! int<4>      capabilities, with SSL
//! int<4>      longest packet that the client accepts
//! int<1>      collation
//! string[19]  filler
//! int<4>      MariaDB: extended capabilities (without LONG_PASSWORD); MySQL: filler
//! ```
//!
//! These 32 bytes are also the head of every handshake response.

use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::writer::Writer;

const FILLER: [u8; 19] = [0; 19];

/// What the client can do, and that it wants TLS first; also the head of its handshake response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SslRequest {
    /// What the client can do.
    pub capabilities: Capabilities,
    /// The longest packet that the client accepts, in bytes.
    pub max_packet: u32,
    /// The client's collation, its lower byte.
    pub collation: u8,
}

impl SslRequest {
    /// Reads an SSLRequest: exactly 32 bytes with the flag `SSL`. Anything else is not one.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let request = Self::decode_head(&mut reader)?;
        reader.end()?;
        if !request.capabilities.contains(Capabilities::SSL) {
            return Err(Malformed::Invalid { field: "capabilities" });
        }
        Ok(request)
    }

    /// Writes an SSLRequest; the flag `SSL` is always set.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        let capabilities = self.capabilities.union(Capabilities::SSL);
        Self { capabilities, ..*self }.encode_head(&mut writer);
        writer.into_body()
    }

    pub(crate) fn decode_head(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let lower = reader.u32()?;
        let max_packet = reader.u32()?;
        let collation = reader.u8()?;
        reader.take(FILLER.len())?;
        let capabilities = Capabilities::from_halves(lower, reader.u32()?);
        if !capabilities.contains(Capabilities::PROTOCOL_41) {
            return Err(Malformed::Invalid { field: "capabilities" });
        }
        Ok(Self { capabilities, max_packet, collation })
    }

    pub(crate) fn encode_head(&self, writer: &mut Writer) {
        writer.u32(self.capabilities.lower()).u32(self.max_packet).u8(self.collation);
        writer.bytes(&FILLER).u32(self.capabilities.extended());
    }
}
