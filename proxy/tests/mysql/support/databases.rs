//! One MariaDB and one MySQL for all tests of this binary, with what every test finds in them.

use std::ops::Deref;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use access::Engine;
use servers::mysql::{Database, Kind};

/// What Vault's role would make: a user for reading.
pub const USER: &str = "v-shop-reader";
pub const PASSWORD: &str = "T0p-Secret-Of-The-Lease";

/// A server that is filled.
pub struct DatabaseServer(Database);

impl Deref for DatabaseServer {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.0
    }
}

/// The MariaDB, started by whoever asks first.
pub fn mariadb() -> &'static DatabaseServer {
    static SERVER: OnceLock<DatabaseServer> = OnceLock::new();
    // As below, the last shows whether a session is pinned.
    SERVER.get_or_init(|| {
        started(Kind::MariaDb, &["--max-allowed-packet=64M", "--transaction-isolation=SERIALIZABLE"])
    })
}

/// The MySQL, started by whoever asks first.
pub fn mysql() -> &'static DatabaseServer {
    static SERVER: OnceLock<DatabaseServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        // Readers lock nothing, so the last two show whether a session is pinned.
        let options =
            ["--max-allowed-packet=64M", "--autocommit=OFF", "--transaction-isolation=SERIALIZABLE"];
        started(Kind::MySql, &options)
    })
}

/// A MariaDB and a MySQL for which case does not count in the names of tables.
pub fn folding() -> [&'static DatabaseServer; 2] {
    static MARIADB: OnceLock<DatabaseServer> = OnceLock::new();
    static MYSQL: OnceLock<DatabaseServer> = OnceLock::new();
    const FOLDS: &[&str] = &["--max-allowed-packet=64M", "--lower-case-table-names=1"];
    [MARIADB.get_or_init(|| started(Kind::MariaDb, FOLDS)), MYSQL.get_or_init(|| started(Kind::MySql, FOLDS))]
}

/// One more server, for a test that needs these options.
pub fn started(kind: Kind, options: &[&str]) -> DatabaseServer {
    match kind {
        Kind::MariaDb => filled(Database::mariadb(options), "SELECT seq FROM shop.seq_1_to_50000"),
        Kind::MySql => {
            let server = Database::mysql(options);
            server.admin("SET GLOBAL cte_max_recursion_depth = 50000");
            filled(
                server,
                "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 50000) SELECT n FROM s",
            )
        }
    }
}

/// Two schemas, and the user that reads them. `numbers`: a query of 1 to 50000.
fn filled(server: Database, numbers: &str) -> DatabaseServer {
    server.admin(&format!(
        "SET autocommit = 1; CREATE DATABASE shop; CREATE DATABASE other; \
         CREATE TABLE shop.orders (id INT PRIMARY KEY, note VARCHAR(40), paid DATETIME NULL); \
         INSERT INTO shop.orders VALUES (1, 'first', '2026-01-02 03:04:05'), (2, 'zwei ☕', NULL); \
         CREATE TABLE shop.numbers (n INT PRIMARY KEY); \
         INSERT INTO shop.numbers {numbers}; \
         CREATE TABLE shop.blobs (id INT PRIMARY KEY, bytes LONGBLOB); \
         INSERT INTO shop.blobs VALUES (1, REPEAT('x', 20 * 1024 * 1024)), (2, 'small'); \
         CREATE TABLE shop.customers (id INT PRIMARY KEY, email VARCHAR(60) NOT NULL, pin CHAR(4), name TEXT); \
         INSERT INTO shop.customers VALUES (1, 'a@example.com', '1234', 'one'), (2, 'b@example.com', NULL, NULL); \
         CREATE VIEW shop.people AS SELECT id, email AS mail FROM shop.customers; \
         CREATE TABLE shop.pairs (n INT PRIMARY KEY, secret VARCHAR(40)); \
         INSERT INTO shop.pairs SELECT n, IF(n % 3 = 0, NULL, REPEAT('s', n % 40)) FROM shop.numbers; \
         CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'; \
         GRANT SELECT, SHOW VIEW ON shop.* TO '{USER}'@'%'; GRANT SELECT ON other.* TO '{USER}'@'%';"
    ));
    DatabaseServer(server)
}

/// Both, for what must hold in front of either.
pub fn both() -> [&'static DatabaseServer; 2] {
    [mariadb(), mysql()]
}

impl DatabaseServer {
    pub fn engine(&self) -> Engine {
        match self.kind {
            Kind::MariaDb => Engine::MariaDb,
            Kind::MySql => Engine::MySql,
        }
    }

    /// Waits until the administrator's `sql` gives `expected`, without holding up the proxy in the same thread.
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
