//! A log, its writers, and all that is known of what it must have.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use record::samples::{Dice, at, proxy_stream, uid};
use record::{About, Chain, Count, Head, Record, StreamName, Uid, What};
use tlog::{Algorithm, Bundle, Checkpoint, Hash, Holds, KeyName, Range, Signer, Tile, TileName};

use super::sim::SimDisk;
use crate::engine::block::{Entry, LogId};
use crate::engine::commit::{Arriving, Failed, KeyFrom, Room, Sealed, Submission};
use crate::engine::integrate::{Stopped, long_text_path, texts_path};
use crate::engine::journal::{SegmentLength, Segments};
use crate::engine::keys::key_path;
use crate::engine::prune::Begins;
use crate::engine::recover::{Identity, NotOpened, Opened, open};
use crate::engine::storage::Storage;
use crate::engine::volume::Files as _;

/// Short, so that segments are full often.
pub(super) const SEGMENT: SegmentLength = SegmentLength(48 * 1024);

pub(super) fn origin() -> KeyName {
    "keyhole.internal/log/0707070707070707".parse().unwrap()
}

pub(super) fn signer() -> Signer {
    Signer::new(origin(), Algorithm::Ed25519, &[3; 32]).unwrap()
}

pub(super) fn identity() -> Identity {
    Identity { origin: origin(), id: LogId([7; 8]), keys: vec![signer().verifier().clone()], anchor: None }
}

/// A writer, as a proxy is: it keeps what is not acknowledged, and sends it again.
pub(super) struct Writer {
    chain: Chain,
    /// Every record that it ever wrote.
    written: Vec<Arriving>,
    /// How many of them were acknowledged.
    acknowledged: usize,
}

/// What the log lies on, in memory.
pub(super) trait Sim: Storage + Clone {
    /// The keys that a grant has, by where they lie: the last one is in use.
    fn keys_of(&self, grant: &Uid) -> BTreeMap<String, Vec<u8>>;
    /// Where these bytes stand.
    fn with(&self, bytes: &[u8]) -> Vec<String>;
}

impl Sim for SimDisk {
    fn keys_of(&self, grant: &Uid) -> BTreeMap<String, Vec<u8>> {
        let path = key_path(grant);
        self.peek(&path).map(|key| (path, key)).into_iter().collect()
    }

    fn with(&self, bytes: &[u8]) -> Vec<String> {
        self.with(bytes)
    }
}

/// All that is outside the log.
pub(super) struct World<S = SimDisk> {
    pub(super) disk: S,
    pub(super) dice: Dice,
    pub(super) signer: Signer,
    pub(super) writers: BTreeMap<StreamName, Writer>,
    /// Leaf hash and sealed text of every record that is known to be durable, in the order of the tree.
    pub(super) order: Vec<(Hash, Vec<u8>)>,
    /// What may be durable too, or not: it was handed over when the disk failed.
    pub(super) maybe: Vec<(Hash, Vec<u8>)>,
    /// The tree of `order`, as far as it is counted.
    pub(super) range: Range,
    /// Every checkpoint that was ever signed, by size.
    pub(super) signed: BTreeMap<u64, Hash>,
    /// The size of the newest that is known to be durable.
    pub(super) published: u64,
    pub(super) runs: u8,
    /// How many erasures there were since the start.
    pub(super) erasures: u64,
    /// The index of the first record that was not pruned.
    pub(super) begins: u64,
    /// The key of each grant that wrote since the start.
    pub(super) keys: BTreeMap<Uid, (Vec<u8>, KeyFrom)>,
    /// The keys with which texts are sealed that were acknowledged.
    pub(super) sealed: BTreeMap<Uid, BTreeSet<Vec<u8>>>,
    /// Those that were erased, as far as that is known.
    pub(super) erased: BTreeSet<Vec<u8>>,
    /// The grant whose texts are being erased.
    pub(super) erasing: Option<Uid>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let disk = SimDisk::new(seed);
        Segments::create(&disk, SEGMENT).unwrap();
        Self::on(disk, seed)
    }
}

