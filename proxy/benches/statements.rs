//! What a point select costs on its way through one proxy, a process of its own between real clients and a real MariaDB, TLS on
//! both sides: processor time, thread switches and system calls for each statement, and its rate beside the direct way and
//! HAProxy's. `docs/performance.md` says how to run it; nothing depends on its figures.
//!
//! `cargo bench -p keyhole-proxy --bench statements` measures everything. With `text 16 2000` behind `--` it sends 2000
//! statements of that kind on 16 connections and is done, for whatever watches: `KEYHOLE_UNDER` is a command that the proxy is started under,
//! `KEYHOLE_THREADS` how many threads it has.

// A measurement that fails may panic, and takes real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![allow(clippy::disallowed_methods, dead_code)]

mod ear;
#[path = "../tests/mysql/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use access::Limits;
use mysql_async::prelude::Queryable;
use mysql_async::{ClientIdentity, Conn, Opts, OptsBuilder, SslOpts, Statement};
use tempfile::TempDir;

use support::clients::Person;
use support::databases::{PASSWORD, USER, mariadb};
use support::proxy::{Proxy, wide};

/// Set for the process that is the proxy.
const SERVES: &str = "KEYHOLE_BENCH_SERVES";

/// Rounds of one measurement; medians are told.
const ROUNDS: usize = 9;

/// How long one way is under load in one round.
const SLICE: Duration = Duration::from_millis(400);

const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// What is sent.
#[derive(Clone, Copy, Debug)]
enum Load {
    /// The same text again and again.
    Text,
    /// A text that was never seen before.
    New,
    /// Executions of a prepared statement.
    Prepared,
    /// A query of 50,000 short rows.
    Rows,
    /// A query of one row of 20 MiB.
    Blob,
    /// A new connection, and its end.
    Connect,
}

const LOADS: [Load; 6] = [Load::Text, Load::New, Load::Prepared, Load::Rows, Load::Blob, Load::Connect];

impl Load {
    /// How many connections send it at once. Long answers are measured one at a time.
    fn connections(self) -> &'static [usize] {
        match self {
            Self::Text | Self::New | Self::Prepared => &CONNECTIONS,
            Self::Rows | Self::Blob | Self::Connect => &CONNECTIONS[..1],
        }
    }

    /// How many statements of it are enough to count system calls.
    fn enough(self) -> usize {
        match self {
            Self::Text | Self::New | Self::Prepared => 200,
            Self::Rows | Self::Blob => 5,
            Self::Connect => 20,
        }
    }
}

fn main() {
    if std::env::var_os(SERVES).is_some() {
        let threads = std::env::var("KEYHOLE_THREADS").map_or(1, |threads| threads.parse().unwrap());
        return keyhole_proxy::runtime::of(threads).unwrap().block_on(serve());
    }
    let runtime = keyhole_proxy::runtime::of(1).unwrap();
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let server = Server::start();
    match args.as_slice() {
        [] => runtime.block_on(measure(&server)),
        [load, connections, statements] => {
            let load = LOADS.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(load));
            let (connections, statements) = (connections.parse().unwrap(), statements.parse().unwrap());
            runtime.block_on(async {
                let mut way = Way::opened("Keyhole", &server.keyhole(), connections).await;
                way.sends(load.unwrap(), connections, Until::Sent(statements)).await;
            });
        }
        _ => panic!("nothing, or: text, new or prepared; connections; statements"),
    }
}

/// The proxy: says where it is, and serves until its input closes.
async fn serve() {
    let database = mariadb();
    let proxy = Proxy::with_limits(Limits { sessions: 100, ..wide() }).await;
    let person = Person::of(&proxy);
    let folder = person.file("").display().to_string();
    std::fs::write(person.file("database.pem"), &database.ca_pem).unwrap();
    println!("{} {} {} {folder}", std::process::id(), proxy.native, database.port);
    let closes = || std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    tokio::task::spawn_blocking(closes).await.unwrap();
}

/// The proxy's process, with its database.
struct Server {
    child: Child,
    pid: u32,
    proxy: u16,
    database: u16,
    folder: String,
}

