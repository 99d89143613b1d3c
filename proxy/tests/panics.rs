//! What a panic leaves in the log: its place and its session, and nothing of what the code had in hand.

// Clippy's exception for tests reaches only functions marked as tests, not their helpers.
#![allow(clippy::unwrap_used)]

use std::io;
use std::sync::{Arc, Mutex};

use keyhole_proxy::panics;
use tracing::Instrument;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_says_where_it_was_and_in_which_session_and_nothing_else() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
    let _here = tracing::subscriber::set_default(subscriber.finish());
    panics::say_only_where();
    let of = |session: u32| tracing::info_span!("session", session);
    let fine = tokio::spawn(async {}.instrument(of(6)));
    let broken = tokio::spawn(async { panic!("SELECT 'secret'") }.instrument(of(7)));
    assert!(fine.await.is_ok() && broken.await.is_err());
    let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(said.contains("session{session=7}") && said.contains("panics.rs:"), "{said}");
    assert!(!said.contains("session=6") && !said.contains("secret"), "{said}");
}
