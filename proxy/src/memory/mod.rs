//! One ledger of bytes for the whole process: whatever grows with what clients send or read beyond a session's own few buffers
//! is entered there before it is held, and refused when it does not fit. The kernel would end the process otherwise, and with
//! it every session and the receipt.
//!
//! | entered | by |
//! |---|---|
//! | a command longer than 32 KiB, and its copies on the way | the relay's side of the client |
//! | texts of prepared statements, and what is known of their columns | the session's prepared statements |
//! | long data that waits for an execution | the same |
//! | values of an execution's parameters | the execution |
//! | a row longer than 32 KiB that is masked, and the same edited | the masked answer |
//! | what the database told of tables | the look-up for column rules |
//! | everything that the gate takes | at the start, once: [`crate::gate_pool::takes`] |
//! | all who have not proved who they are | at the start, once: [`crate::sessions::MEMORY`] |

mod cgroup;
mod ledger;

pub use ledger::{Ledger, NoRoom, Share};

use crate::gate_pool;
use crate::sessions::MEMORY as DOOR;

const MIB: usize = 1024 * 1024;

/// The memory that is reckoned with where no cgroup bounds it.
const UNBOUNDED: u64 = 256 * 1024 * 1024;

/// What the process takes for itself, without sessions.
const OWN: usize = 16 * MIB;

/// What one session takes that is entered nowhere: buffers of 32 KiB to both sides, TLS, its tasks, and what the kernel received.
const SESSION: usize = 320 * 1024;

/// The least that a ledger has, however small the process's bound: what goes beyond it then is a matter of luck.
const LEAST: usize = 8 * MIB;

/// The ledger of this process, for `sessions` at once on `threads` threads. Logs when its bound is too small for them.
pub fn ledger(sessions: u32, threads: usize) -> Ledger {
    let bound = cgroup::bound();
    let ledger = share_out(bound.unwrap_or(UNBOUNDED), sessions, threads);
    let (bytes, bound) = (ledger.most(), bound.unwrap_or_default());
    if bytes <= LEAST {
        tracing::warn!(
            bytes,
            bound,
            sessions,
            threads,
            "this memory bound is too small: large statements will be refused"
        );
    } else {
        tracing::info!(bytes, bound, "memory for what sessions send and read");
    }
    ledger
}

/// What is left of `bound` bytes when everything else has its room.
fn share_out(bound: u64, sessions: u32, threads: usize) -> Ledger {
    let bound = usize::try_from(bound).unwrap_or(usize::MAX);
    let sessions = usize::try_from(sessions).unwrap_or(usize::MAX).saturating_mul(SESSION);
    let taken = [OWN, gate_pool::takes(threads), DOOR, sessions].into_iter().fold(0, usize::saturating_add);
    Ledger::of(bound.saturating_sub(taken).max(LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charts_pod_has_room_for_two_masked_rows_of_the_greatest_length() {
        let most = share_out(128 << 20, 20, 1).most();
        assert!((40 * MIB..64 * MIB).contains(&most), "{most}");
    }

    #[test]
    fn a_second_thread_takes_as_much_as_the_charts_values_say() {
        let most = |threads| share_out(256 << 20, 20, threads).most();
        assert_eq!(most(1) - most(2), 12 * MIB);
    }

    #[test]
    fn a_pod_that_is_too_small_has_the_least() {
        assert_eq!(share_out(64 << 20, 20, 1).most(), LEAST);
        assert_eq!(share_out(128 << 20, 1_000, 1).most(), LEAST);
        assert!(share_out(u64::MAX, 1_000, 8).most() > 1 << 40);
    }
}
