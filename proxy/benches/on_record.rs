//! What the audit log costs a point select: through a proxy whose log is on a disk, through one whose log is in memory, and through one
//! whose records are acknowledged on the spot and kept nowhere. Each is a process of its own, between real clients and a real MariaDB, TLS
//! on all sides. And how much memory the way to the log takes in a proxy that nobody uses.
//!
//! `cargo bench -p keyhole-proxy --bench on_record`; the disk is that of `TMPDIR`, and memory is `/dev/shm`. `KEYHOLE_ROUNDS`: how many
//! rounds, 20 unless said. Ratios are of slices that follow each other, so that what disturbs one disturbs all.

// A measurement that fails may panic, and takes real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::disallowed_methods)]

#[allow(dead_code, reason = "tests use more of it")]
#[path = "../tests/mysql/support/mod.rs"]
mod support;

mod ear;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use access::{Grant, Limits};
use ear::Ear;
use keyhole_proxy::audit::{Acknowledgements, Journal, LogKeeper, Stream};
use keyhole_proxy::ending::Ending;
use keyhole_proxy::usage::UsageMeter;
use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, Opts, OptsBuilder, SslOpts, Statement};
use recorder::{Link, Recorder};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use servers::{AuditLog, Authority, LOG_NAME};

use support::clients::Person;
use support::databases::{PASSWORD, USER};
use support::proxy::{Proxy, UID, grant, kept_nowhere, wide};

/// Set for a process that is a proxy: the folder of its files.
const SERVES: &str = "KEYHOLE_BENCH_SERVES";

/// How long one way is under load in one round.
const SLICE: Duration = Duration::from_millis(400);

/// How many connections send at once.
const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// How many proxies of each kind are started for their memory.
const STARTS: usize = 7;

fn main() {
    let runtime = keyhole_proxy::runtime::of(1).unwrap();
    if let Some(folder) = std::env::var_os(SERVES) {
        return runtime.block_on(serve(Path::new(&folder)));
    }
    let authority = Authority::new("internal");
    let grant = grant(Limits { sessions: 100, ..wide() });
    let disk = AuditLog::start_in(&std::env::temp_dir(), &authority, LOG_NAME);
    let memory = AuditLog::start_in(Path::new("/dev/shm"), &authority, LOG_NAME);
    let started = |log: Option<&AuditLog>| Served::start(&grant, log.map(|log| (log, &authority)));
    idle([None, Some(&memory)].map(|log| (0..STARTS).map(|_| started(log).resident()).collect()));
    let ways = [("no log", None), ("log on tmpfs", Some(&memory)), ("log on disk", Some(&disk))];
    runtime.block_on(measure(ways.map(|(name, log)| (name, started(log)))));
}

// --- A process that is a proxy.

/// Serves until its input closes. For each line of it, says how often statements waited for their record so far, and how long in all.
async fn serve(folder: &Path) {
    let grant = access::file::read(&std::fs::read(folder.join("grant.json")).unwrap()).unwrap();
    let mut journal_metrics = None;
    let journal = |usage: Arc<UsageMeter>, ending| {
        let journal = match std::fs::read_to_string(folder.join("log")) {
            Ok(address) => in_log(folder, &address, (usage, ending)),
            Err(_) => kept_nowhere(usage, ending),
        };
        journal_metrics = Some(journal.metrics());
        journal
    };
    let proxy = Proxy::on_record(grant, journal).await;
    let person = Person::of(&proxy);
    println!("{} {}", proxy.native, person.file("").display());
    let answers = move || {
        for line in std::io::stdin().lines() {
            line.unwrap();
            println!("{}", waits(&journal_metrics.as_ref().unwrap().page(proxy.usage.so_far())));
        }
    };
    tokio::task::spawn_blocking(answers).await.unwrap();
}

/// Seconds and how often, from the page that Prometheus reads.
fn waits(page: &str) -> String {
    let number = |name: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().to_owned()
    };
    format!("{} {}", number("keyhole_proxy_record_seconds_sum"), number("keyhole_proxy_record_seconds_count"))
}

/// As a proxy's life makes it.
fn in_log(folder: &Path, address: &str, (usage, ending): (Arc<UsageMeter>, Ending)) -> Journal {
    let acknowledged = Acknowledgements::default();
    let recorder = Recorder::new(Stream::of(UID).unwrap(), Arc::new(Ear(acknowledged.clone())));
    let file = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let certificate = |name| CertificateDer::from_pem_slice(&file(name)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate("log-ca.pem")).unwrap();
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![certificate("proxy.pem")],
            PrivateKeyDer::from_pem_slice(&file("proxy-key.pem")).unwrap(),
        )
        .unwrap();
    let (address, server_name) = (address.to_owned(), LOG_NAME.try_into().unwrap());
    let link = Link { address, server_name, tls: recorder::tls(tls) };
    let keeper = Box::new(LogKeeper::new(recorder.clone()));
    tokio::spawn(async move { recorder.run(&link).await });
    Journal::new(usage, ending, acknowledged, keeper)
}

// --- Who starts it.

/// A proxy's process.
struct Served {
    child: Child,
    asks: Option<ChildStdin>,
    says: BufReader<ChildStdout>,
    port: u16,
    person: PathBuf,
    _folder: tempfile::TempDir,
}

