//! A log for tests: its tree is that of its entries, and what else it answers is put into it.

#![allow(clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;
use std::sync::Mutex;

use record::kinds::log::Key;
use record::{About, Chain, Count, StreamName, Time, What};
use tlog::{Algorithm, Bundle, Checkpoint, Hash, Holds, Place, Range, Signer, Tile, TileName, WIDTH};

use super::streams::{CannotAsk, Log};

const ORIGIN: &str = "keyhole.internal/log/0123456789abcdef";

/// The log.
#[derive(Default)]
pub struct FakeLog {
    /// What its tree has.
    pub entries: Vec<Vec<u8>>,
    /// What it answers, by path, whatever its tree has.
    pub answers: BTreeMap<String, Vec<u8>>,
    /// What it was asked for.
    pub asked: Mutex<Vec<String>>,
}

impl FakeLog {
    /// One whose only record names its key.
    pub fn begun() -> Self {
        let key = What::Key(Key { verifier: signer().verifier().to_string() });
        let at = Time::from_micros(1_767_268_800_000_000).unwrap();
        let stream = StreamName::Log { start: Count::of(0) };
        let leaf = Chain::new(stream).next(at, About::default(), key).unwrap();
        Self { entries: vec![leaf.text], ..Self::default() }
    }

    /// Others write so many records.
    pub fn others(&mut self, count: usize) {
        let before = self.entries.len();
        self.entries.extend((0..count).map(|number| format!("record {number} behind {before}").into_bytes()));
    }

    /// Its checkpoint.
    pub fn checkpoint(&self) -> Checkpoint {
        let (range, _) = self.tree();
        Checkpoint { origin: ORIGIN.parse().unwrap(), size: range.size(), root: range.root() }
    }

    fn tree(&self) -> (Range, BTreeMap<Place, Hash>) {
        let (mut range, mut nodes) = (Range::default(), BTreeMap::new());
        for entry in &self.entries {
            range.push(Hash::of_leaf(entry), |place, hash| _ = nodes.insert(place, hash)).unwrap();
        }
        (range, nodes)
    }

    fn file(&self, name: TileName) -> Vec<u8> {
        let first = name.index * u64::from(WIDTH);
        let all = first..first + u64::from(name.width);
        let mut bytes = Vec::new();
        match name.holds {
            Holds::Entries => {
                for index in all {
                    Bundle::put(&self.entries[usize::try_from(index).unwrap()], &mut bytes).unwrap();
                }
            }
            Holds::Hashes(level) => {
                let (_, nodes) = self.tree();
                let hashes: Vec<Hash> = all.map(|index| nodes[&Place { level: level * 8, index }]).collect();
                bytes = Tile::bytes(&hashes);
            }
        }
        bytes
    }
}

impl Log for FakeLog {
    async fn get(&self, path: &str) -> Result<Option<Vec<u8>>, CannotAsk> {
        self.asked.lock().unwrap().push(path.to_owned());
        if let Some(answer) = self.answers.get(path) {
            return Ok(Some(answer.clone()));
        }
        if path == "checkpoint" {
            return Ok(Some(self.checkpoint().signed([&signer()], 0).unwrap().to_string().into_bytes()));
        }
        Ok(path.parse().ok().map(|name| self.file(name)))
    }
}

fn signer() -> Signer {
    Signer::new(ORIGIN.parse().unwrap(), Algorithm::Ed25519, &[1; 32]).unwrap()
}
