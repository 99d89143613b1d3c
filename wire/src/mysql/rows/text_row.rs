//! One row of a text result. For small results only: those the proxy asks for itself or answers itself; the
//! person's rows are relayed unread.
//!
//! Source: "Text Resultset Row",
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_row.html>.
//!
//! ```text
//! string<lenenc> or 0xfb for NULL, once for each column
//! ```

use crate::mysql::reader::{Malformed, Reader};
use crate::mysql::writer::Writer;

/// One row's values, `None` for NULL. `Debug` shows how many.
#[derive(Clone, PartialEq, Eq)]
pub struct TextRow<'a> {
    /// One for each column.
    pub values: Vec<Option<&'a [u8]>>,
}

impl<'a> TextRow<'a> {
    /// Reads a row of exactly `columns` values.
    pub fn decode(body: &'a [u8], columns: u16) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let values = (0..columns).map(|_| reader.lenenc_bytes_or_null()).collect::<Result<_, Malformed>>()?;
        reader.end()?;
        Ok(Self { values })
    }

    /// Writes a row.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        for value in &self.values {
            match value {
                Some(bytes) => writer.lenenc_bytes(bytes),
                None => writer.null(),
            };
        }
        writer.into_body()
    }
}

impl std::fmt::Debug for TextRow<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TextRow of {} values", self.values.len())
    }
}
