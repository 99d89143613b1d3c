//! Garbage, huge, slow and half-open connections, commands that nobody should send: refused, bounded, and without
//! harm to anybody else.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use wire::mysql::frame::{MAX_PAYLOAD, Sequence};

use crate::support::clients::Person;
use crate::support::proxy::Proxy;
use crate::support::raw::{self, CAPABILITIES, error, head};
use keyhole_proxy::engines::mysql::packets::{read_packet, write_packet};
use wire::mysql::command;
use wire::mysql::connect::capabilities::Capabilities;

/// Connects, sends `bytes` after the greeting, and reads to the end.
async fn answer_to(proxy: &Proxy, bytes: &[u8]) -> Vec<u8> {
    let mut tcp = TcpStream::connect(("127.0.0.1", proxy.native)).await.unwrap();
    read_packet(&mut tcp, &mut Sequence::default(), 1024).await.unwrap();
    tcp.write_all(bytes).await.unwrap();
    tcp.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = tcp.read_to_end(&mut answer).await;
    answer
}

async fn still_works(proxy: &Proxy) {
    assert_eq!(Person::of(proxy).runs("SELECT 1").await.out, "1");
}

#[tokio::test]
async fn garbage_in_place_of_a_handshake_is_dropped() {
    let proxy = Proxy::start().await;
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(),
        b"\0",
        b"\0\0\0\x01",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[0xff; 4096],
        &[0, 0, 0, 7, 1, 2, 3],
    ] {
        let answer = answer_to(&proxy, bytes).await;
        assert!(answer.is_empty() || answer[4] == 0xff, "{answer:?}");
    }
    assert_eq!(proxy.usage.so_far().sessions, 0);
    still_works(&proxy).await;
}

#[tokio::test]
async fn a_password_sent_without_tls_is_never_looked_at() {
    let proxy = Proxy::start().await;
    let mut plain =
        head(CAPABILITIES.without(wire::mysql::connect::capabilities::Capabilities::SSL)).encode();
    plain.extend_from_slice(b"requester\0\x05guess");
    let mut framed = Vec::new();
    wire::mysql::frame::encode(&plain, &mut Sequence::starting_at(1), &mut framed);
    let answer = answer_to(&proxy, &framed).await;
    assert_eq!(error(&answer[4..]).0, 3159);
}

#[tokio::test]
async fn bytes_slipped_in_before_tls_are_not_taken_for_what_comes_inside() {
    let proxy = Proxy::start().await;
    let mut tcp = TcpStream::connect(("127.0.0.1", proxy.native)).await.unwrap();
    let mut sequence = Sequence::default();
    read_packet(&mut tcp, &mut sequence, 1024).await.unwrap();
    let mut bytes = Vec::new();
    wire::mysql::frame::encode(&head(CAPABILITIES).encode(), &mut sequence, &mut bytes);
    wire::mysql::frame::encode(b"\x03SELECT 1", &mut sequence, &mut bytes);
    tcp.write_all(&bytes).await.unwrap();
    let leaf = proxy.session_certificate();
    let tls = raw::connector(&proxy, Some(&leaf), &[]).connect(raw::server_name(), tcp).await;
    assert!(tls.is_err(), "the bytes break the TLS handshake");
    still_works(&proxy).await;
}

#[tokio::test]
async fn a_handshake_packet_of_many_mib_is_refused_before_it_is_read() {
    let proxy = Proxy::start().await;
    let mut raw = raw::secured(&proxy, Some(&proxy.session_certificate())).await;
    let mut header = [0xff, 0xff, 0xff, 0];
    header[3] = raw.sequence.advance();
    raw.stream.write_all(&header).await.unwrap();
    raw.is_closed().await;
    still_works(&proxy).await;
}

/// A connection from this address that was greeted and says nothing.
async fn silent(proxy: &Proxy, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from.parse::<Ipv4Addr>().unwrap(), 0).into()).unwrap();
    let mut tcp = socket.connect((Ipv4Addr::LOCALHOST, proxy.native).into()).await.unwrap();
    let greeting = read_packet(&mut tcp, &mut Sequence::default(), 1024).await.unwrap();
    assert_eq!(greeting[0], 10, "{greeting:?}");
    tcp
}

