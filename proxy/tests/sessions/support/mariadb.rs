//! One MariaDB for all tests of this binary, on a port of its own, with TLS, in a folder that goes with it.

use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::certificates::Authority;

/// What Vault's role would make: a user for reading.
pub const USER: &str = "v-shop-reader";
pub const PASSWORD: &str = "T0p-Secret-Of-The-Lease";

pub struct MariaDb {
    pub port: u16,
    pub ca_pem: String,
    folder: PathBuf,
    /// The server's keeper ends it when its standard input closes, which it does with this process.
    _keeper: Child,
}

/// The server, started by whoever asks first.
pub fn mariadb() -> &'static MariaDb {
    static SERVER: OnceLock<MariaDb> = OnceLock::new();
    SERVER.get_or_init(start)
}

impl MariaDb {
    /// Runs SQL as the server's administrator, past the proxy.
    pub fn admin(&self, sql: &str) -> String {
        let output = Command::new("mariadb")
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
}

fn start() -> MariaDb {
    let folder = tempfile::Builder::new().prefix("keyhole-mariadb-").tempdir().unwrap().keep();
    let authority = Authority::new("test database");
    let (certificate, key) = authority.server("db.example.com");
    for (name, pem) in [("ca.pem", &authority.pem), ("crt.pem", &certificate), ("key.pem", &key)] {
        std::fs::write(folder.join(name), pem).unwrap();
    }
    let data = folder.join("data");
    let installed = Command::new("mariadb-install-db")
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"])
        .arg(format!("--datadir={}", data.display()))
        // Two databases that are made at once would meet in `/tmp`.
        .arg(format!("--tmpdir={}", folder.display()))
        .env("TMPDIR", &folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(installed.success(), "mariadb-install-db");

    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let keeper = Command::new("sh")
        .arg("-c")
        .arg(
            "cd \"$1\" && mariadbd --no-defaults --user=root --datadir=\"$1/data\" --tmpdir=\"$1\" --socket=\"$1/socket\" \
             --pid-file=\"$1/pid\" --bind-address=127.0.0.1 --port=\"$2\" --ssl-ca=\"$1/ca.pem\" --ssl-cert=\"$1/crt.pem\" \
             --ssl-key=\"$1/key.pem\" --character-set-server=utf8mb4 --innodb-buffer-pool-size=32M --max-allowed-packet=64M \
             --innodb-flush-log-at-trx-commit=0 --require-secure-transport=OFF --max-connections=300 \
             >\"$1/log\" 2>&1 </dev/null & server=$!; read -r _; kill -9 $server; wait $server; rm -rf \"$1\"",
        )
        .arg("keeper")
        .arg(&folder)
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(port, &folder);
    let server = MariaDb { port, ca_pem: authority.pem, folder, _keeper: keeper };
    server.admin(&format!(
        "CREATE DATABASE shop; CREATE DATABASE other; \
         CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARCHAR(40), paid DATETIME NULL); \
         INSERT INTO shop.orders VALUES (1, 'first', '2026-01-02 03:04:05'), (2, 'zwei ☕', NULL); \
         CREATE TABLE shop.numbers (n INT PRIMARY KEY); \
         INSERT INTO shop.numbers SELECT seq FROM shop.seq_1_to_50000; \
         CREATE TABLE shop.blobs (id INT PRIMARY KEY, bytes LONGBLOB); \
         INSERT INTO shop.blobs VALUES (1, REPEAT('x', 20 * 1024 * 1024)), (2, 'small'); \
         CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'; \
         GRANT SELECT, SHOW VIEW ON shop.* TO '{USER}'@'%'; GRANT SELECT ON other.* TO '{USER}'@'%';"
    ));
    server
}

fn wait_for(port: u16, folder: &std::path::Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let greeted = std::net::TcpStream::connect(("127.0.0.1", port))
            .is_ok_and(|mut stream| stream.read_exact(&mut [0; 5]).is_ok());
        if greeted {
            return;
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        let failed = log.contains("[ERROR] Aborting") || Instant::now() >= deadline;
        assert!(!failed, "MariaDB did not start:\n{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
