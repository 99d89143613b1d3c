//! The process.

use std::collections::BTreeMap;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use record::{Count, Record, StreamName};
use rustls::ClientConfig;
use tempfile::TempDir;
use tlog::{Bundle, Hash, Holds, Note, TileName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::authority::{Authority, NAME};

/// How long it may take until the log takes records.
const START: Duration = Duration::from_secs(60);

/// A running log.
pub struct Log {
    folders: TempDir,
    process: Option<Child>,
    ports: [u16; 3],
    reader: Arc<ClientConfig>,
    /// Its public key.
    pub verifier: String,
}

impl Log {
    /// A new log that takes records.
    pub async fn start(authority: &Authority) -> Self {
        let folders = tempfile::tempdir().unwrap();
        let identity = folders.path().join("identity");
        std::fs::create_dir(&identity).unwrap();
        authority.identity(&identity);
        std::fs::write(folders.path().join("kek"), "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n").unwrap();
        let made = Command::new(env!("CARGO_BIN_EXE_keyhole-log"))
            .args(["init", "--dir"])
            .arg(folders.path().join("log"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let verifier = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        let mut reader = authority.client("keyhole://operator");
        reader.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut log =
            Self { folders, process: None, ports: free_ports(), reader: Arc::new(reader), verifier };
        log.start_again().await;
        log
    }

    /// Starts the process, and waits until it takes records.
    pub async fn start_again(&mut self) {
        let folder = |name: &str| self.folders.path().join(name);
        let [append, read, health] = self.ports.map(|port| port.to_string());
        let process = Command::new(env!("CARGO_BIN_EXE_keyhole-log"))
            .args(["--log-format", "text", "serve", "--listen-address", "127.0.0.1"])
            .args(["--port-append", &append, "--port-read", &read, "--port-health", &health])
            .arg("--dir")
            .arg(folder("log"))
            .arg("--identity")
            .arg(folder("identity"))
            .arg("--kek")
            .arg(folder("kek"))
            .arg("--anchor")
            .arg(self.anchor())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let ready = async {
            while self.get("/checkpoint").await.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(START, ready).await.expect("the log takes records");
    }

    /// Where it looks for what others have seen.
    pub fn anchor(&self) -> std::path::PathBuf {
        self.folders.path().join("anchor")
    }

    /// What `check` says of its folder.
    pub fn check(&self) -> String {
        self.said(&["check"], &[])
    }

    /// Gives it up; the key of the new one.
    pub fn accepts_loss(&self) -> String {
        let anchor = self.anchor().display().to_string();
        self.said(&["accept-loss"], &["--why", "the volume was set back", "--anchor", &anchor])
            .trim()
            .to_owned()
    }

    /// Standard output, or what it said on standard error where it failed.
    fn said(&self, command: &[&str], more: &[&str]) -> String {
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

    /// Its folder.
    pub fn folder(&self) -> std::path::PathBuf {
        self.folders.path().join("log")
    }

    /// Where writers go.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// The body of an answer; `None`, where nobody answers with 200.
    pub async fn get(&self, path: &str) -> Option<String> {
        let socket = TcpStream::connect(("127.0.0.1", self.ports[1])).await.ok()?;
        let connector = TlsConnector::from(Arc::clone(&self.reader));
        let mut stream = connector.connect(NAME.try_into().unwrap(), socket).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }

    /// Kills it, as the kernel does.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Tells it to stop, and waits.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        let pid = rustix::process::Pid::from_child(&process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = tokio::task::spawn_blocking(move || process.wait().unwrap()).await.unwrap();
        assert!(status.success(), "{status}");
    }

    /// How far each stream is in the tree of the newest checkpoint, each record in its place.
    pub fn heads(&self) -> BTreeMap<StreamName, (Count, Hash)> {
        let read = |path: &str| std::fs::read(self.folder().join(path)).unwrap();
        let note: Note = String::from_utf8(read("checkpoint")).unwrap().parse().unwrap();
        let checkpoint: tlog::Checkpoint = note.text().parse().unwrap();
        let mut heads: BTreeMap<StreamName, record::Head> = BTreeMap::new();
        for name in TileName::all(checkpoint.size).filter(|name| name.holds == Holds::Entries) {
            let bytes = read(&name.to_string());
            for entry in Bundle::parse(name, &bytes).unwrap().entries() {
                let record = Record::decode(entry).unwrap();
                let head = heads.entry(record.stream.clone()).or_default();
                *head = head.after(&record, Hash::of_leaf(entry)).unwrap();
            }
        }
        heads.into_iter().map(|(name, head)| (name, (head.count, head.last.unwrap()))).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// Ports that nobody listens on.
fn free_ports() -> [u16; 3] {
    let listeners = [0; 3].map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
