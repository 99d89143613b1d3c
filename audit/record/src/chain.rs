//! How the records of a writer follow each other.

use tlog::Hash;

use crate::count::Count;
use crate::names::{StreamName, Uid};
use crate::record::{Record, TooLong};
use crate::time::Time;
use crate::what::What;

/// How far a stream has come: so many records, and the leaf hash of the last one. Empty by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// How many records.
    pub count: Count,
    /// The leaf hash of the last, where there is one.
    pub last: Option<Hash>,
}

/// A record's text and its leaf hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The text.
    pub text: Vec<u8>,
    /// Its hash as a leaf of the tree.
    pub hash: Hash,
}

/// A record that does not follow what the stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Its number is not the next.
    #[error("record {found} where {expected} is the next")]
    Number {
        /// The next.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// It follows another record than the stream's last.
    #[error("record {0} does not follow the one before it")]
    Previous(u64),
}

impl Head {
    /// How far it is after this record, whose leaf hash is `hash`.
    pub fn after(self, record: &Record, hash: Hash) -> Result<Self, Broken> {
        let (expected, found) = (self.count.get(), record.n.get());
        if found != expected {
            return Err(Broken::Number { expected, found });
        }
        if record.prev != self.last {
            return Err(Broken::Previous(found));
        }
        Ok(Self { count: self.count.next(), last: Some(hash) })
    }
}

/// The writer's end of a stream: gives each record its place.
#[derive(Clone, Debug)]
pub struct Chain {
    stream: StreamName,
    head: Head,
}

impl Chain {
    /// A stream without records.
    pub fn new(stream: StreamName) -> Self {
        Self { stream, head: Head::default() }
    }

    /// A stream that has come so far.
    pub fn behind(stream: StreamName, head: Head) -> Self {
        Self { stream, head }
    }

    /// Its name.
    pub fn stream(&self) -> &StreamName {
        &self.stream
    }

    /// How far it has come.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The next record. One that is too long takes no place. `about`: the grant of a record in a stream that is no grant's own.
    pub fn next(&mut self, at: Time, about: About, what: What) -> Result<Leaf, TooLong> {
        let About { grant, id } = about;
        let grant = self.stream.grant().cloned().or(grant);
        let Head { count: n, last: prev } = self.head;
        let record = Record { at, grant, id, n, prev, stream: self.stream.clone(), what };
        let text = record.encode()?;
        let hash = Hash::of_leaf(&text);
        self.head = Head { count: n.next(), last: Some(hash) };
        Ok(Leaf { text, hash })
    }
}

/// What an operator's or the log's record is about. Nothing by default, as in a proxy's stream: that is about its grant.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The grant.
    pub grant: Option<Uid>,
    /// By which it is known as the same when it is written again.
    pub id: Option<String>,
}

/// What a record with this id is about: two with one id say the same; of two about the same, the later is what is true. An id is
/// `<kind>/<of what>`, where there is one such record, or `<kind>/<of what>/<hash of what it says>`.
pub fn subject(id: &str) -> &str {
    match id.rsplit_once('/') {
        Some((subject, _)) if subject.contains('/') => subject,
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::operator::Term;

    fn term(holder: &str) -> What {
        What::Term(Term { after: None, holder: holder.to_owned(), release: "0.1.0".to_owned() })
    }

    #[test]
    fn a_reader_follows_what_the_writer_chained_and_nothing_else() {
        let at = Time::from_micros(1).unwrap();
        let mut chain = Chain::new("operator/3".parse().unwrap());
        let mut head = Head::default();
        let mut records = Vec::new();
        for holder in ["a", "b", "c"] {
            let leaf = chain.next(at, About::default(), term(holder)).unwrap();
            let record = Record::decode(&leaf.text).unwrap();
            head = head.after(&record, leaf.hash).unwrap();
            assert_eq!(head, chain.head());
            records.push((record, leaf.hash));
        }
        let [first, second, third] = records.as_slice() else { panic!() };
        let one = Head::default().after(&first.0, first.1).unwrap();
        assert_eq!(one.after(&third.0, third.1), Err(Broken::Number { expected: 1, found: 2 }), "a gap");
        assert_eq!(one.after(&first.0, first.1), Err(Broken::Number { expected: 1, found: 0 }), "twice");
        let other = Head { last: Some(second.1), ..one };
        assert_eq!(other.after(&second.0, second.1), Err(Broken::Previous(1)));
    }

    #[test]
    fn a_record_that_is_too_long_takes_no_place() {
        let at = Time::from_micros(1).unwrap();
        let mut chain = Chain::new("operator/3".parse().unwrap());
        let long = "x".repeat(65_535);
        assert!(chain.next(at, About::default(), term(&long)).is_err());
        assert_eq!(chain.head(), Head::default());
        let leaf = chain.next(at, About::default(), term("a")).unwrap();
        assert_eq!(Record::decode(&leaf.text).unwrap().n, Count::of(0));
    }
}
