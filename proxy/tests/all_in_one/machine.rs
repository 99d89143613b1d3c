//! One machine as `docs/all-in-one.md` describes it: OpenBao and MariaDB on loopback, both with TLS, set up for one
//! database. Everything it starts is ended when it is dropped.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::keys::Authority;

/// Name of the database's auth role, token role and policy.
pub const IDENTITY: &str = "keyhole.shop.orders";
const STARTING: Duration = Duration::from_secs(60);

/// What the database role grants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Privileges {
    /// `SELECT, SHOW VIEW`.
    Reading,
    /// `INSERT` too.
    Writing,
}

/// Vault and a database.
pub struct Machine {
    /// Everything on disk is in here.
    pub folder: TempDir,
    /// Signs both servers' certificates.
    pub servers: Authority,
    /// Port of Vault.
    pub vault_port: u16,
    /// Port of the database.
    pub database_port: u16,
    unseal_key: String,
    root_token: String,
    vault: Child,
    database: RefCell<Child>,
}

impl Machine {
    /// Starts and sets up both.
    pub fn start(privileges: Privileges) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("keyhole-one-").tempdir()?;
        let servers = Authority::new("servers")?;
        fs::write(folder.path().join("ca.crt"), servers.pem())?;
        servers.server(&folder.path().join("server.crt"), &folder.path().join("server.key"))?;
        let (vault_port, database_port) = (free_port()?, free_port()?);
        install_database(folder.path())?;
        let database = RefCell::new(start_database(folder.path(), database_port)?);
        let vault = start_vault(folder.path(), vault_port)?;
        let (unseal_key, root_token) = (String::new(), String::new());
        let mut machine =
            Self { folder, servers, vault_port, database_port, unseal_key, root_token, vault, database };
        machine.wait_for_database()?;
        machine.initialise()?;
        machine.set_up(privileges)?;
        Ok(machine)
    }

    /// A path in the machine's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `bao` with these arguments and this standard input; its standard output.
    pub fn bao(&self, args: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = Command::new(bao_path()?)
            .args(args)
            .env("VAULT_ADDR", format!("https://127.0.0.1:{}", self.vault_port))
            .env("VAULT_CACERT", self.path("ca.crt"))
            .env("VAULT_TOKEN", &self.root_token)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("no stdin")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "bao {args:?}: {errors}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Runs SQL as the database's administrator; tab-separated rows.
    pub fn sql(&self, text: &str) -> anyhow::Result<String> {
        let output = Command::new("mariadb")
            .args(["--no-defaults", "-N", "-B", "-u", "root", "-e", text, "-S"])
            .arg(self.path("db.sock"))
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Users that Vault made and that are still there.
    pub fn users(&self) -> anyhow::Result<Vec<String>> {
        let users = self.sql("SELECT user FROM mysql.user WHERE user LIKE 'v-%'")?;
        Ok(users.lines().map(ToOwned::to_owned).collect())
    }

    /// Seals Vault.
    pub fn seal(&self) -> anyhow::Result<()> {
        self.bao(&["operator", "seal"], "").map(drop)
    }

    /// Unseals Vault.
    pub fn unseal(&self) -> anyhow::Result<()> {
        self.bao(&["operator", "unseal", &self.unseal_key], "").map(drop)
    }

    /// Stops the database; its data stays.
    pub fn stop_database(&self) -> anyhow::Result<()> {
        let mut database = self.database.borrow_mut();
        database.kill()?;
        database.wait()?;
        Ok(())
    }

    /// Starts it again.
    pub fn start_database(&self) -> anyhow::Result<()> {
        *self.database.borrow_mut() = start_database(self.folder.path(), self.database_port)?;
        self.wait_for_database()
    }

    fn wait_for_database(&self) -> anyhow::Result<()> {
        until("the database answers", STARTING, || self.sql("SELECT 1").is_ok())
    }

    fn initialise(&mut self) -> anyhow::Result<()> {
        let mut keys = None;
        until("Vault answers", STARTING, || {
            let init = ["operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"];
            keys = self.bao(&init, "").ok();
            keys.is_some()
        })?;
        let keys: serde_json::Value = serde_json::from_str(&keys.context("no keys")?)?;
        self.unseal_key =
            keys.pointer("/unseal_keys_b64/0").and_then(|key| key.as_str()).context("no key")?.to_owned();
        self.root_token =
            keys.pointer("/root_token").and_then(|token| token.as_str()).context("no token")?.to_owned();
        self.unseal()?;
        until("Vault is active", STARTING, || self.bao(&["secrets", "list"], "").is_ok())
    }

    fn set_up(&self, privileges: Privileges) -> anyhow::Result<()> {
        self.sql(
            "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, note TEXT); \
             INSERT INTO shop.orders VALUES (1, 'first'), (2, 'second'); \
             CREATE USER vault@'%' IDENTIFIED BY 'vault-password'; GRANT ALL ON *.* TO vault@'%' WITH GRANT OPTION",
        )?;
        let granted = match privileges {
            Privileges::Reading => "SELECT, SHOW VIEW",
            Privileges::Writing => "SELECT, INSERT",
        };
        let creation = format!(
            "CREATE USER '{{{{name}}}}'@'%' IDENTIFIED BY '{{{{password}}}}' REQUIRE SSL; \
             GRANT {granted} ON shop.* TO '{{{{name}}}}'@'%'"
        );
        let plugin = format!("{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{})/", self.database_port);
        let lease_policy = "path \"database/creds/orders-read\" { capabilities = [\"read\"] } \
             path \"sys/leases/lookup\" { capabilities = [\"update\"] \
               allowed_parameters = { \"lease_id\" = [\"database/creds/orders-read/*\"] } } \
             path \"sys/leases/revoke\" { capabilities = [\"update\"] \
               allowed_parameters = { \"lease_id\" = [\"database/creds/orders-read/*\"], \"sync\" = [] } } \
             path \"auth/token/revoke-self\" { capabilities = [\"update\"] }";
        let login_policy = format!(
            "path \"auth/token/create/{IDENTITY}\" {{ capabilities = [\"update\"] }} \
             path \"auth/token/revoke-self\" {{ capabilities = [\"update\"] }}"
        );
        let connection = format!("connection_url={plugin}");
        let creation = format!("creation_statements={creation}");
        let (token_role, auth_role) =
            (format!("auth/token/roles/{IDENTITY}"), format!("auth/approle/role/{IDENTITY}"));
        let (login_name, lease_name) = (format!("{IDENTITY}.login"), IDENTITY);
        let (allowed, policies) =
            (format!("allowed_policies={lease_name}"), format!("token_policies={login_name}"));
        self.bao(&["secrets", "enable", "database"], "")?;
        self.bao(&["auth", "enable", "approle"], "")?;
        self.bao(
            &[
                "write",
                "database/config/orders",
                "plugin_name=mysql-database-plugin",
                &connection,
                "allowed_roles=*",
                "username=vault",
                "password=vault-password",
            ],
            "",
        )?;
        self.bao(
            &[
                "write",
                "database/roles/orders-read",
                "db_name=orders",
                "default_ttl=2h",
                "max_ttl=2h",
                &creation,
                "revocation_statements=KILL HARD USER '{{name}}'; DROP USER IF EXISTS '{{name}}'@'%'",
            ],
            "",
        )?;
        self.bao(&["policy", "write", lease_name, "-"], lease_policy)?;
        self.bao(&["policy", "write", &login_name, "-"], &login_policy)?;
        self.bao(
            &[
                "write",
                &token_role,
                "orphan=true",
                "renewable=false",
                &allowed,
                "token_type=service",
                "token_no_default_policy=true",
                "token_explicit_max_ttl=12h",
            ],
            "",
        )?;
        self.bao(&["write", &auth_role, &policies, "token_no_default_policy=true", "token_ttl=10m"], "")?;
        let role_id = self.bao(&["read", "-field=role_id", &format!("{auth_role}/role-id")], "")?;
        let secret_id =
            self.bao(&["write", "-f", "-field=secret_id", &format!("{auth_role}/secret-id")], "")?;
        fs::write(self.path("role-id"), role_id)?;
        fs::write(self.path("secret-id"), secret_id)?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in [&mut self.vault, self.database.get_mut()] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Looks again until `condition` holds.
pub fn until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > within {
            bail!("waited {within:?} until {what}");
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    Ok(())
}

/// A port of loopback that nobody listens on.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn start_vault(folder: &Path, port: u16) -> anyhow::Result<Child> {
    let config = format!(
        "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_cert_file = {:?}\n \
         tls_key_file = {:?}\n}}\napi_addr = \"https://127.0.0.1:{port}\"\ndisable_mlock = true\n",
        folder.join("server.crt"),
        folder.join("server.key")
    );
    let path = folder.join("bao.hcl");
    fs::write(&path, config)?;
    let log = fs::File::create(folder.join("bao.log"))?;
    let mut command = Command::new(bao_path()?);
    command.arg("server").arg(format!("-config={}", path.display()));
    command.stdout(log.try_clone()?).stderr(log).spawn().context("cannot start bao")
}

fn install_database(folder: &Path) -> anyhow::Result<()> {
    let made = Command::new("mariadb-install-db")
        .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
        .args(database_options(folder))
        .env("TMPDIR", folder)
        .output()
        .context("mariadb-install-db is not installed")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// Small, and with temporary tables of its own: two databases that are made at once would meet in `/tmp`.
fn database_options(folder: &Path) -> [String; 5] {
    [
        "--user=root".to_owned(),
        format!("--datadir={}", folder.join("db").display()),
        format!("--tmpdir={}", folder.display()),
        "--innodb-log-file-size=4M".to_owned(),
        "--innodb-buffer-pool-size=16M".to_owned(),
    ]
}

fn start_database(folder: &Path, port: u16) -> anyhow::Result<Child> {
    let log = fs::File::create(folder.join("db.log"))?;
    Command::new("mariadbd")
        .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"])
        .args(database_options(folder))
        .arg(format!("--port={port}"))
        .arg(format!("--socket={}", folder.join("db.sock").display()))
        .arg(format!("--pid-file={}", folder.join("db.pid").display()))
        .arg(format!("--ssl-cert={}", folder.join("server.crt").display()))
        .arg(format!("--ssl-key={}", folder.join("server.key").display()))
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start mariadbd")
}

/// `bao` of the test bed: on the path when the tests are run by `make`, else where the test bed puts it.
fn bao_path() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    std::env::split_paths(&path)
        .chain([home.join(".cache/keyhole/testbed/bin")])
        .map(|folder| folder.join("bao"))
        .find(|path| path.is_file())
        .context("there is no OpenBao: run tests/cluster/install.sh")
}
