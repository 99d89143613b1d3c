//! The client's answer to the greeting: who it says it is. It verifies nothing.
//!
//! Source: "Protocol::HandshakeResponse41",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_response.html>.
//!
//! ```text
//! string[32]      head, as in SSLRequest
//! string<NUL>     user name
//! string<lenenc>  authentication response (PLUGIN_AUTH_LENENC_CLIENT_DATA)
//!   or int<1> and string[$len]            (SECURE_CONNECTION)
//!   or string<NUL>
//! string<NUL>     default database (CONNECT_WITH_DB)
//! string<NUL>     authentication plugin (PLUGIN_AUTH)
//! pairs           connect attributes (CONNECT_ATTRS)
//! int<1>          compression level (ZSTD_COMPRESSION)
//! ```

use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::connect::connect_attributes::ConnectAttributes;
use crate::mysql::connect::ssl_request::SslRequest;
use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::writer::{Unencodable, Writer};
use zeroize::Zeroizing;

/// The client's answer to the greeting. `Debug` leaves out the authentication response.
#[derive(Clone, PartialEq, Eq)]
pub struct HandshakeResponse<'a> {
    /// Capabilities, longest packet, collation. The capabilities are the client's own, offered or not.
    pub head: SslRequest,
    /// Who the client says it is.
    pub user: &'a [u8],
    /// The first answer of the authentication plugin: may be a password in clear text.
    pub auth_response: &'a [u8],
    /// The default database, if it wants one.
    pub database: Option<&'a [u8]>,
    /// The plugin that made `auth_response`; empty without `PLUGIN_AUTH`.
    pub auth_plugin: &'a [u8],
    /// What the client program says of itself. Not sent to a database.
    pub attributes: ConnectAttributes<'a>,
}

impl<'a> HandshakeResponse<'a> {
    /// Reads a response by the capabilities that it names itself.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let head = SslRequest::decode_head(&mut reader)?;
        let has = |flag| head.capabilities.contains(flag);
        let user = reader.nul_terminated()?;
        let auth_response = if has(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            reader.lenenc_bytes()?
        } else if has(Capabilities::SECURE_CONNECTION) {
            let len = usize::from(reader.u8()?);
            reader.take(len)?
        } else {
            reader.nul_terminated()?
        };
        let database = if has(Capabilities::CONNECT_WITH_DB) { Some(reader.nul_terminated()?) } else { None };
        let auth_plugin = if has(Capabilities::PLUGIN_AUTH) { reader.nul_terminated()? } else { &[] };
        let attributes = if has(Capabilities::CONNECT_ATTRS) {
            ConnectAttributes::decode(&mut reader)?
        } else {
            ConnectAttributes::default()
        };
        if has(Capabilities::ZSTD_COMPRESSION) {
            reader.u8()?;
        }
        reader.end()?;
        Ok(Self { head, user, auth_response, database, auth_plugin, attributes })
    }

    /// Writes a response to a database. `CONNECT_WITH_DB` follows from `database`, and no attributes are sent.
    ///
    /// The body is wiped when dropped, for `auth_response` may be a password.
    pub fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Unencodable> {
        let optional = Capabilities::CONNECT_WITH_DB
            .union(Capabilities::CONNECT_ATTRS)
            .union(Capabilities::ZSTD_COMPRESSION);
        let mut capabilities = self.head.capabilities.without(optional);
        if self.database.is_some() {
            capabilities = capabilities.union(Capabilities::CONNECT_WITH_DB);
        }

        let mut writer = Writer::with_room_for(self.longest());
        SslRequest { capabilities, ..self.head }.encode_head(&mut writer);
        writer.nul_terminated(self.user, "user name")?;
        if capabilities.contains(Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            writer.lenenc_bytes(self.auth_response);
        } else if capabilities.contains(Capabilities::SECURE_CONNECTION) {
            writer.short_bytes(self.auth_response, "authentication response")?;
        } else {
            writer.nul_terminated(self.auth_response, "authentication response")?;
        }
        if let Some(database) = self.database {
            writer.nul_terminated(database, "database")?;
        }
        if capabilities.contains(Capabilities::PLUGIN_AUTH) {
            writer.nul_terminated(self.auth_plugin, "authentication plugin")?;
        }
        Ok(Zeroizing::new(writer.into_body()))
    }

    /// No shorter than what `encode` writes.
    fn longest(&self) -> usize {
        let texts = [self.user, self.auth_response, self.database.unwrap_or_default(), self.auth_plugin];
        // A length has 9 bytes at most, an end one.
        texts.iter().fold(HEAD_LEN, |sum, text| sum.saturating_add(text.len()).saturating_add(9))
    }
}

/// Length of the head that an SSLRequest consists of.
const HEAD_LEN: usize = 32;

impl std::fmt::Debug for HandshakeResponse<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandshakeResponse").field("head", &self.head).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_written_once_and_never_moved_to_a_larger_buffer() {
        let password = [b'p'; 400];
        for capabilities in [
            Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA.union(Capabilities::PLUGIN_AUTH),
            Capabilities::default(),
        ] {
            let response = HandshakeResponse {
                head: SslRequest { capabilities, max_packet: 0, collation: 45 },
                user: &[b'u'; 70],
                auth_response: &password,
                database: Some(&[b'd'; 64]),
                auth_plugin: b"mysql_clear_password",
                attributes: ConnectAttributes::default(),
            };
            let body = response.encode().unwrap();
            assert_eq!(body.capacity(), response.longest(), "it was as large at first");
            assert!(body.len() <= response.longest());
        }
    }
}
