//! A database server of this binary's own, on a port of its own, with TLS, in a folder that goes with it.

use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use access::Engine;

use super::certificates::Authority;

/// What Vault's role would make: a user for reading.
pub const USER: &str = "v-shop-reader";
pub const PASSWORD: &str = "T0p-Secret-Of-The-Lease";

pub struct DatabaseServer {
    pub engine: Engine,
    pub port: u16,
    pub ca_pem: String,
    folder: PathBuf,
    /// The administrator's client: a program and its first arguments.
    client: Vec<String>,
    /// The server's keeper ends it when its standard input closes, which it does with this process.
    _keeper: Child,
}

/// A folder with an authority, a certificate for `db.example.com`, and a port that is free.
pub struct Place {
    pub folder: PathBuf,
    pub port: u16,
    ca_pem: String,
}

impl Place {
    pub fn new(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("keyhole-{name}-")).tempdir().unwrap().keep();
        let authority = Authority::new("test database");
        let (certificate, key) = authority.server("db.example.com");
        for (name, pem) in [("ca.pem", &authority.pem), ("crt.pem", &certificate), ("key.pem", &key)] {
            std::fs::write(folder.join(name), pem).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, port, ca_pem: authority.pem }
    }

    /// Starts `server`, which is told here what both kinds of server are told, and waits until it greets.
    pub fn start(self, engine: Engine, server: &[&str], client: Vec<String>) -> DatabaseServer {
        let Self { folder, port, ca_pem } = self;
        let file = |name: &str| folder.join(name).display().to_string();
        let keeper = Command::new("sh")
            .arg("-c")
            .arg(
                "cd \"$0\" || exit; \"$@\" >log 2>&1 </dev/null & server=$!; \
                 read -r _; kill -9 $server; wait $server; rm -rf \"$0\"",
            )
            .arg(&folder)
            .args(server)
            .arg(format!("--datadir={}", file("data")))
            .arg(format!("--tmpdir={}", file("")))
            .arg(format!("--socket={}", file("socket")))
            .arg(format!("--pid-file={}", file("pid")))
            .arg(format!("--port={port}"))
            .arg(format!("--ssl-ca={}", file("ca.pem")))
            .arg(format!("--ssl-cert={}", file("crt.pem")))
            .arg(format!("--ssl-key={}", file("key.pem")))
            .args(["--user=root", "--bind-address=127.0.0.1", "--character-set-server=utf8mb4"])
            .args(["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0"])
            .args(["--max-allowed-packet=64M", "--require-secure-transport=OFF", "--max-connections=300"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(port, &folder);
        DatabaseServer { engine, port, ca_pem, folder, client, _keeper: keeper }
    }
}

impl DatabaseServer {
    /// Runs SQL as the server's administrator, past the proxy.
    pub fn admin(&self, sql: &str) -> String {
        let output = Command::new(&self.client[0])
            .args(&self.client[1..])
            .args(["--no-defaults", "-uroot", "-N", "-B", "--default-character-set=utf8mb4", "--socket"])
            .arg(self.folder.join("socket"))
            .args(["-e", sql])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Waits until the administrator's `sql` gives `expected`.
    pub async fn becomes(&self, sql: &str, expected: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let found = self.admin(sql);
            if found == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{sql} gives {found}, not {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What every test finds: two schemas, and the user that reads them. `numbers`: a query of 1 to 50000.
    pub fn fill(&self, numbers: &str) {
        self.admin(&format!(
            "CREATE DATABASE shop; CREATE DATABASE other; \
             CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARCHAR(40), paid DATETIME NULL); \
             INSERT INTO shop.orders VALUES (1, 'first', '2026-01-02 03:04:05'), (2, 'zwei ☕', NULL); \
             CREATE TABLE shop.numbers (n INT PRIMARY KEY); \
             INSERT INTO shop.numbers {numbers}; \
             CREATE TABLE shop.blobs (id INT PRIMARY KEY, bytes LONGBLOB); \
             INSERT INTO shop.blobs VALUES (1, REPEAT('x', 20 * 1024 * 1024)), (2, 'small'); \
             CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'; \
             GRANT SELECT, SHOW VIEW ON shop.* TO '{USER}'@'%'; GRANT SELECT ON other.* TO '{USER}'@'%';"
        ));
    }
}

fn wait_for(port: u16, folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let greeted = std::net::TcpStream::connect(("127.0.0.1", port))
            .is_ok_and(|mut stream| stream.read_exact(&mut [0; 5]).is_ok());
        if greeted {
            return;
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        let failed = log.contains("Aborting") || Instant::now() >= deadline;
        assert!(!failed, "the database did not start:\n{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
