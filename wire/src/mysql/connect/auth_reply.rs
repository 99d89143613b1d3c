//! What a server may answer while it authenticates a client. It takes no step itself.
//!
//! Source: "Connection Phase",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>. The first byte names it.

use crate::mysql::connect::auth_more_data::{self, AuthMoreData};
use crate::mysql::connect::auth_switch::{self, AuthSwitch};
use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::response::err::{self, ErrPacket};
use crate::mysql::response::ok::{self, OkPacket};

/// One packet of the server between handshake response and command phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthReply<'a> {
    /// Authenticated: the command phase begins.
    Ok(OkPacket<'a>),
    /// Refused: the server closes the connection.
    Err(ErrPacket<'a>),
    /// Start again with another plugin.
    Switch(AuthSwitch<'a>),
    /// The next challenge of the plugin that runs.
    MoreData(AuthMoreData<'a>),
}

impl<'a> AuthReply<'a> {
    /// Reads the reply; any other packet is malformed.
    pub fn decode(body: &'a [u8], capabilities: Capabilities) -> Result<Self, Malformed> {
        match Reader::new(body).u8()? {
            ok::HEADER => OkPacket::decode(body, capabilities).map(Self::Ok),
            err::HEADER => ErrPacket::decode(body).map(Self::Err),
            auth_switch::HEADER => AuthSwitch::decode(body).map(Self::Switch),
            auth_more_data::HEADER => AuthMoreData::decode(body).map(Self::MoreData),
            _ => Err(Malformed::Invalid { field: "header" }),
        }
    }
}
