//! A whole small text result, for what the proxy answers itself instead of the database.
//!
//! Source: "Text Resultset",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html>.
//!
//! ```text
//! int<lenenc>  number of columns
//! Column       for each column
//! EOF          without DEPRECATE_EOF
//! TextRow      for each row
//! EOF          or OK with header 0xfe (DEPRECATE_EOF)
//! ```

use crate::mysql::connect::capabilities::Capabilities;
use crate::mysql::frame::{self, Sequence};
use crate::mysql::response::column::Column;
use crate::mysql::response::eof::EofPacket;
use crate::mysql::response::ok::{OkPacket, OkSummary};
use crate::mysql::response::status_flags::StatusFlags;
use crate::mysql::rows::text_row::TextRow;
use crate::mysql::writer::Writer;

/// Columns and rows; each row has a value for each column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextResult<'a> {
    /// At least one.
    pub columns: Vec<Column<'a>>,
    /// May be none.
    pub rows: Vec<TextRow<'a>>,
    /// The status of the database's session: what the client must believe of transactions and autocommit.
    pub status: StatusFlags,
}

/// The result has no columns, or a row with another number of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rows and columns of a local answer do not match")]
pub struct Uneven;

impl TextResult<'_> {
    /// All frames of the result, for a client with these agreed capabilities. `sequence`: that of the first, and then the one
    /// behind the last.
    pub fn encode(&self, capabilities: Capabilities, sequence: &mut Sequence) -> Result<Vec<u8>, Uneven> {
        let width = self.columns.len();
        if width == 0 || self.rows.iter().any(|row| row.values.len() != width) {
            return Err(Uneven);
        }
        let deprecate_eof = capabilities.contains(Capabilities::DEPRECATE_EOF);
        let eof = EofPacket { warnings: 0, status: self.status }.encode();
        let mut out = Vec::new();
        let mut packet = |body: &[u8]| frame::encode(body, sequence, &mut out);

        let mut count = Writer::new();
        count.lenenc(u64::try_from(width).unwrap_or(u64::MAX));
        packet(&count.into_body());
        self.columns.iter().for_each(|column| packet(&column.encode(capabilities)));
        if !deprecate_eof {
            packet(&eof);
        }
        self.rows.iter().for_each(|row| packet(&row.encode()));
        if deprecate_eof {
            let summary = OkSummary { status: self.status, ..OkSummary::default() };
            packet(&OkPacket { summary, ..OkPacket::default() }.encode_after_rows(capabilities));
        } else {
            packet(&eof);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::response::{Answer, ResponseTracker, Seen};

    fn result() -> TextResult<'static> {
        TextResult {
            columns: vec![Column::text(b"@@version"), Column::text(b"b")],
            rows: vec![
                TextRow { values: vec![Some(b"8.0.30"), None] },
                TextRow { values: vec![Some(b""), Some(b"x")] },
            ],
            status: StatusFlags::AUTOCOMMIT,
        }
    }

    fn seen(capabilities: Capabilities) -> Vec<Seen> {
        let wire = result().encode(capabilities, &mut Sequence::starting_at(1)).unwrap();
        let mut tracker = ResponseTracker::new(Answer::Query, capabilities, Sequence::starting_at(1));
        let (mut rest, mut seen) = (wire.as_slice(), Vec::new());
        while let Some(observed) = tracker.observe(rest).unwrap() {
            seen.push(observed.seen);
            rest = &rest[observed.len..];
        }
        assert!(tracker.is_complete() && rest.is_empty());
        seen
    }

    #[test]
    fn a_row_of_another_width_is_refused() {
        let mut uneven = result();
        uneven.rows[0].values.pop();
        assert_eq!(uneven.encode(Capabilities::NONE, &mut Sequence::default()), Err(Uneven));
        let empty = TextResult { columns: vec![], rows: vec![], status: StatusFlags::default() };
        assert_eq!(empty.encode(Capabilities::NONE, &mut Sequence::default()), Err(Uneven));
    }

    #[test]
    fn every_kind_of_client_can_follow_it() {
        use Seen::{ColumnCount, Definition, DefinitionsEnd, Row, RowsEnd};
        let status = StatusFlags::AUTOCOMMIT;
        let end = RowsEnd { status, warnings: 0 };
        let eof = DefinitionsEnd(EofPacket { warnings: 0, status });
        assert_eq!(
            seen(Capabilities::DEPRECATE_EOF),
            [ColumnCount(2), Definition, Definition, Row, Row, end]
        );
        for capabilities in [Capabilities::NONE, Capabilities::EXTENDED_METADATA] {
            assert_eq!(seen(capabilities), [ColumnCount(2), Definition, Definition, eof, Row, Row, end]);
        }
    }
}
