//! The journal on a disk: blocks one after the other in files of equal length ("segments"), each synced before the next is written.
//!
//! A segment is filled with zeros and synced before it is used, so that writing a block changes no length and no folder, and is used again
//! once all of it is in the tree. Old blocks stay in a segment that is used again: their numbers are smaller than any that can follow.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use super::block::{ALIGNMENT, Block, LogId, Position, START, decode, is_begun};
use super::disk::Disk;

/// The folder of the segments.
pub const FOLDER: &str = "journal";

/// How many bytes are written at once to fill a segment.
const FILL: usize = 1 << 20;

/// Where blocks become durable.
pub trait Journal {
    /// Whether a block of so many bytes has room in the segment that is written. If not, the next one must be begun.
    fn has_room(&self, length: usize) -> bool;
    /// Whether nothing is in the segment that is written: it has to begin with the streams.
    fn is_fresh(&self) -> bool;
    /// Begins the next segment.
    fn roll(&mut self) -> io::Result<()>;
    /// Writes a block whose first record has this index; when this returns, it is durable. After an error nothing may be written or
    /// said any more.
    fn append(&mut self, index: u64, block: &[u8]) -> io::Result<()>;
    /// All records below this index are in the tree: segments that have no others are not needed any more.
    fn release(&mut self, below: u64) -> io::Result<()>;
    /// Whether what is written still goes where it will be found.
    fn is_in_place(&self) -> io::Result<bool>;
    /// The number of a block that was begun and not finished when it was opened: it was never acknowledged, and is written over.
    fn dropped(&self) -> Option<u64> {
        None
    }
}

/// How long segments are. Of a journal that exists it must stay the same.
#[derive(Clone, Copy, Debug)]
pub struct SegmentLength(pub usize);

impl Default for SegmentLength {
    /// 64 MiB.
    fn default() -> Self {
        Self(64 << 20)
    }
}

/// A journal in files.
pub struct Segments<D: Disk> {
    disk: D,
    length: SegmentLength,
    /// Those that are needed, in their order.
    segments: VecDeque<Segment>,
    current: D::File,
    offset: usize,
    /// Whether a segment that is not needed lies ready.
    spare: bool,
    dropped: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    number: u64,
    /// The index of its first record; `None`, while nothing is in it.
    first: Option<u64>,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadJournal {
    /// The disk fails.
    #[error("cannot read the journal")]
    Disk(#[source] io::Error),
    /// A block that was acknowledged is not what was written.
    #[error(
        "journal/{segment:016x} is damaged at byte {offset}: block {number} and what follows was acknowledged, from record {index} on"
    )]
    Damaged {
        /// The file.
        segment: u64,
        /// Where in it.
        offset: usize,
        /// The number of the block that should be there.
        number: u64,
        /// The index of its first record.
        index: u64,
    },
    /// There are no segments.
    #[error("there is no journal here")]
    Missing,
}

impl<D: Disk> Segments<D> {
    /// A new journal, without blocks, and with a segment ready for the time when the first one is full.
    pub fn create(disk: &D, length: SegmentLength) -> io::Result<()> {
        disk.create_folder(Path::new(FOLDER))?;
        disk.sync_folder(Path::new("."))?;
        fill(disk, length)?;
        disk.rename(&spare(), &path(0))?;
        fill(disk, length)
    }

