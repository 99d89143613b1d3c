//! The journal in a bucket: each block is one object, which is made where none is. Its number is its name, so of two logs that both believe that
//! they lead one alone makes the next block. The other finds the number taken, and has to end: there is no lock, and nobody who gives one out.
//!
//! A start takes the next number before it reads anything, with an object that holds no block (its fence). Whoever led before can make no
//! block from then on: its next number is that one, or one before it, and there something is. Numbers are taken one after the other, so that
//! none is left out: what is before a gap was being removed.
//!
//! A log that was cut off may wake at any time, after years too, so a fence is never removed. Blocks are, segment by segment from the oldest
//! on, once they are in the tree: what stays beside fences are those of the newest segment, and what could not be removed until it is.
//!
//! What a log that was cut off still does is harmless: it cannot make blocks, and it removes none but those whose records are in a
//! checkpoint that it put there before. No number is ever used twice, so a removal that comes late hits nothing else.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;

use aws_lc_rs::rand;

use super::block::{Block, LogId, Position, START, decode};
use super::journal::{BadJournal, FOLDER, Journal, SegmentLength, after};
use crate::bucket::{Bucket, BucketError, Created, TRIES, tried};

/// The first byte of an object: a block that begins a segment, one that does not, and a fence.
const BEGINS: u8 = 1;
const GOES_ON: u8 = 0;
const FENCE: u8 = 2;

/// How many bytes the mark has of whoever made a fence.
pub const MARK: usize = 8;

/// How many bytes a fence has: its first, a mark, and eight that no other fence has. Every block has more.
const FENCE_LENGTH: usize = 17;

/// The most objects of a segment: a start reads those of two, or little more.
const OBJECTS: usize = 256;

/// How many objects are in memory at once while the journal is read.
const READ: usize = 16;

/// How many numbers a start tries to take, while another log goes on to take them.
const CLAIMS: u64 = 1000;

/// How often an idle journal is asked whether it is in its place until it looks.
const LOOKS: u32 = 5;

/// How many bytes a block may have that another process has made where the next one should be: to be read soon, not to be held against that.
const ANOTHERS: usize = 1 << 20;

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

impl From<NotPut> for io::Error {
    /// `AlreadyExists`, where another process leads.
    fn from(error: NotPut) -> Self {
        match error {
            NotPut::Taken(_) => Self::new(io::ErrorKind::AlreadyExists, error),
            NotPut::Unknown { .. } => Self::other(error),
        }
    }
}

/// The number that a start has taken, and the blocks that were there before.
#[derive(Clone, Debug)]
pub struct Claim {
    fence: u64,
    /// Every number before it at which something is, and whether that is a fence.
    before: Vec<(u64, bool)>,
}

impl Claim {
    /// Takes the next number, with a fence that has this mark. From then on nobody who began before can make a block.
    pub fn take<B: Bucket>(bucket: &B, mark: [u8; MARK]) -> Result<Self, BadJournal> {
        let failed = |error| BadJournal::Disk(io::Error::other(error));
        let mut number = Self::look(bucket)?.fence;
        // No two are the same, so that who reads it knows whether it is his.
        let mut own = [0_u8; 8];
        rand::fill(&mut own).map_err(failed)?;
        let fence = [[FENCE].as_slice(), &mark, &own].concat();
        for _ in 0..CLAIMS {
            if is_taken(bucket, number, &fence).map_err(|error| BadJournal::Disk(error.into()))? {
                let Self { before, .. } = Self::look(bucket)?;
                let before = before.into_iter().filter(|(before, _)| *before < number).collect();
                return Ok(Self { fence: number, before });
            }
            // Another one leads, and has made its next block. This start is the newer one.
            number = number.saturating_add(1);
        }
        Err(BadJournal::Disk(NotPut::Taken(number).into()))
    }

    /// The number of the start.
    pub fn start(&self) -> u64 {
        self.fence
    }

    /// The mark of the newest start; `None`, where there is none.
    pub fn newest<B: Bucket>(bucket: &B) -> Result<Option<[u8; MARK]>, BadJournal> {
        let Self { before, .. } = Self::look(bucket)?;
        let Some((newest, _)) = before.iter().rev().find(|(_, is_fence)| *is_fence) else { return Ok(None) };
        let fence = read(bucket, &[*newest])?.into_iter().flatten().next();
        Ok(fence.and_then(|fence| fence.get(1..)?.first_chunk().copied()))
    }

