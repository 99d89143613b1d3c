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
//! int<lenenc>     12, the length of what follows
//! int<2>          collation
//! int<4>          longest value in bytes
//! int<1>          type
//! int<2>          flags
//! int<1>          decimals
//! string[2]       filler
//! ```

use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::response::column_type::ColumnType;
use crate::mysql::writer::Writer;

const CATALOG: &[u8] = b"def";
const FIXED_LEN: u64 = 12;

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
            collation: UTF8MB4_GENERAL_CI,
            max_len: 1024,
            column_type: ColumnType::VAR_STRING,
            flags: 0,
            decimals: 0,
        }
    }

    /// Reads a definition as in a result (COM_FIELD_LIST puts a default value behind it: not read here).
    pub fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        if reader.lenenc_bytes()? != CATALOG {
            return Err(Malformed::Invalid { field: "catalog" });
        }
        let (schema, table, original_table) =
            (reader.lenenc_bytes()?, reader.lenenc_bytes()?, reader.lenenc_bytes()?);
        let (name, original_name) = (reader.lenenc_bytes()?, reader.lenenc_bytes()?);
        if reader.lenenc()? != FIXED_LEN {
            return Err(Malformed::Invalid { field: "length of fixed fields" });
        }
        let (collation, max_len) = (reader.u16()?, reader.u32()?);
        let column_type = ColumnType(reader.u8()?);
        let (flags, decimals) = (reader.u16()?, reader.u8()?);
        reader.take(2)?;
        reader.end()?;
        Ok(Self {
            schema,
            table,
            original_table,
            name,
            original_name,
            collation,
            max_len,
            column_type,
            flags,
            decimals,
        })
    }

    /// Writes a definition.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.lenenc_bytes(CATALOG).lenenc_bytes(self.schema).lenenc_bytes(self.table);
        writer.lenenc_bytes(self.original_table).lenenc_bytes(self.name).lenenc_bytes(self.original_name);
        writer.lenenc(FIXED_LEN).u16(self.collation).u32(self.max_len).u8(self.column_type.0);
        writer.u16(self.flags).u8(self.decimals).u16(0);
        writer.into_body()
    }
}
