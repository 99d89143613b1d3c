//! The ordinary `mariadb` client, and a driver for what it doesn't do.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};

use mysql_async::{ClientIdentity, Opts, OptsBuilder, SslOpts};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::proxy::Proxy;
use servers::Leaf;

/// A person's machine: their certificate in files, and clients to use it.
pub struct Person {
    folder: TempDir,
    port: u16,
}

/// What a client printed.
#[derive(Debug)]
pub struct Said {
    pub out: String,
    pub err: String,
}

impl Person {
    /// With a session certificate for the proxy's grant.
    pub fn of(proxy: &Proxy) -> Self {
        Self::with(proxy, Some(proxy.session_certificate()))
    }

    /// With any certificate, or none.
    pub fn with(proxy: &Proxy, leaf: Option<Leaf>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &proxy.serving_ca.pem).unwrap();
        if let Some((certificate, key)) = leaf {
            std::fs::write(folder.path().join("crt.pem"), certificate).unwrap();
            std::fs::write(folder.path().join("key.pem"), key).unwrap();
        }
        Self { folder, port: proxy.native }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The client with its options for TLS.
    pub fn mariadb(&self) -> Command {
        let mut command = self.mariadb_without_tls();
        command.arg("--ssl").arg(format!("--ssl-ca={}", self.file("ca.pem").display()));
        if self.file("crt.pem").exists() {
            command.arg(format!("--ssl-cert={}", self.file("crt.pem").display()));
            command.arg(format!("--ssl-key={}", self.file("key.pem").display()));
        }
        command
    }

    pub fn mariadb_without_tls(&self) -> Command {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--protocol=tcp", "-h127.0.0.1", "-N", "-B"]);
        command.arg(format!("-P{}", self.port));
        command
    }

    /// Runs SQL in a session of its own, going on after errors (which `-e` does not).
    pub async fn runs(&self, sql: &str) -> Said {
        let input = self.file("input.sql");
        std::fs::write(&input, sql).unwrap();
        let mut command = self.mariadb();
        command.arg("--force").stdin(std::fs::File::open(input).unwrap());
        said(command).await
    }

    /// A session that stays open: statements go in line by line.
    pub fn opens(&self) -> OpenClient {
        let mut child = self
            .mariadb()
            .args(["--force", "--unbuffered"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::unbounded_channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let stderr = child.stderr.take().unwrap();
        OpenClient { child, lines, stderr }
    }

    /// Options of the driver.
    pub fn driver(&self) -> OptsBuilder {
        let identity = ClientIdentity::new(self.file("crt.pem").into(), self.file("key.pem").into());
        let ssl = SslOpts::default()
            .with_root_certs(vec![self.file("ca.pem").into()])
            .with_client_identity(Some(identity));
        OptsBuilder::from_opts(Opts::default())
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some("anybody"))
            .prefer_socket(false)
            .ssl_opts(ssl)
    }

    pub async fn connects(&self) -> mysql_async::Conn {
        mysql_async::Conn::new(self.driver()).await.unwrap()
    }
}

/// Runs a client to its end.
pub async fn said(mut command: Command) -> Said {
    let run = move || command.output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    Said { out: text(&output.stdout), err: text(&output.stderr) }
}

/// A running `mariadb` client.
pub struct OpenClient {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
    stderr: ChildStderr,
}

impl OpenClient {
    pub fn sends(&mut self, sql: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(format!("{sql}\n").as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Its user presses Ctrl-C.
    pub fn interrupts(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    /// The next line of the answer.
    pub async fn line(&mut self) -> String {
        if let Some(line) = self.lines.recv().await {
            return line;
        }
        let mut errors = String::new();
        self.stderr.read_to_string(&mut errors).unwrap();
        panic!("the client left: {errors}");
    }

    /// Ends the input; what the client printed as errors until it left.
    pub async fn leaves(mut self) -> String {
        drop(self.child.stdin.take());
        let wait = move || {
            let mut errors = String::new();
            self.stderr.read_to_string(&mut errors).unwrap();
            self.child.wait().unwrap();
            errors
        };
        tokio::task::spawn_blocking(wait).await.unwrap()
    }
}
