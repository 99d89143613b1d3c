//! The parameters of a COM_STMT_EXECUTE as typed values, for the record. The block itself is forwarded unchanged.
//! Nothing is guessed: a type that servers read differently, or one not meant for parameters, is an error.
//!
//! Sources: "COM_STMT_EXECUTE",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html>; "Binary Protocol Value",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>; the types that a client
//! may bind: <https://dev.mysql.com/doc/c-api/8.4/en/c-api-prepared-statement-type-codes.html>.
//!
//! ```text
//! string[(n + 7) / 8]  NULL bits, the first parameter in the lowest bit
//! int<1>               1: types follow; 0: as at the last execution
//! int<2>[n]            types: code, then 0x80 for unsigned
//! values               of the parameters that are neither NULL nor sent before as long data
//! ```
//! Without parameters the block is empty.

use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::response::column_type::ColumnType;
use crate::mysql::rows::binary_time::{DateTime, TimeSpan};

const UNSIGNED: u8 = 0x80;

/// The type that a client bound to a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterType {
    /// The type.
    pub column_type: ColumnType,
    /// Whether an integer is to be read without sign.
    pub unsigned: bool,
}

/// One parameter's value. `Debug` shows its kind only.
#[derive(Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// Sent before by COM_STMT_SEND_LONG_DATA: the caller has it.
    LongData,
    /// A signed integer of any width.
    Int(i64),
    /// An unsigned integer of any width.
    UInt(u64),
    /// FLOAT.
    Float(f32),
    /// DOUBLE.
    Double(f64),
    /// Text (in the session's character set), bytes, or a decimal's text.
    Bytes(&'a [u8]),
    /// DATE, DATETIME or TIMESTAMP.
    DateTime(DateTime),
    /// TIME.
    Time(TimeSpan),
}

/// The parameters of one execution.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecuteParams<'a> {
    /// The types in force: keep them for the next execution of the statement.
    pub types: Vec<ParameterType>,
    /// One for each parameter.
    pub values: Vec<Value<'a>>,
}

/// What is known of a prepared statement before it is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// How many parameters it takes (`PrepareOk::parameters`).
    pub parameters: u16,
    /// The types of its last execution; empty before the first.
    pub types: &'a [ParameterType],
    /// The parameters, from 0, for which long data came since the last execution or COM_STMT_RESET.
    pub long_data: &'a [u16],
}

impl<'a> ExecuteParams<'a> {
    /// Reads a parameter block.
    pub fn decode(block: &'a [u8], statement: Statement<'_>) -> Result<Self, Malformed> {
        let mut reader = Reader::new(block);
        if statement.parameters == 0 {
            // Some clients send the empty bitmap's flag all the same; it says nothing.
            return match block {
                [] | [0 | 1] => Ok(Self { types: Vec::new(), values: Vec::new() }),
                _ => Err(Malformed::Trailing { extra: block.len() }),
            };
        }
        let nulls = reader.take(usize::from(statement.parameters).div_ceil(8))?;
        let types = match reader.u8()? {
            0 if statement.types.len() == usize::from(statement.parameters) => statement.types.to_vec(),
            1 => (0..statement.parameters)
                .map(|_| ParameterType::decode(&mut reader))
                .collect::<Result<_, Malformed>>()?,
            _ => return Err(Malformed::Invalid { field: "new-parameters flag" }),
        };
        let values = (0..statement.parameters)
            .zip(&types)
            .map(|(index, parameter_type)| {
                if statement.long_data.contains(&index) {
                    Ok(Value::LongData)
                } else if is_null(nulls, index) {
                    Ok(Value::Null)
                } else {
                    Value::decode(&mut reader, *parameter_type)
                }
            })
            .collect::<Result<_, Malformed>>()?;
        reader.end()?;
        Ok(Self { types, values })
    }
}

fn is_null(nulls: &[u8], index: u16) -> bool {
    let bit = 1_u8.checked_shl(u32::from(index % 8)).unwrap_or(0);
    nulls.get(usize::from(index / 8)).is_some_and(|byte| byte & bit != 0)
}

