//! What a proxy's processor does for the record of a statement and its acknowledgement, and what the audit log's disk has of it afterwards.
//! Real are everything between the relay and the log, TLS among it, and the log, a process of its own; of the statements nothing but their
//! records is made, so that nothing else is measured.
//!
//! `cargo bench -p keyhole-proxy --bench record` measures 1, 16 and 64 connections; `-- 16 100000` so many statements on so many. The log's folder lies
//! in `TMPDIR`. Nothing depends on the figures.

// A measurement that fails may panic, and takes real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::disallowed_methods)]

mod ear;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ear::Ear;
use keyhole_proxy::audit::{
    Acknowledgements, Intent, Journal, Known, LogKeeper, Outcome, Proof, Record, Stream, TlsVersion, Who,
};
use keyhole_proxy::ending::Ending;
use record::What;
use record::kinds::proxy::Open;
use recorder::{Link, Recorder};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use servers::{AuditLog, Authority, LOG_NAME};
use sql::{Facts, TableName};

/// The uid of the grant.
const GRANT: &str = "0b3f5a5e-8a5c-4b5e-8003-000000000001";

/// Of 60 bytes.
const TEXT: &[u8] = b"SELECT id, total, status FROM orders WHERE customer = 471147";

/// How many statements there are for one measurement.
const STATEMENTS: usize = 40_000;

const CONNECTIONS: [usize; 3] = [1, 16, 64];

fn main() {
    assert_eq!(TEXT.len(), 60);
    let args: Vec<usize> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .map(|arg| arg.parse().unwrap())
        .collect();
    println!(
        "| connections | CPU of the proxy µs | p50 of an acknowledgement µs | statements/s | bytes on disk | of them index |"
    );
    println!("|---|---|---|---|---|---|");
    match args[..] {
        [] => CONNECTIONS.into_iter().for_each(|connections| println!("{}", row(connections, STATEMENTS))),
        [connections, statements] => println!("{}", row(connections, statements)),
        _ => panic!("nothing, or: connections; statements"),
    }
}

/// Each of a log of its own.
fn row(connections: usize, statements: usize) -> String {
    let authority = Authority::new("internal");
    let mut log = AuditLog::start(&authority);
    let before = on_disk(&log.folder());
    let runtime = keyhole_proxy::runtime::of(1).unwrap();
    let Measured { cpu, lasted, p50 } =
        runtime.block_on(measure(&authority, &log, (connections, statements / connections)));
    // Everything is in the tree and in the index then.
    servers::until("the index has all", Duration::from_secs(120), || is_indexed(&log)).unwrap();
    log.stop();
    let after = on_disk(&log.folder());
    let statements = (statements / connections * connections) as f64;
    let grown = |of: &str| after.get(of).copied().unwrap_or(0.0) - before.get(of).copied().unwrap_or(0.0);
    let names: Vec<&String> = after.keys().filter(|name| *name != "journal").collect();
    let all: f64 = names.iter().map(|name| grown(name)).sum();
    let index: f64 = names.iter().filter(|name| name.starts_with("index")).map(|name| grown(name)).sum();
    format!(
        "| {connections} | {:.1} | {p50} | {:.0} | {:.0} | {:.0} |",
        cpu.as_secs_f64() * 1e6 / statements,
        statements / lasted.as_secs_f64(),
        all / statements,
        index / statements
    )
}

