//! Opens the text of one record, which the log puts on record, and holds it to what the record is bound to.

use record::{Commitment, Payload, What};

use super::{Call, Indexed, Live, LiveError};

/// What became of it.
#[derive(Debug)]
pub enum Opened {
    /// The record has none.
    None,
    /// It was erased.
    Erased,
    /// This is it.
    Text(Payload),
}

/// Opens the text of this record.
pub fn open(live: &Live, found: &Indexed) -> Result<Opened, LiveError> {
    let What::Statement(statement) = &found.record.what else { return Ok(Opened::None) };
    let Some(bound) = &statement.text else { return Ok(Opened::None) };
    let answer = live.ask(Call::get(format!("/v1/texts/{}", found.index)))?;
    if answer.status == 410 {
        return Ok(Opened::Erased);
    }
    let text = answer.good()?;
    let other = || LiveError::Text(found.index);
    if Commitment::to(&text) != bound.commit {
        return Err(other());
    }
    Payload::decode(&text).map(Opened::Text).map_err(|_unreadable| other())
}
