//! Edits the packets of a result so that masked columns arrive as NULL: definitions and rows, one at a time, into a
//! buffer of the caller's. It decides nothing about who sees what, and lets nothing pass that it can't read: a packet that
//! doesn't fit its columns is an error.
//!
//! Sources: "Text Resultset Row" and "Binary Protocol Resultset Row",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>.
//!
//! ```text
//! text row:    string<lenenc>, or 0xfb for NULL, once for each column
//! binary row:  int<1>                   0x00
//!              string[(n + 7 + 2) / 8]  NULL bits, the first column in the third-lowest bit
//!              values                   of the columns that are not NULL
//! ```

use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::response::column::Column;
use crate::mysql::response::column_type::ColumnType;
use crate::mysql::rows::binary_time::{DateTime, TimeSpan};

/// The flag of a definition that says that no value is NULL.
pub const NOT_NULL: u16 = 0x0001;

const NULL: u8 = 0xfb;
const BINARY_ROW: u8 = 0x00;

/// The NULL bits of a binary row begin at this one.
const FIRST_BIT: usize = 2;

/// One column of a result, as far as its rows must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedColumn {
    /// Its type, from its definition: how long a binary value is.
    pub column_type: ColumnType,
    /// Each value becomes NULL.
    pub masked: bool,
}

/// The definition of a column that has NULLs now. Type and format stay true of NULL; what else a server says of a column could
/// be about its values, and does not go with them.
#[must_use]
pub fn nullable(column: &Column<'_>, capabilities: Capabilities) -> Vec<u8> {
    let extended = column.extended.known();
    Column { flags: column.flags & !NOT_NULL, extended, ..column.clone() }.encode(capabilities)
}

/// Appends the text row `body` to `out`, its masked values replaced. `out` is not to be used after an error.
pub fn text_row(body: &[u8], columns: &[MaskedColumn], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut reader = Reader::new(body);
    // What comes before `kept` is in `out`.
    let mut kept = body;
    for column in columns {
        let before = reader.left();
        reader.lenenc_bytes_or_null()?;
        if column.masked {
            append(out, kept, before);
            out.push(NULL);
            kept = reader.clone().rest();
        }
    }
    reader.end()?;
    out.extend_from_slice(kept);
    Ok(())
}

/// Appends the binary row `body` to `out`, its masked values cut out and marked as NULL. `out` is not to be used after an
/// error.
pub fn binary_row(body: &[u8], columns: &[MaskedColumn], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut reader = Reader::new(body);
    reader.expect(BINARY_ROW, "header")?;
    let bits = reader.take(columns.len().saturating_add(FIRST_BIT).div_ceil(8))?;
    out.push(BINARY_ROW);
    let bits_at = out.len();
    out.extend_from_slice(bits);
    let mut kept = reader.clone().rest();
    for (index, column) in columns.iter().enumerate() {
        let (byte, bit) = place(index);
        let before = reader.left();
        if bits.get(byte).is_none_or(|bits| bits & bit == 0) {
            skip_value(&mut reader, column.column_type)?;
        }
        if column.masked {
            append(out, kept, before);
            kept = reader.clone().rest();
            if let Some(bits) = out.get_mut(bits_at.saturating_add(byte)) {
                *bits |= bit;
            }
        }
    }
    reader.end()?;
    out.extend_from_slice(kept);
    Ok(())
}

/// Appends `from` without its last `left` bytes.
fn append(out: &mut Vec<u8>, from: &[u8], left: usize) {
    out.extend_from_slice(from.get(..from.len().saturating_sub(left)).unwrap_or_default());
}

/// Byte and bit of a column among the NULL bits.
fn place(index: usize) -> (usize, u8) {
    let bit = index.saturating_add(FIRST_BIT);
    let [shift, ..] = (bit % 8).to_le_bytes();
    (bit / 8, 1_u8.checked_shl(shift.into()).unwrap_or_default())
}