fn is_indexed(log: &AuditLog) -> bool {
    let mut stream = TcpStream::connect(log.health_address()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: log\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    ["unintegrated_records 0\n", "index_lag_records 0\n"]
        .into_iter()
        .all(|none| page.contains(&format!("keyhole_log_{none}")))
}

struct Measured {
    /// Of the thread on which all of it runs.
    cpu: Duration,
    lasted: Duration,
    /// The bound that half of the acknowledgements are within, in words.
    p50: String,
}

async fn measure(authority: &Authority, log: &AuditLog, (connections, each): (usize, usize)) -> Measured {
    let (journal, acknowledged) = journal(authority, log);
    let sessions: Vec<Who> = (1..).take(connections).map(who).collect();
    sessions.iter().for_each(|who| journal.note(&Record::SessionOpened(who)));
    journal.is_kept().await.unwrap();
    let (used, began) = (processor(), Instant::now());
    let mut running = tokio::task::JoinSet::new();
    for who in sessions {
        let journal = journal.clone();
        running.spawn(async move { reads(&journal, &who, each).await });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    journal.is_kept().await.unwrap();
    let (cpu, lasted) = (processor() - used, began.elapsed());
    let told = acknowledged.so_far();
    assert_eq!(told.count(), (connections * each) as u64);
    let bounds = access::report::ACKNOWLEDGED_WITHIN.map(|bound| format!("≤ {bound}"));
    let mut below = 0;
    let half = told.within.iter().position(|count| {
        below += count;
        below * 2 >= told.count()
    });
    let p50 = half.and_then(|half| bounds.get(half).cloned()).unwrap_or_default();
    journal.close(Duration::from_secs(10)).await;
    Measured { cpu, lasted, p50 }
}

/// Statements, one after the other.
async fn reads(journal: &Journal, who: &Who, statements: usize) {
    let table = TableName { schema: Some("shop".into()), name: "orders".into() };
    let facts = Facts { tables: [table].into(), ..Facts::default() };
    for _ in 0..statements {
        let intent = Intent {
            who,
            command: "COM_QUERY",
            text: TEXT,
            shape_of: None,
            of: None,
            parameters: &[],
            known: Some(Known { kind: "query", facts: &facts }),
            schema: Some("shop"),
        };
        let recorded = journal.forwards(intent).unwrap().recorded().await.unwrap();
        let outcome =
            Outcome { rows: 1, bytes: 120, duration: Duration::from_micros(471), ..Outcome::default() };
        recorded.end(&outcome);
    }
}

fn who(session: u32) -> Who {
    Who {
        grant_uid: GRANT.into(),
        user: "requester@example.com".into(),
        proof: Proof::Certificate { serial: "3f".into() },
        session,
        peer: ([127, 0, 0, 1], 40_122).into(),
        program: Some("mysql".into()),
        tls: TlsVersion::V1_3,
    }
}

/// The stream of a proxy, begun as `life::record` begins it.
fn journal(authority: &Authority, log: &AuditLog) -> (Journal, Acknowledgements) {
    let acknowledged = Acknowledgements::default();
    let recorder = Recorder::new(Stream::of(GRANT).unwrap(), Arc::new(Ear(acknowledged.clone())));
    let link = Link {
        address: log.address(),
        server_name: ServerName::try_from(LOG_NAME).unwrap(),
        tls: recorder::tls(tls(authority)),
    };
    let keeper = Box::new(LogKeeper::new(recorder.clone()));
    tokio::spawn(async move { recorder.run(&link).await });
    let patience = (acknowledged.clone(), Duration::from_secs(30));
    let journal = Journal::patient(Arc::default(), Ending::new(), patience, keeper);
    journal.note(&Record::Life(&What::Open(Open {
        database: "orders".into(),
        name: "look-1".into(),
        namespace: "shop".into(),
        pod: None,
        release: "0.1.0".into(),
        user: "requester@example.com".into(),
    })));
    (journal, acknowledged)
}

fn tls(authority: &Authority) -> ClientConfig {
    let (certificate, key) =
        authority.peer("grant.proxy.keyhole.internal", &format!("keyhole://proxy/{GRANT}"));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap()
}

/// How long this thread was on a processor.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// What each file or folder of the log's takes on the disk, in bytes.
fn on_disk(folder: &Path) -> BTreeMap<String, f64> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), taken(&entry.path()))).collect()
}

fn taken(path: &Path) -> f64 {
    let own = path.symlink_metadata().unwrap();
    let inside = if own.is_dir() {
        std::fs::read_dir(path).unwrap().map(|entry| taken(&entry.unwrap().path())).sum()
    } else {
        0.0
    };
    // `st_blocks` counts 512 bytes, whatever the disk's own blocks have.
    own.blocks() as f64 * 512.0 + inside
}