    /// Reads what is there, block by block, and goes on behind it. The last block is written once more: of a process that was killed
    /// nobody knows whether it was synced, and of one whose sync failed what is read may be nowhere but in memory.
    pub fn open(
        disk: D,
        log: LogId,
        length: SegmentLength,
        mut each: impl FnMut(Block),
    ) -> Result<(Self, Position), BadJournal> {
        // A process that was killed may have begun a segment whose name is not durable yet.
        disk.sync_folder(Path::new(FOLDER)).map_err(BadJournal::Disk)?;
        let names = disk.list(Path::new(FOLDER)).map_err(BadJournal::Disk)?;
        let numbers: Vec<u64> = names.iter().filter_map(|name| u64::from_str_radix(name, 16).ok()).collect();
        let (left_over, numbers) = numbers.split_at(first_needed(&numbers));
        for number in left_over {
            disk.remove(&path(*number)).map_err(BadJournal::Disk)?;
        }
        let mut scan = Scan { log, next: None, last: None, segments: VecDeque::new() };
        let mut dropped = None;
        for (at, number) in numbers.iter().enumerate() {
            let bytes = disk.read(&path(*number)).map_err(BadJournal::Disk)?.unwrap_or_default();
            let Some(offset) = scan.segment(*number, &bytes, &mut each) else { continue };
            let later = numbers.get(at.saturating_add(1)..).unwrap_or_default();
            let rest = bytes.get(offset..).unwrap_or_default();
            if let Some((segment, offset)) = scan.damage((*number, offset), rest, &disk, later)? {
                let Position { number, index, prev: _ } = scan.next.unwrap_or(START);
                return Err(BadJournal::Damaged { segment, offset, number, index });
            }
            let next = scan.next.unwrap_or(START).number;
            dropped = dropped.or(is_begun(log, next, rest).then_some(next));
        }
        let newest = *numbers.last().ok_or(BadJournal::Missing)?;
        let current = disk.open(&path(newest)).map_err(BadJournal::Disk)?;
        let spare = names.iter().any(|name| *name == SPARE);
        let Scan { next, last, segments, .. } = scan;
        let mut journal = Self { disk, length, segments, current, offset: 0, spare, dropped };
        if let Some(Last { segment, offset, bytes }) = last {
            journal.write_again(segment, offset, &bytes).map_err(BadJournal::Disk)?;
            if segment == newest {
                journal.offset = offset.saturating_add(bytes.len());
            }
        }
        Ok((journal, next.unwrap_or(START)))
    }

    fn write_again(&self, segment: u64, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.open(&path(segment))?;
        self.disk.write_at(&file, offset_of(offset), bytes)?;
        self.disk.sync(&file)
    }

    /// How many segments are needed.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }
}

impl<D: Disk> Journal for Segments<D> {
    fn has_room(&self, length: usize) -> bool {
        self.offset.saturating_add(length) <= self.length.0
    }

    fn is_fresh(&self) -> bool {
        self.offset == 0
    }

    fn roll(&mut self) -> io::Result<()> {
        if !self.spare {
            fill(&self.disk, self.length)?;
        }
        let number = self.segments.back().map_or(0, |segment| segment.number.saturating_add(1));
        self.disk.rename(&spare(), &path(number))?;
        self.disk.sync_folder(Path::new(FOLDER))?;
        self.spare = false;
        self.current = self.disk.open(&path(number))?;
        self.offset = 0;
        self.segments.push_back(Segment { number, first: None });
        Ok(())
    }

    fn append(&mut self, index: u64, block: &[u8]) -> io::Result<()> {
        self.disk.write_at(&self.current, offset_of(self.offset), block)?;
        self.disk.sync(&self.current)?;
        if let Some(segment) = self.segments.back_mut() {
            segment.first.get_or_insert(index);
        }
        self.offset = self.offset.saturating_add(block.len());
        Ok(())
    }

    fn release(&mut self, below: u64) -> io::Result<()> {
        let mut changed = false;
        while let [oldest, next, ..] = self.segments.make_contiguous()
            && next.first.is_some_and(|first| first <= below)
        {
            let oldest = path(oldest.number);
            if self.spare {
                self.disk.remove(&oldest)?
            } else {
                self.disk.rename(&oldest, &spare())?
            }
            self.spare = true;
            self.segments.pop_front();
            changed = true;
        }
        if changed { self.disk.sync_folder(Path::new(FOLDER)) } else { Ok(()) }
    }

    /// A file that was removed can be written, and nobody will find it.
    fn is_in_place(&self) -> io::Result<bool> {
        self.disk.is_at(&self.current, &path(self.segments.back().map_or(0, |segment| segment.number)))
    }

    fn dropped(&self) -> Option<u64> {
        self.dropped
    }
}

/// Which of these is the first of those that follow each other up to the last: what is before a gap was not needed any more, and its
/// removal did not become durable. Were the gap none of ours, records between checkpoint and journal would be missing, which is seen.
fn first_needed(numbers: &[u64]) -> usize {
    let follows = |pair: &[u64]| matches!(pair, [one, next] if one.checked_add(1) == Some(*next));
    let gap = numbers.windows(2).rposition(|pair| !follows(pair));
    gap.map_or(0, |at| at.saturating_add(1))
}

/// The name of a segment that is not needed.
const SPARE: &str = "spare";

