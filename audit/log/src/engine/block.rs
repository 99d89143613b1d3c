//! Blocks: what one write to the journal makes durable.
//!
//! Layout, numbers big-endian: magic 8 bytes, log 8, number u64, first index u64, count of items u32, length of the body u32, hash of the
//! block before it 32, hash of this block 32 (over all before it and the body), body; then zeros up to the next 4 KiB. So no byte of one
//! block shares a page with another, and writing one never touches what another made durable.
//!
//! No part of a body can be taken for a block: texts of records are UTF-8 without control characters, everything else is sealed.

use record::{Count, Head, StreamName, Uid};
use sha2::{Digest as _, Sha256};
use tlog::Hash;

use super::streams::{Ran, Stream, Totals};

/// Blocks begin at multiples of this.
pub const ALIGNMENT: usize = 4096;

/// The most bytes of a block.
pub const LONGEST: usize = 32 << 20;

const MAGIC: [u8; 8] = *b"KHBLOCK\x01";

/// Bytes before the body.
const HEADER: usize = 104;

/// The log that a block is of: the eight bytes of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogId(pub [u8; 8]);

/// What makes a block follow another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Its number, from 0 without gaps.
    pub number: u64,
    /// The index of the next record.
    pub index: u64,
    /// The hash of the block before it; zeros of the first.
    pub prev: Hash,
}

/// The position of the first block.
pub const START: Position = Position { number: 0, index: 0, prev: Hash([0; Hash::LEN]) };

/// One thing that a block holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A record, in the order of the tree.
    Record(Entry),
    /// From here on the texts of a grant are sealed with the key that is in its file: it was put there before this block.
    Key {
        /// The grant.
        grant: Uid,
    },
    /// How far a stream is before this block: each segment of the journal begins with all of them.
    Stream {
        /// Its name.
        name: StreamName,
        /// How far.
        state: Stream,
    },
}

/// A record on the disk.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record's text.
    pub leaf: Vec<u8>,
    /// The payload, sealed; empty, where it has none.
    pub sealed: Vec<u8>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("leaf", &self.leaf.len()).field("sealed", &self.sealed.len()).finish()
    }
}

/// A block that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Where it stands.
    pub position: Position,
    /// What it holds.
    pub items: Vec<Item>,
    /// Its hash.
    pub hash: Hash,
    /// How many bytes it takes, zeros behind it included.
    pub length: usize,
}

/// What is no block of this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a block")]
pub struct NoBlock;

/// The bytes of a block, and its hash. `None`, where it is too long.
pub fn encode(log: LogId, position: Position, items: &[Item]) -> Option<(Vec<u8>, Hash)> {
    let mut bytes = vec![0; HEADER];
    items.iter().for_each(|item| put(item, &mut bytes));
    let body = u32::try_from(bytes.len().checked_sub(HEADER)?).ok()?;
    let count = u32::try_from(items.len()).ok()?;
    let header = [
        &MAGIC[..],
        &log.0,
        &position.number.to_be_bytes(),
        &position.index.to_be_bytes(),
        &count.to_be_bytes(),
        &body.to_be_bytes(),
        &position.prev.0,
    ]
    .concat();
    let hash = hash(&header, bytes.get(HEADER..)?);
    bytes.get_mut(..HEADER)?.copy_from_slice(&[header.as_slice(), &hash.0].concat());
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    (bytes.len() <= LONGEST).then_some((bytes, hash))
}

/// The block that begins here.
pub fn decode(log: LogId, bytes: &[u8]) -> Result<Block, NoBlock> {
    let mut rest = Rest(bytes);
    if rest.chunk()? != MAGIC || rest.chunk()? != log.0 {
        return Err(NoBlock);
    }
    let (number, index) = (rest.u64()?, rest.u64()?);
    let (count, length) = (rest.u32()?, rest.u32()?);
    let (prev, hash_of_it) = (rest.hash()?, rest.hash()?);
    let body = rest.take(length)?;
    let header = bytes.get(..HEADER.saturating_sub(Hash::LEN)).ok_or(NoBlock)?;
    let length = HEADER.saturating_add(length).next_multiple_of(ALIGNMENT);
    if hash(header, body) != hash_of_it || length > bytes.len() {
        return Err(NoBlock);
    }
    let (mut body, mut items) = (Rest(body), Vec::new());
    for _ in 0..count {
        items.push(body.item()?);
    }
    let position = Position { number, index, prev };
    if body.0.is_empty() { Ok(Block { position, items, hash: hash_of_it, length }) } else { Err(NoBlock) }
}

/// Whether a block with this number was begun here. It may not be whole.
pub fn is_begun(log: LogId, number: u64, bytes: &[u8]) -> bool {
    bytes.starts_with(&[MAGIC, log.0, number.to_be_bytes()].concat())
}

fn hash(header: &[u8], body: &[u8]) -> Hash {
    Hash(Sha256::new_with_prefix(header).chain_update(body).finalize().into())
}

