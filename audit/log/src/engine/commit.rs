//! From what writers hand over to what is durable: what is queued becomes one block, one write and one sync.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use record::frame::{Code, Refuse};
use record::{About, Chain, Count, Head, Leaf, Record, StreamName, Time, TooLong, Uid, What, Writer};
use tlog::Hash;

use super::block::{self, Entry, Item, LogId, Position};
use super::journal::Journal;
use super::keys::GrantKeys;
use super::streams::{Ran, Stream, Streams};

/// How many streams one block of a snapshot has at the most.
const STREAMS: usize = 50_000;

/// Bytes of a block beside its records' own: its header, its end, and what stands before each record.
const AROUND: usize = 8192;

/// Records of one writer, checked: canonical, of its own stream, and of kinds that it may write.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The stream.
    pub stream: StreamName,
    /// In their order.
    pub records: Vec<Arriving>,
    /// What their payloads are sealed with, where they have any.
    pub sealed: Option<Sealed>,
}

/// What payloads are sealed with.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The grant whose key it is.
    pub grant: Uid,
    /// The key, wrapped.
    pub wrapped: Vec<u8>,
    /// Where it comes from.
    pub from: KeyFrom,
    /// How many erasures there were when it was taken. One of this grant's since then has erased this key.
    pub erasures: u64,
}

/// Where a grant's key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFrom {
    /// It was read where keys are stored. It is not put there again: it may have been erased since, by a log that leads now.
    Stored,
    /// It was made since the start.
    Made,
}

/// A record that may be taken.
#[derive(Clone, Debug)]
pub struct Arriving {
    /// What it says.
    pub record: Record,
    /// Its leaf hash.
    pub hash: Hash,
    /// What is kept of it.
    pub entry: Entry,
}

/// How much room the disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Everything is taken.
    Enough,
    /// No new statements are: only how those went that are running, and ends.
    ForEnds,
    /// Nothing of a proxy is: whatever one of them sends, the operator can put ends on record, and the log what it does.
    ForOperator,
    /// Nothing is.
    None,
}

/// A record that is durable, for the tree.
#[derive(Clone, Debug)]
pub struct Durable {
    /// Its leaf hash.
    pub hash: Hash,
    /// What is kept of it.
    pub entry: Entry,
    /// The grant whose texts it erases: its key is gone.
    pub erases: Option<Uid>,
}

/// What came of what was handed over.
#[derive(Debug)]
pub struct Committed {
    /// For each submission: how far its stream is now, or why nothing of it was taken.
    pub answers: Vec<Result<Head, Refuse>>,
    /// What is durable now, in order.
    pub durable: Vec<Durable>,
    /// The kind of each record of it: its place in the table of kinds.
    pub kinds: Vec<usize>,
}

