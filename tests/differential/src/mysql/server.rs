//! The canary: a server with a little of everything that a statement could change, and functions that write when called.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use servers::mysql::{Database, Kind};
use std::path::PathBuf;
use tempfile::TempDir;

use crate::mysql::fragments::CANARY_FUNCTIONS;

/// Takes snapshots and puts everything back. The statements under test never run as this user.
const WATCHER: &str = "watcher";

/// A server in which nothing may change.
pub struct Canary {
    database: Database,
    files: TempDir,
    functions: &'static [&'static str],
    tables: &'static [&'static str],
}

impl Canary {
    /// Starts one and fills it.
    pub async fn start(kind: Kind) -> Self {
        Self::with(kind, CANARY_FUNCTIONS, &["t", "u", "a", "b", "c", "d", "e", "orders", "`table`"]).await
    }

    /// One with little in it, which is filled again in less time.
    pub async fn small(kind: Kind) -> Self {
        Self::with(kind, &["touch", "count"], &["t", "u"]).await
    }

    async fn with(kind: Kind, functions: &'static [&'static str], tables: &'static [&'static str]) -> Self {
        let files = tempfile::Builder::new().prefix("keyhole-canary-").tempdir().unwrap();
        let folder = format!("--secure-file-priv={}", files.path().display());
        // So that locks can be seen.
        let locks = "--performance-schema-instrument=wait/lock/metadata/sql/mdl=ON";
        let options = ["--performance-schema=ON", locks, "--local-infile=ON", &folder];
        let database = match kind {
            Kind::MariaDb => Database::mariadb(&options),
            Kind::MySql => Database::mysql(&options),
        };
        for user in [WATCHER, "privileged"] {
            database.admin(&format!("CREATE USER {user}; GRANT ALL ON *.* TO {user} WITH GRANT OPTION"));
        }
        let canary = Self { database, files, functions, tables };
        canary.fill().await;
        canary
    }

    /// Which server it is.
    pub fn kind(&self) -> Kind {
        self.database.kind
    }

    /// The folder that `INTO OUTFILE` may write to.
    pub fn files(&self) -> PathBuf {
        self.files.path().to_owned()
    }

    /// The server process was lost: starts it again.
    pub fn start_again(&self) {
        self.database.stop();
        self.database.start_again();
    }

    /// A connection of this user; it may send several statements in a text, so that a hole there shows.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn connect(&self, user: &str) -> mysql_async::Result<Conn> {
        let options = OptsBuilder::from_opts(Opts::default())
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.database.port)
            .user(Some(user))
            .prefer_socket(false);
        Conn::new(options).await
    }

    /// The watcher's connection.
    pub async fn watcher(&self) -> Conn {
        let mut watcher = self.connect(WATCHER).await.unwrap();
        // Otherwise what `information_schema` tells may be a day old.
        if self.kind() == Kind::MySql {
            watcher.query_drop("SET SESSION information_schema_stats_expiry = 0").await.unwrap();
        }
        watcher
    }

    /// Puts the schemas back as they were.
    pub async fn fill(&self) {
        let mut watcher = self.watcher().await;
        for statement in self.schema() {
            watcher.query_drop(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        for file in std::fs::read_dir(self.files.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    }

    fn schema(&self) -> Vec<String> {
        let mut all: Vec<String> = ["shop", "other", "canary"]
            .iter()
            .flat_map(|name| [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")])
            .collect();
        all.push("CREATE TABLE canary.log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(64))".into());
        for table in self.tables {
            all.push(format!("CREATE TABLE shop.{table} ({COLUMNS})"));
            all.push(format!("INSERT INTO shop.{table} (a, b, c, d, x, j) VALUES {ROWS}"));
        }
        all.push("CREATE TABLE other.t LIKE shop.t".into());
        all.push("CREATE VIEW shop.v AS SELECT a, b, c, x FROM shop.t".into());
        if self.kind() == Kind::MariaDb {
            all.push("CREATE SEQUENCE shop.s NOCACHE".into());
        }
        for function in self.functions {
            let body = "BEGIN INSERT INTO canary.log (what) VALUES ('called'); RETURN n; END";
            all.push(format!(
                "CREATE FUNCTION shop.`{function}` (n INT) RETURNS INT MODIFIES SQL DATA {body}"
            ));
        }
        let procedure = "CREATE PROCEDURE shop.p () INSERT INTO canary.log (what) VALUES ('procedure')";
        let event = "CREATE EVENT shop.ev ON SCHEDULE EVERY 1 DAY DISABLE DO INSERT INTO canary.log (what) VALUES ('event')";
        let trigger = "CREATE TRIGGER shop.tr AFTER INSERT ON shop.t FOR EACH ROW INSERT INTO canary.log (what) VALUES ('trigger')";
        all.extend([procedure, event, trigger].map(str::to_owned));
        let reader = ["DROP USER IF EXISTS reader", "CREATE USER reader", "GRANT SELECT ON shop.* TO reader"];
        all.extend(reader.map(str::to_owned));
        all.push("GRANT SELECT ON other.* TO reader".into());
        all
    }
}

const COLUMNS: &str = "id INT AUTO_INCREMENT PRIMARY KEY, a INT, b INT, c VARCHAR(20) CHARACTER SET utf8mb4, d DATETIME, e INT, \
                       x INT, n INT, j JSON, g GEOMETRY, `select` INT, `order` INT, name VARCHAR(20), value INT, status INT, \
                       KEY i1 (a), KEY i2 (b)";

const ROWS: &str = "(1, 2, 'x', '2020-01-01', 1, '{\"a\": 1}'), (2, 3, 'it''s', '2021-02-03 04:05:06', 2, '[1, 2]'), \
                    (3, NULL, 'back\\\\slash', NULL, 3, NULL)";
