//! MariaDB of this machine, and the newest MySQL that Debian packages, from a folder of its own (`tests/mysql/rootfs.sh`).

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::keeper::Keeper;
use crate::{Authority, Failed, STARTING, free_port, said};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This machine's MariaDB.
    MariaDb,
    /// MySQL out of its folder.
    MySql,
}

/// A running server. Its administrator `root` comes in by its socket without a password.
pub struct Database {
    /// Which one.
    pub kind: Kind,
    /// Its port on loopback.
    pub port: u16,
    /// The authority of its certificate, which is for `db.example.com`, `localhost` and 127.0.0.1. PEM.
    pub ca_pem: String,
    folder: PathBuf,
    /// The administrator's client: a program and its first arguments.
    client: Vec<String>,
    keeper: Mutex<Keeper>,
}

impl Database {
    /// Starts this machine's MariaDB.
    pub fn mariadb(options: &[&str]) -> Self {
        let folder = new_folder("mariadb");
        let mut install = Command::new("mariadb-install-db");
        install
            .args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--user=root",
            ])
            .arg(format!("--datadir={}", folder.join("data").display()))
            // Two databases that are made at once would meet in `/tmp`.
            .arg(format!("--tmpdir={}", folder.display()))
            .env("TMPDIR", &folder);
        said(&mut install, "")
            .unwrap_or_else(|error| panic!("mariadb-install-db (tests/cluster/bed install): {error}"));
        let server = ["mariadbd", "--no-defaults"].map(str::to_owned);
        Self::start(Kind::MariaDb, folder, (&server, options), vec!["mariadb".into()])
    }

    /// Starts MySQL. What holds for a folder of data from its making on is told to whatever makes it, too.
    pub fn mysql(options: &[&str]) -> Self {
        let (folder, runner) = (new_folder("mysql"), mysql_program());
        let base = format!("--basedir={}", Path::new(runner).with_file_name("usr").display());
        let mut install = Command::new(runner);
        install
            .args(["mysqld", "--no-defaults", "--initialize-insecure", "--user=root", &base])
            .arg(format!("--datadir={}", folder.join("data").display()))
            .args(options.iter().filter(|option| option.starts_with("--lower-case-table-names=")));
        said(&mut install, "").unwrap_or_else(|error| panic!("mysqld --initialize-insecure: {error}"));
        let server = [
            runner,
            "mysqld",
            "--no-defaults",
            &base,
            "--mysqlx=OFF",
            "--skip-log-bin",
            "--secure-file-priv=NULL",
            "--innodb-doublewrite=OFF",
        ]
        .map(str::to_owned);
        Self::start(Kind::MySql, folder, (&server, options), vec![runner.into(), "mysql".into()])
    }

    fn start(kind: Kind, folder: PathBuf, command: (&[String], &[&str]), client: Vec<String>) -> Self {
        let (server, options) = command;
        let authority = Authority::new("test database");
        let (certificate, key) = authority.server("db.example.com");
        for (name, pem) in [("ca.pem", &authority.pem), ("crt.pem", &certificate), ("key.pem", &key)] {
            std::fs::write(folder.join(name), pem).unwrap();
        }
        let port = free_port();
        let file = |name: &str| folder.join(name).display().to_string();
        let mut program = server.to_vec();
        program.extend([
            format!("--datadir={}", file("data")),
            format!("--tmpdir={}", file("")),
            format!("--socket={}", file("socket")),
            format!("--pid-file={}", file("pid")),
            format!("--port={port}"),
            format!("--ssl-ca={}", file("ca.pem")),
            format!("--ssl-cert={}", file("crt.pem")),
            format!("--ssl-key={}", file("key.pem")),
        ]);
        let small =
            ["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", "--max-connections=300"];
        let common = [
            "--user=root",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
        ];
        program.extend(small.iter().chain(&common).chain(options).map(|option| (*option).to_owned()));
        let keeper = Mutex::new(Keeper::start(&folder, &program));
        let database = Self { kind, port, ca_pem: authority.pem, folder, client, keeper };
        database.greets();
        database
    }

    /// Stops it as a power cut would; its data stays.
    pub fn stop(&self) {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).order("stop");
    }

    /// Starts it again.
    pub fn start_again(&self) {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).order("start");
        self.greets();
    }

    /// Runs SQL as the administrator; tab-separated rows.
    pub fn admin(&self, sql: &str) -> String {
        self.asks(sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The same, for SQL that may fail.
    ///
    /// # Errors
    /// What the server said.
    pub fn asks(&self, sql: &str) -> Result<String, Failed> {
        let mut client = Command::new(&self.client[0]);
        client
            .args(&self.client[1..])
            .args(["--no-defaults", "-uroot", "-N", "-B", "--default-character-set=utf8mb4", "--socket"])
            .arg(self.folder.join("socket"));
        said(&mut client, sql)
    }

    fn greets(&self) {
        let deadline = Instant::now() + STARTING;
        loop {
            let stream = std::net::TcpStream::connect(("127.0.0.1", self.port));
            if stream.is_ok_and(|mut stream| stream.read_exact(&mut [0; 5]).is_ok()) {
                return;
            }
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let failed = log.contains("Aborting") || Instant::now() >= deadline;
            assert!(!failed, "{:?} did not start:\n{log}", self.kind);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What starts a program of MySQL's folder: `mysqld`, or MySQL's own client `mysql`.
pub fn mysql_program() -> &'static str {
    static RUNNER: OnceLock<String> = OnceLock::new();
    RUNNER.get_or_init(|| {
        let script = checkout().join("tests/mysql/rootfs.sh");
        let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "tests/mysql/rootfs.sh");
        format!("{}/run", String::from_utf8(output.stdout).unwrap().trim())
    })
}

/// The checkout whose tests run, which need not be the one that this was compiled in: two may share a target folder.
fn checkout() -> PathBuf {
    let compiled_in = env!("CARGO_MANIFEST_DIR");
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| compiled_in.into(), PathBuf::from);
    let root = package.ancestors().find(|folder| folder.join("Cargo.lock").exists());
    root.expect("a checkout").to_owned()
}

/// The keeper takes it away.
fn new_folder(name: &str) -> PathBuf {
    tempfile::Builder::new().prefix(&format!("keyhole-{name}-")).tempdir().unwrap().keep()
}