impl<S: Sim> World<S> {
    pub(super) fn on(disk: S, seed: u64) -> Self {
        Self {
            disk,
            dice: Dice::of(seed ^ 0xabcd),
            signer: signer(),
            writers: BTreeMap::new(),
            order: Vec::new(),
            maybe: Vec::new(),
            range: Range::default(),
            signed: BTreeMap::new(),
            published: 0,
            runs: 0,
            erasures: 0,
            begins: 0,
            keys: BTreeMap::new(),
            sealed: BTreeMap::new(),
            erased: BTreeSet::new(),
            erasing: None,
        }
    }

    /// Starts the log, and holds what it has against what it must have.
    pub(super) fn start(&mut self) -> Result<Opened<S>, NotOpened> {
        let opened = open(self.disk.clone(), &identity(), SEGMENT)?;
        self.erasures = 0;
        self.keys.clear();
        let size = usize::try_from(opened.engine.size()).unwrap();
        let known = self.order.len();
        assert!(
            size == known || size == known + self.maybe.len(),
            "{known} or {} more, and {size}",
            self.maybe.len()
        );
        let more = std::mem::take(&mut self.maybe);
        let erasing = self.erasing.take();
        if size > known {
            self.settle(more);
            self.is_erased(erasing);
        }
        assert_eq!(opened.tree.size(), opened.engine.size());
        if let Some(Checkpoint { size, root, .. }) = &opened.signed {
            assert_eq!(self.signed.get(size), Some(root), "a checkpoint that nobody signed");
            assert!(
                *size >= self.published,
                "the checkpoint of {size} is older than that of {}",
                self.published
            );
            self.published = *size;
        } else {
            assert_eq!(self.published, 0, "the checkpoint is gone");
        }
        for (name, writer) in &mut self.writers {
            let Head { count, last } = opened.engine.streams().head(name);
            let has = usize::try_from(count.get()).unwrap();
            assert!(
                has >= writer.acknowledged,
                "{name}: {} were acknowledged, and {has} are there",
                writer.acknowledged
            );
            assert!(has <= writer.written.len());
            assert_eq!(last, has.checked_sub(1).map(|at| writer.written[at].hash));
            writer.acknowledged = has;
        }
        Ok(opened)
    }

    fn settle(&mut self, more: Vec<(Hash, Vec<u8>)>) {
        for (hash, sealed) in more {
            self.range.push(hash, |_, _| ()).unwrap();
            self.order.push((hash, sealed));
        }
    }

    /// Lives until the disk fails, or so many steps are done.
    pub(super) fn live(&mut self, opened: &mut Opened<S>, steps: u64) -> Result<(), Broken> {
        let start = opened.engine.own(at(0), None, start()).unwrap();
        self.commit(opened, vec![start])?;
        for _ in 0..steps {
            match self.dice.below(4) {
                0 => self.publish(opened)?,
                _ => {
                    let submissions = (0..=self.dice.below(3)).map(|_| self.submission()).collect();
                    self.commit(opened, submissions)?;
                }
            }
        }
        Ok(())
    }

    /// One to four new records of some writer, and before them what was not acknowledged.
    pub(super) fn submission(&mut self) -> Submission {
        if self.writers.is_empty() || self.dice.below(12) == 0 {
            self.runs = self.runs.wrapping_add(1);
            let name = proxy_stream(self.runs % 3, self.runs);
            let writer = Writer { chain: Chain::new(name.clone()), written: Vec::new(), acknowledged: 0 };
            self.writers.entry(name).or_insert(writer);
        }
        let which = self.dice.below(self.writers.len());
        let (name, writer) = self.writers.iter_mut().nth(which).unwrap();
        for _ in 0..=self.dice.below(4) {
            let sealed = match self.dice.below(24) {
                0 => vec![7; 16 * 1024 + 1],
                1..=9 => Vec::new(),
                _ => self.dice.roll().to_be_bytes().to_vec(),
            };
            let what = record::samples::statement(1, &sealed);
            let leaf = writer.chain.next(at(0), About::default(), what).unwrap();
            let record = Record::decode(&leaf.text).unwrap();
            writer.written.push(Arriving {
                record,
                hash: leaf.hash,
                entry: Entry { leaf: leaf.text, sealed },
            });
        }
        // Now and then more than is needed, as after a connection that broke.
        let from = writer.acknowledged.saturating_sub(usize::from(self.dice.below(5) == 0));
        let grant = name.grant().unwrap().clone();
        let records = writer.written[from..].to_vec();
        let name = name.clone();
        // As `seal::Keys` does.
        let stored = self.disk.keys_of(&grant).into_values().next_back();
        let new = || ((0..5).flat_map(|_| self.dice.roll().to_be_bytes()).collect(), KeyFrom::Made);
        let key = || stored.map_or_else(new, |key| (key, KeyFrom::Stored));
        let (wrapped, from) = self.keys.entry(grant.clone()).or_insert_with(key).clone();
        let sealed = Sealed { grant, wrapped, from, erasures: self.erasures };
        Submission { stream: name, records, sealed: Some(sealed) }
    }

