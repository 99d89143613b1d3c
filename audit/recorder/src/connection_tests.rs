//! The connection, its time held by the tests.

#![allow(clippy::arithmetic_side_effects)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use record::Chain;
use record::frame::{Append, Hello, Welcome};
use record::samples::{at, proxy_stream, session_open};
use tokio::io::duplex;
use tokio::net::TcpSocket;

use super::*;

/// How long the log needs for its disk.
const DISK: Duration = Duration::from_millis(50);

struct Deaf;

impl Listener for Deaf {
    fn welcome(&self, _: Used) {}
    fn acknowledged(&self, _: Count) {}
    fn away(&self, _: bool) {}
    fn over(&self, fault: Fault) {
        panic!("{fault}");
    }
}

/// A log that has nothing yet, and takes its time for what it acknowledges: how many frames it took.
async fn log(mut stream: impl AsyncRead + AsyncWrite + Unpin, acknowledgements: Arc<AtomicUsize>) {
    let Ok(Frame::Hello(Hello { head, .. })) = receive(&mut stream).await else { return };
    let any = Chain::new(proxy_stream(2, 1)).next(at(0), About::default(), session_open(1)).unwrap();
    let (size, root) = (Count::of(0), any.hash);
    let welcome = Frame::Welcome(Welcome { head, size, root, used: Used::default() });
    send(&mut stream, &welcome).await.unwrap();
    while let Ok(Frame::Append(Append { n, records })) = receive(&mut stream).await {
        sleep(DISK).await;
        let below = n.get() + u64::try_from(records.len()).unwrap();
        acknowledgements.fetch_add(1, Ordering::Relaxed);
        if send(&mut stream, &Frame::Ack(Count::of(below))).await.is_err() {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_there_again_is_not_left_for_how_long_it_was_away() {
    let recorder = Recorder::new(proxy_stream(1, 1), Arc::new(Deaf));
    let back = Instant::now() + SILENCE + Duration::from_secs(1);
    let (connections, acknowledgements) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let connect = || async {
        if Instant::now() < back {
            return Err(Lost::Silent);
        }
        connections.fetch_add(1, Ordering::Relaxed);
        let (ours, theirs) = duplex(1 << 20);
        tokio::spawn(log(theirs, Arc::clone(&acknowledgements)));
        Ok(ours)
    };
    recorder.put(Urgency::Begins, (at(0), About::default()), session_open(1), Vec::new()).unwrap();
    let soon = timeout(2 * SILENCE + SILENCE, recorder.keep(connect)).await;
    assert!(soon.is_err(), "it goes on");
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    assert_eq!((count(&connections), count(&acknowledgements)), (1, 1));
    assert_eq!(recorder.acknowledged(), recorder.head());
}

/// Whether the log was ever said to be away.
#[derive(Default)]
struct Away(AtomicBool);

impl Listener for Away {
    fn welcome(&self, _: Used) {}
    fn acknowledged(&self, _: Count) {}
    fn away(&self, away: bool) {
        self.0.fetch_or(away, Ordering::Relaxed);
    }
    fn over(&self, fault: Fault) {
        panic!("{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_away_for_a_second_and_soon_again_is_not_said_to_be_away() {
    let away = Arc::new(Away::default());
    let recorder = Recorder::new(proxy_stream(1, 1), Arc::clone(&away) as Arc<dyn Listener>);
    let start = Instant::now();
    // There for 3 s, away for one, there for half a second, away for one, and there again.
    let connect = || async {
        let until = match start.elapsed().as_millis() {
            0..3_000 => 3_000,
            4_000..4_500 => 4_500,
            5_500.. => 60_000,
            _ => return Err(Lost::Silent),
        };
        let (ours, theirs) = duplex(1 << 20);
        let serves = log(theirs, Arc::default());
        tokio::spawn(tokio::time::timeout_at(start + Duration::from_millis(until), serves));
        Ok(ours)
    };
    assert!(timeout(Duration::from_secs(9), recorder.keep(connect)).await.is_err(), "it goes on");
    assert!(!away.0.load(Ordering::Relaxed));
}

/// The kernel answers nobody for a program that lets calls wait: it is as if nothing came through.
#[tokio::test]
async fn a_way_that_carries_again_is_gone_within_a_second() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut waiting = Vec::new();
    while let Ok(called) = timeout(Duration::from_millis(100), TcpStream::connect(&address)).await {
        waiting.push(called.unwrap());
    }
    let recorder = Recorder::new(proxy_stream(1, 1), Arc::new(Deaf));
    recorder.put(Urgency::Begins, (at(0), About::default()), session_open(1), Vec::new()).unwrap();
    let carries_again = async {
        // After the kernel has called twice, and before it would call for the third time.
        sleep(Duration::from_millis(1_100)).await;
        drop(waiting);
        let since = Instant::now();
        let acknowledgements = Arc::new(AtomicUsize::new(0));
        while recorder.acknowledged() != recorder.head() {
            if let Ok(called) = timeout(Duration::from_millis(10), listener.accept()).await {
                tokio::spawn(log(called.unwrap().0, Arc::clone(&acknowledgements)));
            }
        }
        since.elapsed()
    };
    let after = tokio::select! {
        fault = recorder.keep(|| reach(&address)) => panic!("{fault}"),
        after = carries_again => after,
    };
    assert!(after < Duration::from_secs(1), "{after:?}");
}
