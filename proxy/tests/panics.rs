//! What a panic leaves in the log: its place and its session, and nothing of what the code had in hand.

// Clippy's exception for tests reaches only functions marked as tests, not their helpers.
#![allow(clippy::unwrap_used)]

use keyhole_proxy::panics;
use tracing::Instrument;

#[path = "../src/test_log.rs"]
mod test_log;

use test_log::Log;

#[tokio::test]
async fn a_panic_says_where_it_was_and_in_which_session_and_nothing_else() {
    let (log, _here) = Log::of_this_thread();
    panics::say_only_where();
    let of = |session: u32| tracing::info_span!("session", session);
    let fine = tokio::spawn(async {}.instrument(of(6)));
    let broken = tokio::spawn(async { panic!("SELECT 'secret'") }.instrument(of(7)));
    assert!(fine.await.is_ok() && broken.await.is_err());
    let said = log.said();
    assert!(said.contains("session{session=7}") && said.contains("panics.rs:"), "{said}");
    assert!(!said.contains("session=6") && !said.contains("secret"), "{said}");
}