impl ParameterType {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let column_type = ColumnType(reader.u8()?);
        match reader.u8()? {
            0 => Ok(Self { column_type, unsigned: false }),
            UNSIGNED => Ok(Self { column_type, unsigned: true }),
            _ => Err(Malformed::Invalid { field: "parameter type flags" }),
        }
    }
}

impl<'a> Value<'a> {
    fn decode(reader: &mut Reader<'a>, parameter_type: ParameterType) -> Result<Self, Malformed> {
        let ParameterType { column_type, unsigned } = parameter_type;
        Ok(match (column_type, unsigned) {
            (ColumnType::TINY, true) => Self::UInt(reader.u8()?.into()),
            (ColumnType::TINY, false) => Self::Int(i8::from_le_bytes(reader.array()?).into()),
            (ColumnType::SHORT, true) => Self::UInt(reader.u16()?.into()),
            (ColumnType::SHORT, false) => Self::Int(i16::from_le_bytes(reader.array()?).into()),
            (ColumnType::LONG, true) => Self::UInt(reader.u32()?.into()),
            (ColumnType::LONG, false) => Self::Int(i32::from_le_bytes(reader.array()?).into()),
            (ColumnType::LONGLONG, true) => Self::UInt(reader.u64()?),
            (ColumnType::LONGLONG, false) => Self::Int(i64::from_le_bytes(reader.array()?)),
            (ColumnType::FLOAT, _) => Self::Float(f32::from_le_bytes(reader.array()?)),
            (ColumnType::DOUBLE, _) => Self::Double(f64::from_le_bytes(reader.array()?)),
            (ColumnType::DATE | ColumnType::DATETIME | ColumnType::TIMESTAMP, _) => {
                Self::DateTime(DateTime::decode(reader)?)
            }
            (ColumnType::TIME, _) => Self::Time(TimeSpan::decode(reader)?),
            (
                ColumnType::DECIMAL
                | ColumnType::NEWDECIMAL
                | ColumnType::VARCHAR
                | ColumnType::VAR_STRING
                | ColumnType::STRING
                | ColumnType::TINY_BLOB
                | ColumnType::MEDIUM_BLOB
                | ColumnType::LONG_BLOB
                | ColumnType::BLOB,
                _,
            ) => Self::Bytes(reader.lenenc_bytes()?),
            // NULL without its bit, INT24, YEAR, BIT, ENUM, GEOMETRY and unknown ones: servers disagree.
            _ => return Err(Malformed::Invalid { field: "parameter type" }),
        })
    }
}