/// It lost its place to a newer one, and hears it.
async fn hears_that_it_is_crowded(mut tcp: TcpStream) {
    let answer = read_packet(&mut tcp, &mut Sequence::starting_at(1), 1024).await.unwrap();
    let (code, message) = error(&answer);
    assert!(code == 1040 && message.contains("too many connections at once"), "{code} {message}");
    assert_eq!(tcp.read(&mut [0]).await.unwrap(), 0, "closed");
}

#[tokio::test]
async fn with_all_places_taken_a_newcomer_gets_in_and_the_oldest_hears_why_it_does_not() {
    let proxy = Proxy::start().await;
    let other = silent(&proxy, "127.0.0.2").await;
    let mut waiting = VecDeque::new();
    for _ in 0..63 {
        waiting.push_back(silent(&proxy, "127.0.0.1").await);
    }
    for _ in 0..3 {
        waiting.push_back(silent(&proxy, "127.0.0.1").await);
        hears_that_it_is_crowded(waiting.pop_front().unwrap()).await;
    }
    let newcomer = silent(&proxy, "127.0.0.2").await;
    hears_that_it_is_crowded(waiting.pop_front().unwrap()).await;
    // The oldest of all is still there: it comes from where others are few.
    assert!(is_silent(&other) && is_silent(&newcomer) && waiting.iter().all(is_silent));
    still_works(&proxy).await;
}

fn is_silent(tcp: &TcpStream) -> bool {
    matches!(tcp.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

/// Holds a connection open that says nothing, and opens it again whenever it is closed.
async fn comes_again(port: u16, closed: Arc<AtomicU32>) {
    loop {
        let mut tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        // A reset is an end too.
        while tcp.read(&mut [0; 256]).await.is_ok_and(|count| count > 0) {}
        closed.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn whoever_holds_all_places_and_takes_them_again_keeps_nobody_out_of_either_port() {
    let proxy = Proxy::start().await;
    let closed = Arc::new(AtomicU32::new(0));
    let mut strangers = JoinSet::new();
    for port in [proxy.native, proxy.native, proxy.tls_first].into_iter().cycle().take(96) {
        strangers.spawn(comes_again(port, Arc::clone(&closed)));
    }
    // Somebody had to go: all places are taken.
    while closed.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let (person, leaf) = (Person::of(&proxy), proxy.session_certificate());
    for attempt in 0..4 {
        let said = person.runs("SELECT 1").await;
        assert_eq!(said.out, "1", "attempt {attempt}: {said:?}");
        let tcp = TcpStream::connect(("127.0.0.1", proxy.tls_first)).await.unwrap();
        let connector = raw::connector(&proxy, Some(&leaf), &[b"mysql"]);
        let mut tls = connector.connect(raw::server_name(), tcp).await.unwrap();
        let greeting = read_packet(&mut tls, &mut Sequence::default(), 1024).await.unwrap();
        assert_eq!(greeting[0], 10, "attempt {attempt}: {greeting:?}");
    }
    assert!(strangers.try_join_next().is_none(), "a stranger gave up");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_after_ten_seconds() {
    let proxy = Proxy::start().await;
    let began = std::time::Instant::now();
    let mut tcp = TcpStream::connect(("127.0.0.1", proxy.native)).await.unwrap();
    let mut rest = Vec::new();
    tcp.read_to_end(&mut rest).await.unwrap();
    let took = began.elapsed().as_secs();
    assert!((9..13).contains(&took), "{took} s");
}

#[tokio::test]
async fn a_command_over_the_cap_is_refused_and_the_session_goes_on() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    for len in [2 * 1024 * 1024, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD] {
        let huge = [b"\x03SELECT '".as_slice(), &vec![b'x'; len - 9]].concat();
        let (code, message) = error(&raw.asks(&huge).await.unwrap());
        assert!(code == 1153 && message.contains("1 MiB"), "{len}: {code} {message}");
    }
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0);
    assert_eq!(proxy.usage.so_far().refused, 4);
}

#[tokio::test]
async fn a_command_without_an_end_is_cut() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    let frame = vec![b'x'; MAX_PAYLOAD];
    let mut sent = 0;
    for sequence in 0_u8..8 {
        let header = [0xff, 0xff, 0xff, sequence];
        if raw.stream.write_all(&header).await.is_err() || raw.stream.write_all(&frame).await.is_err() {
            break;
        }
        sent += 1;
    }
    assert!(sent < 8, "the proxy stops reading");
    still_works(&proxy).await;
}

#[tokio::test]
async fn commands_that_are_not_for_readers_are_refused_with_1047() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    let commands: [&[u8]; 7] = [
        &[0x0a],             // COM_PROCESS_INFO
        &[0x1b, 2, 0],       // COM_SET_OPTION: no option
        &[0x08],             // COM_SHUTDOWN
        &[0x0d],             // COM_DEBUG
        &[0x12, 0, 0],       // COM_BINLOG_DUMP
        &[0xfa, 1, 2, 3],    // COM_STMT_BULK_EXECUTE
        &[0xfe, 0x03, b'x'], // COM_MULTI
    ];
    for body in commands {
        let (code, message) = error(&raw.asks(body).await.unwrap());
        assert!(code == 1047 && message.starts_with("Keyhole: "), "{body:?}: {code} {message}");
    }
    assert_eq!(proxy.usage.so_far().refused, 7);
    assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "the session goes on");
    let statistics = raw.asks(&[0x09]).await.unwrap();
    let statistics = String::from_utf8(statistics).unwrap();
    assert!(statistics.starts_with("Uptime: "), "clients read a number of seconds: {statistics}");
    assert!(
        statistics.contains("  Keyhole grant look"),
        "the grant's figures, not the server's: {statistics}"
    );
    for pair in statistics.split("  ") {
        let number = pair.split_once(": ").map(|(_, number)| number.parse::<u64>());
        assert!(matches!(number, Some(Ok(_))), "some clients read a name and a number: {statistics}");
    }
    assert_eq!(raw.asks(&[0x1b, 1, 0]).await.unwrap()[0], 0xfe, "multi-statements off is fine");
}