    pub(super) fn commit(
        &mut self,
        opened: &mut Opened<S>,
        submissions: Vec<Submission>,
    ) -> Result<(), Broken> {
        let names: Vec<_> = submissions.iter().map(|submission| submission.stream.clone()).collect();
        let has_text =
            |submission: &Submission| self.new_in(submission).iter().any(|(_, sealed)| !sealed.is_empty());
        let sealed = submissions.iter().filter(|submission| has_text(submission));
        let sealed: Vec<Sealed> = sealed.filter_map(|submission| submission.sealed.clone()).collect();
        self.erasing = submissions.iter().find_map(erases);
        self.maybe = submissions.iter().flat_map(|submission| self.new_in(submission)).collect();
        // One writer may be there twice: what is new in the second is counted from the first.
        let mut seen = std::collections::BTreeSet::new();
        self.maybe.retain(|(hash, _)| seen.insert(*hash));
        let keys = self.stored();
        let committed =
            opened.engine.commit(submissions, Room::Enough, Duration::ZERO).map_err(Broken::Engine)?;
        for (name, answer) in names.iter().zip(&committed.answers) {
            let head = answer.as_ref().unwrap();
            if let Some(writer) = self.writers.get_mut(name) {
                writer.acknowledged = usize::try_from(head.count.get()).unwrap();
            }
        }
        assert_eq!(committed.durable.len(), self.maybe.len());
        let more = std::mem::take(&mut self.maybe);
        self.settle(more);
        let is_erased = |path: &String| {
            let erased = committed.durable.iter().filter_map(|durable| durable.erases.as_ref());
            erased.map(key_path).any(|erased| path.starts_with(&erased))
        };
        let now = self.stored();
        assert!(keys.iter().all(|(path, key)| is_erased(path) || now.get(path) == Some(key)));
        for Sealed { grant, wrapped, .. } in sealed {
            self.sealed.entry(grant).or_default().insert(wrapped);
        }
        let erased = self.erasing.take();
        self.is_erased(erased);
        for durable in committed.durable {
            if let Some(grant) = &durable.erases {
                self.erasures += 1;
                self.keys.remove(grant);
            }
            opened.tree.take(durable).map_err(Broken::Tree)?;
        }
        Ok(())
    }

    /// The texts of a grant are erased for good, if of any.
    fn is_erased(&mut self, grant: Option<Uid>) {
        self.erased.extend(grant.and_then(|grant| self.sealed.remove(&grant)).unwrap_or_default());
    }

    /// Every key that is stored, by where it lies.
    fn stored(&self) -> BTreeMap<String, Vec<u8>> {
        (0..3).flat_map(|grant| self.disk.keys_of(&uid(grant))).collect()
    }

    pub(super) fn new_in(&self, submission: &Submission) -> Vec<(Hash, Vec<u8>)> {
        let has = self.writers.get(&submission.stream).map_or(0, |writer| writer.acknowledged);
        let has = Count::of(has.try_into().unwrap());
        let new = submission.records.iter().filter(|arriving| arriving.record.n >= has);
        new.map(|arriving| (arriving.hash, arriving.entry.sealed.clone())).collect()
    }

