//! The mirror of `reader`: builds one packet body in memory. It never writes to a socket and adds no frame header.
//!
//! Source: "Integer Types" and "String Types",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_data_types.html>.

use zeroize::Zeroize;

/// Why a value cannot be put into a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unencodable {
    /// A NUL inside a NUL-terminated field would end it early and shift everything behind it.
    #[error("{field} contains a NUL byte")]
    Nul {
        /// The name of the field, as the manual has it.
        field: &'static str,
    },
    /// The value is longer than its length field can say.
    #[error("{field} is too long")]
    TooLong {
        /// The name of the field, as the manual has it.
        field: &'static str,
    },
}

/// Builds one packet body. Its memory is wiped when it is dropped unfinished.
#[derive(Default)]
pub struct Writer {
    body: Vec<u8>,
}

impl Writer {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty body with room for `len` bytes: one that grows leaves copies of itself behind, and they are not wiped.
    pub fn with_room_for(len: usize) -> Self {
        Self { body: Vec::with_capacity(len) }
    }

    /// Bytes as they are: `string<fix>` or `string<EOF>`.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.body.extend_from_slice(bytes);
        self
    }

    /// `int<1>`.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// `int<2>`.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// `int<4>`.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// `int<lenenc>`, in its shortest form.
    pub fn lenenc(&mut self, value: u64) -> &mut Self {
        let [a, b, c, ..] = value.to_le_bytes();
        match value {
            0..=0xfa => self.u8(a),
            0xfb..=0xffff => self.u8(0xfc).bytes(&[a, b]),
            0x1_0000..=0xff_ffff => self.u8(0xfd).bytes(&[a, b, c]),
            _ => self.u8(0xfe).bytes(&value.to_le_bytes()),
        }
    }

    /// `string<lenenc>`.
    pub fn lenenc_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        // A slice never holds more than `isize::MAX` bytes, which fits.
        self.lenenc(u64::try_from(bytes.len()).unwrap_or(u64::MAX)).bytes(bytes)
    }

    /// NULL, as a text row has it.
    pub fn null(&mut self) -> &mut Self {
        self.u8(0xfb)
    }

    /// `string<NUL>`; `field` names it in the error.
    pub fn nul_terminated(&mut self, bytes: &[u8], field: &'static str) -> Result<&mut Self, Unencodable> {
        if bytes.contains(&0) {
            return Err(Unencodable::Nul { field });
        }
        Ok(self.bytes(bytes).u8(0))
    }

    /// One length byte, then the bytes; `field` names them in the error.
    pub fn short_bytes(&mut self, bytes: &[u8], field: &'static str) -> Result<&mut Self, Unencodable> {
        let len = u8::try_from(bytes.len()).map_err(|_| Unencodable::TooLong { field })?;
        Ok(self.u8(len).bytes(bytes))
    }

    /// The finished body.
    pub fn into_body(mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.body.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_inside_a_nul_terminated_field_is_refused() {
        let refused = Writer::new().nul_terminated(b"a\0b", "username").map(|_| ());
        assert_eq!(refused, Err(Unencodable::Nul { field: "username" }));
    }

    #[test]
    fn a_short_field_of_more_than_255_bytes_is_refused() {
        let refused = Writer::new().short_bytes(&[1; 256], "auth response").map(|_| ());
        assert_eq!(refused, Err(Unencodable::TooLong { field: "auth response" }));
    }
}
