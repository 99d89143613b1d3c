//! The first frame of a packet, read strictly. It keeps no state of the answer.

use super::{DEFINITION, ResponseError, Seen};
use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::reader::Reader;
use crate::mysql::response::column::{self, Column};
use crate::mysql::response::eof::{self, EofPacket};
use crate::mysql::response::ok::OkSummary;

/// The first frame of a packet, as far as it is needed.
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) first: u8,
    pub(super) len: usize,
    pub(super) continues: bool,
    pub(super) head: &'a [u8],
}

impl Packet<'_> {
    pub(super) fn unexpected(self) -> ResponseError {
        ResponseError::Unexpected { header: self.first, len: self.len }
    }

    pub(super) fn is_whole(self) -> Result<(), ResponseError> {
        if self.continues { Err(self.unexpected()) } else { Ok(()) }
    }

    pub(super) fn has_len(self, len: usize) -> Result<(), ResponseError> {
        if self.len == len { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(super) fn ok(self) -> Result<OkSummary, ResponseError> {
        self.is_whole()?;
        let mut reader = Reader::new(self.head);
        reader.u8().and_then(|_| OkSummary::decode(&mut reader)).map_err(ResponseError::Packet)
    }

    pub(super) fn eof(self) -> Result<EofPacket, ResponseError> {
        if self.first != eof::HEADER {
            return Err(self.unexpected());
        }
        self.has_len(eof::LEN)?;
        EofPacket::decode(self.head).map_err(ResponseError::Packet)
    }

    /// A definition, which `head` must hold as far as it may go.
    pub(super) fn definition(self, capabilities: Capabilities) -> Result<Seen, ResponseError> {
        if self.first != DEFINITION || self.len > column::LONGEST {
            return Err(self.unexpected());
        }
        Column::decode(self.head, capabilities).map_err(ResponseError::Packet)?;
        Ok(Seen::Definition)
    }

    /// The same of a COM_FIELD_LIST, with a default value behind it.
    pub(super) fn listed(self, capabilities: Capabilities) -> Result<Seen, ResponseError> {
        self.is_whole()?;
        Column::check_listed(self.head, self.len, capabilities).map_err(ResponseError::Packet)?;
        Ok(Seen::Definition)
    }

    pub(super) fn column_count(self) -> Result<u16, ResponseError> {
        let mut reader = Reader::new(self.head);
        let count = reader.lenenc().map_err(ResponseError::Packet)?;
        reader.end().map_err(ResponseError::Packet)?;
        match u16::try_from(count) {
            Ok(0) | Err(_) => Err(self.unexpected()),
            Ok(count) => Ok(count),
        }
    }
}
