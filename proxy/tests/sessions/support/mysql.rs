//! One MySQL for all tests of this binary: the newest that Debian packages, from a folder of its own
//! (`tests/mysql/rootfs.sh` makes it, once).

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use access::Engine;

use super::server::{DatabaseServer, Place};

/// The server, started by whoever asks first.
pub fn mysql() -> &'static DatabaseServer {
    static SERVER: OnceLock<DatabaseServer> = OnceLock::new();
    SERVER.get_or_init(start)
}

/// What starts a program of that folder: the server, or its own client.
pub fn runner() -> &'static str {
    static RUNNER: OnceLock<String> = OnceLock::new();
    RUNNER.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/mysql/rootfs.sh");
        let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "tests/mysql/rootfs.sh");
        format!("{}/run", String::from_utf8(output.stdout).unwrap().trim())
    })
}

fn start() -> DatabaseServer {
    let place = Place::new("mysql");
    let base = Path::new(runner()).with_file_name("usr");
    let base = format!("--basedir={}", base.display());
    let initialized = Command::new(runner())
        .args(["mysqld", "--no-defaults", "--initialize-insecure", "--user=root", &base])
        .arg(format!("--datadir={}", place.folder.join("data").display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(initialized.success(), "mysqld --initialize-insecure");
    let server = [
        runner(),
        "mysqld",
        "--no-defaults",
        &base,
        "--mysqlx=OFF",
        "--skip-log-bin",
        "--secure-file-priv=NULL",
        "--innodb-doublewrite=OFF",
        // The gate reads SQL otherwise, so these show whether a session is pinned.
        "--sql-mode=ANSI,NO_BACKSLASH_ESCAPES",
        "--autocommit=OFF",
    ];
    let server = place.start(Engine::MySql, &server, vec![runner().into(), "mysql".into()]);
    server.admin("SET GLOBAL cte_max_recursion_depth = 50000");
    server.fill(
        "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 50000) SELECT n FROM s",
    );
    server
}
