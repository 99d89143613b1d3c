//! The threads that relay sessions.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// A runtime of so many threads, at least one. One is the caller's own, and enough for most grants: relaying is mostly waiting.
///
/// # Errors
/// The kernel gives no thread, or no poller.
pub fn of(threads: u8) -> io::Result<Runtime> {
    if threads <= 1 {
        return Builder::new_current_thread().enable_all().build();
    }
    Builder::new_multi_thread().worker_threads(threads.into()).thread_name("relay").enable_all().build()
}
