//! Real servers on loopback for the tests of every crate: MariaDB, MySQL, Vault (OpenBao), a store of objects and the audit log, each with TLS, on a port and
//! in a folder of its own. What is started here ends with whoever started it, at the latest with the test's process.
//!
//! A server that does not start is a failed test: everything here panics then, with the server's log.

mod keeper;
mod keys;
mod log;
pub mod mysql;
mod s3;
mod vault;

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use keys::{Authority, Leaf, session_params, signed_by};
pub use log::{AuditLog, LOG_NAME};
pub use s3::S3Server;
pub use vault::{Vault, bao_path};

/// What a program said when it failed, or what did not come true in time.
#[derive(Debug)]
pub struct Failed(String);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

/// How long a server may take to start.
const STARTING: Duration = Duration::from_secs(60);

/// A port of loopback that nobody listens on, each asked for once by this process, and the one above it too: Vault takes that for its
/// cluster. It is none of those that the kernel gives to connections (32768 and above, `ip(7)`): one of these could be taken before the
/// server that shall have it listens.
pub fn free_port() -> u16 {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    // Tests of two processes that run at once begin far from each other.
    let first = u64::from(std::process::id()) * APART;
    loop {
        let asked = ASKED.fetch_add(1, Ordering::Relaxed);
        assert!(asked < PAIRS, "no port is free");
        let pair = u16::try_from((first + asked) % PAIRS).unwrap_or(0);
        let port = LOWEST_PORT + 2 * pair;
        if [port, port + 1].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()) {
            return port;
        }
    }
}

/// The lowest port of a server.
const LOWEST_PORT: u16 = 20_000;
/// How many pairs of ports there are from there on.
const PAIRS: u64 = 6_000;
/// How many pairs apart processes begin whose numbers follow each other: prime to the number of pairs.
const APART: u64 = 997;

/// A program of the test bed: on the path when the tests are run by `make`, else where the test bed puts it.
fn program_path(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    std::env::split_paths(&path)
        .chain([home.join(".cache/keyhole/testbed/bin")])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("there is no {name}: run tests/cluster/bed build {name}"))
}

/// Looks again until `condition` holds.
///
/// # Errors
/// It did not hold within this time.
pub fn until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) -> Result<(), Failed> {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > within {
            return Err(Failed(format!("waited {within:?} until {what}")));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    Ok(())
}

/// Runs a command to its end with this standard input; its standard output.
///
/// # Errors
/// What it said on standard error, when it failed.
pub fn said(command: &mut Command, input: &str) -> Result<String, Failed> {
    run(command, input).map_err(|error| Failed(error.to_string()))
}

fn run(command: &mut Command, input: &str) -> Result<String, Box<dyn std::error::Error>> {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn()?;
    let stdin = child.stdin.take();
    // It may say much before it has read all.
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            // A program that ends without reading says why itself.
            stdin.map(|mut stdin| stdin.write_all(input.as_bytes()))
        });
        child.wait_with_output()
    });
    let Output { status, stdout, stderr } = output?;
    if !status.success() {
        return Err(String::from_utf8_lossy(&stderr).into());
    }
    Ok(String::from_utf8(stdout)?.trim_end().to_owned())
}
