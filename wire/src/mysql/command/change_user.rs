//! COM_CHANGE_USER: the client authenticates again on the same connection. It verifies nothing.
//!
//! Source: "COM_CHANGE_USER",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_change_user.html>.
//!
//! ```text
//! int<1>       0x11
//! string<NUL>  user name
//! int<1>       length of the authentication response
//! string[$len] authentication response
//! string<NUL>  default database; empty: none
//! int<2>       collation          ─┐ these may be missing
//! string<NUL>  plugin (PLUGIN_AUTH) │
//! pairs        CONNECT_ATTRS      ─┘
//! ```

use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::connect::connect_attributes::ConnectAttributes;
use crate::mysql::reader::{Malformed, Reader};

/// A new user for the session. `Debug` leaves out the authentication response.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeUser<'a> {
    /// Who the client says it is.
    pub user: &'a [u8],
    /// The first answer of the authentication plugin: may be a password in clear text.
    pub auth_response: &'a [u8],
    /// The default database; empty: none.
    pub database: &'a [u8],
    /// The client's collation, both bytes.
    pub collation: Option<u16>,
    /// The plugin that made `auth_response`; empty when not named.
    pub auth_plugin: &'a [u8],
    /// What the client program says of itself.
    pub attributes: ConnectAttributes<'a>,
}

impl<'a> ChangeUser<'a> {
    /// Reads what follows the command byte, by the capabilities agreed in the handshake.
    pub(crate) fn decode(mut reader: Reader<'a>, capabilities: Capabilities) -> Result<Self, Malformed> {
        let user = reader.nul_terminated()?;
        let len = usize::from(reader.u8()?);
        let auth_response = reader.take(len)?;
        let database = reader.nul_terminated()?;
        let collation = if reader.is_empty() { None } else { Some(reader.u16()?) };
        let named = capabilities.contains(Capabilities::PLUGIN_AUTH) && !reader.is_empty();
        let auth_plugin = if named { reader.nul_terminated()? } else { &[] };
        // Some drivers send attributes here whether CONNECT_ATTRS was agreed or not; servers don't mind.
        let described = !reader.is_empty();
        let attributes = if described { ConnectAttributes::decode(&mut reader)? } else { Default::default() };
        reader.end()?;
        Ok(Self { user, auth_response, database, collation, auth_plugin, attributes })
    }
}

impl std::fmt::Debug for ChangeUser<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangeUser").finish_non_exhaustive()
    }
}
