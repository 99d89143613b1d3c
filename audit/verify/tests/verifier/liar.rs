//! What a log that lies can do: it has its own key, and may rewrite every record, for no writer signs them.

use audit::samples::Entry;
use std::collections::HashMap;

use record::kinds::proxy::Close;
use record::{Count, Head, Record, StreamName, What};
use tlog::Hash;

/// What was done with a record's number when its stream was rewritten.
type Moved = HashMap<(StreamName, u64), u64>;

/// The record of an entry.
pub fn read(entry: &Entry) -> Record {
    Record::decode(&entry.leaf).unwrap()
}

/// Changes records, and rewrites what depends on them, with all the care of somebody who does not want to be found out: numbers, chains,
/// the numbers by which outcomes name their statements, and the closing words of streams. Receipts stay as they are.
pub fn rewrite(entries: &[Entry], mut change: impl FnMut(&mut Record)) -> Vec<Entry> {
    let records = entries.iter().map(|entry| {
        let mut record = read(entry);
        change(&mut record);
        (record, entry.text.clone())
    });
    chain(records.collect())
}

/// Gives each record its place in its stream anew.
pub fn chain(records: Vec<(Record, Option<Vec<u8>>)>) -> Vec<Entry> {
    let mut heads: HashMap<StreamName, Head> = HashMap::new();
    let mut moved = Moved::new();
    let mut entries = Vec::new();
    for (mut record, text) in records {
        let head = heads.entry(record.stream.clone()).or_default();
        moved.insert((record.stream.clone(), record.n.get()), head.count.get());
        (record.n, record.prev) = (head.count, head.last);
        follow(&mut record, &moved);
        if let (What::Close(Close { count, head: last, .. }), Some(prev)) = (&mut record.what, record.prev) {
            (*count, *last) = (record.n, prev);
        }
        let leaf = record.encode().unwrap();
        *head = Head { count: head.count.next(), last: Some(Hash::of_leaf(&leaf)) };
        entries.push(Entry { leaf, text });
    }
    entries
}

fn follow(record: &mut Record, moved: &Moved) {
    let to =
        |stream: &StreamName, of: Count| moved.get(&(stream.clone(), of.get())).map_or(of, |n| Count::of(*n));
    match &mut record.what {
        What::Outcome(outcome) | What::Fetch(outcome) => outcome.of = to(&record.stream, outcome.of),
        What::Statement(statement) => statement.of = statement.of.map(|of| to(&record.stream, of)),
        What::LateOutcome(late) => {
            if let Some(outcome) = &mut late.outcome {
                outcome.of = to(&late.stream, outcome.of);
            }
        }
        _ => {}
    }
}