impl Served {
    fn start(grant: &Grant, log: Option<(&AuditLog, &Authority)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        write("grant.json", &access::file::write(grant));
        if let Some((log, authority)) = log {
            let uri = format!("keyhole://proxy/{UID}");
            let (certificate, key) = authority.peer("grant.proxy.keyhole.internal", &uri);
            for (name, text) in
                [("log-ca.pem", &authority.pem), ("proxy.pem", &certificate), ("proxy-key.pem", &key)]
            {
                write(name, text.as_bytes());
            }
            write("log", log.address().as_bytes());
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(SERVES, folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (asks, mut says) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut line = String::new();
        says.read_line(&mut line).unwrap();
        let (port, person) = line.trim().split_once(' ').unwrap();
        let (port, person) = (port.parse().unwrap(), person.into());
        Self { child, asks, says, port, person, _folder: folder }
    }

    /// Its memory, in KiB, once it has a session behind it: then a log has welcomed it.
    fn resident(&self) -> f64 {
        let runtime = keyhole_proxy::runtime::of(1).unwrap();
        runtime.block_on(async {
            let mut connection = Conn::new(self.options()).await.unwrap();
            let one: Option<u8> = connection.query_first("SELECT 1").await.unwrap();
            assert_eq!(one, Some(1));
            connection.disconnect().await.unwrap();
        });
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Seconds that statements waited for their records, and how many statements.
    fn waited(&mut self) -> (f64, f64) {
        writeln!(self.asks.as_mut().unwrap()).unwrap();
        let mut line = String::new();
        self.says.read_line(&mut line).unwrap();
        let (seconds, count) = line.trim().split_once(' ').unwrap();
        (seconds.parse().unwrap(), count.parse().unwrap())
    }

    fn options(&self) -> Opts {
        let file = |name: &str| self.person.join(name);
        let identity = ClientIdentity::new(file("crt.pem").into(), file("key.pem").into());
        let ssl = SslOpts::default().with_root_certs(vec![file("ca.pem").into()]);
        OptsBuilder::from_opts(Opts::default())
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some(USER))
            .pass(Some(PASSWORD))
            .db_name(Some("shop"))
            .prefer_socket(false)
            .ssl_opts(ssl.with_client_identity(Some(identity)))
            .into()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.asks.take());
        let _ = self.child.wait();
    }
}

// --- What is measured.

struct Worker {
    connection: Conn,
    statement: Statement,
    next: usize,
}

impl Worker {
    async fn runs(mut self, until: Instant) -> (Self, Vec<f64>) {
        let mut micros = Vec::new();
        while Instant::now() < until {
            self.next = (self.next + 7) % 50_000;
            let began = Instant::now();
            let found: Option<u32> =
                self.connection.exec_first(&self.statement, (self.next + 1,)).await.unwrap();
            assert!(found.is_some());
            micros.push(began.elapsed().as_secs_f64() * 1e6);
        }
        (self, micros)
    }
}

/// One way to the server, with its connections.
struct Way {
    name: &'static str,
    served: Served,
    workers: Vec<Worker>,
}

/// What one slice brought: statements a second, the time of a half in microseconds, and the wait for the record in each.
struct Slice {
    rate: f64,
    p50: f64,
    wait: f64,
}

impl Way {
    async fn opened(name: &'static str, served: Served) -> Self {
        let mut workers = Vec::new();
        for number in 0..CONNECTIONS[CONNECTIONS.len() - 1] {
            let mut connection = Conn::new(served.options()).await.unwrap();
            let statement = connection.prep("SELECT n FROM numbers WHERE n = ?").await.unwrap();
            workers.push(Worker { connection, statement, next: number * 61 });
        }
        Self { name, served, workers }
    }

    async fn slice(&mut self, connections: usize) -> Slice {
        let (waited, count) = self.served.waited();
        let began = Instant::now();
        let mut running = tokio::task::JoinSet::new();
        for worker in self.workers.drain(..connections) {
            running.spawn(worker.runs(began + SLICE));
        }
        let mut micros = Vec::new();
        while let Some(done) = running.join_next().await {
            let (worker, more) = done.unwrap();
            self.workers.push(worker);
            micros.extend(more);
        }
        let rate = micros.len() as f64 / began.elapsed().as_secs_f64();
        let (waited_then, count_then) = self.served.waited();
        let wait = (waited_then - waited) * 1e6 / (count_then - count).max(1.0);
        Slice { rate, p50: median(micros), wait }
    }
}

fn idle([without, with]: [Vec<f64>; 2]) {
    let (without, with) = (median(without), median(with));
    let measured = format!("{:.2} MiB ({without:.0} → {with:.0} KiB)", (with - without) / 1024.0);
    println!("| memory of a proxy after a session, added by its way to the log | {measured} | 0.5 MiB |");
}

async fn measure(ways: [(&'static str, Served); 3]) {
    let rounds = std::env::var("KEYHOLE_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    let mut opened = Vec::new();
    for (name, served) in ways {
        opened.push(Way::opened(name, served).await);
    }
    for connections in CONNECTIONS {
        let mut slices: Vec<Vec<Slice>> = opened.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (way, slices) in opened.iter_mut().zip(&mut slices) {
                slices.push(way.slice(connections).await);
            }
        }
        for (way, measured) in opened.iter().zip(&slices) {
            tell(way.name, connections, (measured, &slices[0]));
        }
    }
}

/// A row: what a way brought, and its ratio to the first one's in the same rounds.
fn tell(name: &str, connections: usize, (measured, first): (&[Slice], &[Slice])) {
    let of = |part: fn(&Slice) -> f64| median(measured.iter().map(part).collect());
    let ratio = median(measured.iter().zip(first).map(|(this, first)| this.rate / first.rate).collect());
    let (rate, p50, wait) = (of(|slice| slice.rate), of(|slice| slice.p50), of(|slice| slice.wait));
    let aim = if name == "log on tmpfs" && connections > 1 { "0.90" } else { "" };
    println!(
        "| point selects, {connections} connections, {name} ÷ no log | {ratio:.2} ({rate:.0} /s, p50 {p50:.0} µs, of it {wait:.0} µs waiting for the record) | {aim} |"
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
