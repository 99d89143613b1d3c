//! How much is durable and in no file of the tree yet: it is in memory, so there is a bound.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::engine::commit::Durable;

/// How many bytes of records may be on the disk and in no file of the tree yet. Then nothing more is made durable until they are.
pub const BACKLOG: usize = 64 << 20;

/// How many bytes a record has in memory until it is in a file of the tree, about.
pub fn bytes(durable: &Durable) -> usize {
    durable.entry.leaf.len().saturating_add(durable.entry.sealed.len())
}

/// What is durable, and in no file of the tree yet.
#[derive(Default)]
pub struct Backlog {
    bytes: Mutex<usize>,
    less: Condvar,
}

impl Backlog {
    /// Waits until there is room for so much more, or nothing is there.
    pub fn add(&self, more: usize) {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |bytes: &mut usize| *bytes > 0 && bytes.saturating_add(more) > BACKLOG;
        let mut bytes = self.less.wait_while(bytes, is_full).unwrap_or_else(PoisonError::into_inner);
        *bytes = bytes.saturating_add(more);
    }

    /// So much is in files now.
    pub fn less(&self, less: usize) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *bytes = bytes.saturating_sub(less);
        self.less.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_in_no_file_yet_is_bounded() {
        let backlog = Arc::new(Backlog::default());
        backlog.add(BACKLOG + 1);
        let (done, is_done) = channel();
        let also = Arc::clone(&backlog);
        let adds = thread::spawn(move || {
            also.add(1);
            done.send(()).unwrap();
        });
        assert!(is_done.recv_timeout(Duration::from_millis(50)).is_err(), "it waits");
        backlog.less(1);
        assert!(is_done.recv_timeout(Duration::from_millis(50)).is_err(), "it waits for room");
        backlog.less(1);
        adds.join().unwrap();
        assert_eq!(*backlog.bytes.lock().unwrap(), BACKLOG);
    }
}
