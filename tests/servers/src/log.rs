//! The audit log as a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::{Authority, STARTING, free_port, until};

/// The name in its certificate.
pub const LOG_NAME: &str = "log.keyhole.internal";

/// A running log.
pub struct AuditLog {
    folders: TempDir,
    process: Option<Child>,
    port: u16,
    others: [u16; 2],
}

impl AuditLog {
    /// A new log that takes records of writers with certificates of this authority.
    pub fn start(authority: &Authority) -> Self {
        Self::start_as(authority, LOG_NAME)
    }

    /// The same, with another name in its certificate.
    pub fn start_as(authority: &Authority, name: &str) -> Self {
        Self::start_in(&std::env::temp_dir(), authority, name)
    }

    /// The same, in a folder of its own within this one, which says on which disk.
    pub fn start_in(within: &Path, authority: &Authority, name: &str) -> Self {
        let folders = tempfile::Builder::new().prefix("keyhole-log-").tempdir_in(within).unwrap();
        let identity = folders.path().join("identity");
        fs::create_dir(&identity).unwrap();
        let (certificate, key) = authority.server(name);
        for (name, text) in
            [("tls.crt", &certificate), ("tls.key", &key), ("internal-ca.crt", &authority.pem)]
        {
            fs::write(identity.join(name), text).unwrap();
        }
        fs::write(folders.path().join("kek"), "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n").unwrap();
        let mut log = Self { folders, process: None, port: free_port(), others: [free_port(), free_port()] };
        log.start_again();
        log
    }

    /// Starts it where it is not running, and waits until it takes records.
    pub fn start_again(&mut self) {
        let path = |name: &str| self.folders.path().join(name);
        let [read, health] = self.others;
        let process = Command::new(binary())
            .args(["--log-format", "text", "serve", "--create", "--listen-address", "127.0.0.1"])
            .args([format!("--port-append={}", self.port), format!("--port-read={read}")])
            .arg(format!("--port-health={health}"))
            .arg("--dir")
            .arg(path("log"))
            .arg("--identity")
            .arg(path("identity"))
            .arg("--kek")
            .arg(path("kek"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(path("said")).unwrap())
            .spawn()
            .unwrap();
        self.process = Some(process);
        let takes = || self.said().contains("the log takes records");
        until("the audit log takes records", STARTING, takes)
            .unwrap_or_else(|error| panic!("{error}: {}", self.said()));
    }

    /// Host and port for writers.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Host and port for readers.
    pub fn read_address(&self) -> String {
        format!("127.0.0.1:{}", self.others[0])
    }

    /// Host and port for figures.
    pub fn health_address(&self) -> String {
        format!("127.0.0.1:{}", self.others[1])
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.folders.path().join("log")
    }

    /// What it logged since it was started last.
    pub fn said(&self) -> String {
        fs::read_to_string(self.folders.path().join("said")).unwrap_or_default()
    }

    /// Kills it, as the kernel does.
    pub fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Tells it to stop, and waits: everything is in the tree then.
    pub fn stop(&mut self) {
        self.signal("-TERM");
        let status = self.process.take().unwrap().wait().unwrap();
        assert!(status.success(), "{status}: {}", self.said());
    }

    /// It does nothing any more, and its connections stay.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// The binary, of the workspace in whose folder these tests run, and built as they are.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--offline",
            "--locked",
            "-p",
            "keyhole-log",
            "--message-format=json",
        ]);
        // Nothing else tells a release build from inside.
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        let built = cargo.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let lines = String::from_utf8(built.stdout).unwrap();
        let executable = |line: &str| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            message["executable"].as_str().map(PathBuf::from)
        };
        lines.lines().find_map(executable).unwrap()
    })
}
