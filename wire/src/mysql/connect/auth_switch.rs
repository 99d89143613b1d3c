//! The server asks for another authentication plugin. It runs none.
//!
//! Source: "Protocol::AuthSwitchRequest",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_auth_switch_request.html>.
//!
//! ```text
//! int<1>       0xfe
//! string<NUL>  authentication plugin
//! string<EOF>  challenge, usually with a NUL behind it
//! ```
//!
//! The answer (AuthSwitchResponse) is the plugin's bytes and nothing else. A lone 0xfe asks for the password hash of
//! MySQL 4.0: refused as truncated.

use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::writer::{Unencodable, Writer};

/// The packet's first byte.
pub const HEADER: u8 = 0xfe;

/// Another plugin, please.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthSwitch<'a> {
    /// The plugin to use, for example `mysql_clear_password`.
    pub plugin: &'a [u8],
    /// Its challenge, as it came: with its NUL, if it has one (`auth::Authenticator` knows which to drop).
    pub challenge: &'a [u8],
}

impl<'a> AuthSwitch<'a> {
    /// Reads a switch request.
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        reader.expect(HEADER, "header")?;
        Ok(Self { plugin: reader.nul_terminated()?, challenge: reader.rest() })
    }

    /// Writes a switch request; `challenge` goes as it is.
    pub fn encode(&self) -> Result<Vec<u8>, Unencodable> {
        let mut writer = Writer::new();
        writer.u8(HEADER).nul_terminated(self.plugin, "authentication plugin")?.bytes(self.challenge);
        Ok(writer.into_body())
    }
}
