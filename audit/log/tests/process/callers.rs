//! Callers who may not, or who say nothing: they are told, nothing of theirs is kept, and nobody else is slower for it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use record::frame::{Append, Carried, Code, Frame, Hello};
use record::samples::{at, proxy_stream, session_open, uid};
use record::{About, Chain, Count, RunId, StreamName, What};
use rustls::{AlertDescription, ClientConfig, Error};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::authority::Authority;
use super::caller::Caller;
use super::figures::{becomes, value};
use super::log::Log;
use super::writer::{Writer, Writers};
use super::{is_soak, runtime};

/// Callers whom the log let in for nothing.
const TURNED_AWAY: &str = "keyhole_log_turned_away_total";

/// What a caller with this identity is told. In TLS 1.3 it hears of it when it reads.
async fn told(log: &Log, config: ClientConfig) -> AlertDescription {
    let heard = match Caller::new(log, config).await {
        Ok(mut caller) => {
            // It may be closed already.
            let hello = Hello { head: record::Head::default(), stream: proxy_stream(1, 1) };
            let mut bytes = Vec::new();
            Frame::Hello(hello).encode(&mut bytes).unwrap();
            let _ = caller.puts_bytes(&bytes).await;
            caller.hears().await.map(|_| ())
        }
        Err(error) => Err(error),
    };
    let error: io::Error = heard.expect_err("it is let in");
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::AlertReceived(alert)) => *alert,
        _ => panic!("{error}"),
    }
}

/// Why a frame of bytes is refused, after a greeting. Then the connection is closed.
async fn refused(log: &Log, authority: &Authority, bytes: &[u8]) -> (Code, String) {
    let mut caller = Caller::proxy(authority, log, 1).await;
    caller.greets(&Chain::new(proxy_stream(1, 1))).await;
    caller.puts_bytes(bytes).await.unwrap();
    let Some(Frame::Refuse(refuse)) = caller.hears().await.unwrap() else { panic!("it is not refused") };
    assert_eq!(caller.hears().await.unwrap(), None, "and closed");
    (refuse.code, refuse.sentence)
}

/// How many writers the log says that it refused for this reason.
async fn counted(log: &Log, code: Code) -> f64 {
    value(&log.figures().await, &format!(r#"keyhole_log_refusals_total{{code="{}"}}"#, code.word()))
}

fn append(chain: &Chain, whats: Vec<What>) -> Vec<u8> {
    let (mut chain, n) = (chain.clone(), chain.head().count);
    let carried =
        |what| Carried { leaf: chain.next(at(0), About::default(), what).unwrap().text, payload: Vec::new() };
    let mut bytes = Vec::new();
    Frame::Append(Append { n, records: whats.into_iter().map(carried).collect() })
        .encode(&mut bytes)
        .unwrap();
    bytes
}

#[test]
fn a_caller_whom_the_authority_does_not_vouch_for_is_told_so_and_kept_out() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let uri = format!("keyhole://proxy/{}", uid(1));
        assert_eq!(told(&log, authority.late_client(&uri)).await, AlertDescription::CertificateExpired);
        // Another authority of the same name: the signature is not ours.
        assert_eq!(told(&log, authority.stranger(&uri)).await, AlertDescription::DecryptError);
        becomes(&log, TURNED_AWAY, |count| count == 2.0).await;
        log.stop().await;
        assert!(!log.heads().contains_key(&proxy_stream(1, 1)));
    });
}

#[test]
fn who_may_only_read_or_erase_appends_nothing() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let streams = [Chain::new(proxy_stream(1, 1)), Chain::new("operator/1".parse().unwrap())];
        for uri in ["keyhole://audit/*", "keyhole://audit/shop", "keyhole://erase/*"] {
            for chain in &streams {
                let mut caller = Caller::new(&log, authority.client(uri)).await.unwrap();
                let hello = Hello { head: chain.head(), stream: chain.stream().clone() };
                let mut bytes = Vec::new();
                Frame::Hello(hello).encode(&mut bytes).unwrap();
                // It may be closed already.
                let _ = caller.puts_bytes(&bytes).await;
                assert!(!matches!(caller.hears().await, Ok(Some(_))), "{uri} is answered");
            }
        }
        becomes(&log, TURNED_AWAY, |count| count == 6.0).await;
        log.stop().await;
        assert!(streams.iter().all(|chain| !log.heads().contains_key(chain.stream())));
    });
}

