//! Records, read from the bundles on the disk.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use record::Record;
use tlog::{Bundle, Holds, TileName, WIDTH};

use crate::read::Files;
use crate::source::is_away;

/// A record that cannot be read where the tree has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// The file is not there, or not what its name says, or holds something that is no record.
    #[error("{0} is missing or damaged: stop the log and run `keyhole-log check`")]
    Damaged(TileName),
    /// Its bucket does not answer: it may be whole.
    #[error("{0} cannot be read now, for the log's bucket does not answer: ask again in a while")]
    Away(TileName),
    /// The tree has no such record.
    #[error("the log has no record {0}")]
    Beyond(u64),
    /// Whoever asked is gone.
    #[error("nobody waits for the answer any more")]
    Left,
}

/// The bundles of a tree.
#[derive(Clone, Debug)]
pub struct Bundles {
    files: Files,
    size: u64,
    is_left: Arc<AtomicBool>,
}

/// One bundle.
pub struct Loaded {
    name: TileName,
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

/// A record, where it stands, and as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its index.
    pub index: u64,
    /// Its text.
    pub leaf: Vec<u8>,
    /// What that says.
    pub record: Record,
}

impl Bundles {
    /// Of a tree of this size.
    pub fn new(files: Files, size: u64) -> Self {
        Self { files, size, is_left: Arc::default() }
    }

    /// The same, which are read no more from when this is set.
    pub fn until(self, is_left: Arc<AtomicBool>) -> Self {
        Self { is_left, ..self }
    }

    /// How many records there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bundle with this number.
    pub fn load(&self, number: u64) -> Result<Loaded, Unread> {
        if self.is_left.load(Ordering::Relaxed) {
            return Err(Unread::Left);
        }
        let beyond = || Unread::Beyond(number.saturating_mul(u64::from(WIDTH)));
        let name = TileName::in_tree(Holds::Entries, number, self.size).ok_or_else(beyond)?;
        let damaged = || Unread::Damaged(name);
        let bytes = match self.files.tile(name) {
            Err(error) if is_away(&error) => return Err(Unread::Away(name)),
            read => read.ok().flatten().ok_or_else(damaged)?,
        };
        let lengths: Vec<usize> =
            Bundle::parse(name, &bytes).map_err(|_| damaged())?.entries().iter().map(|e| e.len()).collect();
        let mut places = Vec::with_capacity(lengths.len());
        let mut end = 0_usize;
        for length in lengths {
            // Two bytes of each entry are its length.
            let start = end.saturating_add(2);
            end = start.saturating_add(length);
            places.push(start..end);
        }
        Ok(Loaded { name, bytes, places })
    }

    /// The record with this index.
    pub fn record(&self, index: u64) -> Result<Found, Unread> {
        let (number, place) = place_of(index);
        self.load(number)?.record(place)
    }
}

impl Loaded {
    /// How many records it has.
    pub fn width(&self) -> u16 {
        self.name.width
    }

    /// The record in this place.
    pub fn record(&self, place: u8) -> Result<Found, Unread> {
        let index = index_of(self.name.index, place);
        let entry = self.places.get(usize::from(place)).and_then(|range| self.bytes.get(range.clone()));
        let leaf = entry.ok_or(Unread::Beyond(index))?;
        let record = Record::decode(leaf).map_err(|_| Unread::Damaged(self.name))?;
        Ok(Found { index, leaf: leaf.to_vec(), record })
    }

    /// All its records.
    pub fn records(&self) -> Result<Vec<Found>, Unread> {
        (0..self.width())
            .filter_map(|place| u8::try_from(place).ok())
            .map(|place| self.record(place))
            .collect()
    }
}

/// In which bundle a record stands, and in which place of it.
pub fn place_of(index: u64) -> (u64, u8) {
    let place = index.checked_rem(u64::from(WIDTH)).and_then(|place| u8::try_from(place).ok());
    (index.checked_div(u64::from(WIDTH)).unwrap_or(0), place.unwrap_or(0))
}

/// The index of the record in this place.
pub fn index_of(bundle: u64, place: u8) -> u64 {
    bundle.saturating_mul(u64::from(WIDTH)).saturating_add(u64::from(place))
}