fn spare() -> PathBuf {
    Path::new(FOLDER).join(SPARE)
}

/// Whether blocks lie in the file at this path.
pub fn is_segment(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent() == Some(Path::new(FOLDER)) && name.is_some_and(|name| name != SPARE)
}

fn path(number: u64) -> PathBuf {
    Path::new(FOLDER).join(format!("{number:016x}"))
}

fn offset_of(offset: usize) -> u64 {
    u64::try_from(offset).unwrap_or(u64::MAX)
}

/// Makes a segment of zeros. It has its name once all of it is there.
fn fill<D: Disk>(disk: &D, SegmentLength(length): SegmentLength) -> io::Result<()> {
    let new = Path::new(FOLDER).join("new");
    let file = disk.open(&new)?;
    let zeros = vec![0; FILL.min(length)];
    for offset in (0..length).step_by(FILL) {
        let part = zeros.get(..length.saturating_sub(offset).min(FILL)).unwrap_or_default();
        disk.write_at(&file, offset_of(offset), part)?;
        // In parts, so that what others sync meanwhile does not wait for all of it.
        disk.sync(&file)?;
    }
    disk.rename(&new, &spare())?;
    disk.sync_folder(Path::new(FOLDER))
}

/// What is known while segments are read in their order.
struct Scan {
    log: LogId,
    /// Where the next block stands; `None` before the first.
    next: Option<Position>,
    last: Option<Last>,
    segments: VecDeque<Segment>,
}

/// The last good block.
struct Last {
    segment: u64,
    offset: usize,
    bytes: Vec<u8>,
}

impl Scan {
    /// Reads a segment. Says where it found no block that follows, unless that is its end.
    fn segment(&mut self, number: u64, bytes: &[u8], each: &mut impl FnMut(Block)) -> Option<usize> {
        let (mut offset, mut first) = (0_usize, None);
        let stopped = loop {
            let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) else { break None };
            let Some(block) = self.following(rest) else { break Some(offset) };
            first = first.or(Some(block.position.index));
            let end = offset.saturating_add(block.length);
            let bytes = bytes.get(offset..end).unwrap_or_default().to_vec();
            self.last = Some(Last { segment: number, offset, bytes });
            self.next = Some(after(&block));
            each(block);
            offset = end;
        };
        self.segments.push_back(Segment { number, first });
        stopped
    }

    /// The block that begins here and follows the last one.
    fn following(&self, bytes: &[u8]) -> Option<Block> {
        let block = decode(self.log, bytes).ok()?;
        self.next.is_none_or(|next| next == block.position).then_some(block)
    }

    /// Whether a block lies somewhere behind that is newer than the one that should come next.
    fn has_later(&self, bytes: &[u8]) -> bool {
        let number = self.next.map_or(0, |next| next.number);
        (0..bytes.len()).step_by(ALIGNMENT).any(|offset| {
            let block = bytes.get(offset..).and_then(|rest| decode(self.log, rest).ok());
            block.is_some_and(|block| block.position.number > number)
        })
    }

    /// Where the block was that should come next and is not there any more, if it was anywhere: in this segment, where no block follows,
    /// or at the beginning of the next one. Nobody writes behind a block that is not synced: so where there is a later one, a bad one
    /// before it was good. What is bad and the last was never acknowledged.
    fn damage<D: Disk>(
        &self,
        here: (u64, usize),
        rest: &[u8],
        disk: &D,
        later: &[u64],
    ) -> Result<Option<(u64, usize)>, BadJournal> {
        let mut found = self.has_later(rest).then_some(here);
        for (at, number) in later.iter().enumerate() {
            let bytes = disk.read(&path(*number)).map_err(BadJournal::Disk)?.unwrap_or_default();
            if at == 0 && self.next.is_some() && self.following(&bytes).is_some() {
                return Ok(None);
            }
            if found.is_none() && self.has_later(&bytes) {
                found = Some((*number, 0));
            }
        }
        Ok(found)
    }
}

/// The position behind a block.
pub fn after(block: &Block) -> Position {
    let records = block.items.iter().filter(|item| matches!(item, super::block::Item::Record(_))).count();
    Position {
        number: block.position.number.saturating_add(1),
        index: block.position.index.saturating_add(u64::try_from(records).unwrap_or(u64::MAX)),
        prev: block.hash,
    }
}