/// Reads over one binary value. A type whose length is not known is an error: what follows it can't be found.
fn skip_value(reader: &mut Reader<'_>, column_type: ColumnType) -> Result<(), Malformed> {
    match column_type {
        ColumnType::TINY => reader.take(1).map(drop),
        ColumnType::SHORT | ColumnType::YEAR => reader.take(2).map(drop),
        ColumnType::LONG | ColumnType::INT24 | ColumnType::FLOAT => reader.take(4).map(drop),
        ColumnType::LONGLONG | ColumnType::DOUBLE => reader.take(8).map(drop),
        ColumnType::DATE | ColumnType::DATETIME | ColumnType::TIMESTAMP => DateTime::decode(reader).map(drop),
        ColumnType::TIME => TimeSpan::decode(reader).map(drop),
        ColumnType::DECIMAL
        | ColumnType::NEWDECIMAL
        | ColumnType::VARCHAR
        | ColumnType::BIT
        | ColumnType::VECTOR
        | ColumnType::JSON
        | ColumnType::ENUM
        | ColumnType::SET
        | ColumnType::TINY_BLOB
        | ColumnType::MEDIUM_BLOB
        | ColumnType::LONG_BLOB
        | ColumnType::BLOB
        | ColumnType::VAR_STRING
        | ColumnType::STRING
        | ColumnType::GEOMETRY => reader.lenenc_bytes().map(drop),
        _ => Err(Malformed::Invalid { field: "type of a value" }),
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::mysql::response::extended_metadata::ExtendedMetadata;
    use crate::mysql::rows::text_row::TextRow;
    use crate::mysql::writer::Writer;
    use proptest::prelude::*;

    fn plain(column_type: ColumnType) -> MaskedColumn {
        MaskedColumn { column_type, masked: false }
    }

    fn text(body: &[u8], columns: &[MaskedColumn]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        text_row(body, columns, &mut out).map(|()| out)
    }

    fn binary(body: &[u8], columns: &[MaskedColumn]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        binary_row(body, columns, &mut out).map(|()| out)
    }

    /// A value of each type, as it stands in a binary row.
    fn value(column_type: ColumnType, seed: &[u8]) -> Vec<u8> {
        let fixed = |len: usize| (0..len).map(|at| seed.get(at).copied().unwrap_or(7)).collect::<Vec<u8>>();
        let temporal = |len: u8| [vec![len], vec![1; len.into()]].concat();
        match column_type {
            ColumnType::TINY => fixed(1),
            ColumnType::SHORT | ColumnType::YEAR => fixed(2),
            ColumnType::LONG | ColumnType::INT24 | ColumnType::FLOAT => fixed(4),
            ColumnType::LONGLONG | ColumnType::DOUBLE => fixed(8),
            ColumnType::DATE | ColumnType::DATETIME | ColumnType::TIMESTAMP => {
                temporal([0, 4, 7, 11][seed.len() % 4])
            }
            ColumnType::TIME => temporal([0, 8, 12][seed.len() % 3]),
            _ => {
                let mut writer = Writer::new();
                writer.lenenc_bytes(seed);
                writer.into_body()
            }
        }
    }

    fn row(columns: &[(MaskedColumn, Option<Vec<u8>>)]) -> Vec<u8> {
        let mut bits = vec![0; (columns.len() + 9) / 8];
        let mut values = Vec::new();
        for (index, (column, value_seed)) in columns.iter().enumerate() {
            match value_seed {
                None => bits[(index + 2) / 8] |= 1 << ((index + 2) % 8),
                Some(seed) => values.extend(value(column.column_type, seed)),
            }
        }
        [vec![0], bits, values].concat()
    }

    const TYPES: [ColumnType; 27] = [
        ColumnType::DECIMAL,
        ColumnType::TINY,
        ColumnType::SHORT,
        ColumnType::LONG,
        ColumnType::FLOAT,
        ColumnType::DOUBLE,
        ColumnType::TIMESTAMP,
        ColumnType::LONGLONG,
        ColumnType::INT24,
        ColumnType::DATE,
        ColumnType::TIME,
        ColumnType::DATETIME,
        ColumnType::YEAR,
        ColumnType::VARCHAR,
        ColumnType::BIT,
        ColumnType::VECTOR,
        ColumnType::JSON,
        ColumnType::NEWDECIMAL,
        ColumnType::ENUM,
        ColumnType::SET,
        ColumnType::TINY_BLOB,
        ColumnType::MEDIUM_BLOB,
        ColumnType::LONG_BLOB,
        ColumnType::BLOB,
        ColumnType::VAR_STRING,
        ColumnType::STRING,
        ColumnType::GEOMETRY,
    ];

    fn columns() -> impl Strategy<Value = Vec<(MaskedColumn, Option<Vec<u8>>)>> {
        let column = (proptest::sample::select(TYPES.to_vec()), any::<bool>())
            .prop_map(|(column_type, masked)| MaskedColumn { column_type, masked });
        let seed = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300));
        proptest::collection::vec((column, seed), 1..40)
    }

    #[test]
    fn a_row_of_another_width_is_refused() {
        let two = [plain(ColumnType::VARCHAR); 2];
        let three = [MaskedColumn { masked: true, ..two[0] }; 3];
        for columns in [&two[..1], &three] {
            assert!(text(b"\x01a\x01b", columns).is_err());
            assert!(binary(b"\x00\x00\x01a\x01b", columns).is_err());
        }
        assert!(text(b"\x01a\x01b", &two).is_ok() && binary(b"\x00\x00\x01a\x01b", &two).is_ok());
    }

    #[test]
    fn a_binary_value_of_an_unknown_type_is_refused_and_as_null_it_is_none() {
        for code in [ColumnType::NULL.0, 0x0e, 0x11, 0x12, 0x13, 0xf3, 0xf4] {
            let column = MaskedColumn { column_type: ColumnType(code), masked: true };
            assert!(binary(b"\x00\x00\x01a", &[column]).is_err(), "{code:#x}");
            assert_eq!(binary(b"\x00\x04", &[column]), Ok(b"\x00\x04".to_vec()));
        }
    }

    #[test]
    fn a_definition_loses_its_not_null_and_what_nobody_knows_and_nothing_else() {
        for capabilities in [Capabilities::NONE, Capabilities::EXTENDED_METADATA] {
            let agreed = capabilities.contains(Capabilities::EXTENDED_METADATA);
            let named = agreed.then_some(&b"json"[..]);
            let known = ExtendedMetadata { type_name: named, format: named, others: vec![] };
            let others = if agreed { vec![(2, &b"most of them are a@example.com"[..])] } else { vec![] };
            let extended = ExtendedMetadata { others, ..known.clone() };
            let column = Column { flags: 0x1029, extended, ..Column::text(b"email") };
            let edited = nullable(&column, capabilities);
            let expected = Column { flags: 0x1028, extended: known, ..column };
            assert_eq!(Column::decode(&edited, capabilities), Ok(expected));
        }
    }

    proptest! {
        #[test]
        fn masked_text_values_become_null_and_the_others_stay(columns in columns()) {
            let before: Vec<Option<&[u8]>> = columns.iter().map(|(_, value)| value.as_deref()).collect();
            let after = columns.iter().map(|(column, value)| value.as_deref().filter(|_| !column.masked));
            let after = TextRow { values: after.collect() }.encode();
            let masks: Vec<MaskedColumn> = columns.iter().map(|(column, _)| *column).collect();
            prop_assert_eq!(text(&TextRow { values: before }.encode(), &masks), Ok(after));
        }

        #[test]
        fn masked_binary_values_become_null_and_the_others_stay(columns in columns()) {
            let masks: Vec<MaskedColumn> = columns.iter().map(|(column, _)| *column).collect();
            let after: Vec<_> = columns
                .iter()
                .map(|(column, value)| (*column, value.clone().filter(|_| !column.masked)))
                .collect();
            prop_assert_eq!(binary(&row(&columns), &masks), Ok(row(&after)));
        }

        #[test]
        fn cut_and_longer_rows_are_refused(columns in columns()) {
            let masks: Vec<MaskedColumn> = columns.iter().map(|(column, _)| *column).collect();
            let body = row(&columns);
            for len in 0..body.len() {
                prop_assert!(binary(&body[..len], &masks).is_err(), "{} of {}", len, body.len());
            }
            prop_assert!(binary(&[&body[..], &[0]].concat(), &masks).is_err());
            let values = columns.iter().map(|(_, value)| value.as_deref()).collect();
            let body = TextRow { values }.encode();
            for len in 0..body.len() {
                prop_assert!(text(&body[..len], &masks).is_err(), "{} of {}", len, body.len());
            }
            prop_assert!(text(&[&body[..], &[0]].concat(), &masks).is_err());
        }

        #[test]
        fn no_bytes_panic(body: Vec<u8>, columns in columns()) {
            let masks: Vec<MaskedColumn> = columns.iter().map(|(column, _)| *column).collect();
            let _ = (text(&body, &masks), binary(&body, &masks));
            let _ = binary(&[&[0], body.as_slice()].concat(), &masks);
        }
    }
}