#[tokio::test]
async fn a_command_that_cannot_be_read_is_refused_and_the_session_goes_on() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    let malformed: [&[u8]; 9] = [
        b"",
        b"\x04orders",
        b"\x0c\x01",
        b"\x0e\x01",
        b"\x17\x01",
        b"\x1a\x01",
        b"\x1b",
        b"\x1c\x01\0\0\0\x01",
        b"\x1f\x01",
    ];
    for body in malformed {
        let (code, message) = error(&raw.asks(body).await.unwrap());
        assert!(code == 1835 && message.starts_with("Keyhole: "), "{body:?}: {code} {message}");
        assert_eq!(raw.asks(&command::encode_ping()).await.unwrap()[0], 0, "{body:?}: the session goes on");
    }
    assert_eq!(proxy.usage.so_far().refused, 9, "and each is on record");
}

#[tokio::test]
async fn a_command_whose_answer_cannot_be_told_or_that_is_out_of_turn_ends_the_session() {
    let proxy = Proxy::start().await;
    for body in [&[0x11][..], &[0x18, 1][..], &[0x19, 1][..]] {
        let mut raw = raw::session(&proxy).await;
        assert_eq!(error(&raw.asks(body).await.unwrap()).0, 1835);
        raw.is_closed().await;
    }
    let mut raw = raw::session(&proxy).await;
    let mut out_of_turn = Sequence::starting_at(3);
    write_packet(&mut raw.stream, &mut out_of_turn, &command::encode_ping()).await.unwrap();
    assert_eq!(error(&raw.reads_out_of_band().await).0, 1835);
}

#[tokio::test]
async fn a_client_that_compresses_unasked_hears_it_instead_of_waiting_for_ever() {
    let proxy = Proxy::start().await;
    let mut raw = raw::secured(&proxy, Some(&proxy.session_certificate())).await;
    raw.capabilities = CAPABILITIES.union(Capabilities::COMPRESS);
    raw.responds(b"anybody", b"", b"mysql_native_password").await;
    let (code, message) = raw.hears_error().await;
    assert!(code == 1043 && message.contains("compression is not offered"), "{code} {message}");
    still_works(&proxy).await;
}

#[tokio::test]
async fn local_infile_is_refused_and_no_file_is_asked_for() {
    let proxy = Proxy::start().await;
    let mut raw = raw::session(&proxy).await;
    let load = command::encode_query(b"LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE shop.orders");
    let (_, message) = error(&raw.asks(&load).await.unwrap());
    assert!(message.starts_with("Keyhole: "), "{message}");
}
