//! Those who wait for a checkpoint of everything that is durable: one is made for all of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tlog::Checkpoint;
use tokio::sync::oneshot;

/// Who waits. Clones are the same.
#[derive(Clone, Default)]
pub struct Wishes {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    replies: Vec<oneshot::Sender<Checkpoint>>,
    is_over: bool,
}

impl Wishes {
    /// One more. Whether nobody waited before it: then whoever fulfils them has to be told. One that comes too late never hears.
    pub fn add(&self, reply: oneshot::Sender<Checkpoint>) -> bool {
        let mut waiting = self.waiting();
        if waiting.is_over {
            return false;
        }
        waiting.replies.push(reply);
        waiting.replies.len() == 1
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fulfils them; when it is dropped, nobody does.
pub struct Fulfils(pub Wishes);

impl Fulfils {
    /// All that there are.
    pub fn take(&self) -> Vec<oneshot::Sender<Checkpoint>> {
        std::mem::take(&mut self.0.waiting().replies)
    }
}

impl Drop for Fulfils {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        waiting.is_over = true;
        waiting.replies.clear();
    }
}
