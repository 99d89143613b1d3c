//! What MariaDB says of a column beyond its type: in the protocol JSON is text, and a point a geometry as any other. It judges
//! no name of a type.
//!
//! Source: MariaDB's "Result Set Packets",
//! <https://mariadb.com/docs/server/reference/clientserver-protocol/4-server-response-packets/result-set-packets>.
//!
//! ```text
//! string<lenenc>    nothing, or of what is said
//!   int<1>          its kind: 0x00 the data type's name, 0x01 the format's; servers number on from there
//!   string<lenenc>  the name
//! ```
//!
//! A kind without a name here is kept, and passed on. It says how to show a column and never what is in a row, its length says where
//! it ends, and clients read over those that they don't know, as they are told to: to refuse it would close every table of a
//! server newer than the proxy, and protect nothing. Of a masked column nobody vouches for that (`known`). What is not of this
//! shape, or says a known kind twice, is an error: two clients could read it differently.

use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::writer::Writer;

const TYPE_NAME: u8 = 0x00;
const FORMAT: u8 = 0x01;

/// The most bytes of it all. Servers send a name or two of a few letters.
pub const LONGEST: usize = 1024;

const MALFORMED: Malformed = Malformed::Invalid { field: "extended metadata" };

/// What is said of one column; mostly nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendedMetadata<'a> {
    /// The data type's name where the type's code has no own for it: `point`, `inet6`, `uuid`.
    pub type_name: Option<&'a [u8]>,
    /// The format of its values: `json`.
    pub format: Option<&'a [u8]>,
    /// Kinds of newer servers, as they came: each 2 or more, with what it says.
    pub others: Vec<(u8, &'a [u8])>,
}

impl<'a> ExtendedMetadata<'a> {
    /// Reads the field, its length first.
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let field = reader.lenenc_bytes()?;
        if field.len() > LONGEST {
            return Err(MALFORMED);
        }
        let (mut said, mut inner) = (Self::default(), Reader::new(field));
        while !inner.is_empty() {
            let (kind, name) = (inner.u8()?, inner.lenenc_bytes()?);
            let before = match kind {
                TYPE_NAME => said.type_name.replace(name),
                FORMAT => said.format.replace(name),
                other => {
                    said.others.push((other, name));
                    None
                }
            };
            if before.is_some() {
                return Err(MALFORMED);
            }
        }
        Ok(said)
    }

    /// Writes the field, in the order of kinds that servers have.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        let Self { type_name, format, others } = self;
        let known = [(TYPE_NAME, *type_name), (FORMAT, *format)];
        let known = known.into_iter().filter_map(|(kind, name)| Some((kind, name?)));
        let mut inner = Writer::new();
        for (kind, name) in known.chain(others.iter().copied()) {
            inner.u8(kind).lenenc_bytes(name);
        }
        writer.lenenc_bytes(&inner.into_body());
    }

    /// What is known to say nothing of a column's values.
    #[must_use]
    pub fn known(&self) -> Self {
        Self { others: Vec::new(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(field: &[u8]) -> Result<ExtendedMetadata<'_>, Malformed> {
        let mut reader = Reader::new(field);
        let said = ExtendedMetadata::decode(&mut reader)?;
        reader.end().map(|()| said)
    }

    fn encoded(said: &ExtendedMetadata<'_>) -> Vec<u8> {
        let mut writer = Writer::new();
        said.encode(&mut writer);
        writer.into_body()
    }

    #[test]
    fn what_servers_say_is_read_and_written_again() {
        let point = ExtendedMetadata { type_name: Some(b"point"), ..ExtendedMetadata::default() };
        let json = ExtendedMetadata { format: Some(b"json"), ..ExtendedMetadata::default() };
        let both = ExtendedMetadata { format: Some(b"json"), ..point.clone() };
        let nothing = ExtendedMetadata::default();
        for (bytes, said) in [
            (&b"\x00"[..], nothing),
            (b"\x07\x00\x05point", point),
            (b"\x06\x01\x04json", json),
            (b"\x0d\x00\x05point\x01\x04json", both),
        ] {
            assert_eq!(decoded(bytes), Ok(said.clone()));
            assert_eq!(encoded(&said), bytes);
        }
    }

    #[test]
    fn a_kind_of_a_newer_server_is_kept_in_its_place_and_is_not_among_the_known() {
        let bytes = b"\x0e\x01\x04json\x02\x01a\xff\x00\x02\x01b";
        let said = decoded(bytes).unwrap();
        assert_eq!(said.others, [(2, &b"a"[..]), (255, b""), (2, b"b")]);
        assert_eq!(encoded(&said), bytes);
        assert_eq!(encoded(&said.known()), b"\x06\x01\x04json");
    }

    #[test]
    fn what_is_not_of_the_shape_is_refused() {
        for bytes in [
            &b""[..],
            b"\x01\x00",
            b"\x02\x00\x05",
            b"\x06\x00\x05poin",
            b"\x02\x00\xfb",
            b"\x0a\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xfb",
            b"\xff",
            b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x00",
            // The format twice.
            b"\x0c\x01\x04json\x01\x04json",
        ] {
            assert!(decoded(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn no_more_of_it_is_read_than_servers_ever_send() {
        // Behind the kind and three bytes of length.
        let of = |len| ExtendedMetadata { type_name: Some(vec![b'x'; len].leak()), ..Default::default() };
        let (longest, longer) = (of(LONGEST - 4), of(LONGEST - 3));
        assert_eq!(decoded(&encoded(&longest)), Ok(longest));
        assert_eq!(decoded(&encoded(&longer)), Err(MALFORMED));
    }
}
