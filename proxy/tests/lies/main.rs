//! A hostile server: whatever it says in place of a greeting, a login or an answer, the proxy ends with an error that has a
//! name, after little time and memory. Each lie is told to a process of its own, by the kernel's own measure.
//!
//! `cargo test -p keyhole-proxy --test lies` prints the table.

// A measurement that fails may panic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod told;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;

use access::{
    Allowances, AuditLog, Budget, Custody, Engine, Grant, GrantIdentity, Limits, Login, ServerAddress,
    StatementLimits, Target, TermsDigest, Tls, Used, VaultAccess, VaultLease, chain,
};
use keyhole_proxy::credential::Credential;
use keyhole_proxy::engines::mysql::server::{Dialer, PreflightError, examine};
use told::{Extended, Lie, Then};
use wire::mysql::connect::capabilities::Capabilities;
use zeroize::Zeroizing;

/// The most processor time that a lie may take, in hundredths of a second.
const MOST_TIME: u64 = 100;

/// The most memory that it may take, in KiB.
const MOST_KIB: u64 = 1024;

/// The variable that tells a process which port the liar has.
const CHILD: &str = "PORT_OF_A_LIAR";

/// The variable that is there where a process asks for extended metadata, as it would for a client that asks.
const ASKS: &str = "ASKS_FOR_EXTENDED_METADATA";

/// Lies that are told side by side: most of them are a silence that is waited for.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    match std::env::var(CHILD) {
        Ok(port) => hears(port.parse().unwrap()),
        Err(_) => tells_all(),
    }
    ExitCode::SUCCESS
}

/// Tells every lie and prints what became of it.
fn tells_all() {
    let lies = told::lies();
    assert!(lies.len() >= 30, "{} lies", lies.len());
    let waiting = Mutex::new(lies.into_iter());
    println!("{:>52}  {:>5}  {:>6}  error", "lie", "s/100", "KiB");
    std::thread::scope(|scope| {
        let tellers: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(lie) = next(&waiting) {
                        tells(lie)
                    }
                })
            })
            .collect();
        tellers.into_iter().for_each(|teller| teller.join().expect("each lie meets an error"));
    });
}

fn next(waiting: &Mutex<std::vec::IntoIter<Lie>>) -> Option<Lie> {
    waiting.lock().unwrap().next()
}

/// Tells one lie to a process that asks.
fn tells(lie: Lie) {
    let (name, expected) = (lie.name, lie.error);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut command = Command::new(std::env::current_exe().unwrap());
    if lie.asks == Extended::Metadata {
        command.env(ASKS, "");
    }
    command.env(CHILD, port.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let liar = std::thread::spawn(move || {
        for lie in [told::first(), lie] {
            let (stream, _) = listener.accept().unwrap();
            // It ends when the other side has closed.
            let _ = lies_to(stream, lie);
        }
    });
    let output = child.wait_with_output().unwrap();
    let (said, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {errors}");
    let mut words = said.trim().splitn(3, ' ');
    let mut figure = || words.next().unwrap().parse::<u64>().unwrap();
    let (time, kib) = (figure(), figure());
    let error = words.next().unwrap();
    println!("{name:>52}  {time:>5}  {kib:>6}  {error}");
    assert!(time <= MOST_TIME && kib <= MOST_KIB, "{name}: {time} hundredths of a second, {kib} KiB");
    assert!(error != "none" && error.contains(expected), "{name} is believed: {error}");
    liar.join().unwrap();
}

/// Says what the lie says, one turn for each packet that it hears.
fn lies_to(mut stream: TcpStream, lie: Lie) -> std::io::Result<()> {
    let Lie { name: _, turns, then, asks: _, error: _ } = lie;
    for (number, turn) in turns.iter().enumerate() {
        if number > 0 {
            hear_packet(&mut stream)?;
        }
        stream.write_all(turn)?;
    }
    match then {
        Then::Closes => return Ok(()),
        Then::Waits => {}
        Then::Repeats(what) => loop {
            stream.write_all(&what)?;
        },
    }
    std::io::copy(&mut stream, &mut std::io::sink()).map(|_| ())
}

fn hear_packet(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut header = [0; 4];
    stream.read_exact(&mut header)?;
    let [low, middle, high, _sequence] = header;
    let mut body = vec![0; usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16];
    stream.read_exact(&mut body)
}

/// Asks the server at this port as before every grant, or every session, and says what that took.
fn hears(port: u16) {
    let grant = grant(port);
    let credential = Credential {
        user: "v-shop-reader".into(),
        password: Zeroizing::new(b"secret-of-the-lease".to_vec()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dialer = Dialer::new(&grant.target).unwrap();
    let asks = std::env::var_os(ASKS).is_some();
    let agreed = if asks { Capabilities::EXTENDED_METADATA } else { Capabilities::NONE };
    // As preflight does.
    let ask = || {
        runtime.block_on(async {
            let connected = dialer.connect(&credential, agreed).await;
            examine(&mut connected.map_err(PreflightError::Connect)?, &grant).await.map(drop)
        })
    };
    // What the program itself takes once it has run is there then.
    assert!(ask().is_err());
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, kib) = (time(), peak_kib());
    let said = ask();
    let (took, kib) = (time() - before, peak_kib() - kib);
    let error = said.err().map_or_else(|| "none".to_owned(), |error| chain(&error));
    assert!(!error.contains("secret"), "{error}");
    println!("{took} {kib} {error}");
}

/// Processor time of this process, in hundredths of a second: fields 14 and 15 of `/proc/self/stat`.
fn time() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// The most memory that this process has had since it was last asked to forget, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

fn grant(port: u16) -> Grant {
    Grant {
        identity: GrantIdentity {
            uid: "7b1c2d3e-0000-4000-8000-000000000001".into(),
            namespace: "shop".into(),
            name: "look".into(),
            user: "requester@example.com".into(),
            terms: TermsDigest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap(),
        },
        issued_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        expires_at: "2026-01-01T00:30:00Z".parse().unwrap(),
        seconds_left: 1800,
        target: Target {
            namespace: "shop".into(),
            name: "orders".into(),
            engine: Engine::MariaDb,
            address: ServerAddress::new("127.0.0.1", port.into()).unwrap(),
            standbys: Vec::new(),
            texts: access::Texts::default(),
            tls: Tls::Disabled,
            schema: None,
            allowances: Allowances::default(),
            columns: Vec::new(),
            lease: VaultLease { mount: "database".into(), role: "jit-read-role".into() },
        },
        limits: Limits {
            statement: StatementLimits { rows: 1_000, seconds: 30, bytes: 1_000_000 },
            budget: Budget { rows: 1_000, bytes: 1_000_000 },
            idle_transaction_seconds: 30,
            refusals: None,
            sessions: 5,
        },
        used: Used::default(),
        vault: VaultAccess {
            address: "https://vault.example.com:8200".into(),
            ca_pem: String::new(),
            namespace: None,
            login: Login::TokenFile { path: "/nowhere".into() },
            token_role: "keyhole.shop.orders".into(),
        },
        custody: Custody::Operator,
        audit: AuditLog {
            address: "log.example.com:7446".into(),
            server_name: "log.example.com".into(),
            patience_millis: 2_000,
        },
    }
}
