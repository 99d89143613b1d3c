//! The journal in a bucket: each block is one object, which is made where none is. Its number is its name, so of two logs that both believe that
//! they lead one alone makes the next block. The other finds the number taken, and has to end: there is no lock, and nobody who gives one out.
//!
//! Each start, as each segment, begins with an object that says so and has all streams. Of what is all in the tree the objects are removed, but
//! the first of each segment is emptied instead: a log that was cut off may wake at any time and write its next number, and that is the
//! number with which the start after it began.

use std::collections::{BTreeSet, VecDeque};
use std::io;

use super::block::{Block, LogId, Position, START, decode};
use super::journal::{BadJournal, FOLDER, Journal, SegmentLength, after};
use crate::bucket::{Bucket, BucketError, Created};

/// The first byte of an object that begins a segment, and of one that does not.
const BEGINS: u8 = 1;
const GOES_ON: u8 = 0;

/// How often a block is put of which nobody says whether it is there.
const TRIES: usize = 4;

/// Why a block is not durable: nothing may be acknowledged any more.
#[derive(Debug, thiserror::Error)]
pub enum NotPut {
    /// Its number is taken.
    #[error("block {0} is another log's: another process leads, and this one has to end")]
    Taken(u64),
    /// The bucket does not say whether it is there.
    #[error("nobody knows whether block {number} is in the bucket")]
    Unknown {
        /// Which.
        number: u64,
        /// What the bucket said last.
        source: BucketError,
    },
}

/// A journal in a bucket.
pub struct Blocks<B> {
    bucket: B,
    length: SegmentLength,
    /// The number of the next block.
    next: u64,
    /// Those that are needed, in their order.
    segments: VecDeque<Segment>,
    /// How many bytes the last of them has; `None`: the next block begins one.
    written: Option<usize>,
    /// Objects of segments that are not needed any more.
    left_over: BTreeSet<u64>,
}

#[derive(Clone, Copy)]
struct Segment {
    /// The number of its first block.
    number: u64,
    /// The index of its first record.
    first: u64,
}

impl<B: Bucket> Blocks<B> {
    /// Reads what is there, block by block, and goes on behind it, with a segment of its own. A bucket without blocks is a new journal.
    pub fn open(
        bucket: B,
        log: LogId,
        length: SegmentLength,
        mut each: impl FnMut(Block),
    ) -> Result<(Self, Position), BadJournal> {
        let failed = |error| BadJournal::Disk(io::Error::other(error));
        let mut numbers: Vec<u64> = bucket
            .list(FOLDER)
            .map_err(failed)?
            .iter()
            .filter_map(|name| u64::from_str_radix(name, 16).ok())
            .collect();
        numbers.sort_unstable();
        let (mut segments, mut left_over, mut next) = (VecDeque::new(), BTreeSet::new(), None);
        for number in numbers {
            let object = bucket.read(&path(number)).map_err(failed)?.unwrap_or_default();
            let first = object.first().copied();
            if next.is_none() && first != Some(BEGINS) {
                // Of a segment that was being removed, or a put that came late.
                left_over.extend(first.map(|_| number));
                continue;
            }
            let block = decode(log, object.get(1..).unwrap_or_default()).ok();
            let follows = |block: &Block| match next {
                Some(next) => block.position == next,
                None => block.position.number == number,
            };
            let Some(block) = block.filter(follows) else {
                let Position { number, index, prev: _ } = next.unwrap_or(Position { number, ..START });
                return Err(BadJournal::Damaged { segment: number, offset: 0, number, index });
            };
            if first == Some(BEGINS) {
                segments.push_back(Segment { number, first: block.position.index });
            }
            next = Some(after(&block));
            each(block);
        }
        let position = next.unwrap_or(START);
        let journal = Self { bucket, length, next: position.number, segments, written: None, left_over };
        Ok((journal, position))
    }

    fn put(&self, object: &[u8]) -> Result<(), NotPut> {
        let (number, path) = (self.next, path(self.next));
        let mut last = None;
        for _ in 0..TRIES {
            let created = self.bucket.create(&path, object);
            if matches!(created, Ok(Created::Now)) {
                return Ok(());
            }
            // One whose answer was lost is read: it is this block, byte for byte, or another's.
            match self.bucket.read(&path) {
                Ok(Some(found)) if found == object => return Ok(()),
                Ok(Some(_)) => return Err(NotPut::Taken(number)),
                Ok(None) => last = created.err().or(last),
                Err(error) => last = Some(error),
            }
        }
        let unknown = || BucketError::Away { what: "put", path, why: "it is there and is not".to_owned() };
        Err(NotPut::Unknown { number, source: last.unwrap_or_else(unknown) })
    }

    /// Empties the first object of a segment, and then removes the others.
    fn remove(&mut self, numbers: std::ops::Range<u64>) -> Result<(), BucketError> {
        self.bucket.replace(&path(numbers.start), &[])?;
        self.left_over.extend(numbers.skip(1));
        while let Some(number) = self.left_over.first() {
            self.bucket.remove(&path(*number))?;
            self.left_over.pop_first();
        }
        Ok(())
    }
}

impl<B: Bucket> Journal for Blocks<B> {
    fn has_room(&self, length: usize) -> bool {
        self.written.is_none_or(|written| written.saturating_add(length) <= self.length.0)
    }

    fn is_fresh(&self) -> bool {
        self.written.is_none()
    }

    fn roll(&mut self) -> io::Result<()> {
        self.written = None;
        Ok(())
    }

    fn append(&mut self, index: u64, block: &[u8]) -> io::Result<()> {
        let kind = if self.written.is_none() { BEGINS } else { GOES_ON };
        self.put(&[&[kind], block].concat()).map_err(io::Error::other)?;
        if self.written.is_none() {
            self.segments.push_back(Segment { number: self.next, first: index });
        }
        self.written = Some(self.written.unwrap_or(0).saturating_add(block.len()));
        self.next = self.next.saturating_add(1);
        Ok(())
    }

    fn release(&mut self, below: u64) -> io::Result<()> {
        while let [oldest, next, ..] = *self.segments.make_contiguous()
            && next.first <= below
        {
            // What cannot be removed now is removed with the next checkpoint.
            if self.remove(oldest.number..next.number).is_err() {
                break;
            }
            self.segments.pop_front();
        }
        Ok(())
    }
}

fn path(number: u64) -> String {
    format!("{FOLDER}/{number:016x}")
}
