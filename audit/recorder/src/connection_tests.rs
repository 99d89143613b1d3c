//! The connection, its time held by the tests.

#![allow(clippy::arithmetic_side_effects)]

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use record::Chain;
use record::frame::{Append, Hello, Welcome};
use record::samples::{at, proxy_stream, session_open};
use tokio::io::{DuplexStream, duplex};
use tokio::time::sleep_until;

use super::*;

/// How long the log needs for its disk.
const DISK: Duration = Duration::from_millis(50);

/// How long an address takes that does not answer, and is left.
const REACH: Duration = Duration::from_millis(700);

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(3_600);

/// What a recorder told of being away, and when.
struct Told {
    began: Instant,
    away: Mutex<Vec<(Duration, bool)>>,
}

impl Listener for Told {
    fn welcome(&self, _: Used) {}
    fn acknowledged(&self, _: Count) {}
    fn away(&self, away: bool) {
        self.away.lock().unwrap().push((self.began.elapsed(), away));
    }
    fn over(&self, fault: Fault) {
        panic!("{fault}");
    }
}

/// A recorder that waits for a record, and what it tells.
fn waiting(patience: Duration) -> (Recorder, Arc<Told>) {
    let told = Arc::new(Told { began: Instant::now(), away: Mutex::default() });
    let listener: Arc<dyn Listener> = Arc::<Told>::clone(&told);
    let recorder = Recorder::patient(proxy_stream(1, 1), listener, patience);
    recorder.put(Urgency::Begins, (at(0), About::default()), session_open(1), Vec::new()).unwrap();
    (recorder, told)
}

impl Told {
    fn so_far(&self) -> Vec<(Duration, bool)> {
        self.away.lock().unwrap().clone()
    }
}

/// A log that has nothing yet, acknowledges nothing before a moment, and takes its time for what it does: how many frames it took.
async fn log(mut stream: DuplexStream, from: Instant, acknowledgements: Arc<AtomicUsize>) {
    let Ok(Frame::Hello(Hello { head, .. })) = receive(&mut stream).await else { panic!() };
    let any = Chain::new(proxy_stream(2, 1)).next(at(0), About::default(), session_open(1)).unwrap();
    let (size, root) = (Count::of(0), any.hash);
    let welcome = Frame::Welcome(Welcome { head, size, root, used: Used::default() });
    send(&mut stream, &welcome).await.unwrap();
    while let Ok(Frame::Append(Append { n, records })) = receive(&mut stream).await {
        sleep_until(from.max(Instant::now() + DISK)).await;
        let below = n.get() + u64::try_from(records.len()).unwrap();
        acknowledgements.fetch_add(1, Ordering::Relaxed);
        if send(&mut stream, &Frame::Ack(Count::of(below))).await.is_err() {
            return;
        }
    }
}

