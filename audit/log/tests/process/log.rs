//! The process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use record::{Head, Record, StreamName};
use rustls::ClientConfig;
use tempfile::TempDir;
use tlog::{Bundle, Hash, Holds, Note, TileName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::authority::{Authority, NAME};

/// How long it may take until the log takes records.
const START: Duration = Duration::from_secs(60);

/// How often we look whether something has come true.
const LOOK: Duration = Duration::from_millis(10);

/// A log.
pub struct Log {
    folders: TempDir,
    folder: PathBuf,
    process: Option<Child>,
    ports: [u16; 3],
    reader: Reader,
    /// Words before the program's own name: what runs it.
    pub wrapper: Vec<OsString>,
    /// Words behind all others of `serve`.
    pub more: Vec<String>,
    /// Its public key.
    pub verifier: String,
}

/// Who may read a log. Clones are the same.
#[derive(Clone)]
pub struct Reader {
    port: u16,
    tls: Arc<ClientConfig>,
}

impl Log {
    /// A new log that takes records.
    pub async fn start(authority: &Authority) -> Self {
        let mut log = Self::made(authority, None);
        log.start_again().await;
        log
    }

    /// A new log, in this folder or in one of its own. It does not run yet.
    pub fn made(authority: &Authority, folder: Option<&Path>) -> Self {
        let mut log = Self::found(authority, folder, "");
        let made = Command::new(env!("CARGO_BIN_EXE_keyhole-log"))
            .args(["init", "--dir"])
            .arg(&log.folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().clone_into(&mut log.verifier);
        log
    }

    /// The log that lies in this folder, and has this public key. It does not run yet.
    pub fn found(authority: &Authority, folder: Option<&Path>, verifier: &str) -> Self {
        let folders = tempfile::tempdir().unwrap();
        let identity = folders.path().join("identity");
        std::fs::create_dir(&identity).unwrap();
        authority.identity(&identity);
        std::fs::write(folders.path().join("kek"), "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n").unwrap();
        let mut tls = authority.client("keyhole://operator");
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let ports = [0; 3].map(|_: u8| free_port());
        Self {
            folder: folder.map_or_else(|| folders.path().join("log"), Path::to_owned),
            folders,
            process: None,
            ports,
            reader: Reader { port: ports[1], tls: Arc::new(tls) },
            wrapper: Vec::new(),
            more: Vec::new(),
            verifier: verifier.to_owned(),
        }
    }

    /// Starts the process. What it says goes into a file, which is shown when a test fails.
    pub fn spawn(&mut self) {
        let folder = |name: &str| self.folders.path().join(name);
        let [append, read, health] = self.ports.map(|port| port.to_string());
        let said = std::fs::OpenOptions::new().create(true).append(true).open(folder("said")).unwrap();
        let mut words =
            self.wrapper.iter().cloned().chain([OsString::from(env!("CARGO_BIN_EXE_keyhole-log"))]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(["--log-format", "text", "serve", "--listen-address", "127.0.0.1"])
            .args(["--port-append", &append, "--port-read", &read, "--port-health", &health])
            .arg("--dir")
            .arg(&self.folder)
            .arg("--identity")
            .arg(folder("identity"))
            .arg("--kek")
            .arg(folder("kek"))
            .arg("--anchor")
            .arg(self.anchor())
            .args(&self.more)
            .stdin(Stdio::null())
            .stderr(said);
        let process = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        self.process = Some(process);
    }

    /// Where it looks for what others have seen.
    pub fn anchor(&self) -> std::path::PathBuf {
        self.folders.path().join("anchor")
    }

    /// What `check` says of its folder.
    pub fn check(&self) -> String {
        self.told(&["check"], &[])
    }

    /// Gives it up; the key of the new one.
    pub fn accepts_loss(&self) -> String {
        let anchor = self.anchor().display().to_string();
        self.told(&["accept-loss"], &["--why", "the volume was set back", "--anchor", &anchor])
            .trim()
            .to_owned()
    }

    /// What `restore` says, from the mirror that `more` names.
    pub fn restores(&self) -> String {
        let words: Vec<&str> = self.more.iter().map(String::as_str).collect();
        self.told(&["restore"], &words)
    }

    /// Standard output, or what it said on standard error where it failed.
    fn told(&self, command: &[&str], more: &[&str]) -> String {
        let mut program = Command::new(env!("CARGO_BIN_EXE_keyhole-log"));
        let ran = program.args(command).arg("--dir").arg(self.folder()).args(more).output().unwrap();
        String::from_utf8(if ran.status.success() { ran.stdout } else { ran.stderr }).unwrap()
    }

    /// A copy of its folder.
    pub fn copy_of_folder(&self) -> std::path::PathBuf {
        let copy = self.folders.path().join("copy");
        let copied = Command::new("cp").arg("-a").arg(self.folder()).arg(&copy).status().unwrap();
        assert!(copied.success());
        copy
    }

    /// Puts a copy in the place of its folder.
    pub fn set_back_to(&self, copy: &std::path::Path) {
        std::fs::remove_dir_all(self.folder()).unwrap();
        std::fs::rename(copy, self.folder()).unwrap();
    }

    /// Starts it where it must not: its exit code, and what it said.
    pub fn does_not_start(&self) -> (Option<i32>, String) {
        let path = |name: &str| self.folders.path().join(name);
        let ran = Command::new(env!("CARGO_BIN_EXE_keyhole-log"))
            .args([
                "serve",
                "--listen-address",
                "127.0.0.1",
                "--port-append=0",
                "--port-read=0",
                "--port-health=0",
            ])
            .arg("--dir")
            .arg(path("log"))
            .arg("--identity")
            .arg(path("identity"))
            .arg("--kek")
            .arg(path("kek"))
            .arg("--anchor")
            .arg(path("anchor"))
            .output()
            .unwrap();
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    }

    /// Starts the process, and waits until it takes records.
    pub async fn start_again(&mut self) {
        self.spawn();
        let ready = self.is_ready(START).await;
        assert!(ready, "the log takes no records");
    }

    /// Waits until it takes records. Not, if it ends before, or is not there in time.
    pub async fn is_ready(&mut self, patience: Duration) -> bool {
        let late = Instant::now() + patience;
        while Instant::now() < late && self.ended().is_none() {
            let answered = timeout(patience, self.reader.get("/checkpoint")).await;
            if answered.is_ok_and(|answer| answer.is_some()) {
                return true;
            }
            sleep(LOOK).await;
        }
        false
    }

    /// How it ended, once it has by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut().unwrap().try_wait().unwrap()
    }

    /// Waits until it has ended by itself.
    pub async fn ends(&mut self, patience: Duration) -> ExitStatus {
        let late = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended() {
                self.process = None;
                return status;
            }
            assert!(Instant::now() < late, "the log still runs after {patience:?}");
            sleep(LOOK).await;
        }
    }

    /// What it said on stderr, over all its starts.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folders.path().join("said")).unwrap_or_default()
    }

    /// Its folder, which a test may have chosen.
    pub fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// A path beside its folder and its identity, for whatever a test keeps of it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folders.path().join(name)
    }

    /// Where writers go.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// Who may read it.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Where readers go.
    pub fn address_to_read(&self) -> String {
        format!("127.0.0.1:{}", self.ports[1])
    }

    /// The body of an answer; `None`, where nobody answers with 200.
    pub async fn get(&self, path: &str) -> Option<String> {
        self.reader.get(path).await
    }

    /// The page that Prometheus reads.
    pub async fn figures(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[2])).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: log\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/openmetrics-text"), "{head}");
        body.to_owned()
    }

    /// Whether the kubelet hears that it is ready.
    pub async fn is_alive(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.ports[2])).await else { return false };
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: log\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.starts_with("HTTP/1.1 200")
    }

    /// From now on the most memory is counted anew.
    pub fn forgets_most_memory(&self) {
        let process = self.process.as_ref().unwrap().id();
        std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
    }

    /// The most memory that it has had since that was forgotten, in bytes.
    pub fn most_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// The memory that it has now, in bytes.
    pub fn memory_now(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// How many files and connections it has open.
    pub fn open_files(&self) -> usize {
        let process = self.process.as_ref().unwrap().id();
        std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count()
    }

    /// Where its health is asked for.
    pub fn address_of_health(&self) -> String {
        format!("127.0.0.1:{}", self.ports[2])
    }

    fn memory(&self, name: &str) -> u64 {
        let process = self.process.as_ref().unwrap().id();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
    }

    /// Kills it, as the kernel does.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Tells it to stop.
    pub fn is_told_to_stop(&self) {
        let process = self.process.as_ref().unwrap();
        let pid = rustix::process::Pid::from_child(process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Tells it to stop, and waits.
    pub async fn stop(&mut self) {
        self.is_told_to_stop();
        let status = self.ends(START).await;
        assert!(status.success(), "{status}");
    }

    /// How far each stream is in the tree of the newest checkpoint, each record in its place.
    pub fn heads(&self) -> BTreeMap<StreamName, Head> {
        let read = |path: &str| std::fs::read(self.folder.join(path)).unwrap();
        let note: Note = String::from_utf8(read("checkpoint")).unwrap().parse().unwrap();
        note.verify(&[self.verifier.parse().unwrap()]).unwrap();
        let checkpoint: tlog::Checkpoint = note.text().parse().unwrap();
        let mut heads: BTreeMap<StreamName, Head> = BTreeMap::new();
        let mut range = tlog::Range::default();
        for name in TileName::all(checkpoint.size).filter(|name| name.holds == Holds::Entries) {
            let bytes = read(&name.to_string());
            for entry in Bundle::parse(name, &bytes).unwrap().entries() {
                let record = Record::decode(entry).unwrap();
                let hash = Hash::of_leaf(entry);
                range.push(hash, |_, _| ()).unwrap();
                let head = heads.entry(record.stream.clone()).or_default();
                *head = head.after(&record, hash).unwrap();
            }
        }
        assert_eq!(range.root(), checkpoint.root);
        heads
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
        if std::thread::panicking() {
            let said = self.said();
            let last: Vec<&str> = said.lines().rev().take(20).collect();
            eprintln!("The last that the log said, newest first:\n{}", last.join("\n"));
        }
    }
}

impl Reader {
    /// The body of an answer; `None`, where nobody answers with 200.
    pub async fn get(&self, path: &str) -> Option<String> {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        let mut stream = connector.connect(NAME.try_into().unwrap(), socket).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }
}

/// A port that nobody listens on, and that the kernel gives to no connection: a log that is started again finds it free.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 200).unwrap() * 100;
    loop {
        let port = 10_000 + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
