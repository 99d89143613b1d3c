//! What is on record, as a format: the kinds of records, their one text, how the records of a writer follow each other, what is kept of a
//! statement's text, the files of texts beside the tree, and the frames by which records travel to the log.
//!
//! Pure: values in, bytes out; no clock, disk, network or randomness. Nothing here panics on any input. One value has one text (RFC 8785),
//! and a reader takes no other: see [`Record::decode`].

mod chain;
mod count;
pub mod frame;
pub mod kinds;
mod names;
mod record;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
mod text;
pub mod texts;
mod time;
mod what;

pub use chain::{About, Broken, Chain, Head, Leaf, subject};
pub use count::Count;
pub use names::{BadName, RunId, StreamName, Uid};
pub use record::{BadRecord, LONGEST, Record, TooLong, VERSION};
pub use text::{
    Attribute, BadPayload, Bytes, Commitment, LONGEST_PARAMETER, Payload, Salt, Value, ValueType,
};
pub use time::Time;
pub use what::{What, Writer};

#[cfg(test)]
mod schema;
