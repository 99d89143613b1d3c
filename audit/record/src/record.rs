//! A record and its one text.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tlog::Hash;

use crate::count::Count;
use crate::names::{StreamName, Uid};
use crate::time::Time;
use crate::what::{What, Writer};

/// The version of the form.
pub const VERSION: u64 = 1;

/// The most bytes of a record: those of an entry of the log.
pub const LONGEST: usize = tlog::LONGEST_ENTRY;

/// One record. Its text is JSON as RFC 8785 has it: keys in order, no white space, numbers up to 2^53 - 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, by the writer's clock.
    pub at: Time,
    /// The grant that it is about, where there is one.
    pub grant: Option<Uid>,
    /// By which an operator's record is known as the same when it is written again: `end/<grant uid>`.
    pub id: Option<String>,
    /// Its number in the stream, from 0 without gaps.
    pub n: Count,
    /// The leaf hash of the record before it; absent of the first.
    pub prev: Option<Hash>,
    /// Whose it is.
    pub stream: StreamName,
    /// What it says.
    pub what: What,
}

/// A record that is longer than an entry may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {0} bytes: 65535 is the most")]
pub struct TooLong(pub usize);

/// What is no record. No error repeats what the bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// More than 65,535 bytes.
    #[error("the record is longer than 65535 bytes")]
    TooLong,
    /// No JSON of this form.
    #[error("not a record: byte {0} of its JSON")]
    Form(usize),
    /// Of another version.
    #[error("a record of version {0}, and 1 is known")]
    Version(u64),
    /// A kind that is not known of this writer.
    #[error("a kind that is not known of its writer")]
    Kind,
    /// The body does not fit its kind.
    #[error("the record does not hold what its kind does")]
    Body,
    /// Its parts contradict each other.
    #[error("{0}")]
    Contradicts(&'static str),
    /// Another text would say the same.
    #[error("the record is not in its canonical form")]
    NotCanonical,
}

/// As it stands in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<N, W> {
    at: Time,
    by: Writer,
    #[serde(skip_serializing_if = "Option::is_none", default = "Option::default")]
    grant: Option<Uid>,
    #[serde(skip_serializing_if = "Option::is_none", default = "Option::default")]
    id: Option<String>,
    kind: N,
    n: Count,
    #[serde(skip_serializing_if = "Option::is_none", default = "Option::default", with = "optional")]
    prev: Option<Hash>,
    stream: StreamName,
    v: u64,
    what: W,
}

impl Record {
    /// The record's text.
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        let Self { at, grant, id, n, prev, stream, what } = self;
        let (by, kind) = what.kind();
        let (grant, id, stream) = (grant.clone(), id.clone(), stream.clone());
        let form = Form { at: *at, by, grant, id, kind, n: *n, prev: *prev, stream, v: VERSION, what };
        let mut text = Vec::with_capacity(512);
        // Only a map with other keys than texts, or an error of the writer, could fail here: there is neither.
        if serde_json::to_writer(&mut text, &form).is_err() || text.len() > LONGEST {
            return Err(TooLong(text.len()));
        }
        Ok(text)
    }

    /// The record with this text, which is the only one for it.
    pub fn decode(text: &[u8]) -> Result<Self, BadRecord> {
        if text.len() > LONGEST {
            return Err(BadRecord::TooLong);
        }
        let form: Form<&str, &RawValue> =
            serde_json::from_slice(text).map_err(|error| BadRecord::Form(error.column()))?;
        let Form { at, by, grant, id, kind, n, prev, stream, v, what } = form;
        if v != VERSION {
            return Err(BadRecord::Version(v));
        }
        let what = What::decode(by, kind, what).ok_or(BadRecord::Kind)?.map_err(|_| BadRecord::Body)?;
        let record = Self { at, grant, id, n, prev, stream, what };
        record.agrees()?;
        match record.encode() {
            Ok(again) if again == text => Ok(record),
            _ => Err(BadRecord::NotCanonical),
        }
    }

    fn agrees(&self) -> Result<(), BadRecord> {
        let (writer, _) = self.what.kind();
        let contradiction = if self.stream.writer() != writer {
            "a kind of another writer than the stream's"
        } else if self.stream.grant().is_some_and(|grant| self.grant.as_ref() != Some(grant)) {
            "a proxy's record that is not about its own grant"
        } else if self.prev.is_some() != (self.n.get() > 0) {
            "the first record names one before it, or a later one none"
        } else if self.id.is_some() && writer != Writer::Operator {
            "an id, which only the operator's records have"
        } else {
            return Ok(());
        };
        Err(BadRecord::Contradicts(contradiction))
    }
}

/// Hashes as text.
pub(crate) mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use tlog::Hash;

    pub(crate) fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hash)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        <&str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Hashes that may be absent.
mod optional {
    use serde::{Deserializer, Serializer};
    use tlog::Hash;

    pub(super) fn serialize<S: Serializer>(hash: &Option<Hash>, serializer: S) -> Result<S::Ok, S::Error> {
        match hash {
            Some(hash) => super::text::serialize(hash, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Hash>, D::Error> {
        super::text::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