fn put(item: &Item, out: &mut Vec<u8>) {
    match item {
        Item::Record(Entry { leaf, sealed }) => {
            out.push(1);
            part(leaf, out);
            part(sealed, out);
        }
        Item::Key { grant } => {
            out.push(4);
            part(grant.as_str().as_bytes(), out);
        }
        Item::Stream { name, state } => {
            out.push(3);
            part(name.to_string().as_bytes(), out);
            let Stream { head, closed, totals, last_at } = state;
            let Totals { statements, refused, rows, bytes } = totals;
            out.extend_from_slice(&head.count.get().to_be_bytes());
            out.extend_from_slice(&head.last.map_or([0; Hash::LEN], |hash| hash.0));
            out.push(u8::from(*closed));
            for total in [statements, refused, rows, bytes] {
                out.extend_from_slice(&total.to_be_bytes());
            }
            out.extend_from_slice(&last_at.0.to_be_bytes());
        }
    }
}

/// Nothing that a block may hold has four GiB: [`LONGEST`] is checked after it.
fn part(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], NoBlock> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(NoBlock)?;
        self.0 = rest;
        Ok(head)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], NoBlock> {
        let (head, rest) = self.0.split_first_chunk().ok_or(NoBlock)?;
        self.0 = rest;
        Ok(*head)
    }

    fn u64(&mut self) -> Result<u64, NoBlock> {
        self.chunk().map(u64::from_be_bytes)
    }

    fn u32(&mut self) -> Result<usize, NoBlock> {
        usize::try_from(u32::from_be_bytes(self.chunk()?)).map_err(|_| NoBlock)
    }

    fn hash(&mut self) -> Result<Hash, NoBlock> {
        self.chunk().map(Hash)
    }

    fn part(&mut self) -> Result<&'a [u8], NoBlock> {
        let length = self.u32()?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, NoBlock> {
        std::str::from_utf8(self.part()?).map_err(|_| NoBlock)
    }

    fn item(&mut self) -> Result<Item, NoBlock> {
        let [kind] = self.chunk()?;
        Ok(match kind {
            1 => Item::Record(Entry { leaf: self.part()?.to_vec(), sealed: self.part()?.to_vec() }),
            3 => Item::Stream { name: self.text()?.parse().map_err(|_| NoBlock)?, state: self.stream()? },
            4 => Item::Key { grant: self.text()?.parse().map_err(|_| NoBlock)? },
            _ => return Err(NoBlock),
        })
    }

    fn stream(&mut self) -> Result<Stream, NoBlock> {
        let (count, last) = (Count::try_from(self.u64()?).map_err(|_| NoBlock)?, self.hash()?);
        let head = Head { count, last: (count.get() > 0).then_some(last) };
        let [closed] = self.chunk()?;
        let totals =
            Totals { statements: self.u64()?, refused: self.u64()?, rows: self.u64()?, bytes: self.u64()? };
        let last_at = Ran(self.u64()?);
        Ok(Stream { head, closed: closed == 1, totals, last_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogId = LogId([7; 8]);

    fn items() -> Vec<Item> {
        let head = Head { count: Count::of(3), last: Some(Hash([4; 32])) };
        let totals = Totals { statements: 1, refused: 2, rows: 3, bytes: 4 };
        let last_at = Ran(5);
        vec![
            Item::Stream {
                name: record::samples::proxy_stream(1, 2),
                state: Stream { head, closed: true, totals, last_at },
            },
            Item::Key { grant: record::samples::uid(1) },
            Item::Record(Entry { leaf: b"{}".to_vec(), sealed: vec![0; 5000] }),
            Item::Record(Entry { leaf: b"{}".to_vec(), sealed: Vec::new() }),
        ]
    }

    #[test]
    fn what_was_written_is_read_whatever_lies_behind_it() {
        let position = Position { number: 9, index: 70_000, prev: Hash([8; 32]) };
        let (mut bytes, hash) = encode(LOG, position, &items()).unwrap();
        let length = bytes.len();
        assert_eq!(length, 2 * ALIGNMENT);
        bytes.extend_from_slice(&[0xff; 100]);
        assert_eq!(decode(LOG, &bytes), Ok(Block { position, items: items(), hash, length }));
        assert_eq!(decode(LogId([8; 8]), &bytes), Err(NoBlock), "of another log");
        assert_eq!(decode(LOG, &bytes[..length - 1]), Err(NoBlock), "torn");
    }

    #[test]
    fn a_byte_that_is_another_makes_it_none() {
        let (bytes, _) = encode(LOG, START, &items()).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        for at in 0..used {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(decode(LOG, &changed), Err(NoBlock), "byte {at}");
        }
        assert_eq!(decode(LOG, &[0; ALIGNMENT]), Err(NoBlock));
        assert_eq!(decode(LOG, &[]), Err(NoBlock));
    }
}
