//! One run of the real binary on the machine, and a person beside it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use access::report::Report;
use access::{
    Allowances, Custody, Engine, Grant, GrantIdentity, Limits, Login, ServerAddress, Target, TermsDigest,
    Tls, Used, VaultAccess, VaultLease,
};
use anyhow::Context;
use jiff::SignedDuration;
use mysql_async::{ClientIdentity, Conn, Opts, OptsBuilder, SslOpts};
use servers::{AuditLog, Authority, LOG_NAME, free_port, until};

use crate::cgroup::Cgroup;
use crate::machine::{IDENTITY, Machine};

const GRANT_UID: &str = "one-machine-1";
const PATIENCE: Duration = Duration::from_secs(60);

/// A running proxy.
pub struct Proxy<'a> {
    machine: &'a Machine,
    child: Child,
    native: u16,
    health: u16,
}

/// How it ended.
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// Its last message.
    pub report: Report,
    /// Everything it logged.
    pub log: String,
}

/// A grant of `seconds` on the machine.
pub fn grant(machine: &Machine, seconds: u32) -> anyhow::Result<Grant> {
    let now = keyhole_proxy::clock::now();
    Ok(Grant {
        identity: GrantIdentity {
            uid: GRANT_UID.into(),
            namespace: "shop".into(),
            name: "look".into(),
            user: "requester".into(),
            terms: TermsDigest::parse(&format!("sha256:{}", "0".repeat(64))).context("digest")?,
        },
        issued_at: now,
        expires_at: now.checked_add(SignedDuration::from_secs(i64::from(seconds)))?,
        seconds_left: seconds,
        target: Target {
            namespace: "shop".into(),
            name: "orders".into(),
            engine: Engine::MariaDb,
            address: ServerAddress::new("127.0.0.1", i64::from(machine.database.port))?,
            standbys: Vec::new(),
            texts: access::Texts::default(),
            tls: Tls::Verify { ca_pem: machine.database.ca_pem.clone(), server_name: "localhost".into() },
            schema: Some("shop".into()),
            allowances: Allowances::default(),
            columns: Vec::new(),
            lease: VaultLease { mount: "database".into(), role: "orders-read".into() },
        },
        limits: Limits::DEFAULT,
        used: Used::default(),
        vault: VaultAccess {
            address: machine.vault.address.clone(),
            ca_pem: machine.vault.ca_pem.clone(),
            namespace: None,
            login: Login::AppRole {
                mount: "approle".into(),
                role_id_path: machine.path("role-id"),
                secret_id_path: machine.path("secret-id"),
            },
            token_role: IDENTITY.into(),
        },
        custody: Custody::File(machine.path("custody")),
        audit: on_log(&machine.log),
    })
}

/// One of ten minutes that goes on record in a log of its own.
pub fn grant_on_record(machine: &Machine, log: &AuditLog) -> anyhow::Result<Grant> {
    Ok(Grant { audit: on_log(log), ..grant(machine, 600)? })
}

/// That everything goes on record in this log.
pub fn on_log(log: &AuditLog) -> access::AuditLog {
    access::AuditLog { address: log.address(), server_name: LOG_NAME.into(), patience_millis: 2_000 }
}

impl<'a> Proxy<'a> {
    /// Starts the binary with this grant.
    pub fn start(machine: &'a Machine, grant: &Grant) -> anyhow::Result<Self> {
        Self::start_in(machine, grant, &[])
    }

    /// Starts it in this cgroup, from its first instruction on, with so many threads for sessions, and with the environment
    /// that its image gives it.
    pub fn start_within(
        machine: &'a Machine,
        grant: &Grant,
        cgroup: &Cgroup,
        threads: u8,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(cgroup.procs()).arg(binary());
        let image = include_str!("../../../images/proxy/Containerfile");
        let environment = image.lines().filter_map(|line| line.strip_prefix("ENV "));
        command.envs(environment.flat_map(|line| line.split(' ')).filter_map(|one| one.split_once('=')));
        command.env("KEYHOLE_THREADS", threads.to_string());
        Self::start_by(command, machine, grant)
    }

    /// Starts it where the clock is off by `offset`: `+15m`.
    pub fn start_with_clock_off_by(
        machine: &'a Machine,
        grant: &Grant,
        offset: &str,
    ) -> anyhow::Result<Self> {
        Self::start_with_clock(machine, grant, &[("FAKETIME", offset)])
    }

    /// Starts it where the clock is off by what a file says at each moment, as it is on a machine that was asleep: the other
    /// clock, which counts the time that it is awake, knows nothing of it.
    pub fn start_with_clock_in(machine: &'a Machine, grant: &Grant, file: &Path) -> anyhow::Result<Self> {
        let file = file.display().to_string();
        Self::start_with_clock(
            machine,
            grant,
            &[("FAKETIME_TIMESTAMP_FILE", file.as_str()), ("FAKETIME_NO_CACHE", "1")],
        )
    }

