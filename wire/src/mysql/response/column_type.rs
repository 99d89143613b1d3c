//! The codes of column and parameter types. It converts no values.
//!
//! Source: "enum_field_types",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html>.

/// A type's code; codes without a name here are kept as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnType(pub u8);

impl ColumnType {
    /// DECIMAL before MySQL 5.0; as a parameter, text.
    pub const DECIMAL: Self = Self(0x00);
    /// TINYINT, one byte.
    pub const TINY: Self = Self(0x01);
    /// SMALLINT, two bytes.
    pub const SHORT: Self = Self(0x02);
    /// INT, four bytes.
    pub const LONG: Self = Self(0x03);
    /// FLOAT, four bytes.
    pub const FLOAT: Self = Self(0x04);
    /// DOUBLE, eight bytes.
    pub const DOUBLE: Self = Self(0x05);
    /// No value but NULL.
    pub const NULL: Self = Self(0x06);
    /// TIMESTAMP.
    pub const TIMESTAMP: Self = Self(0x07);
    /// BIGINT, eight bytes.
    pub const LONGLONG: Self = Self(0x08);
    /// MEDIUMINT, four bytes.
    pub const INT24: Self = Self(0x09);
    /// DATE.
    pub const DATE: Self = Self(0x0a);
    /// TIME, a span.
    pub const TIME: Self = Self(0x0b);
    /// DATETIME.
    pub const DATETIME: Self = Self(0x0c);
    /// YEAR, two bytes.
    pub const YEAR: Self = Self(0x0d);
    /// VARCHAR.
    pub const VARCHAR: Self = Self(0x0f);
    /// BIT.
    pub const BIT: Self = Self(0x10);
    /// VECTOR.
    pub const VECTOR: Self = Self(0xf2);
    /// JSON, as text.
    pub const JSON: Self = Self(0xf5);
    /// DECIMAL, as text.
    pub const NEWDECIMAL: Self = Self(0xf6);
    /// ENUM, as text.
    pub const ENUM: Self = Self(0xf7);
    /// SET, as text.
    pub const SET: Self = Self(0xf8);
    /// TINYBLOB and TINYTEXT.
    pub const TINY_BLOB: Self = Self(0xf9);
    /// MEDIUMBLOB and MEDIUMTEXT.
    pub const MEDIUM_BLOB: Self = Self(0xfa);
    /// LONGBLOB and LONGTEXT.
    pub const LONG_BLOB: Self = Self(0xfb);
    /// BLOB and TEXT.
    pub const BLOB: Self = Self(0xfc);
    /// VARCHAR and VARBINARY in results.
    pub const VAR_STRING: Self = Self(0xfd);
    /// CHAR and BINARY.
    pub const STRING: Self = Self(0xfe);
    /// GEOMETRY.
    pub const GEOMETRY: Self = Self(0xff);
}