impl std::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::LongData => "LongData",
            Self::Int(_) => "Int",
            Self::UInt(_) => "UInt",
            Self::Float(_) => "Float",
            Self::Double(_) => "Double",
            Self::Bytes(_) => "Bytes",
            Self::DateTime(_) => "DateTime",
            Self::Time(_) => "Time",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(column_type: ColumnType) -> ParameterType {
        ParameterType { column_type, unsigned: false }
    }

    fn decoded(block: &[u8], parameters: u16) -> Result<ExecuteParams<'_>, Malformed> {
        ExecuteParams::decode(block, Statement { parameters, types: &[], long_data: &[] })
    }

    fn values(block: &[u8], parameters: u16) -> Vec<Value<'_>> {
        decoded(block, parameters).unwrap().values
    }

    #[test]
    fn types_of_an_earlier_execution_that_never_was_are_refused() {
        assert_eq!(decoded(&[0, 0, 7], 1), Err(Malformed::Invalid { field: "new-parameters flag" }));
    }

    #[test]
    fn a_type_that_servers_read_differently_is_refused() {
        for code in [0x06, 0x09, 0x0d, 0x10, 0x14, 0xf2, 0xf5, 0xf7, 0xf8, 0xff] {
            let block = [0, 1, code, 0, 1, 1, 1, 1, 1, 1, 1, 1];
            assert_eq!(decoded(&block, 1), Err(Malformed::Invalid { field: "parameter type" }), "{code:#x}");
        }
    }

    #[test]
    fn a_block_that_goes_on_is_refused() {
        assert_eq!(decoded(&[0, 1, 1, 0, 5, 6], 1), Err(Malformed::Trailing { extra: 1 }));
        assert_eq!(decoded(&[5, 6], 0), Err(Malformed::Trailing { extra: 2 }));
    }

    #[test]
    fn unknown_type_flags_are_refused() {
        assert_eq!(
            decoded(&[0, 1, 1, 0x81, 5], 1),
            Err(Malformed::Invalid { field: "parameter type flags" })
        );
    }

    #[test]
    fn the_manuals_example_decodes() {
        // "COM_STMT_EXECUTE", its example: one VARCHAR parameter, the type code 0x0f, "foo".
        assert_eq!(values(&[0, 1, 0x0f, 0, 3, b'f', b'o', b'o'], 1), [Value::Bytes(b"foo")]);
    }

    #[test]
    fn integers_are_read_by_width_and_sign() {
        let block = [
            0, 1, 1, 0, 1, 0x80, 2, 0, 2, 0x80, 3, 0, 3, 0x80, 8, 0, // types, then values
            0xff, 0xff, 0xfe, 0xff, 0xfe, 0xff, 0xfd, 0xff, 0xff, 0xff, 0xfd, 0xff, 0xff, 0xff, 0xfc, 0xff,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ];
        let expected = [
            Value::Int(-1),
            Value::UInt(255),
            Value::Int(-2),
            Value::UInt(65_534),
            Value::Int(-3),
            Value::UInt(4_294_967_293),
            Value::Int(-4),
        ];
        assert_eq!(values(&block, 7), expected);
    }

    #[test]
    fn floats_and_times_are_read() {
        let mut block = vec![0, 1, 4, 0, 5, 0, 0x0c, 0, 0x0b, 0];
        block.extend_from_slice(&1.5_f32.to_le_bytes());
        block.extend_from_slice(&(-2.5_f64).to_le_bytes());
        block.extend_from_slice(&[7, 0xda, 0x07, 10, 17, 19, 27, 30]);
        block.extend_from_slice(&[8, 1, 120, 0, 0, 0, 19, 27, 30]);
        let date = DateTime { year: 2010, month: 10, day: 17, hour: 19, minute: 27, second: 30, micros: 0 };
        let time = TimeSpan { negative: true, days: 120, hours: 19, minutes: 27, seconds: 30, micros: 0 };
        let expected = [Value::Float(1.5), Value::Double(-2.5), Value::DateTime(date), Value::Time(time)];
        assert_eq!(values(&block, 4), expected);
    }

    #[test]
    fn nulls_and_long_data_have_no_bytes_in_the_block() {
        let types = vec![typed(ColumnType::LONG); 10];
        let block = [
            0b0000_0010,
            0b0000_0010,
            0,
            1,
            0,
            0,
            0,
            2,
            0,
            0,
            0,
            3,
            0,
            0,
            0,
            4,
            0,
            0,
            0,
            5,
            0,
            0,
            0,
            6,
            0,
            0,
            0,
            7,
            0,
            0,
            0,
        ];
        let statement = Statement { parameters: 10, types: &types, long_data: &[2] };
        let decoded = ExecuteParams::decode(&block, statement).unwrap();
        assert_eq!(decoded.values[..4], [Value::Int(1), Value::Null, Value::LongData, Value::Int(2)]);
        assert_eq!(decoded.values[8..], [Value::Int(7), Value::Null]);
        assert_eq!(decoded.types, types);
    }

    #[test]
    fn every_truncation_is_refused() {
        let block = [0, 1, 0x0c, 0, 0x0f, 0, 4, 0xda, 0x07, 10, 17, 3, b'f', b'o', b'o'];
        assert!(decoded(&block, 2).is_ok());
        for len in 0..block.len() {
            assert!(decoded(&block[..len], 2).is_err(), "{len}");
        }
    }
}