    fn start_with_clock(machine: &'a Machine, grant: &Grant, off: &[(&str, &str)]) -> anyhow::Result<Self> {
        let preload = Path::new("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1");
        anyhow::ensure!(preload.exists(), "install Debian's libfaketime");
        let preload = preload.display().to_string();
        let wall_only = [("LD_PRELOAD", preload.as_str()), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        Self::start_in(machine, grant, &[&wall_only[..], off].concat())
    }

    fn start_in(machine: &'a Machine, grant: &Grant, environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut command = Command::new(binary());
        command.envs(environment.iter().copied());
        Self::start_by(command, machine, grant)
    }

    fn start_by(mut command: Command, machine: &'a Machine, grant: &Grant) -> anyhow::Result<Self> {
        let identity = machine.path("identity");
        fs::create_dir_all(&identity)?;
        let sessions = Authority::new("sessions");
        let session = sessions.session(&access::session_uri(GRANT_UID), -60..3600);
        let serving = machine.internal.peer("grant.proxy.keyhole.internal", &access::proxy_uri(GRANT_UID));
        for (path, pem) in [
            (identity.join("internal-ca.crt"), &machine.internal.pem),
            (identity.join("session-ca.crt"), &sessions.pem),
            (identity.join("tls.crt"), &serving.0),
            (identity.join("tls.key"), &serving.1),
            (machine.path("session.crt"), &session.0),
            (machine.path("session.key"), &session.1),
        ] {
            fs::write(path, pem)?;
        }
        fs::write(machine.path("grant.json"), access::file::write(grant))?;
        let (native, health) = (free_port(), free_port());
        let child = command
            .args(["--listen-address", "127.0.0.1", "--log-format", "text"])
            .arg("--grant")
            .arg(machine.path("grant.json"))
            .arg("--identity")
            .arg(&identity)
            .arg("--termination-log")
            .arg(machine.path("last"))
            .arg(format!("--port-native={native}"))
            .arg(format!("--port-tls={}", free_port()))
            .arg(format!("--port-status={}", free_port()))
            .arg(format!("--port-health={health}"))
            .stderr(fs::File::create(machine.path("proxy.log"))?)
            .spawn()?;
        Ok(Self { machine, child, native, health })
    }

    /// What it has of memory now (`VmRSS`), or the most that it ever had (`VmHWM`), in KiB.
    pub fn kib(&self, figure: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix(figure)).context("a figure")?;
        Ok(peak.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?)
    }

    /// Waits until people can connect.
    pub fn is_ready(&mut self) -> anyhow::Result<()> {
        let mut gone = false;
        until("the proxy is ready", PATIENCE, || {
            gone = matches!(self.child.try_wait(), Ok(Some(_)));
            gone || self.health("/readyz") == Some(200)
        })
        .with_context(|| self.log())?;
        anyhow::ensure!(!gone, "the proxy ended before it was ready:\n{}", self.log());
        Ok(())
    }

    /// The status that the kubelet would see.
    pub fn health(&self, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.health)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    /// The ordinary client with the person's session certificate.
    pub fn client(&self) -> Command {
        let mut command = Command::new("mariadb");
        let path = |option: &str, name: &str| format!("--{option}={}", self.machine.path(name).display());
        command
            .args([
                "--no-defaults",
                "--protocol=tcp",
                "-h",
                "127.0.0.1",
                "-N",
                "-B",
                "--ssl-verify-server-cert",
            ])
            .args([path("ssl-ca", "ca.crt"), path("ssl-cert", "session.crt"), path("ssl-key", "session.key")])
            .args([format!("--port={}", self.native), "--user=requester".to_owned()]);
        command
    }

    /// A session of a driver, with the same certificate.
    pub async fn connects(&self) -> anyhow::Result<Conn> {
        let file = |name: &str| self.machine.path(name);
        let identity = ClientIdentity::new(file("session.crt").into(), file("session.key").into());
        let ssl = SslOpts::default()
            .with_root_certs(vec![file("ca.crt").into()])
            .with_client_identity(Some(identity));
        let options = OptsBuilder::from_opts(Opts::default())
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.native)
            .user(Some("requester"))
            .db_name(Some("shop"))
            .prefer_socket(false)
            .ssl_opts(ssl);
        Ok(Conn::new(options).await?)
    }

    /// Runs one statement.
    pub fn runs(&self, sql: &str) -> anyhow::Result<Output> {
        Ok(self.client().args(["-e", sql]).output()?)
    }

    /// A session that stays: statements go to its standard input.
    pub fn session(&self) -> anyhow::Result<Child> {
        let mut command = self.client();
        command.args(["--unbuffered", "--force"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command.spawn()?)
    }

    /// Tells it to stop, as a kubelet would.
    pub fn terminate(&self) -> anyhow::Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        anyhow::ensure!(status.success(), "kill failed");
        Ok(())
    }

    /// Waits until it is gone.
    pub fn ends(mut self) -> anyhow::Result<Ended> {
        let mut status: Option<ExitStatus> = None;
        until("the proxy ends", PATIENCE, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        })
        .with_context(|| self.log())?;
        let log = self.log();
        let report = fs::read(self.machine.path("last")).with_context(|| log.clone())?;
        let report = serde_json::from_slice(&report).with_context(|| log.clone())?;
        Ok(Ended { code: status.and_then(|status| status.code()), report, log })
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        read(&self.machine.path("proxy.log"))
    }
}

impl Drop for Proxy<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This build's binary; or another one, a release's for example, to measure that.
fn binary() -> std::ffi::OsString {
    std::env::var_os("PROXY_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_keyhole-proxy").into())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