    /// Takes no number: for who looks, and writes nothing.
    pub fn look<B: Bucket>(bucket: &B) -> Result<Self, BadJournal> {
        let listed = tried(bucket, || bucket.sizes(FOLDER))
            .map_err(|error| BadJournal::Disk(io::Error::other(error)))?;
        let number = |(name, length): &(String, u64)| {
            let is_fence = usize::try_from(*length).is_ok_and(|length| length == FENCE_LENGTH);
            u64::from_str_radix(name, 16).ok().map(|number| (number, is_fence))
        };
        let mut before: Vec<(u64, bool)> = listed.iter().filter_map(number).collect();
        before.sort_unstable();
        Ok(Self { fence: before.last().map_or(0, |(last, _)| last.saturating_add(1)), before })
    }
}

/// A journal in a bucket.
pub struct Blocks<B> {
    bucket: B,
    length: SegmentLength,
    /// The number of the next block.
    next: u64,
    /// Those that are needed, in their order.
    segments: VecDeque<Segment>,
    /// How much the last of them has; `None`: the next block begins one.
    written: Option<Written>,
    /// Blocks that are not needed, and are removed with the next ones.
    left_over: Vec<u64>,
    /// How often it was asked whether it is in its place since it last saw that it is.
    unlooked: Cell<u32>,
}

struct Segment {
    /// The index of its first record.
    first: u64,
    /// Its objects.
    numbers: Vec<u64>,
}

#[derive(Clone, Copy, Default)]
struct Written {
    bytes: usize,
    objects: usize,
}

impl<B: Bucket> Blocks<B> {
    /// Reads what was there before the claim, block by block, and goes on behind it, with a segment of its own. A bucket without blocks is
    /// a new journal.
    pub fn open(
        bucket: B,
        Claim { fence, before }: Claim,
        log: LogId,
        length: SegmentLength,
        mut each: impl FnMut(Block),
    ) -> Result<(Self, Position), BadJournal> {
        let blocks = |part: &[(u64, bool)]| -> Vec<u64> {
            part.iter().filter(|(_, is_fence)| !is_fence).map(|(number, _)| *number).collect()
        };
        // What lies before a gap was being removed, or came late.
        let (lost, needed) = before.split_at(first_needed(&before, fence));
        let mut scan =
            Scan { log, next: None, segments: VecDeque::new(), left_over: blocks(lost), stray: None };
        for part in blocks(needed).chunks(READ) {
            for (number, object) in part.iter().zip(read(&bucket, part)?) {
                match object {
                    Some(object) => scan.object(*number, &object, &mut each)?,
                    None => scan.gap(),
                }
            }
        }
        let Scan { next, segments, left_over, stray, .. } = scan;
        if let Some(Position { number, index, prev: _ }) = stray.filter(|_| segments.is_empty()) {
            // Of the newest segment, which is never removed, the beginning is gone.
            return Err(damaged(number.saturating_sub(1), index.saturating_sub(1)));
        }
        let number = fence.saturating_add(1);
        let position = Position { number, ..next.unwrap_or(START) };
        Ok((
            Self { bucket, length, next: number, segments, written: None, left_over, unlooked: Cell::new(0) },
            position,
        ))
    }
}

/// What is known while objects are read in their order.
struct Scan {
    log: LogId,
    /// Where the next block stands, but for its number; `None` before the first.
    next: Option<Position>,
    segments: VecDeque<Segment>,
    left_over: Vec<u64>,
    /// The first block that is of no segment that begins.
    stray: Option<Position>,
}

impl Scan {
    fn object(&mut self, number: u64, object: &[u8], each: &mut impl FnMut(Block)) -> Result<(), BadJournal> {
        let index = self.next.map_or(0, |next| next.index);
        let block = decode(self.log, object.get(1..).unwrap_or_default()).ok();
        let follows = |block: &Block| {
            let at = self.next.unwrap_or(block.position);
            block.position == Position { number, ..at }
        };
        let block = block.filter(follows).ok_or_else(|| damaged(number, index))?;
        match object.first() {
            Some(&BEGINS) => {
                self.segments.push_back(Segment { first: block.position.index, numbers: Vec::new() });
            }
            Some(&GOES_ON) if self.next.is_none() => {
                // Of a segment that was being removed.
                self.left_over.push(number);
                self.stray.get_or_insert(block.position);
                return Ok(());
            }
            Some(&GOES_ON) => (),
            _ => return Err(damaged(number, index)),
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.numbers.push(number);
        }
        self.next = Some(after(&block));
        each(block);
        Ok(())
    }

    /// A block that was there a moment ago is being removed: nothing before it is needed.
    fn gap(&mut self) {
        self.next = None;
        self.stray = None;
        self.left_over.extend(self.segments.drain(..).flat_map(|segment| segment.numbers));
    }
}

fn damaged(number: u64, index: u64) -> BadJournal {
    BadJournal::Damaged { segment: number, offset: 0, number, index }
}