/// How many streams a grant has at the most.
const STREAMS: u64 = 512;

#[test]
fn a_proxy_that_begins_one_stream_after_the_other_is_refused_at_the_last_and_others_are_not() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let chain = |run: u64| Chain::new(StreamName::Proxy { grant: uid(1), run: RunId(run.to_be_bytes()) });
        let says = async |run: u64| {
            let mut chain = chain(run);
            let mut caller = Caller::proxy(&authority, &log, 1).await;
            caller.greets(&chain).await;
            caller.sends(&mut chain, session_open(1), Vec::new()).await;
            caller.hears().await.unwrap()
        };
        for run in 0..STREAMS {
            assert_eq!(says(run).await, Some(Frame::Ack(Count::of(1))), "stream {run}");
        }
        let Some(Frame::Refuse(refuse)) = says(STREAMS).await else { panic!("it is not refused") };
        assert!(refuse.code == Code::Closed && refuse.sentence.contains("has 512 streams"), "{refuse:?}");
        let other = Writer::proxy(&authority, &log, 2, 1);
        other.says(0);
        other.is_heard().await;
        log.stop().await;
        assert!(!log.heads().contains_key(chain(STREAMS).stream()));
    });
}

#[test]
fn of_a_frame_that_no_proxy_may_send_nothing_is_kept() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let chain = Chain::new(proxy_stream(1, 1));
        let five_mebibytes = [&(5_u32 << 20).to_be_bytes()[..], &[3]].concat();
        let (code, sentence) = refused(&log, &authority, &five_mebibytes).await;
        assert_eq!(
            (code, sentence.as_str()),
            (Code::Malformed, "a frame of 5242880 bytes: 4194304 is the most")
        );
        let mut greeting = Vec::new();
        Frame::Hello(Hello { head: chain.head(), stream: chain.stream().clone() })
            .encode(&mut greeting)
            .unwrap();
        let (code, sentence) = refused(&log, &authority, &greeting).await;
        assert_eq!((code, sentence.as_str()), (Code::Malformed, "a frame that no writer sends now"));
        // Before it a record that would be taken: of a frame all is kept or nothing.
        let mut other = chain.clone();
        other.next(at(0), About::default(), session_open(1)).unwrap();
        let skipped = append(&other, vec![session_open(2)]);
        assert_eq!(refused(&log, &authority, &skipped).await.0, Code::Order, "a number is skipped");
        let foreign = append(&Chain::new(proxy_stream(2, 1)), vec![session_open(1)]);
        assert_eq!(refused(&log, &authority, &foreign).await.0, Code::Identity, "another grant's record");
        let operator = append(&Chain::new("operator/1".parse().unwrap()), vec![record_of_the_operator()]);
        assert_eq!(refused(&log, &authority, &operator).await.0, Code::Identity, "an operator's record");
        for (code, count) in [(Code::Malformed, 2.0), (Code::Order, 1.0), (Code::Identity, 2.0)] {
            assert_eq!(counted(&log, code).await, count, "{code:?}");
        }
        log.stop().await;
        assert!(!log.heads().contains_key(chain.stream()));
    });
}

fn record_of_the_operator() -> What {
    What::Term(record::kinds::operator::Term {
        after: None,
        holder: "nobody".into(),
        release: "0.1.0".into(),
    })
}

#[test]
fn a_frame_that_comes_twice_over_one_connection_is_taken_once() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let mut chain = Chain::new(proxy_stream(1, 1));
        let mut caller = Caller::proxy(&authority, &log, 1).await;
        caller.greets(&chain).await;
        let frame = append(&chain, vec![session_open(1), session_open(2)]);
        caller.puts_bytes(&frame.repeat(2)).await.unwrap();
        chain.next(at(0), About::default(), session_open(1)).unwrap();
        chain.next(at(0), About::default(), session_open(2)).unwrap();
        // Two acknowledgements, or one of both.
        assert_eq!(caller.hears().await.unwrap(), Some(Frame::Ack(Count::of(2))));
        caller.sends(&mut chain, session_open(3), Vec::new()).await;
        while caller.hears().await.unwrap() != Some(Frame::Ack(Count::of(3))) {}
        let taken = r#"keyhole_log_records_total{by="proxy",kind="session-open"}"#;
        assert_eq!(value(&log.figures().await, taken), 3.0);
        log.stop().await;
        assert_eq!(log.heads()[chain.stream()], chain.head());
    });
}

