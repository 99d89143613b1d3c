//! Callers who may not, or who say nothing: they are told, nothing of theirs is kept, and nobody else is slower for it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use record::frame::{Append, Carried, Code, Frame, Hello};
use record::samples::{at, proxy_stream, session_open, uid};
use record::{About, Chain, Count, RunId, StreamName, What};
use rustls::{AlertDescription, ClientConfig, Error};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::authority::Authority;
use super::caller::Caller;
use super::log::Log;
use super::runtime;
use super::writer::{Writer, Writers};

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
        // Before it a record that would be taken: of a frame all is kept or nothing.
        let mut other = chain.clone();
        other.next(at(0), About::default(), session_open(1)).unwrap();
        let skipped = append(&other, vec![session_open(2)]);
        assert_eq!(refused(&log, &authority, &skipped).await.0, Code::Order, "a number is skipped");
        let foreign = append(&Chain::new(proxy_stream(2, 1)), vec![session_open(1)]);
        assert_eq!(refused(&log, &authority, &foreign).await.0, Code::Identity, "another grant's record");
        let operator = append(&Chain::new("operator/1".parse().unwrap()), vec![record_of_the_operator()]);
        assert_eq!(refused(&log, &authority, &operator).await.0, Code::Identity, "an operator's record");
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
        log.stop().await;
        assert_eq!(log.heads()[chain.stream()], chain.head());
    });
}

/// How many connections one proxy opens.
const MANY: u64 = 300;

#[test]
fn a_proxy_that_connects_again_and_again_keeps_its_newest_connections_and_the_others_are_told_and_counted() {
    runtime().block_on(async {
        let authority = Authority::new();
        let log = Log::start(&authority).await;
        let other = Writer::proxy(&authority, &log, 2, 1);
        let before = acknowledgement(&other).await;
        let mut callers = Vec::new();
        for _ in 0..MANY {
            let mut caller = Caller::proxy(&authority, &log, 1).await;
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
        let refusals = format!(r#"keyhole_log_refusals_total{{code="busy"}} {}"#, MANY - 4);
        assert!(figures.contains(&refusals), "{figures}");
        for mut caller in newest {
            caller.sends(&mut chain, session_open(1), Vec::new()).await;
            let acknowledged = Count::of(chain.head().count.get());
            assert_eq!(caller.hears().await.unwrap(), Some(Frame::Ack(acknowledged)));
        }
        println!("acknowledgements {before:?}, beside {MANY} connections of one proxy {with:?}");
        assert!(with.0 <= before.0 * 5 + Duration::from_millis(5), "slowed");
    });
}

/// So many callers say nothing.
const SILENT: u32 = 10_000;

/// How many file descriptors they need.
const FILES: u64 = 12_000;

/// Nobody was let in for so long: those who call again less and less often count no more.
const LEFT_OUT: Duration = Duration::from_secs(2);

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

/// Connections that come from addresses of their own, so that no port that a log listens on is taken. Each as soon as it is there.
fn silent(address: SocketAddr) -> mpsc::UnboundedReceiver<TcpStream> {
    let (connected, streams) = mpsc::unbounded_channel();
    for number in 0..SILENT {
        let socket = TcpSocket::new_v4().unwrap();
        let own = Ipv4Addr::from(0x7f00_0002 + number % 8);
        socket.bind((own, 0).into()).unwrap();
        let connected = connected.clone();
        tokio::spawn(async move {
            if let Ok(stream) = socket.connect(address).await {
                let _ = connected.send(stream);
            }
        });
    }
    streams
}

/// What is measured beside the silent callers.
struct Beside {
    /// How many of them were connected, and after how long.
    connected: (usize, Duration),
    /// How long an acknowledgement takes of a writer that was there before: median and longest.
    old: (Duration, Duration),
    /// How long it takes until one that comes after them has its first.
    new: Duration,
}

async fn beside(authority: &Authority, log: &Log, old: &Writer, new: u8) -> (Writer, Beside) {
    let begun = Instant::now();
    let mut silent = silent(log.address().parse().unwrap());
    let coming = async {
        let mut all = Vec::new();
        while all.len() < usize::try_from(SILENT).unwrap()
            && let Ok(Some(stream)) = timeout(LEFT_OUT, silent.recv()).await
        {
            all.push((stream, begun.elapsed()));
        }
        all
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
    let (all, (writer, new, old)) = tokio::join!(coming, measured);
    let last = all.last().map_or(Duration::ZERO, |(_, after)| *after);
    (writer, Beside { connected: (all.len(), last), old, new })
}

#[test]
fn ten_thousand_callers_who_say_nothing_keep_nobody_waiting_for_long() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Of this process and of the log, which inherits it.
    let Rlimit { current: _, maximum } = getrlimit(Resource::Nofile);
    assert!(maximum.is_none_or(|most| most >= FILES), "{SILENT} connections need {FILES} file descriptors");
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    runtime().block_on(async {
        let authority = Authority::new();
        let mut log = Log::start(&authority).await;
        let old = Writer::proxy(&authority, &log, 1, 1);
        let before = acknowledgement(&old).await;
        let (new, Beside { connected, old: with, new: waited }) = beside(&authority, &log, &old, 2).await;
        println!(
            "acknowledgements {before:?}; beside {connected:?} {with:?}, of a new writer after {waited:?}"
        );
        assert!(connected.0 >= 5_000, "only {} callers came through", connected.0);
        assert!(with.0 <= before.0 * 5 + Duration::from_millis(5), "slowed");
        assert!(waited <= BOUND, "a new writer waited {waited:?}");
        log.stop().await;
        Writers(vec![old, new]).are_in(&log);
    });
}
