//! The client program's description of itself, in handshake response and COM_CHANGE_USER. Nothing here is verified:
//! it is for the record, never for a decision.
//!
//! Source: "Protocol::HandshakeResponse41", CLIENT_CONNECT_ATTRS,
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_response.html>.
//!
//! ```text
//! int<lenenc>     length of all pairs
//! string<lenenc>  key    ─┐ repeated
//! string<lenenc>  value  ─┘
//! ```

use crate::mysql::reader::{Malformed, Reader};

/// Key and value pairs, in the client's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectAttributes<'a> {
    /// For example `program_name` and `mysql`.
    pub pairs: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> ConnectAttributes<'a> {
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut inner = Reader::new(reader.lenenc_bytes()?);
        let mut pairs = Vec::new();
        while !inner.is_empty() {
            pairs.push((inner.lenenc_bytes()?, inner.lenenc_bytes()?));
        }
        Ok(Self { pairs })
    }

    /// The first value of `key`.
    pub fn get(&self, key: &[u8]) -> Option<&'a [u8]> {
        self.pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }
}