#[test]
fn a_record_that_follows_another_than_the_last_is_refused() {
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let mut chain = Chain::new(proxy_stream(1, 1));
        let mut caller = Caller::proxy(&authority, &log, 1).await;
        caller.greets(&chain).await;
        caller.sends(&mut chain, session_open(1), Vec::new()).await;
        assert_eq!(caller.hears().await.unwrap(), Some(Frame::Ack(Count::of(1))));
        let mut other = Chain::new(proxy_stream(1, 1));
        other.next(at(5), About::default(), session_open(1)).unwrap();
        caller.puts_bytes(&append(&other, vec![session_open(2)])).await.unwrap();
        let Some(Frame::Refuse(refuse)) = caller.hears().await.unwrap() else { panic!("it is not refused") };
        assert_eq!((refuse.code, caller.hears().await.unwrap()), (Code::Order, None));
        assert_eq!(counted(&log, Code::Order).await, 1.0);
        log.stop().await;
        assert_eq!(log.heads()[chain.stream()], chain.head());
    });
}

/// How many connections one proxy opens. Each is a handshake of two ends on the same processors, so ten thousand take a minute.
fn many() -> u64 {
    if is_soak() { 10_000 } else { 300 }
}

#[test]
fn a_proxy_that_connects_again_and_again_keeps_its_newest_connections_and_the_others_are_told_and_counted() {
    may_open_many_files();
    runtime().block_on(async {
        let authority = Authority::new();
        let log = Log::start(&authority).await;
        let other = Writer::proxy(&authority, &log, 2, 1);
        let before = acknowledgement(&other).await;
        let (many, identity) = (many(), authority.client(&format!("keyhole://proxy/{}", uid(1))));
        let mut callers = Vec::new();
        for _ in 0..many {
            let mut caller = Caller::new(&log, identity.clone()).await.unwrap();
            caller.greets(&Chain::new(proxy_stream(1, 1))).await;
            callers.push(caller);
        }
        let with = acknowledgement(&other).await;
        let newest = callers.split_off(callers.len() - 4);
        for mut caller in callers {
            let Some(Frame::Refuse(refuse)) = caller.hears().await.unwrap() else { panic!("it is not told") };
            assert_eq!((refuse.code, caller.hears().await.unwrap()), (Code::Busy, None));
            assert!(refuse.sentence.contains("a newer connection"), "{}", refuse.sentence);
        }
        let (mut chain, figures) = (Chain::new(proxy_stream(1, 1)), log.figures().await);
        assert!(figures.contains("keyhole_log_connected_writers 5"), "{figures}");
        let refusals = format!(r#"keyhole_log_refusals_total{{code="busy"}} {}"#, many - 4);
        assert!(figures.contains(&refusals), "{figures}");
        for mut caller in newest {
            caller.sends(&mut chain, session_open(1), Vec::new()).await;
            let acknowledged = Count::of(chain.head().count.get());
            assert_eq!(caller.hears().await.unwrap(), Some(Frame::Ack(acknowledged)));
        }
        println!("acknowledgements {before:?}, beside {many} connections of one proxy {with:?}");
        assert!(with.0 <= before.0 * 5 + Duration::from_millis(5), "slowed");
    });
}

/// How many callers say nothing.
const SILENT: u32 = 10_000;

/// How many file descriptors they need.
const FILES: u64 = 12_000;

/// Within what time so many of them have come through. The log has 256 places for callers whom it does not know, and each keeps his for half a second while others
/// wait: so 512 come through in a second, and all of them in twenty, once those whom the kernel left out have called again. `make test` has
/// half of them come through.
fn coming() -> (Duration, usize) {
    (Duration::from_secs(120), if is_soak() { 10_000 } else { 5_000 })
}

/// How long a new writer may wait beside them.
const BOUND: Duration = Duration::from_secs(10);

/// How long one acknowledgement takes: the median and the longest of some hundred.
async fn acknowledgement(writer: &Writer) -> (Duration, Duration) {
    let mut took = Vec::new();
    for _ in 0..300 {
        let before = Instant::now();
        writer.says(writer.said());
        writer.is_heard().await;
        took.push(before.elapsed());
    }
    took.sort();
    (took[took.len() / 2], took[took.len() - 1])
}

/// How long a caller waits to be closed. Then he calls again: where too many call at once, the kernel may leave one out who believes that he is
/// connected.
const BELIEVED: Duration = Duration::from_secs(5);

/// Callers who say nothing, each told of once the log has closed him. They come from addresses of their own, so that no port that a log listens
/// on is taken.
fn silent(address: SocketAddr) -> mpsc::UnboundedReceiver<()> {
    let (closed, told) = mpsc::unbounded_channel();
    for number in 0..SILENT {
        let own = Ipv4Addr::from(0x7f00_0002 + number % 8);
        let closed = closed.clone();
        tokio::spawn(async move {
            loop {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind((own, 0).into()).unwrap();
                let Ok(mut stream) = socket.connect(address).await else { return };
                if let Ok(heard) = timeout(BELIEVED, stream.read(&mut [0])).await {
                    assert!(matches!(heard, Ok(0) | Err(_)), "{heard:?}");
                    let _ = closed.send(());
                    return;
                }
            }
        });
    }
    told
}

/// What is measured beside the silent callers.
struct Beside {
    /// How many of them the log closed, and after how long the last of them.
    closed: (usize, Duration),
    /// How long an acknowledgement takes of a writer that was there before: median and longest.
    old: (Duration, Duration),
    /// How long it takes until one that comes after them has its first.
    new: Duration,
}

async fn beside(authority: &Authority, log: &Log, old: &Writer, new: u8) -> (Writer, Beside) {
    let begun = Instant::now();
    let mut silent = silent(log.address().parse().unwrap());
    let coming = async {
        let (patience, many) = coming();
        let mut closed = 0;
        while closed < many
            && let Ok(Some(())) = timeout_at(begun + patience, silent.recv()).await
        {
            closed += 1;
        }
        assert!(closed >= many, "only {closed} callers came through in {patience:?}");
        (closed, begun.elapsed())
    };
    let measured = async {
        // Some thousand have called by then.
        sleep(Duration::from_millis(500)).await;
        let called = Instant::now();
        let writer = Writer::proxy(authority, log, new, new);
        writer.says(0);
        writer.is_heard().await;
        let waited = called.elapsed();
        (writer, waited, acknowledgement(old).await)
    };
    let (closed, (writer, new, old)) = tokio::join!(coming, measured);
    (writer, Beside { closed, old, new })
}

/// Of this process and of a log that it starts, which inherits it.
fn may_open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current: _, maximum } = getrlimit(Resource::Nofile);
    assert!(maximum.is_none_or(|most| most >= FILES), "{SILENT} connections need {FILES} file descriptors");
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

#[test]
fn ten_thousand_callers_who_say_nothing_keep_nobody_waiting_for_long_and_are_closed_and_counted() {
    may_open_many_files();
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let old = Writer::proxy(&authority, &log, 1, 1);
        let before = acknowledgement(&old).await;
        let (new, Beside { closed: (many, last), old: with, new: waited }) =
            beside(&authority, &log, &old, 2).await;
        println!(
            "acknowledgements {before:?}; beside {many} in {last:?} {with:?}, of a new writer after {waited:?}"
        );
        assert!(with.0 <= before.0 * 5 + Duration::from_millis(5), "slowed");
        assert!(waited <= BOUND, "a new writer waited {waited:?}");
        // In words nobody can be told anything before he has said something.
        let many = f64::from(u32::try_from(many).unwrap());
        becomes(&log, TURNED_AWAY, |count| count >= many).await;
        log.stop().await;
        Writers(vec![old, new]).are_in(&log);
    });
}
