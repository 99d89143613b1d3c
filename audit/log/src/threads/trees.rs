//! The thread that makes the tree of what is durable.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tlog::{Checkpoint, Signer};
use tokio::sync::{oneshot, watch};

use super::backlog::{BACKLOG, Backlog, bytes};
use super::wishes::Fulfils;
use super::{Ask, Ended, SECOND, ToTree, WAITING};
use crate::engine::commit::Durable;
use crate::engine::integrate::{Stopped, Tree};
use crate::engine::prune::{PRUNED, Pruned};
use crate::engine::volume::Files;
use crate::figures::Figures;
use crate::pruning::Said;

/// The thread that makes the tree.
pub(super) struct Trees<F> {
    pub tree: Tree,
    pub files: F,
    pub pruned: Pruned,
    pub signers: Vec<Signer>,
    pub waiting: Receiver<ToTree>,
    pub wishes: Fulfils,
    pub backlog: Arc<Backlog>,
    /// How many bytes of it are in the tree, and in no file.
    pub taken: usize,
    pub publisher: watch::Sender<Option<Checkpoint>>,
    pub asks: Sender<Ask>,
    pub figures: Arc<Figures>,
}

impl<F: Files> Trees<F> {
    /// Until the log ends.
    pub fn run(mut self) -> Ended {
        let mut next = Instant::now();
        loop {
            let wishes = self.wishes.take();
            if !wishes.is_empty() {
                match self.fulfil(wishes) {
                    Ok(()) => continue,
                    Err(error) => return Ended::Tree(error),
                }
            }
            let now = Instant::now();
            let published = self.publisher.borrow().as_ref().map_or(0, |checkpoint| checkpoint.size);
            let is_behind = self.tree.size() > published;
            if is_behind && (now >= next || self.taken >= BACKLOG / 2) {
                next = now.checked_add(SECOND).unwrap_or(now);
                if let Err(error) = self.publish() {
                    return Ended::Tree(error);
                }
                continue;
            }
            let patience = if self.pruned.is_left() {
                Duration::ZERO
            } else if is_behind {
                next.saturating_duration_since(now)
            } else {
                SECOND
            };
            let result = match self.waiting.recv_timeout(patience) {
                Ok(heard) => self.hear(heard),
                // What is to go waits for whatever is to come.
                Err(RecvTimeoutError::Timeout) if self.pruned.is_left() => {
                    self.pruned.step(&mut self.files).map_err(not_pruned)
                }
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Ended::Other,
            };
            if let Err(error) = result {
                return Ended::Tree(error);
            }
        }
    }

    fn hear(&mut self, heard: ToTree) -> Result<(), Stopped> {
        match heard {
            ToTree::Durable(durable) => self.take(durable),
            ToTree::Wish => Ok(()),
            ToTree::Prune(Said { minimum, record }, reply) => {
                let begun = self.pruned.begin(&mut self.files, minimum, record);
                begun.map(|()| _ = reply.send(())).map_err(not_pruned)
            }
        }
    }

    /// One checkpoint for all of them. What was durable when they asked is in the tree, or among the blocks that wait now.
    fn fulfil(&mut self, wishes: Vec<oneshot::Sender<Checkpoint>>) -> Result<(), Stopped> {
        for _ in 0..WAITING {
            match self.waiting.try_recv() {
                Ok(heard) => self.hear(heard)?,
                Err(_) => break,
            }
        }
        let newest = self.publisher.borrow().clone().filter(|newest| newest.size == self.tree.size());
        let checkpoint = match newest {
            Some(newest) => newest,
            None => self.publish()?,
        };
        // Who is gone asks again.
        wishes.into_iter().for_each(|wish| _ = wish.send(checkpoint.clone()));
        Ok(())
    }

    fn take(&mut self, durable: Vec<Durable>) -> Result<(), Stopped> {
        self.taken = self.taken.saturating_add(durable.iter().map(bytes).sum());
        durable.into_iter().try_for_each(|one| self.tree.take(one))
    }

    fn publish(&mut self) -> Result<Checkpoint, Stopped> {
        let checkpoint = self.tree.publish(&mut self.files, &self.signers)?;
        self.backlog.less(std::mem::take(&mut self.taken));
        self.figures.signed(checkpoint.size);
        // Both may be gone: then this thread ends too.
        let _ = self.asks.send(Ask::Published(checkpoint.size));
        self.publisher.send_replace(Some(checkpoint.clone()));
        Ok(checkpoint)
    }
}

fn not_pruned(source: io::Error) -> Stopped {
    Stopped::Disk { path: format!("{PRUNED}, or remove what it says"), source }
}
