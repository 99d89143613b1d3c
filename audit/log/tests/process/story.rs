//! What others put on record, as it would be in truth: a log of nothing else is clean.

use std::collections::BTreeMap;

use audit::samples::{Entry, Plan, Writers};
use record::{About, Record, StreamName, What};

use super::authority::Authority;
use super::log::Log;
use super::writer::Writer;

/// Who tells it: a writer for each stream.
#[derive(Default)]
pub struct Story {
    writers: BTreeMap<StreamName, Writer>,
}

impl Story {
    /// The records of others in a story, up to its last receipt.
    pub fn of(seed: u64) -> Vec<(Record, Vec<u8>)> {
        let all = Writers::all(Plan { seed, grants: 3, statements: 200 });
        let read = |Entry { leaf, text }| (Record::decode(&leaf).unwrap(), text.unwrap_or_default());
        let others = |(record, _): &(Record, _)| !matches!(record.stream, StreamName::Log { .. });
        let mut all: Vec<_> = all.into_iter().map(read).filter(others).collect();
        let last = all.iter().rposition(|(record, _)| matches!(record.what, What::Receipt(_))).unwrap();
        all.truncate(last + 1);
        all
    }

    /// Puts these on record, one after the other, each once the one before is acknowledged.
    pub async fn tells(&mut self, (authority, log): (&Authority, &Log), records: &[(Record, Vec<u8>)]) {
        for (record, payload) in records {
            let stream = record.stream.clone();
            let new = || Writer::of(authority, log, stream.clone());
            let writer = self.writers.entry(stream.clone()).or_insert_with(new);
            let about = About { grant: record.grant.clone(), id: record.id.clone() };
            writer.puts_at(record.at, about, record.what.clone(), payload.clone());
            writer.is_heard().await;
        }
    }
}