/// Which of these is the first of those that follow each other up to the fence.
fn first_needed(before: &[(u64, bool)], fence: u64) -> usize {
    let numbers = || before.iter().map(|(number, _)| *number);
    let followed_by = numbers().skip(1).chain([fence]);
    let gap = numbers().zip(followed_by).collect::<Vec<_>>();
    let gap = gap.iter().rposition(|(one, next)| one.checked_add(1) != Some(*next));
    gap.map_or(0, |at| at.saturating_add(1))
}

fn read<B: Bucket>(bucket: &B, numbers: &[u64]) -> Result<Vec<Option<Vec<u8>>>, BadJournal> {
    let paths: Vec<String> = numbers.iter().map(|number| path(*number)).collect();
    let found = paths.iter().zip(bucket.read_all(&paths));
    // Those that failed are read again, each by itself.
    let again = |path: &String| {
        bucket.rest(1);
        tried(bucket, || bucket.read(path))
    };
    let found = found.map(|(path, found)| found.or_else(|_| again(path)));
    found.collect::<Result<_, _>>().map_err(|error| BadJournal::Disk(io::Error::other(error)))
}

/// Whether the number is this start's from now on. Whose it is else is not read: where another log makes block after block, a start that
/// did would be the slower of the two, and never come before it.
fn is_taken<B: Bucket>(bucket: &B, number: u64, fence: &[u8]) -> Result<bool, NotPut> {
    match bucket.create_soon(&path(number), fence) {
        Ok(Created::Now) => Ok(true),
        Ok(Created::Before) => Ok(false),
        Err(_) => match create(bucket, number, fence) {
            Ok(()) => Ok(true),
            Err(NotPut::Taken(_)) => Ok(false),
            Err(error @ NotPut::Unknown { .. }) => Err(error),
        },
    }
}

/// Makes an object of this number, where none is. It may be made more than once: it is the same one, and nobody ever removes it and
/// makes another.
fn create<B: Bucket>(bucket: &B, number: u64, object: &[u8]) -> Result<(), NotPut> {
    let (path, mut last) = (path(number), None);
    for failed in 1..=TRIES {
        let created = bucket.create_soon(&path, object);
        if matches!(created, Ok(Created::Now)) {
            return Ok(());
        }
        // One whose answer was lost is read: it is this one, byte for byte, or another's.
        match bucket.read_soon(&path, object.len()) {
            Ok(Some(found)) if found == object => return Ok(()),
            Ok(Some(_)) => return Err(NotPut::Taken(number)),
            Ok(None) => last = created.err().or(last),
            Err(error) => last = Some(error),
        }
        if failed < TRIES {
            bucket.rest(failed);
        }
    }
    let unknown = || BucketError::Away { what: "put", path, why: "it is there and is not".to_owned() };
    Err(NotPut::Unknown { number, source: last.unwrap_or_else(unknown) })
}

impl<B: Bucket> Journal for Blocks<B> {
    fn has_room(&self, length: usize) -> bool {
        self.written.is_none_or(|written| {
            written.objects < OBJECTS && written.bytes.saturating_add(length) <= self.length.0
        })
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
        create(&self.bucket, self.next, &[&[kind], block].concat())?;
        if self.written.is_none() {
            self.segments.push_back(Segment { first: index, numbers: Vec::new() });
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.numbers.push(self.next);
        }
        let Written { bytes, objects } = self.written.unwrap_or_default();
        self.written =
            Some(Written { bytes: bytes.saturating_add(block.len()), objects: objects.saturating_add(1) });
        self.next = self.next.saturating_add(1);
        self.unlooked.set(0);
        Ok(())
    }

    fn release(&mut self, below: u64) -> io::Result<()> {
        while self.segments.get(1).is_some_and(|next| next.first <= below) {
            self.left_over.extend(self.segments.pop_front().into_iter().flat_map(|segment| segment.numbers));
        }
        if !self.left_over.is_empty() {
            let left_over = std::mem::take(&mut self.left_over);
            // What is not removed is found by the next start.
            self.bucket.sweep(left_over.into_iter().map(path).collect());
        }
        Ok(())
    }

    /// Whether another process leads, each block says. Where none is made, it looks now and then for what such a one has put at the next
    /// number: an error of kind `AlreadyExists`. A bucket that does not answer says nothing of that.
    fn is_in_place(&self) -> io::Result<bool> {
        let asked = self.unlooked.get().saturating_add(1);
        self.unlooked.set(if asked < LOOKS { asked } else { 0 });
        if asked < LOOKS {
            return Ok(true);
        }
        match self.bucket.read_soon(&path(self.next), ANOTHERS) {
            Ok(Some(_)) => Err(NotPut::Taken(self.next).into()),
            Ok(None) | Err(_) => Ok(true),
        }
    }
}

fn path(number: u64) -> String {
    format!("{FOLDER}/{number:016x}")
}
