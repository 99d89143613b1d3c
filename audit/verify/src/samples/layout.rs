//! Lays a log out as files, and signs it: with the key of a log and that of a witness.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::source::Source;
use record::texts::Texts;
use tlog::{
    Algorithm, Bundle, Checkpoint, Hash, Holds, KeyName, Policy, Range, Signer, Tile, TileName, WIDTH,
};

/// The name of every sample.
pub const ORIGIN: &str = "keyhole.internal/log/0123456789abcdef";

/// An entry of the log, and the text beside it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record.
    pub leaf: Vec<u8>,
    /// Salt and payload.
    pub text: Option<Vec<u8>>,
}

/// Where files go.
pub trait Put {
    /// Writes all of a file.
    fn put(&mut self, path: String, bytes: Vec<u8>);
}

/// The files of a log in memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Put for Files {
    fn put(&mut self, path: String, bytes: Vec<u8>) {
        self.0.insert(path, bytes);
    }
}

impl Source for Files {
    type Error = Infallible;

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.0.get(path).cloned())
    }
}

/// A log that is being laid out. Keeps no more than one bundle and one tile of each level.
#[derive(Default)]
pub struct Layout<P> {
    /// What is written.
    pub files: P,
    range: Range,
    bundle: Vec<u8>,
    texts: Vec<u8>,
    has_texts: bool,
    tiles: Vec<Vec<Hash>>,
}

impl<P: Put> Layout<P> {
    /// An empty log.
    pub fn into(files: P) -> Self {
        Self {
            files,
            range: Range::default(),
            bundle: Vec::new(),
            texts: Vec::new(),
            has_texts: false,
            tiles: Vec::new(),
        }
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: &Entry) {
        Bundle::put(&entry.leaf, &mut self.bundle).unwrap();
        Texts::put(entry.text.as_deref(), &mut self.texts).unwrap();
        self.has_texts |= entry.text.is_some();
        let tiles = &mut self.tiles;
        let node = |place: tlog::Place, hash| {
            if place.level.is_multiple_of(8) {
                let level = usize::from(place.level / 8);
                tiles.resize(tiles.len().max(level + 1), Vec::new());
                tiles[level].push(hash);
            }
        };
        self.range.push(Hash::of_leaf(&entry.leaf), node).unwrap();
        if self.range.size().is_multiple_of(u64::from(WIDTH)) {
            self.write_bundle();
        }
        for level in 0..self.tiles.len() {
            if self.tiles[level].len() == usize::from(WIDTH) {
                self.write_tile(level);
            }
        }
    }

    fn write_bundle(&mut self) {
        let size = self.range.size();
        let name = TileName::in_tree(Holds::Entries, (size - 1) / u64::from(WIDTH), size).unwrap();
        self.files.put(name.to_string(), std::mem::take(&mut self.bundle));
        let texts = std::mem::take(&mut self.texts);
        if std::mem::take(&mut self.has_texts) {
            self.files.put(Texts::path(name).unwrap(), texts);
        }
    }

    fn write_tile(&mut self, level: usize) {
        let hashes = std::mem::take(&mut self.tiles[level]);
        let holds = Holds::Hashes(u8::try_from(level).unwrap());
        let all = self.range.size() >> (8 * level);
        let name = TileName::in_tree(holds, (all - 1) / u64::from(WIDTH), self.range.size()).unwrap();
        assert_eq!(usize::from(name.width), hashes.len());
        self.files.put(name.to_string(), Tile::bytes(&hashes));
    }

    /// The last files, and the checkpoint.
    pub fn finish(mut self, keys: &Keys, seconds: u64) -> P {
        if !self.bundle.is_empty() {
            self.write_bundle();
        }
        for level in 0..self.tiles.len() {
            if !self.tiles[level].is_empty() {
                self.write_tile(level);
            }
        }
        let note = keys.sign(self.range.size(), self.range.root(), seconds);
        self.files.put("checkpoint".to_owned(), note.into_bytes());
        self.files
    }
}

/// Who signs.
pub struct Keys {
    /// The log.
    pub log: Signer,
    /// The operator.
    pub witness: Signer,
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

impl Keys {
    /// The same each time.
    pub fn new() -> Self {
        let signer = |name: &str, algorithm, seed| {
            Signer::new(name.parse::<KeyName>().unwrap(), algorithm, &[seed; 32]).unwrap()
        };
        Self {
            log: signer(ORIGIN, Algorithm::Ed25519, 1),
            witness: signer("keyhole.internal/witness", Algorithm::Cosignature, 2),
        }
    }

    /// Whom a reader trusts: this log, once the operator has witnessed it.
    pub fn policy(&self) -> Policy {
        self.policy_file().parse().unwrap()
    }

    /// The same as a file.
    pub fn policy_file(&self) -> String {
        let (log, witness) = (self.log.verifier(), self.witness.verifier());
        format!("log {log}\nwitness operator {witness}\nquorum operator\n")
    }

    /// The note of a checkpoint, signed by both.
    pub fn sign(&self, size: u64, root: Hash, seconds: u64) -> String {
        let checkpoint = Checkpoint { origin: ORIGIN.parse().unwrap(), size, root };
        checkpoint.signed([&self.log, &self.witness], seconds).unwrap().to_string()
    }
}

/// All files of a log of these entries.
pub fn lay_out(entries: &[Entry], seconds: u64) -> Files {
    let mut layout = Layout::into(Files::default());
    entries.iter().for_each(|entry| layout.push(entry));
    layout.finish(&Keys::new(), seconds)
}
