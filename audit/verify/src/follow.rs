//! Follows a log that grows. What is handed out was proved before: each checkpoint is signed as a policy asks and has grown out of the one
//! before, and each entry is in the tree of the checkpoint that it is read under.

use record::{BadRecord, Record, What};
use tlog::{Checkpoint, Hash, Holds, Policy, Range, TileName, Trusted, consistency, verify_consistency};

use crate::files::Files;
use crate::nodes::{Nodes, Unproved, of_no_proof};
use crate::source::Source;
use crate::story::Told;
use crate::verify::{Unreadable, block_of, entries_before, first_block, is_there};

/// Why it goes no further. What was handed out stays handed out, and the place stays: what can be read again goes on where it was.
#[derive(Debug, thiserror::Error)]
pub enum NotFollowed<E> {
    /// A file could not be read, or the checkpoint is not to be trusted.
    #[error(transparent)]
    Unreadable(Unreadable<E>),
    /// The files do not lead to the checkpoint's root.
    #[error(transparent)]
    Unproved(Unproved<E>),
    /// It is another log.
    #[error("the log is {now}, and was {before}")]
    Other {
        /// Its origin.
        now: String,
        /// The one before.
        before: String,
    },
    /// It has less than before.
    #[error("the log has {now} entries, and had {before}: it has lost some")]
    Shrunk {
        /// How many it has.
        now: u64,
        /// How many it had.
        before: u64,
    },
    /// It has something else than before.
    #[error(
        "the log of {now} entries has not grown out of that of {before}: it was rewritten, or there are two of it"
    )]
    Rewritten {
        /// How many it has.
        now: u64,
        /// How many it had.
        before: u64,
    },
    /// Its beginning is gone, and nothing says why.
    #[error(
        "the log has entries from {first} on alone, and no record `prune` of it says that those before were removed"
    )]
    Gone {
        /// The first that is there.
        first: u64,
    },
    /// An entry of the tree that this release can't read.
    #[error("entry {index} is no record that this release knows")]
    NoRecord {
        /// Which entry.
        index: u64,
        /// Why.
        source: BadRecord,
    },
}

/// A log, and how far it was followed.
pub struct Follower<'s, S> {
    files: Files<'s, S>,
    policy: Policy,
    seen: Option<Checkpoint>,
    /// Of the checkpoint's tree.
    nodes: Nodes,
    next: u64,
    wanted: u64,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begins {
    /// The index of the first record that is wanted. What is gone before it was known to whoever wants it.
    pub wanted: u64,
    /// The index of the first that is read, where there is one, for what it says of later ones; `wanted` at the most.
    pub read: u64,
}

type Followed<T, S> = Result<T, NotFollowed<<S as Source>::Error>>;

impl<'s, S: Source> Follower<'s, S> {
    /// From there on. Where the log's beginning is gone, from the first entry that it has, as long as that is not behind the first that is
    /// wanted, or a `prune` record of the tree says that what is before it was removed.
    pub fn of(source: &'s S, policy: Policy, begins: Begins) -> Self {
        let Begins { wanted, read } = begins;
        let next = read.min(wanted);
        Self { files: Files::of(source), policy, seen: None, nodes: Nodes::of(0), next, wanted }
    }

    /// The index of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The checkpoint that was seen last.
    pub fn seen(&self) -> Option<&Checkpoint> {
        self.seen.as_ref()
    }

    /// Goes by this checkpoint from now on, a signed note.
    ///
    /// # Errors
    /// Nobody who is trusted signed it, or it has not grown out of the one before: that one stays. Of the first one: its beginning is
    /// gone, and nothing says why.
    pub fn sees(&mut self, note: &str) -> Followed<(), S> {
        let trusted = self.policy.check(note);
        let Trusted { checkpoint: now, .. } =
            trusted.map_err(|error| NotFollowed::Unreadable(Unreadable::NotTrusted(error)))?;
        let mut nodes = Nodes::of(now.size);
        match &self.seen {
            Some(before) => grown(&self.files, (before, &now), &mut nodes)?,
            None => self.next = self.begins(&now, &mut nodes)?,
        }
        (self.seen, self.nodes) = (Some(now), nodes);
        Ok(())
    }

    /// The index of the first record.
    fn begins(&self, now: &Checkpoint, nodes: &mut Nodes) -> Followed<u64, S> {
        let first = first_block(&self.files, now.size).map_err(NotFollowed::Unreadable)?;
        let first = entries_before(first);
        if first <= self.wanted {
            return Ok(self.next.max(first));
        }
        // The hole that was found is behind it: whoever reads on meets it.
        if is_there(&self.files, block_of(self.wanted), now.size).map_err(NotFollowed::Unreadable)? {
            return Ok(self.wanted);
        }
        match self.is_pruned(first, now, nodes)? {
            true => Ok(first),
            false => Err(NotFollowed::Gone { first }),
        }
    }