impl Server {
    fn start() -> Self {
        let program = std::env::current_exe().unwrap().display().to_string();
        let under = std::env::var("KEYHOLE_UNDER").unwrap_or_default();
        let words: Vec<&str> = under.split_whitespace().chain([program.as_str()]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env(SERVES, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let [pid, proxy, database, folder] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("no proxy: {line}")
        };
        let port = |word: &str| word.parse().unwrap();
        let (proxy, database) = (port(proxy), port(database));
        Self { child, pid: pid.parse().unwrap(), proxy, database, folder: folder.to_owned() }
    }

    fn keyhole(&self) -> Opts {
        let file = |name: &str| std::path::PathBuf::from(&self.folder).join(name);
        let identity = ClientIdentity::new(file("crt.pem").into(), file("key.pem").into());
        let ssl = SslOpts::default().with_root_certs(vec![file("ca.pem").into()]);
        options(self.proxy, ssl.with_client_identity(Some(identity)))
    }

    fn direct(&self, port: u16) -> Opts {
        let ca = std::path::PathBuf::from(&self.folder).join("database.pem");
        options(port, SslOpts::default().with_root_certs(vec![ca.into()]))
    }

    /// Of all its threads: nanoseconds on a processor, and how often one of them waited.
    fn used(&self) -> (f64, f64) {
        let (mut nanoseconds, mut waits) = (0.0, 0.0);
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap() {
            let task = task.unwrap().path();
            let schedstat = std::fs::read_to_string(task.join("schedstat")).unwrap();
            nanoseconds += schedstat.split(' ').next().unwrap().parse::<f64>().unwrap();
            let status = std::fs::read_to_string(task.join("status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            waits += line.unwrap().trim().parse::<f64>().unwrap();
        }
        (nanoseconds, waits)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn options(port: u16, ssl: SslOpts) -> Opts {
    OptsBuilder::from_opts(Opts::default())
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some(USER))
        .pass(Some(PASSWORD))
        .db_name(Some("shop"))
        .prefer_socket(false)
        .ssl_opts(ssl)
        .into()
}

/// HAProxy in TCP mode, while it runs.
struct HaProxy {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl HaProxy {
    fn start(database: u16) -> Option<Self> {
        let (folder, port) = (tempfile::tempdir().unwrap(), servers::free_port());
        let config = format!(
            "global\n  maxconn 200\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
             listen database\n  bind 127.0.0.1:{port}\n  server one 127.0.0.1:{database}\n"
        );
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("/usr/sbin/haproxy");
        let child = command.arg("-db").arg("-f").arg(file).stderr(Stdio::null()).spawn().ok()?;
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        servers::until("HAProxy listens", Duration::from_secs(5), listens).unwrap();
        Some(Self { child, port, _folder: folder })
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Worker {
    options: Opts,
    connection: Conn,
    statement: Statement,
    next: usize,
}

/// When a worker is done.
#[derive(Clone, Copy)]
enum Until {
    At(Instant),
    Sent(usize),
}

impl Worker {
    async fn sends(mut self, load: Load, until: Until) -> (Self, Vec<f64>) {
        let mut times = Vec::new();
        while match until {
            Until::At(end) => Instant::now() < end,
            Until::Sent(statements) => times.len() < statements,
        } {
            self.next += 1;
            let n = self.next % 50_000 + 1;
            let began = Instant::now();
            let found: Option<u32> = match load {
                Load::Text => {
                    self.connection.query_first("SELECT n FROM numbers WHERE n = 4711").await.unwrap()
                }
                Load::New => {
                    let text = format!("SELECT n FROM numbers WHERE n = {n} AND {} > 0", self.next);
                    self.connection.query_first(text).await.unwrap()
                }
                Load::Prepared => self.connection.exec_first(&self.statement, (n,)).await.unwrap(),
                Load::Rows => {
                    let rows: Vec<u32> = self.connection.query("SELECT n FROM numbers").await.unwrap();
                    rows.last().copied()
                }
                Load::Blob => {
                    let text = "SELECT bytes FROM blobs WHERE id = 1";
                    let bytes: Option<Vec<u8>> = self.connection.query_first(text).await.unwrap();
                    bytes.map(|bytes| bytes.len().try_into().unwrap())
                }
                Load::Connect => {
                    let connection = Conn::new(self.options.clone()).await.unwrap();
                    let number = connection.id();
                    connection.disconnect().await.unwrap();
                    Some(number)
                }
            };
            assert!(found.is_some());
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        (self, times)
    }
}

/// One way to the server, with its connections.
struct Way {
    name: &'static str,
    workers: Vec<Worker>,
}

impl Way {
    async fn opened(name: &'static str, options: &Opts, connections: usize) -> Self {
        let mut workers = Vec::new();
        for number in 0..connections {
            let mut connection = Conn::new(options.clone()).await.unwrap();
            let statement = connection.prep("SELECT n FROM numbers WHERE n = ?").await.unwrap();
            let options = options.clone();
            workers.push(Worker { options, connection, statement, next: number << 40 });
        }
        Self { name, workers }
    }

    /// The times of all statements, in microseconds.
    async fn sends(&mut self, load: Load, connections: usize, until: Until) -> Vec<f64> {
        let mut running = tokio::task::JoinSet::new();
        for worker in self.workers.drain(..connections) {
            running.spawn(worker.sends(load, until));
        }
        let mut all = Vec::new();
        while let Some(done) = running.join_next().await {
            let (worker, times) = done.unwrap();
            self.workers.push(worker);
            all.extend(times);
        }
        all
    }
}

/// What one slice brought.
#[derive(Default)]
struct Slices {
    rate: Vec<f64>,
    p50: Vec<f64>,
}

async fn measure(server: &Server) {
    let most = CONNECTIONS[CONNECTIONS.len() - 1];
    let haproxy = HaProxy::start(server.database);
    let mut ways = vec![
        Way::opened("direct", &server.direct(server.database), most).await,
        Way::opened("Keyhole", &server.keyhole(), most).await,
    ];
    if let Some(haproxy) = &haproxy {
        ways.push(Way::opened("HAProxy", &server.direct(haproxy.port), most).await);
    }
    println!(
        "| statement | connections | CPU µs | waits | Keyhole ÷ direct | HAProxy ÷ direct | p50 + µs | HAProxy's |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for load in LOADS {
        for &connections in load.connections() {
            println!("{}", row(server, &mut ways, load, connections).await);
        }
    }
    let keyhole = &mut ways[1];
    for load in LOADS {
        for &connections in load.connections() {
            println!(
                "\n{load:?}, {connections} connections: {}",
                calls(server, keyhole, load, connections).await
            );
        }
    }
}

async fn row(server: &Server, ways: &mut [Way], load: Load, connections: usize) -> String {
    let mut slices: Vec<Slices> = ways.iter().map(|_| Slices::default()).collect();
    let (mut cpu, mut waits) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (way, slices) in ways.iter_mut().zip(&mut slices) {
            let (before, began) = (server.used(), Instant::now());
            let times = way.sends(load, connections, Until::At(began + SLICE)).await;
            let (after, statements) = (server.used(), times.len() as f64);
            slices.rate.push(statements / began.elapsed().as_secs_f64());
            slices.p50.push(median(times));
            if way.name == "Keyhole" {
                cpu.push((after.0 - before.0) / statements / 1e3);
                waits.push((after.1 - before.1) / statements);
            }
        }
    }
    let direct = &slices[0];
    let (mut rates, mut added) = (String::new(), String::new());
    for slices in &slices[1..] {
        let pairs = slices.rate.iter().zip(&direct.rate).map(|(through, direct)| through / direct);
        write!(rates, " {:.2} |", median(pairs.collect())).unwrap();
        let pairs = slices.p50.iter().zip(&direct.p50).map(|(through, direct)| through - direct);
        write!(added, " {:.0} |", median(pairs.collect())).unwrap();
    }
    format!("| {load:?} | {connections} | {:.1} | {:.2} |{rates}{added}", median(cpu), median(waits))
}

/// System calls for each statement, by `strace`.
async fn calls(server: &Server, way: &mut Way, load: Load, connections: usize) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-c", "-f", "-o"]).arg(file.path()).args(["-p", &server.pid.to_string()]);
    let Ok(mut strace) = strace.stderr(Stdio::piped()).spawn() else { return "no strace".to_owned() };
    let mut attached = String::new();
    BufReader::new(strace.stderr.take().unwrap()).read_line(&mut attached).unwrap();
    let statements = load.enough() * connections;
    way.sends(load, connections, Until::Sent(statements / connections)).await;
    let interrupt = Command::new("kill").args(["-INT", &strace.id().to_string()]).status();
    assert!(interrupt.unwrap().success() && strace.wait().is_ok());
    let table = std::fs::read_to_string(file.path()).unwrap();
    let mut told = String::new();
    for words in table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()) {
        let (Some(calls), Some(name)) = (words.get(3), words.last()) else { continue };
        let Ok(calls) = calls.parse::<f64>() else { continue };
        if calls * 50.0 >= statements as f64 {
            write!(told, "{name} {:.2}, ", calls / statements as f64).unwrap();
        }
    }
    told
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
