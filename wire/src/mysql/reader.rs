//! A bounded cursor over one packet body, and the one error of decoding.
//!
//! Every read checks the length; none can panic, allocate or look at another packet.
//!
//! Source: "Integer Types" and "String Types",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_data_types.html>.

/// Why a packet could not be decoded. Says where, never what: packet bodies hold statements and passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The packet ends before the field does.
    #[error("packet is {missing} bytes too short")]
    Truncated {
        /// How many bytes of the field are missing; at least 1.
        missing: usize,
    },
    /// The packet goes on after its last field.
    #[error("packet has {extra} bytes after its last field")]
    Trailing {
        /// How many bytes are left over.
        extra: usize,
    },
    /// A field holds a value that the protocol does not allow there.
    #[error("packet has an invalid {field}")]
    Invalid {
        /// The name of the field, as the manual has it.
        field: &'static str,
    },
}

/// A cursor over one packet body. Every read checks the length; none can panic.
#[derive(Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let missing = len.saturating_sub(self.rest.len());
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Truncated { missing })?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let missing = N.saturating_sub(self.rest.len());
        let (head, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated { missing })?;
        self.rest = rest;
        Ok(*head)
    }

    /// `int<1>`.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    /// `int<2>`, least significant byte first, as all integers here.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// `int<3>`.
    pub fn u24(&mut self) -> Result<u32, Malformed> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    /// `int<4>`.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// `int<8>`.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// `int<lenenc>`; `None` for 0xfb, which stands for NULL in a text row. 0xff is refused.
    pub fn lenenc_or_null(&mut self) -> Result<Option<u64>, Malformed> {
        match self.u8()? {
            0xfb => Ok(None),
            0xfc => self.u16().map(|value| Some(u64::from(value))),
            0xfd => self.u24().map(|value| Some(u64::from(value))),
            0xfe => self.u64().map(Some),
            0xff => Err(Malformed::Invalid { field: "length-encoded integer" }),
            small => Ok(Some(u64::from(small))),
        }
    }

    /// `int<lenenc>` where NULL has no meaning: 0xfb and 0xff are refused.
    pub fn lenenc(&mut self) -> Result<u64, Malformed> {
        self.lenenc_or_null()?.ok_or(Malformed::Invalid { field: "length-encoded integer" })
    }

    /// `string<lenenc>`; `None` for NULL.
    pub fn lenenc_bytes_or_null(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.lenenc_or_null()? {
            None => Ok(None),
            Some(len) => self.take(usize::try_from(len).unwrap_or(usize::MAX)).map(Some),
        }
    }

    /// `string<lenenc>` where NULL has no meaning.
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        self.lenenc_bytes_or_null()?.ok_or(Malformed::Invalid { field: "length-encoded string" })
    }

    /// `string<NUL>`, without its NUL. A missing NUL is an error.
    pub fn nul_terminated(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.rest.iter().position(|byte| *byte == 0).ok_or(Malformed::Truncated { missing: 1 })?;
        let text = self.take(len)?;
        self.u8()?;
        Ok(text)
    }

    /// `string<EOF>`: all that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Consumes one byte that must be `expected`: a packet's header or a fixed filler.
    pub fn expect(&mut self, expected: u8, field: &'static str) -> Result<(), Malformed> {
        if self.u8()? == expected { Ok(()) } else { Err(Malformed::Invalid { field }) }
    }

    /// The end of the packet; anything left is an error.
    pub fn end(self) -> Result<(), Malformed> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(Malformed::Trailing { extra }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::writer::Writer;
    use proptest::prelude::*;

    #[test]
    fn null_and_the_error_marker_are_not_lengths() {
        for header in [0xfb, 0xff] {
            assert_eq!(
                Reader::new(&[header, 1, 2]).lenenc(),
                Err(Malformed::Invalid { field: "length-encoded integer" })
            );
        }
        assert_eq!(Reader::new(&[0xfb]).lenenc_bytes_or_null(), Ok(None));
        assert!(Reader::new(&[0xfb]).lenenc_bytes().is_err());
    }

    #[test]
    fn a_length_beyond_the_packet_is_refused_without_reading() {
        let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, b'a'];
        assert!(matches!(Reader::new(&huge).lenenc_bytes(), Err(Malformed::Truncated { .. })));
    }

    #[test]
    fn a_string_without_its_nul_is_refused() {
        assert_eq!(Reader::new(b"abc").nul_terminated(), Err(Malformed::Truncated { missing: 1 }));
    }

    #[test]
    fn bytes_after_the_last_field_are_refused() {
        assert_eq!(Reader::new(b"abc").end(), Err(Malformed::Trailing { extra: 3 }));
    }

    #[test]
    fn the_manuals_length_encoded_examples_decode() {
        assert_eq!(Reader::new(&[0xfa]).lenenc(), Ok(250));
        assert_eq!(Reader::new(&[0xfc, 0xfb, 0x00]).lenenc(), Ok(251));
        assert_eq!(Reader::new(&[0xfd, 0x00, 0x00, 0x01]).lenenc(), Ok(65_536));
        assert_eq!(Reader::new(&[0xfe, 0, 0, 0, 1, 0, 0, 0, 0]).lenenc(), Ok(16_777_216));
    }

    proptest! {
        #[test]
        fn what_the_writer_writes_the_reader_reads(a: u64, b: u32, text: Vec<u8>) {
            let mut writer = Writer::new();
            writer.lenenc(a).u32(b).lenenc_bytes(&text).u16(7).bytes(&text);
            let body = writer.into_body();
            let mut reader = Reader::new(&body);
            prop_assert_eq!(reader.lenenc(), Ok(a));
            prop_assert_eq!(reader.u32(), Ok(b));
            prop_assert_eq!(reader.lenenc_bytes(), Ok(text.as_slice()));
            prop_assert_eq!(reader.u16(), Ok(7));
            prop_assert_eq!(reader.rest(), text.as_slice());
            prop_assert_eq!(reader.end(), Ok(()));
        }
    }
}
