//! The server's first packet. It chooses no capabilities and makes no challenge.
//!
//! Source: "Protocol::HandshakeV10",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html>;
//! MariaDB's extended capabilities: <https://mariadb.com/kb/en/connection/#initial-handshake-packet>.
//!
//! ```text
//! int<1>       10
//! string<NUL>  server version
//! int<4>       connection id
//! string[8]    challenge, first part
//! int<1>       0
//! int<2>       capabilities, lower half
//! int<1>       collation
//! int<2>       status flags
//! int<2>       capabilities, upper half
//! int<1>       length of the challenge with its NUL (0 without PLUGIN_AUTH)
//! string[6]    filler
//! int<4>       MariaDB: extended capabilities (without LONG_PASSWORD); MySQL: filler
//! string[$len] challenge, second part: max(13, length - 8) bytes, the last one NUL
//! string<NUL>  authentication plugin (with PLUGIN_AUTH)
//! ```

use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::response::status_flags::StatusFlags;
use crate::mysql::writer::{Unencodable, Writer};

const PROTOCOL_VERSION: u8 = 10;
const FIRST_PART: usize = 8;
const SECOND_PART: usize = 13;
const FILLER: [u8; 6] = [0; 6];

/// The length of a challenge that we make, in bytes.
pub const CHALLENGE_LEN: usize = 20;

/// What a server says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// For example `8.4.3`, or `5.5.5-10.11.6-MariaDB`.
    pub server_version: &'a [u8],
    /// The number to kill the connection by.
    pub connection_id: u32,
    /// The challenge without its final NUL, 20 bytes by default.
    pub challenge: Vec<u8>,
    /// What the server can do.
    pub capabilities: Capabilities,
    /// The server's default collation, its lower byte.
    pub collation: u8,
    /// The session's first status.
    pub status: StatusFlags,
    /// The plugin that the challenge is for; empty from servers without `PLUGIN_AUTH`.
    pub auth_plugin: &'a [u8],
}

impl<'a> Greeting<'a> {
    /// Reads a greeting. A server that refuses the connection sends an ERR packet in its place: look at the first
    /// byte (0xff) before.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        reader.expect(PROTOCOL_VERSION, "protocol version")?;
        let server_version = reader.nul_terminated()?;
        let connection_id = reader.u32()?;
        let first = reader.take(FIRST_PART)?;
        reader.expect(0, "filler")?;
        let lower = reader.u16()?;
        let collation = reader.u8()?;
        let status = StatusFlags::from_bits(reader.u16()?);
        let upper = reader.u16()?;
        let challenge_len = usize::from(reader.u8()?);
        reader.take(FILLER.len())?;
        let extended = reader.u32()?;
        let capabilities = Capabilities::from_halves(u32::from(lower) | (u32::from(upper) << 16), extended);

        let mut challenge = first.to_vec();
        if capabilities.contains(Capabilities::SECURE_CONNECTION) {
            let second = reader.take(challenge_len.saturating_sub(FIRST_PART).max(SECOND_PART))?;
            challenge.extend_from_slice(second.strip_suffix(&[0]).unwrap_or(second));
        }
        let plugin = capabilities.contains(Capabilities::PLUGIN_AUTH);
        let auth_plugin = if plugin { reader.nul_terminated()? } else { &[] };
        reader.end()?;
        Ok(Self { server_version, connection_id, challenge, capabilities, collation, status, auth_plugin })
    }

    /// Writes a greeting with `SECURE_CONNECTION` and `PLUGIN_AUTH`, which the capabilities must contain; the
    /// challenge must be `CHALLENGE_LEN` bytes, none of them NUL (clients read it as a C string).
    pub fn encode(&self) -> Result<Vec<u8>, Unencodable> {
        let required = Capabilities::SECURE_CONNECTION.union(Capabilities::PLUGIN_AUTH);
        if !self.capabilities.contains(required) {
            return Err(Unencodable::TooLong { field: "challenge" });
        }
        if self.challenge.contains(&0) {
            return Err(Unencodable::Nul { field: "challenge" });
        }
        let (first, second) = match self.challenge.split_at_checked(FIRST_PART) {
            Some(parts) if self.challenge.len() == CHALLENGE_LEN => parts,
            _ => return Err(Unencodable::TooLong { field: "challenge" }),
        };
        let [a, b, c, d] = self.capabilities.lower().to_le_bytes();
        let mut writer = Writer::new();
        writer.u8(PROTOCOL_VERSION).nul_terminated(self.server_version, "server version")?;
        writer.u32(self.connection_id).bytes(first).u8(0).bytes(&[a, b]);
        writer.u8(self.collation).u16(self.status.bits()).bytes(&[c, d]);
        writer.u8(21).bytes(&FILLER).u32(self.capabilities.extended());
        writer.bytes(second).u8(0).nul_terminated(self.auth_plugin, "authentication plugin")?;
        Ok(writer.into_body())
    }
}