/// A connection to such a log.
fn connected(from: Instant, acknowledgements: &Arc<AtomicUsize>) -> DuplexStream {
    let (ours, theirs) = duplex(1 << 20);
    tokio::spawn(log(theirs, from, Arc::clone(acknowledgements)));
    ours
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_there_again_is_not_left_for_how_long_it_was_away() {
    let (recorder, _) = waiting(PATIENCE);
    let back = Instant::now() + Duration::from_secs(11);
    let (connections, acknowledgements) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let connect = || async {
        if Instant::now() < back {
            return Err(Lost::Network(io::ErrorKind::ConnectionRefused.into()));
        }
        connections.fetch_add(1, Ordering::Relaxed);
        Ok(connected(back, &acknowledgements))
    };
    let soon = timeout(Duration::from_secs(30), recorder.keep(connect)).await;
    assert!(soon.is_err(), "it goes on");
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    assert_eq!((count(&connections), count(&acknowledgements)), (1, 1));
    assert_eq!(recorder.acknowledged(), recorder.head());
}

/// It welcomes, as a log whose disk stands still does: that is no acknowledgement.
#[tokio::test(start_paused = true)]
async fn a_log_that_is_silent_is_away_after_exactly_the_patience_and_back_at_once() {
    for patience in [300, 2_000, 3_000].map(Duration::from_millis) {
        let (recorder, told) = waiting(patience);
        let away_for = Duration::from_secs(20);
        let (back, acknowledgements) = (Instant::now() + away_for, Arc::default());
        let connect = || async { Ok(connected(back, &acknowledgements)) };
        let soon = timeout(2 * away_for, recorder.keep(connect)).await;
        assert!(soon.is_err(), "it goes on");
        assert_eq!(told.so_far(), [(patience, true), (away_for, false)], "{patience:?}");
    }
}

/// The first connection breaks without a word, and nobody answers for as long as packets are lost.
#[tokio::test(start_paused = true)]
async fn where_packets_were_lost_records_flow_again_within_a_second() {
    for lost_for in (2_000..9_000).step_by(50).map(Duration::from_millis) {
        let (recorder, told) = waiting(PATIENCE);
        let (began, connections, acknowledgements) =
            (Instant::now(), AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let back = began + lost_for;
        let connect = || async {
            if connections.fetch_add(1, Ordering::Relaxed) == 0 {
                return Ok(connected(began + NEVER, &acknowledgements));
            }
            if Instant::now() < back {
                sleep(REACH).await;
                return Err(Lost::Network(io::ErrorKind::TimedOut.into()));
            }
            Ok(connected(back, &acknowledgements))
        };
        let soon = timeout(2 * lost_for, recorder.keep(connect)).await;
        assert!(soon.is_err(), "it goes on");
        let told = told.so_far();
        let [(PATIENCE, true), (flows, false)] = told[..] else { panic!("{lost_for:?}: {told:?}") };
        assert!(flows <= lost_for + Duration::from_secs(1), "{lost_for:?}: {flows:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_come_soon_and_no_faster() {
    let minute = Duration::from_millis(59_900);
    let attempts = AtomicUsize::new(0);
    let refused = || async {
        attempts.fetch_add(1, Ordering::Relaxed);
        Err::<DuplexStream, _>(Lost::Network(io::ErrorKind::ConnectionRefused.into()))
    };
    let (recorder, _) = waiting(PATIENCE);
    assert!(timeout(minute, recorder.keep(refused)).await.is_err());
    assert_eq!(attempts.swap(0, Ordering::Relaxed), 300, "refused at once");
    let held = Mutex::new(Vec::new());
    let silent = || async {
        attempts.fetch_add(1, Ordering::Relaxed);
        let (ours, theirs) = duplex(1 << 20);
        held.lock().unwrap().push(theirs);
        Ok(ours)
    };
    let (recorder, _) = waiting(PATIENCE);
    assert!(timeout(minute, recorder.keep(silent)).await.is_err());
    assert_eq!(attempts.load(Ordering::Relaxed), 8, "each that is silent may be so for longer");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_away_for_a_second_and_soon_again_is_not_said_to_be_away() {
    let told = Arc::new(Told { began: Instant::now(), away: Mutex::default() });
    let listener: Arc<dyn Listener> = Arc::<Told>::clone(&told);
    let recorder = Recorder::new(proxy_stream(1, 1), listener);
    let start = Instant::now();
    // There for 3 s, away for one, there for half a second, away for one, and there again.
    let connect = || async {
        let until = match start.elapsed().as_millis() {
            0..3_000 => 3_000,
            4_000..4_500 => 4_500,
            5_500.. => 60_000,
            _ => return Err(Lost::Network(io::ErrorKind::ConnectionRefused.into())),
        };
        let (ours, theirs) = duplex(1 << 20);
        let serves = log(theirs, start, Arc::default());
        tokio::spawn(tokio::time::timeout_at(start + Duration::from_millis(until), serves));
        Ok(ours)
    };
    assert!(timeout(Duration::from_secs(9), recorder.keep(connect)).await.is_err(), "it goes on");
    assert_eq!(told.so_far(), []);
}
