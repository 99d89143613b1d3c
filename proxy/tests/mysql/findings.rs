//! Classes of holes that were found in systems of this kind in the last years, as far as they concern what comes before a
//! statement: who waits for whom, whose word is taken for an address, and who signs. The advisories named are where a class was
//! met. `sql/tests/mysql/findings.rs` has the gate's.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keyhole_proxy::audit::{Acknowledgements, Journal, Keeper, NotRecorded, Number, Record};
use keyhole_proxy::engines::mysql::packets::{read_packet, write_packet};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use servers::{Leaf, session_params};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use wire::mysql::frame::Sequence;

use crate::support::proxy::{Proxy, UID, grant, wide};
use crate::support::raw::{self, CAPABILITIES};

/// How many stalled handshakes an address holds open.
const STALLED: usize = 1_000;

/// The longest that they may keep somebody else waiting.
const DELAY: Duration = Duration::from_millis(10);

/// A connection from this address.
async fn connects(proxy: &Proxy, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from.parse::<Ipv4Addr>().unwrap(), 0).into()).unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, proxy.native).into()).await.unwrap()
}

/// How long it takes from connecting to an identity, in the middle of some attempts.
async fn time_to_get_in(proxy: &Proxy, from: &str) -> Duration {
    let leaf = proxy.session_certificate();
    let mut times = Vec::new();
    for _ in 0..15 {
        let (began, mut sequence) = (Instant::now(), Sequence::default());
        let mut tcp = connects(proxy, from).await;
        read_packet(&mut tcp, &mut sequence, 1024).await.unwrap();
        write_packet(&mut tcp, &mut sequence, &raw::head(CAPABILITIES).encode()).await.unwrap();
        raw::connector(proxy, Some(&leaf), &[]).connect(raw::server_name(), tcp).await.unwrap();
        times.push(began.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

/// Begins TLS and goes no further, and begins again a second after it is cut.
async fn stalls(port: u16, begun: Arc<AtomicUsize>) {
    let mut bytes = Vec::new();
    let head = raw::head(CAPABILITIES).encode();
    wire::mysql::frame::encode(&head, &mut Sequence::starting_at(1), &mut bytes);
    bytes.extend_from_slice(b"\x16\x03\x01\x02\x00\x01");
    loop {
        let mut tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        begun.fetch_add(1, Ordering::Relaxed);
        // A reset is an end too.
        let _ = tcp.write_all(&bytes).await;
        while tcp.read(&mut [0; 256]).await.is_ok_and(|count| count > 0) {}
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A worker that waits for one handshake and serves nobody meanwhile: Boundary (CVE-2026-7776).
#[tokio::test]
async fn a_thousand_stalled_handshakes_keep_nobody_else_waiting() {
    let proxy = Proxy::start().await;
    let alone = time_to_get_in(&proxy, "127.0.0.2").await;
    let (begun, mut strangers) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..STALLED {
        strangers.spawn(stalls(proxy.native, Arc::clone(&begun)));
    }
    while begun.load(Ordering::Relaxed) < STALLED {
        tokio::task::yield_now().await;
    }
    let beside = time_to_get_in(&proxy, "127.0.0.2").await;
    println!("from connecting to TLS: {alone:?} alone, {beside:?} beside {STALLED} stalled handshakes");
    assert!(beside < alone + DELAY, "{alone:?} alone, {beside:?} beside them");
    assert!(strangers.try_join_next().is_none(), "a stranger gave up");
}

/// Where those come from who are turned away.
#[derive(Clone, Default)]
struct Peers {
    peers: Arc<Mutex<Vec<SocketAddr>>>,
    more: Arc<Notify>,
}

impl Keeper for Peers {
    fn keep(&mut self, _: Number, record: &Record<'_>) -> Result<(), NotRecorded> {
        if let Record::TurnedAway { peer, .. } = record {
            self.peers.lock().unwrap().push(*peer);
            self.more.notify_one();
        }
        Ok(())
    }
}

/// An address that somebody claims to be: ProxySQL took `PROXY UNKNOWN` for one (CVE-2026-48772). There is no such protocol here,
/// and on record is where a connection comes from.
#[tokio::test]
async fn a_header_of_the_proxy_protocol_is_garbage_and_changes_nobodys_address() {
    let peers = Peers::default();
    let keeper = Box::new(peers.clone());
    let journal = |usage, ending| Journal::new(usage, ending, Acknowledgements::default(), keeper);
    let proxy = Proxy::on_record(grant(wide()), journal).await;
    let version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02\x01\0\x0c\xea";
    let headers: [&[u8]; 4] =
        [b"PROXY UNKNOWN\r\n", b"PROXY TCP4 10.0.0.1 10.0.0.2 5 3306\r\n", b"PROXY \r\n", version_2];
    let leaf = proxy.session_certificate();
    for (header, port) in
        headers.into_iter().flat_map(|header| [(header, proxy.native), (header, proxy.tls_first)])
    {
        let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tcp.write_all(header).await.unwrap();
        if port == proxy.native {
            read_packet(&mut tcp, &mut Sequence::default(), 1024).await.unwrap();
            let mut bytes = Vec::new();
            let head = raw::head(CAPABILITIES).encode();
            wire::mysql::frame::encode(&head, &mut Sequence::starting_at(1), &mut bytes);
            // It may be cut off already.
            let _ = tcp.write_all(&bytes).await;
        }
        let tls = raw::connector(&proxy, Some(&leaf), &[b"mysql"]).connect(raw::server_name(), tcp).await;
        // With TLS 1.3 a client hears of a refusal after its own part.
        let got_in = match tls {
            Ok(mut tls) => tls.read(&mut [0; 64]).await.is_ok_and(|count| count > 0),
            Err(_) => false,
        };
        assert!(!got_in, "{} on {port}", header.escape_ascii());
    }
    while peers.peers.lock().unwrap().len() < 2 * headers.len() {
        peers.more.notified().await;
    }
    let all = peers.peers.lock().unwrap().clone();
    assert!(all.iter().all(|peer| peer.ip() == Ipv4Addr::LOCALHOST), "{all:?}");
}

/// A certificate that somebody made who may not: nested below one's own, as in Teleport (CVE-2025-49825), or below an authority
/// that signs something else.
#[tokio::test]
async fn what_a_session_certificate_or_another_authority_signed_is_no_identity() {
    let proxy = Proxy::start().await;
    let uri = access::session_uri(UID);
    let own = proxy.session_certificate();
    let nested = servers::signed_by(&own, session_params(&[&uri], -60..600));
    let below = (format!("{}{}", nested.0, own.0), nested.1.clone());
    let of_the_serving_authority = proxy.serving_ca.session(&uri, -60..600);
    for (leaf, why) in [
        (&nested, "signed with a session's key"),
        (&below, "the same, with the session's certificate beside it"),
        (&of_the_serving_authority, "signed by the authority of servers"),
    ] {
        assert!(!gets_in(&proxy, leaf).await, "{why}");
    }
    assert!(gets_in(&proxy, &own).await);
}

/// Whether a chain of certificates with the key of its first opens a session.
async fn gets_in(proxy: &Proxy, leaf: &Leaf) -> bool {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(leaf.0.as_bytes()).map(Result::unwrap).collect();
    let mut tcp = TcpStream::connect(("127.0.0.1", proxy.native)).await.unwrap();
    let mut sequence = Sequence::default();
    read_packet(&mut tcp, &mut sequence, 1024).await.unwrap();
    write_packet(&mut tcp, &mut sequence, &raw::head(CAPABILITIES).encode()).await.unwrap();
    let connector = raw::connector_with(proxy, Some((chain, &leaf.1)), &[]);
    let Ok(stream) = connector.connect(raw::server_name(), tcp).await else { return false };
    let mut raw = raw::Raw { stream, sequence, capabilities: CAPABILITIES, collation: raw::UTF8MB4 };
    raw.responds(b"anybody", b"", b"mysql_native_password").await;
    raw.reads().await.is_ok_and(|answer| answer[0] == 0)
}
