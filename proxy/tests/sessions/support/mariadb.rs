//! One MariaDB for all tests of this binary: this machine's.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use access::Engine;

use super::server::{DatabaseServer, Place};

/// The server, started by whoever asks first.
pub fn mariadb() -> &'static DatabaseServer {
    static SERVER: OnceLock<DatabaseServer> = OnceLock::new();
    SERVER.get_or_init(start)
}

fn start() -> DatabaseServer {
    let place = Place::new("mariadb");
    let installed = Command::new("mariadb-install-db")
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"])
        .arg(format!("--datadir={}", place.folder.join("data").display()))
        // Two databases that are made at once would meet in `/tmp`.
        .arg(format!("--tmpdir={}", place.folder.display()))
        .env("TMPDIR", &place.folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(installed.success(), "mariadb-install-db");
    let server = place.start(Engine::MariaDb, &["mariadbd", "--no-defaults"], vec!["mariadb".into()]);
    server.fill("SELECT seq FROM shop.seq_1_to_50000");
    server
}
