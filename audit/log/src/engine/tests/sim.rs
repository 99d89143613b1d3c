//! A disk in memory that is as unpleasant as POSIX lets it be.
//!
//! What is not synced may be there after a power cut or not, each sector of 512 bytes and each entry of a folder for itself. A sync that
//! fails leaves what was written readable, and never writes it. What a process wrote before it was killed is there, and not durable.

#![allow(clippy::arithmetic_side_effects)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use record::samples::Dice;

/// What a disk writes at once.
const SECTOR: usize = 512;

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine loses power: the call may have had its effect, or some of it.
    PowerCut,
    /// The process is killed.
    Kill,
    /// The call fails: input/output error.
    Eio,
    /// The call fails: no space. Only what takes space fails so.
    Enospc,
}

impl Fault {
    pub const ALL: [Self; 4] = [Self::PowerCut, Self::Kill, Self::Eio, Self::Enospc];
}

#[derive(Clone, Default)]
pub(super) struct Inode {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Sectors that are written and not synced.
    pub(super) dirty: BTreeSet<usize>,
    /// Whether what can be read may be more than what is durable.
    pub(super) differs: bool,
    /// Whether a sync failed: what it did not write is written with nothing but a new write.
    pub(super) lost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    File(usize),
    Folder,
}

/// A change of folders: it is durable as a whole or not at all.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) folder: PathBuf,
    pub(super) steps: Vec<(PathBuf, Option<Node>)>,
}

#[derive(Clone)]
pub(super) struct State {
    pub(super) dice: Dice,
    pub(super) inodes: Vec<Inode>,
    pub(super) cached: BTreeMap<PathBuf, Node>,
    pub(super) durable: BTreeMap<PathBuf, Node>,
    pub(super) changes: Vec<Change>,
    pub(super) calls: u64,
    pub(super) fault: Option<(u64, Fault)>,
    pub(super) dead: Option<Fault>,
}

/// The disk. Clones share it.
#[derive(Clone)]
pub struct SimDisk(pub(super) Rc<RefCell<State>>);

impl SimDisk {
    pub fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(State {
            dice: Dice::of(seed),
            inodes: Vec::new(),
            cached: BTreeMap::new(),
            durable: BTreeMap::new(),
            changes: Vec::new(),
            calls: 0,
            fault: None,
            dead: None,
        })))
    }

    /// Another disk with the same content.
    pub fn copy(&self) -> Self {
        Self(Rc::new(RefCell::new(self.0.borrow().clone())))
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.0.borrow().calls
    }

    /// At the call after so many more, this happens.
    pub fn fail(&self, after: u64, fault: Fault) {
        let mut state = self.0.borrow_mut();
        state.fault = Some((state.calls + after, fault));
    }

    /// What has happened, if anything.
    pub fn failed(&self) -> Option<Fault> {
        self.0.borrow().dead
    }

    /// The process is started again; after a power cut the disk has what was durable, and some of the rest.
    pub fn restart(&self) {
        let mut state = self.0.borrow_mut();
        if state.dead.take() == Some(Fault::PowerCut) {
            state.lose_power();
        }
        state.fault = None;
    }

    /// Power goes while no process runs.
    pub fn lose_power(&self) {
        self.0.borrow_mut().lose_power();
    }

    /// Changes a byte, as rot does.
    pub fn flip(&self, path: &str, at: usize) {
        let mut state = self.0.borrow_mut();
        let Some(Node::File(inode)) = state.cached.get(Path::new(path)).copied() else { panic!("{path}") };
        state.inodes[inode].cached[at] ^= 0x10;
        state.inodes[inode].durable[at] ^= 0x10;
    }

    /// What a file has, if it is there. No call, and so none that fails.
    pub fn peek(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.0.borrow();
        match state.cached.get(Path::new(path)) {
            Some(Node::File(inode)) => Some(state.inodes[*inode].cached.clone()),
            _ => None,
        }
    }

    /// The files in which these bytes stand.
    pub fn with(&self, bytes: &[u8]) -> Vec<String> {
        let mut files = self.files();
        files.retain(|path| self.peek(path).unwrap().windows(bytes.len()).any(|part| part == bytes));
        files
    }

    /// Every file.
    pub fn files(&self) -> Vec<String> {
        let state = self.0.borrow();
        let files = state.cached.iter().filter(|(_, node)| **node != Node::Folder);
        files.map(|(path, _)| path.to_string_lossy().into_owned()).collect()
    }
}

pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn dead() -> io::Error {
    io::Error::other("the process is gone")
}

/// What is left of a call at which something happens.
pub(super) enum Left {
    All,
    Some,
    Nothing,
}

impl State {
    /// Counts a call. `takes_space`: whether it may fail for want of it.
    pub(super) fn call(&mut self, takes_space: bool) -> Result<Option<(Left, io::Error)>, io::Error> {
        if self.dead.is_some() {
            return Err(dead());
        }
        self.calls += 1;
        let Some((at, fault)) = self.fault else { return Ok(None) };
        if self.calls <= at || (fault == Fault::Enospc && !takes_space) {
            return Ok(None);
        }
        self.dead = Some(fault);
        let left = match self.dice.below(3) {
            0 => Left::All,
            1 => Left::Some,
            _ => Left::Nothing,
        };
        Ok(Some(match fault {
            Fault::PowerCut | Fault::Kill => (left, dead()),
            Fault::Eio => (Left::Some, io::Error::from_raw_os_error(5)),
            Fault::Enospc => (Left::Some, io::Error::from_raw_os_error(28)),
        }))
    }

    pub(super) fn change(&mut self, folder: PathBuf, steps: Vec<(PathBuf, Option<Node>)>) {
        apply(&mut self.cached, &steps);
        self.changes.push(Change { folder, steps });
    }

    pub(super) fn lose_power(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            if self.dice.coin() {
                apply(&mut self.durable, &change.steps);
            }
        }
        // What lies in a folder that is not there is lost with it.
        let folders: BTreeSet<PathBuf> = self
            .durable
            .iter()
            .filter(|(_, node)| **node == Node::Folder)
            .map(|(path, _)| path.clone())
            .collect();
        let is_there = |path: &Path| {
            path.ancestors().skip(1).all(|above| above == Path::new("") || folders.contains(above))
        };
        self.durable.retain(|path, _| is_there(path));
        self.cached = self.durable.clone();
        let named: BTreeSet<usize> = self
            .cached
            .values()
            .filter_map(|node| if let Node::File(inode) = node { Some(*inode) } else { None })
            .collect();
        for (number, inode) in self.inodes.iter_mut().enumerate() {
            if !named.contains(&number) {
                *inode = Inode::default();
            }
            if !std::mem::take(&mut inode.differs) {
                continue;
            }
            let longer = inode.cached.len() > inode.durable.len() && self.dice.coin();
            if longer {
                inode.durable.resize(inode.cached.len(), 0);
            }
            for sector in std::mem::take(&mut inode.dirty) {
                if self.dice.coin() {
                    inode.persist(sector);
                }
            }
            inode.cached = inode.durable.clone();
        }
    }
}

pub(super) fn apply(names: &mut BTreeMap<PathBuf, Node>, steps: &[(PathBuf, Option<Node>)]) {
    for (path, node) in steps {
        match node {
            Some(node) => _ = names.insert(path.clone(), *node),
            None => _ = names.remove(path),
        }
    }
}

impl Inode {
    /// A sector reaches the disk, as far as the file is so long there.
    pub(super) fn persist(&mut self, sector: usize) {
        let end = ((sector + 1) * SECTOR).min(self.durable.len()).min(self.cached.len());
        let start = (sector * SECTOR).min(end);
        self.durable[start..end].copy_from_slice(&self.cached[start..end]);
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.cached.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.persist(sector);
        }
        self.differs = self.lost;
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        self.differs = true;
        self.dirty.extend(offset / SECTOR..end.div_ceil(SECTOR));
    }
}
