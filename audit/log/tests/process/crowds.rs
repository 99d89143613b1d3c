//! Many who connect to read, or to ask for the log's health: nobody else is kept out, and no more of them are held than there are places.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::authority::Authority;
use super::log::Log;
use super::reading::Reader;
use super::runtime;

/// So many callers of each port say nothing.
const SILENT: usize = 800;

/// How many files the log has open, at the most, beside silent callers: as many of them as there are places, and its own.
const HELD: usize = 256 + 64 + 80;

/// How much memory they may take, in bytes.
const MEMORY: u64 = 32 << 20;

/// How long somebody may wait beside them.
const SOON: Duration = Duration::from_secs(15);

/// How many connections of one person are answered.
const OF_ONE: usize = 8;

/// What every reader may ask.
const QUESTION: &str = "/v1/search?limit=1";

/// Connections that are made at once.
async fn silent(address: String) -> Vec<TcpStream> {
    let connect = |_| tokio::spawn(TcpStream::connect(address.clone()));
    let connecting: Vec<_> = (0..SILENT).map(connect).collect();
    let mut all = Vec::new();
    for one in connecting {
        all.push(one.await.unwrap().unwrap());
    }
    all
}

/// The most files that the log has open and the most memory that it takes while this goes on.
async fn most<T>(log: &Log, during: impl Future<Output = T>) -> (usize, u64, T) {
    let (mut files, mut memory, mut during) = (0, 0, std::pin::pin!(during));
    loop {
        (files, memory) = (files.max(log.open_files()), memory.max(log.memory_now()));
        if let Ok(done) = timeout(Duration::from_millis(20), during.as_mut()).await {
            return (files, memory, done);
        }
    }
}

#[test]
fn callers_who_say_nothing_keep_no_reader_out_nor_the_kubelet_and_few_of_them_are_held() {
    // Of this process and of the log, which inherits it.
    let Rlimit { current: _, maximum } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    runtime().block_on(async {
        let authority = Authority::new();
        let log = Log::start(&authority).await;
        let reader = Reader::new(&authority, &log, "keyhole://audit/*");
        reader.hears(200, QUESTION).await;
        let before = log.memory_now();
        let connected = async {
            let silent = tokio::join!(silent(log.address_to_read()), silent(log.address_of_health()));
            timeout(SOON, reader.hears(200, QUESTION)).await.expect("a reader waits");
            assert!(timeout(SOON, log.is_alive()).await.expect("the kubelet waits"));
            silent
        };
        let (held, memory, _silent) = most(&log, connected).await;
        let more = memory.saturating_sub(before);
        println!("beside {SILENT} silent callers of each port: {held} open files, {} KiB more", more >> 10);
        assert!(held <= HELD, "{held} files are open");
        assert!(more <= MEMORY, "{more} bytes more");
    });
}

#[test]
fn a_reader_with_too_many_connections_is_told_so_and_the_others_are_answered() {
    runtime().block_on(async {
        let authority = Authority::new();
        let log = Log::start(&authority).await;
        let reader = Reader::new(&authority, &log, "keyhole://audit/*");
        let mut idle = Vec::new();
        for _ in 0..OF_ONE {
            idle.push(reader.connects().await.unwrap());
        }
        let hears = async |status: u16| {
            let began = Instant::now();
            loop {
                let (was, body) = reader.sends("GET", QUESTION, "").await.unwrap();
                if was == status {
                    return String::from_utf8(body).unwrap();
                }
                assert!(began.elapsed() < Duration::from_secs(4), "{was} instead of {status}");
                sleep(Duration::from_millis(20)).await;
            }
        };
        // The last of them may not be counted yet.
        let told = hears(503).await;
        assert!(told.contains("too many connections at once: close some"), "{told}");
        for other in ["keyhole://audit/shop", "keyhole://operator"] {
            Reader::new(&authority, &log, other).hears(200, QUESTION).await;
        }
        drop(idle);
        hears(200).await;
    });
}