    /// Whether the tree has the record that the entries before this one were removed. The newest one says most: so it is looked for from
    /// the end.
    fn is_pruned(&self, first: u64, now: &Checkpoint, nodes: &mut Nodes) -> Followed<bool, S> {
        let says_so = |entry: &Vec<u8>| {
            let what = Record::decode(entry).map(|record| record.what);
            matches!(what, Ok(What::Prune(prune)) if prune.minimum.get() >= first)
        };
        let Some(last) = now.size.checked_sub(1) else { return Ok(false) };
        for block in (block_of(first)..=block_of(last)).rev() {
            match bundle(&self.files, nodes, (block, now)) {
                Ok(entries) if entries.iter().any(says_so) => return Ok(true),
                Ok(_) => {}
                Err(
                    error @ (NotFollowed::Unreadable(_) | NotFollowed::Unproved(Unproved::Unreadable(_))),
                ) => {
                    return Err(error);
                }
                // What cannot be proved says nothing.
                Err(_) => {}
            }
        }
        Ok(false)
    }

    /// The next records, of one bundle at the most; none, where all of the checkpoint is read.
    ///
    /// # Errors
    /// They can't be read or proved. The same are asked for again the next time.
    pub fn records(&mut self) -> Followed<Vec<Told>, S> {
        let Some(checkpoint) = self.seen.as_ref().filter(|seen| self.next < seen.size) else {
            return Ok(Vec::new());
        };
        let block = block_of(self.next);
        let entries = bundle(&self.files, &mut self.nodes, (block, checkpoint))?;
        let mut told = Vec::new();
        for (index, entry) in (entries_before(block)..).zip(&entries).filter(|(index, _)| *index >= self.next)
        {
            match Record::decode(entry) {
                Ok(record) => told.push(Told { index, record, payload: None }),
                // What is before it goes out first.
                Err(_) if !told.is_empty() => break,
                Err(source) => return Err(NotFollowed::NoRecord { index, source }),
            }
        }
        self.next = told.last().map_or(self.next, |last| last.index.saturating_add(1));
        Ok(told)
    }
}

/// Proves by the tiles of a log that the tree of one checkpoint has grown out of that of another. Who signed them is not looked at.
///
/// # Errors
/// It has not, or the tiles can't be read.
pub fn has_grown<S: Source>(source: &S, before: &Checkpoint, now: &Checkpoint) -> Followed<(), S> {
    grown(&Files::of(source), (before, now), &mut Nodes::of(now.size))
}

/// The checkpoint of a copy's whole bundles alone: of the entries of `checkpoint` but those of its last bundle that is not whole. By the tiles of
/// the copy, which must lead to `checkpoint`. A log whose beginning is gone has grown out of this one, too, where it has out of the other, and its tiles prove
/// it.
///
/// # Errors
/// The copy's tiles do not lead to its checkpoint, or can't be read.
pub fn whole_bundles<S: Source>(copy: &S, checkpoint: &Checkpoint) -> Followed<Checkpoint, S> {
    let (files, mut nodes) = (Files::of(copy), Nodes::of(checkpoint.size));
    let size = entries_before(block_of(checkpoint.size));
    let peaks = Range::places(size).map(|place| nodes.node(&files, place)).collect::<Result<Vec<_>, _>>();
    let root = Range::new(size, peaks.map_err(NotFollowed::Unproved)?).unwrap_or_default().root();
    let whole = Checkpoint { origin: checkpoint.origin.clone(), size, root };
    grown(&files, (&whole, checkpoint), &mut nodes)?;
    Ok(whole)
}

fn grown<S: Source>(
    files: &Files<'_, S>,
    (before, now): (&Checkpoint, &Checkpoint),
    nodes: &mut Nodes,
) -> Followed<(), S> {
    if before.origin != now.origin {
        let (now, before) = (now.origin.to_string(), before.origin.to_string());
        return Err(NotFollowed::Other { now, before });
    }
    if before.size > now.size {
        return Err(NotFollowed::Shrunk { now: now.size, before: before.size });
    }
    let proof = consistency(before.size, now.size, |place| nodes.node(files, place));
    let proof = proof.map_err(|error| NotFollowed::Unproved(of_no_proof(error)))?;
    verify_consistency((before.size, before.root), (now.size, now.root), &proof)
        .map_err(|_| NotFollowed::Rewritten { now: now.size, before: before.size })
}

/// The entries of a bundle, proved to be in the tree of this checkpoint.
fn bundle<S: Source>(
    files: &Files<'_, S>,
    nodes: &mut Nodes,
    (block, checkpoint): (u64, &Checkpoint),
) -> Followed<Vec<Vec<u8>>, S> {
    let no_entry =
        || NotFollowed::Unproved(Unproved::NoEntry { index: entries_before(block), size: checkpoint.size });
    let name = TileName::in_tree(Holds::Entries, block, checkpoint.size).ok_or_else(no_entry)?;
    let found = files.file(name).map_err(NotFollowed::Unreadable)?;
    let found = found.ok_or_else(|| NotFollowed::Unproved(Unproved::Missing(name.to_string())))?;
    let entries = found.entries().map_err(|error| {
        NotFollowed::Unproved(Unproved::Damaged { path: name.to_string(), why: error.to_string() })
    })?;
    let leaves: Vec<Hash> = entries.iter().map(|entry| Hash::of_leaf(entry)).collect();
    nodes.proves(files, block, &leaves, checkpoint).map_err(NotFollowed::Unproved)?;
    Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
}
