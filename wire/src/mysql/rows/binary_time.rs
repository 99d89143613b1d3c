//! Dates and times as parameters of prepared statements. It knows no calendar and no time zone.
//!
//! Source: "Binary Protocol Value",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>.
//!
//! ```text
//! date and time:                      span of time:
//! int<1>  length: 0, 4, 7 or 11       int<1>  length: 0, 8 or 12
//! int<2>  year                        int<1>  1: negative
//! int<1>  month                       int<4>  days
//! int<1>  day                         int<1>  hours
//! int<1>  hour    ─┐ length 7, 11     int<1>  minutes
//! int<1>  minute   │                  int<1>  seconds
//! int<1>  second  ─┘                  int<4>  microseconds (length 12)
//! int<4>  microseconds (length 11)
//! ```

use std::fmt;

use crate::mysql::reader::{Malformed, Reader};

/// A date with a time of day. Values are as the client sent them: 30 February is the server's to refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DateTime {
    /// 0 to 9999.
    pub year: u16,
    /// 0 to 12.
    pub month: u8,
    /// 0 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999,999.
    pub micros: u32,
}

impl DateTime {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let len = reader.u8()?;
        if !matches!(len, 0 | 4 | 7 | 11) {
            return Err(Malformed::Invalid { field: "length of a date" });
        }
        let mut date = Self::default();
        if len >= 4 {
            (date.year, date.month, date.day) = (reader.u16()?, reader.u8()?, reader.u8()?);
        }
        if len >= 7 {
            (date.hour, date.minute, date.second) = (reader.u8()?, reader.u8()?, reader.u8()?);
        }
        if len == 11 {
            date.micros = reader.u32()?;
        }
        Ok(date)
    }
}

/// As SQL writes it: `2026-01-31 23:59:59.000001`.
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, micros } = self;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}")
    }
}

/// As SQL writes it, days apart: `-1 23:59:59.000001`.
impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { negative, days, hours, minutes, seconds, micros } = self;
        let sign = if *negative { "-" } else { "" };
        write!(f, "{sign}{days} {hours:02}:{minutes:02}:{seconds:02}.{micros:06}")
    }
}

/// A span of time, in MySQL's type TIME.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSpan {
    /// Whether it counts backwards.
    pub negative: bool,
    /// Whole days.
    pub days: u32,
    /// 0 to 23.
    pub hours: u8,
    /// 0 to 59.
    pub minutes: u8,
    /// 0 to 59.
    pub seconds: u8,
    /// 0 to 999,999.
    pub micros: u32,
}

impl TimeSpan {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let len = reader.u8()?;
        if !matches!(len, 0 | 8 | 12) {
            return Err(Malformed::Invalid { field: "length of a time" });
        }
        let mut time = Self::default();
        if len >= 8 {
            time.negative = match reader.u8()? {
                0 => false,
                1 => true,
                _ => return Err(Malformed::Invalid { field: "sign of a time" }),
            };
            time.days = reader.u32()?;
            (time.hours, time.minutes, time.seconds) = (reader.u8()?, reader.u8()?, reader.u8()?);
        }
        if len == 12 {
            time.micros = reader.u32()?;
        }
        Ok(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(bytes: &[u8]) -> Result<DateTime, Malformed> {
        DateTime::decode(&mut Reader::new(bytes))
    }

    fn time(bytes: &[u8]) -> Result<TimeSpan, Malformed> {
        TimeSpan::decode(&mut Reader::new(bytes))
    }

    #[test]
    fn other_lengths_are_refused() {
        for len in (0..=u8::MAX).filter(|len| ![0, 4, 7, 11].contains(len)) {
            assert_eq!(date(&[len; 256]), Err(Malformed::Invalid { field: "length of a date" }));
        }
        for len in (0..=u8::MAX).filter(|len| ![0, 8, 12].contains(len)) {
            assert_eq!(time(&[len; 256]), Err(Malformed::Invalid { field: "length of a time" }));
        }
    }

    #[test]
    fn they_are_written_as_sql_writes_them() {
        let date = DateTime { year: 2026, month: 1, day: 31, hour: 23, minute: 59, second: 5, micros: 10 };
        assert_eq!(date.to_string(), "2026-01-31 23:59:05.000010");
        let span = TimeSpan { negative: true, days: 1, hours: 2, minutes: 3, seconds: 4, micros: 5 };
        assert_eq!(span.to_string(), "-1 02:03:04.000005");
    }

    #[test]
    fn the_manuals_examples_decode() {
        let full = DateTime { year: 2010, month: 10, day: 17, hour: 19, minute: 27, second: 30, micros: 1 };
        assert_eq!(date(&[11, 0xda, 0x07, 0x0a, 0x11, 0x13, 0x1b, 0x1e, 1, 0, 0, 0]), Ok(full));
        assert_eq!(
            date(&[4, 0xda, 0x07, 0x0a, 0x11]),
            Ok(DateTime { year: 2010, month: 10, day: 17, ..DateTime::default() })
        );
        assert_eq!(date(&[0]), Ok(DateTime::default()));
        let span = TimeSpan { negative: true, days: 120, hours: 19, minutes: 27, seconds: 30, micros: 1 };
        assert_eq!(time(&[12, 1, 0x78, 0, 0, 0, 0x13, 0x1b, 0x1e, 1, 0, 0, 0]), Ok(span));
        assert_eq!(time(&[0]), Ok(TimeSpan::default()));
    }
}
