//! The definition of a result's column.
//!
//! Source: "Protocol::ColumnDefinition41",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_column_definition.html>.
//!
//! ```text
//! string<lenenc>  catalog: "def"
//! string<lenenc>  schema
//! string<lenenc>  table's alias
//! string<lenenc>  table
//! string<lenenc>  column's alias
//! string<lenenc>  column
//! string<lenenc>  extended metadata (EXTENDED_METADATA)
//! int<lenenc>     12, the length of what follows
//! int<2>          collation
//! int<4>          longest value in bytes
//! int<1>          type
//! int<2>          flags
//! int<1>          decimals
//! string[2]       filler
//! string<lenenc>  default value, or 0xfb for NULL (COM_FIELD_LIST)
//! ```

use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::response::column_type::ColumnType;
use crate::mysql::response::extended_metadata::ExtendedMetadata;
use crate::mysql::writer::Writer;

const CATALOG: &[u8] = b"def";
const FIXED_LEN: u64 = 12;

/// The most bytes of a definition, without a default value behind it. Names have 256 characters at most.
pub const LONGEST: usize = 16 * 1024;

/// The collation `utf8mb4_general_ci`, known to every server and client.
pub const UTF8MB4_GENERAL_CI: u16 = 45;

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column<'a> {
    /// The schema of its table; empty for expressions, as the next four may be.
    pub schema: &'a [u8],
    /// The table's alias in the statement.
    pub table: &'a [u8],
    /// The table's own name.
    pub original_table: &'a [u8],
    /// The name to show.
    pub name: &'a [u8],
    /// The column's own name.
    pub original_name: &'a [u8],
    /// What MariaDB says of its type besides; empty without `EXTENDED_METADATA`.
    pub extended: ExtendedMetadata<'a>,
    /// The collation of its values; 63 for bytes and numbers.
    pub collation: u16,
    /// The longest value in bytes.
    pub max_len: u32,
    /// Its type.
    pub column_type: ColumnType,
    /// NOT NULL, keys, unsigned and the like.
    pub flags: u16,
    /// Digits behind the point.
    pub decimals: u8,
}

impl<'a> Column<'a> {
    /// A column of text in utf8mb4, from no table.
    pub fn text(name: &'a [u8]) -> Self {
        Self {
            schema: &[],
            table: &[],
            original_table: &[],
            name,
            original_name: &[],
            extended: ExtendedMetadata::default(),
            collation: UTF8MB4_GENERAL_CI,
            max_len: 1024,
            column_type: ColumnType::VAR_STRING,
            flags: 0,
            decimals: 0,
        }
    }

    /// Reads a definition as in a result.
    pub fn decode(body: &'a [u8], capabilities: Capabilities) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let column = Self::decode_front(&mut reader, capabilities)?;
        reader.end()?;
        Ok(column)
    }

    /// Checks a definition of a COM_FIELD_LIST, which has a default value behind it. The value itself need not be here: `front` is
    /// what is, [`LONGEST`] bytes or all of them, and `len` how many there are in all.
    pub fn check_listed(front: &'a [u8], len: usize, capabilities: Capabilities) -> Result<(), Malformed> {
        let mut reader = Reader::new(front);
        Self::decode_front(&mut reader, capabilities)?;
        let default = usize::try_from(reader.lenenc_or_null()?.unwrap_or(0)).unwrap_or(usize::MAX);
        let behind = len.saturating_sub(front.len()).saturating_add(reader.left());
        match (default.saturating_sub(behind), behind.saturating_sub(default)) {
            (0, 0) => Ok(()),
            (0, extra) => Err(Malformed::Trailing { extra }),
            (missing, _) => Err(Malformed::Truncated { missing }),
        }
    }

    fn decode_front(reader: &mut Reader<'a>, capabilities: Capabilities) -> Result<Self, Malformed> {
        if reader.lenenc_bytes()? != CATALOG {
            return Err(Malformed::Invalid { field: "catalog" });
        }
        let (schema, table, original_table) =
            (reader.lenenc_bytes()?, reader.lenenc_bytes()?, reader.lenenc_bytes()?);
        let (name, original_name) = (reader.lenenc_bytes()?, reader.lenenc_bytes()?);
        let extended = if capabilities.contains(Capabilities::EXTENDED_METADATA) {
            ExtendedMetadata::decode(reader)?
        } else {
            ExtendedMetadata::default()
        };
        if reader.lenenc()? != FIXED_LEN {
            return Err(Malformed::Invalid { field: "length of fixed fields" });
        }
        let (collation, max_len) = (reader.u16()?, reader.u32()?);
        let column_type = ColumnType(reader.u8()?);
        let (flags, decimals) = (reader.u16()?, reader.u8()?);
        reader.take(2)?;
        Ok(Self {
            schema,
            table,
            original_table,
            name,
            original_name,
            extended,
            collation,
            max_len,
            column_type,
            flags,
            decimals,
        })
    }

    /// Writes a definition. Without `EXTENDED_METADATA` there is no place for `extended`.
    pub fn encode(&self, capabilities: Capabilities) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.lenenc_bytes(CATALOG).lenenc_bytes(self.schema).lenenc_bytes(self.table);
        writer.lenenc_bytes(self.original_table).lenenc_bytes(self.name).lenenc_bytes(self.original_name);
        if capabilities.contains(Capabilities::EXTENDED_METADATA) {
            self.extended.encode(&mut writer);
        }
        writer.lenenc(FIXED_LEN).u16(self.collation).u32(self.max_len).u8(self.column_type.0);
        writer.u16(self.flags).u8(self.decimals).u16(0);
        writer.into_body()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_definition_ends_with_its_default_value_whether_that_is_here_or_not() {
        for capabilities in [Capabilities::NONE, Capabilities::EXTENDED_METADATA] {
            let column = Column::text(b"note").encode(capabilities);
            let check = |front: &[u8], len| Column::check_listed(front, len, capabilities);
            for default in [&b"\xfb"[..], b"\x00", b"\x03new", b"\xfc\xff\xff"] {
                let front = [&column, default].concat();
                let len = if default.len() == 3 { front.len().saturating_add(0xffff) } else { front.len() };
                assert_eq!(check(&front, len), Ok(()), "{default:?}");
                assert_eq!(check(&front, len.saturating_add(1)), Err(Malformed::Trailing { extra: 1 }));
                let cut = &front[..front.len().saturating_sub(1)];
                assert!(check(cut, len.saturating_sub(1)).is_err(), "{default:?}");
            }
            let huge = [&column[..], b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff"].concat();
            assert!(matches!(check(&huge, huge.len()), Err(Malformed::Truncated { .. })));
            for len in 0..=column.len() {
                assert!(check(&column[..len], len).is_err(), "{len}");
            }
        }
    }
}