/// Nothing may be acknowledged any more, and the process has to end: nobody knows what is on the disk.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The disk failed.
    #[error("the journal cannot be written")]
    Journal(#[source] io::Error),
    /// The disk failed.
    #[error("the key of a grant's texts cannot be stored or removed")]
    Keys(#[source] io::Error),
    /// A block is longer than any may be: a mistake of whoever hands over.
    #[error("a block of the journal is too long")]
    TooLong,
}

/// Takes records. There is one for each log.
pub struct Engine<J, K> {
    log: LogId,
    journal: J,
    streams: Streams,
    position: Position,
    /// Grants of which the journal, or whoever began it, knows that they have a key.
    keys: BTreeSet<Uid>,
    key_files: K,
    /// How many erasures there were since the start.
    erasures: u64,
    /// The number of the last one of each grant that had any, from 1.
    erased: BTreeMap<Uid, u64>,
    own: Chain,
    /// For how long the log had run before this start.
    before: Ran,
}

impl<J: Journal, K: GrantKeys> Engine<J, K> {
    /// Goes on behind what is in a journal. The log's own stream of this start begins with the next record.
    /// `keys`: grants that are known to have one, and where it lies.
    pub fn new(
        log: LogId,
        journal: J,
        streams: Streams,
        position: Position,
        (keys, key_files): (BTreeSet<Uid>, K),
    ) -> Self {
        let own = Chain::new(StreamName::Log { start: Count::of(position.index) });
        let before = streams.newest();
        Self {
            log,
            journal,
            streams,
            position,
            keys,
            key_files,
            erasures: 0,
            erased: BTreeMap::new(),
            own,
            before,
        }
    }

    /// How many records are durable.
    pub fn size(&self) -> u64 {
        self.position.index
    }

    /// Every stream.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The journal.
    pub fn journal(&self) -> &J {
        &self.journal
    }

    /// Makes one block of all of it, and returns when that is durable. Of each submission all records are taken or none; those that the
    /// stream has already are left out. `running`: for how long the log has run since this start.
    pub fn commit(
        &mut self,
        submissions: Vec<Submission>,
        room: Room,
        running: Duration,
    ) -> Result<Committed, Failed> {
        let may: Vec<Result<(), Refuse>> = submissions.iter().map(|one| may_take(one, room)).collect();
        let taken = submissions.iter().zip(&may).filter(|(_, may)| may.is_ok());
        let length: usize = taken.map(|(one, _)| one.length()).sum();
        let ran = self.before.and(running);
        // What is refused takes nothing of a disk that is full.
        if length > 0 {
            self.make_room(length.saturating_add(AROUND), ran)?;
        }
        let (mut items, mut marks, mut kinds, mut answers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut erased = Vec::new();
        for (submission, may) in submissions.into_iter().zip(may) {
            let name = submission.stream.clone();
            let before = self.streams.get(&name);
            let taken = may.and_then(|()| self.take(submission, ran));
            match taken {
                Ok(Taken { key, records }) => {
                    if let Some(Sealed { grant, wrapped, from, erasures: _ }) = key {
                        if from == KeyFrom::Made {
                            // Whatever stops this before the block is durable: nothing is sealed with it.
                            self.key_files.store(&grant, &wrapped).map_err(Failed::Keys)?;
                        }
                        self.keys.insert(grant.clone());
                        items.push(Item::Key { grant });
                    }
                    for Arriving { record, hash, entry } in records {
                        kinds.push(record.what.place());
                        let erases = self.erases(&record);
                        if let Some(grant) = &erases {
                            // Those that are there now: one that comes after the record is another start's.
                            erased.extend(self.key_files.of(grant).map_err(Failed::Keys)?);
                        }
                        marks.push((hash, erases));
                        items.push(Item::Record(entry));
                    }
                    answers.push(Ok(self.streams.head(&name)));
                }
                Err(refuse) => {
                    self.streams.restore(&name, before);
                    if name == *self.own.stream() {
                        let head = self.streams.head(&name);
                        self.own = Chain::behind(name, head);
                    }
                    answers.push(Err(refuse));
                }
            }
        }
        if !items.is_empty() {
            self.append(&items)?;
        }
        // Before anybody hears of the record, and before a new key can be stored. What stops this does it at its next start.
        self.key_files.erase(&erased).map_err(Failed::Keys)?;
        Ok(Committed { answers, durable: durable(items, marks), kinds })
    }

    /// A record of the log's own, to be handed over with the next commit. One that is refused takes no place; those that were made behind
    /// it are refused, too.
    pub fn own(&mut self, at: Time, grant: Option<Uid>, what: What) -> Result<Submission, TooLong> {
        self.all_own(at, grant, vec![what])
    }

    /// The same of several: all are taken or none.
    pub fn all_own(&mut self, at: Time, grant: Option<Uid>, whats: Vec<What>) -> Result<Submission, TooLong> {
        let mut chain = self.own.clone();
        let stream = chain.stream().clone();
        let mut records = Vec::with_capacity(whats.len());
        for what in whats {
            let (n, about) = (chain.head().count, About { grant: grant.clone(), id: None });
            let Leaf { text, hash } = chain.next(at, about, what.clone())?;
            // The chain has given the record its place; it is put together here only to be counted with all others.
            let (id, prev) = (None, None);
            let record = Record::decode(&text).unwrap_or(Record {
                at,
                grant: grant.clone(),
                id,
                n,
                prev,
                stream: stream.clone(),
                what,
            });
            records.push(Arriving { record, hash, entry: Entry { leaf: text, sealed: Vec::new() } });
        }
        self.own = chain;
        Ok(Submission { stream, records, sealed: None })
    }

    /// All below this index is in the tree.
    pub fn release(&mut self, below: u64) -> Result<(), Failed> {
        self.journal.release(below).map_err(Failed::Journal)
    }

    fn take(&mut self, submission: Submission, ran: Ran) -> Result<Taken, Refuse> {
        let Submission { stream, records, sealed } = submission;
        let is_erased =
            |sealed: &Sealed| self.erased.get(&sealed.grant).is_some_and(|last| *last > sealed.erasures);
        if sealed.as_ref().is_some_and(is_erased) {
            let sentence = "texts were erased meanwhile: send it again".to_owned();
            return Err(Refuse { code: Code::Busy, sentence });
        }
        self.streams.may_begin(&stream).map_err(|error| Refuse {
            code: error.code(),
            sentence: format!("the stream {stream} is not begun: {error}"),
        })?;
        let has = self.streams.head(&stream).count;
        let mut new = Vec::new();
        for arriving in records {
            if arriving.record.n < has {
                continue;
            }
            self.streams.take(&arriving.record, arriving.hash, ran).map_err(|error| Refuse {
                code: error.code(),
                sentence: format!("record {} of {stream} is not taken: {error}", arriving.record.n),
            })?;
            new.push(arriving);
        }
        let has_text = new.iter().any(|arriving| !arriving.entry.sealed.is_empty());
        let key = sealed.filter(|sealed| has_text && !self.keys.contains(&sealed.grant));
        Ok(Taken { key, records: new })
    }

    fn erases(&mut self, record: &Record) -> Option<Uid> {
        let What::Erase(_) = record.what else { return None };
        let grant = record.grant.clone()?;
        self.keys.remove(&grant);
        self.erasures = self.erasures.saturating_add(1);
        self.erased.insert(grant.clone(), self.erasures);
        Some(grant)
    }

    /// Begins the next segment, if this one has no room for so many bytes. Each begins with how far all streams are.
    fn make_room(&mut self, length: usize, ran: Ran) -> Result<(), Failed> {
        if !self.journal.has_room(length) {
            self.journal.roll().map_err(Failed::Journal)?;
        }
        if !self.journal.is_fresh() {
            return Ok(());
        }
        self.streams.forget(ran, self.own.stream());
        let all: Vec<(StreamName, Stream)> =
            self.streams.iter().map(|(name, state)| (name.clone(), *state)).collect();
        for part in all.chunks(STREAMS) {
            let items: Vec<Item> =
                part.iter().map(|(name, state)| Item::Stream { name: name.clone(), state: *state }).collect();
            self.append(&items)?;
        }
        Ok(())
    }

    fn append(&mut self, items: &[Item]) -> Result<(), Failed> {
        let (bytes, hash) = block::encode(self.log, self.position, items).ok_or(Failed::TooLong)?;
        self.journal.append(self.position.index, &bytes).map_err(Failed::Journal)?;
        let records = items.iter().filter(|item| matches!(item, Item::Record(_))).count();
        self.position = Position {
            number: self.position.number.saturating_add(1),
            index: self.position.index.saturating_add(u64::try_from(records).unwrap_or(u64::MAX)),
            prev: hash,
        };
        Ok(())
    }
}

/// What a block holds, for the tree. `marks`: for each record its hash, and the grant whose texts it erases.
fn durable(items: Vec<Item>, marks: Vec<(Hash, Option<Uid>)>) -> Vec<Durable> {
    let mut marks = marks.into_iter();
    let durable = |item| match item {
        Item::Record(entry) => marks.next().map(|(hash, erases)| Durable { hash, entry, erases }),
        Item::Key { .. } | Item::Stream { .. } => None,
    };
    items.into_iter().filter_map(durable).collect()
}

/// What of a submission goes into the block.
struct Taken {
    key: Option<Sealed>,
    records: Vec<Arriving>,
}

impl Submission {
    /// How many bytes it takes in a block, about.
    pub fn length(&self) -> usize {
        let entries = self.records.iter().map(|record| {
            record.entry.leaf.len().saturating_add(record.entry.sealed.len()).saturating_add(16)
        });
        entries.sum::<usize>().saturating_add(256)
    }
}

/// Whether the disk has room for such records.
fn may_take(submission: &Submission, room: Room) -> Result<(), Refuse> {
    let begins =
        || submission.records.iter().any(|arriving| matches!(arriving.record.what, What::Statement(_)));
    let full = match room {
        Room::Enough => false,
        Room::ForEnds => begins(),
        Room::ForOperator => submission.stream.writer() == Writer::Proxy || begins(),
        Room::None => true,
    };
    if full {
        let sentence = "the audit log is full: give its volume more room".to_owned();
        return Err(Refuse { code: Code::Full, sentence });
    }
    Ok(())
}