    pub(super) fn publish(&mut self, opened: &mut Opened<S>) -> Result<(), Broken> {
        assert_eq!(opened.tree.size(), self.range.size());
        // From here on somebody may have read it.
        let before = self.signed.insert(self.range.size(), self.range.root());
        assert!(before.is_none_or(|root| root == self.range.root()), "two roots of one size");
        let signers = std::slice::from_ref(&self.signer);
        let checkpoint = opened.tree.publish(&mut opened.files, signers).map_err(Broken::Tree)?;
        assert_eq!((checkpoint.size, checkpoint.root), (self.range.size(), self.range.root()));
        self.published = checkpoint.size;
        opened.engine.release(checkpoint.size).map_err(Broken::Engine)
    }

    /// Reads every file of the newest checkpoint, as a stranger would. Each text that was not erased has its key, and no other one has.
    pub(super) fn read_all(&self) {
        for (grant, sealed) in &self.sealed {
            let keys: BTreeSet<Vec<u8>> = self.disk.keys_of(grant).into_values().collect();
            assert!(sealed.is_subset(&keys), "a key of {grant} is gone");
        }
        for erased in &self.erased {
            assert_eq!(self.disk.with(erased), [""; 0], "a key that was erased is there");
        }
        let files = Storage::files(&self.disk).unwrap();
        let read = |path: String| files.read(&path).unwrap().unwrap_or_else(|| panic!("no {path}"));
        let mut hashes: BTreeMap<tlog::Place, Hash> = BTreeMap::new();
        let mut range = Range::default();
        for (hash, _) in &self.order[..usize::try_from(self.published).unwrap()] {
            range.push(*hash, |place, hash| _ = hashes.insert(place, hash)).unwrap();
        }
        let begins = Begins::with(self.begins);
        for name in TileName::all(self.published).filter(|name| !begins.is_pruned(*name)) {
            let bytes = read(name.to_string());
            let first = name.index * 256;
            match name.holds {
                Holds::Hashes(level) => {
                    let tile = Tile::parse(name, &bytes).unwrap();
                    for (index, hash) in (first..).zip(tile.hashes()) {
                        assert_eq!(hashes[&tlog::Place { level: level * 8, index }], *hash, "{name}");
                    }
                }
                Holds::Entries => {
                    let bundle = Bundle::parse(name, &bytes).unwrap();
                    for (index, entry) in (first..).zip(bundle.entries()) {
                        let (hash, _) = &self.order[usize::try_from(index).unwrap()];
                        assert_eq!(Hash::of_leaf(entry), *hash, "{name}");
                    }
                    self.read_texts(name, files.read(&texts_path(name)).unwrap(), &read);
                }
            }
        }
    }

    fn read_texts(&self, name: TileName, bytes: Option<Vec<u8>>, read: &dyn Fn(String) -> Vec<u8>) {
        let first = usize::try_from(name.index * 256).unwrap();
        let expected = &self.order[first..first + usize::from(name.width)];
        let Some(bytes) = bytes else {
            assert!(
                expected.iter().all(|(_, sealed)| sealed.is_empty()),
                "the texts of {name} are not there"
            );
            return;
        };
        let mut rest = bytes.as_slice();
        for (width, (_, sealed)) in (1..).zip(expected) {
            let (length, after) = rest.split_first_chunk().unwrap();
            let length = u32::from_be_bytes(*length);
            if length == u32::MAX {
                assert_eq!(read(long_text_path(TileName { width, ..name })), *sealed);
                rest = after;
            } else {
                let (found, after) = after.split_at(length.try_into().unwrap());
                assert_eq!(found, sealed);
                rest = after;
            }
        }
        assert!(rest.is_empty());
    }
}

/// The grant whose texts these erase.
fn erases(submission: &Submission) -> Option<Uid> {
    let record = &submission.records.first()?.record;
    record.grant.clone().filter(|_| matches!(record.what, What::Erase(_)))
}

/// The log as it starts again.
pub(super) fn open_again(disk: &SimDisk) -> Opened<SimDisk> {
    open(disk.clone(), &identity(), SEGMENT).unwrap()
}

/// A life is over.
#[derive(Debug)]
pub(super) enum Broken {
    Engine(#[expect(dead_code, reason = "shown when a test fails")] Failed),
    Tree(Stopped),
}

pub(super) fn start() -> What {
    let (origin, release) = (origin().to_string(), "0.1.0".into());
    What::Start(record::kinds::log::Start { origin, predecessor: None, release })
}
