//! JSON lines: the index, the record's own text, and the text beside it where it was opened.

use record::{Payload, Record};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Form<'a> {
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Payload>,
    record: &'a RawValue,
}

/// One line, without a line feed: `{"index":7,"record":{..}}`. The record stands there byte by byte as it is hashed.
///
/// # Errors
/// The record is longer than an entry may be, which none is that was read from a log.
pub fn jsonl(index: u64, record: &Record, payload: Option<&Payload>) -> serde_json::Result<String> {
    let text = record.encode().map_err(serde::ser::Error::custom)?;
    let text = String::from_utf8(text).map_err(serde::ser::Error::custom)?;
    let record = RawValue::from_string(text)?;
    serde_json::to_string(&Form { index, payload, record: &record })
}
