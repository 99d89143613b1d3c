//! OpenBao and MariaDB on loopback, and the plug-in whose printed commands are run against them. Everything that is
//! started here is ended when it goes out of scope.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

const STARTING: Duration = Duration::from_secs(60);

/// A database user that Vault made.
pub struct Credential {
    /// Full id of its lease.
    pub lease_id: String,
    /// Its name.
    pub user: String,
    password: String,
}

/// Vault and a database.
pub struct Machine {
    folder: TempDir,
    vault_port: u16,
    database_port: u16,
    root_token: String,
    vault: Child,
    database: Child,
}

impl Machine {
    /// Starts both, runs what `vault-setup` prints for a database of this engine, and makes a schema beside its own.
    pub fn set_up(engine: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("keyhole-setup-").tempdir()?;
        let (vault_port, database_port) = (free_port()?, free_port()?);
        let database = start_database(folder.path(), database_port)?;
        let vault = start_vault(folder.path(), vault_port)?;
        let mut machine =
            Self { folder, vault_port, database_port, root_token: String::new(), vault, database };
        until("the database answers", STARTING, || machine.sql("SELECT 1").is_ok())?;
        machine.unseal()?;
        machine.sql(
            "CREATE DATABASE my_shop; CREATE TABLE my_shop.orders (id INT); INSERT INTO my_shop.orders VALUES (7); \
             CREATE DATABASE my1shop; CREATE TABLE my1shop.secrets (id INT); \
             CREATE USER vaultadmin@'%' IDENTIFIED BY 'made by hand'",
        )?;
        fs::write(machine.path("admin-password"), "made by hand")?;
        fs::write(machine.path("database.yaml"), machine.object(engine))?;
        let printed = machine.prints(&["-f", "database.yaml", "--admin-user", "vaultadmin", "--sql"])?;
        machine.sql(&printed)?;
        machine.runs(&machine.prints(&["-f", "database.yaml", "--admin-user", "vaultadmin"])?)?;
        Ok(machine)
    }

    fn object(&self, engine: &str) -> String {
        format!(
            "apiVersion: access.keyhole.dev/v1alpha1\nkind: Database\nmetadata: {{name: orders, namespace: shop}}\n\
             spec:\n  engine: {engine}\n  host: 127.0.0.1\n  port: {}\n  schema: my_shop\n  tls: {{mode: Disabled}}\n  \
             credentials: {{vault: {{role: orders-read}}}}\n  accessPolicy: readers\n  \
             network: {{to: {{cidr: 10.0.0.1/32}}}}\n",
            self.database_port
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the plug-in prints.
    pub fn prints(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-keyhole"));
        text(command.arg("vault-setup").args(args).current_dir(self.folder.path()).output()?)
    }

    /// Runs a printed script as Vault's administrator.
    pub fn runs(&self, script: &str) -> anyhow::Result<String> {
        let bin = bao_path()?.parent().context("bao is in a folder")?.to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path)))?;
        let mut shell = Command::new("sh");
        shell.current_dir(self.folder.path()).env("PATH", path);
        self.fed(&mut shell, &self.root_token, script)
    }

    /// Runs `bao` with this token.
    pub fn bao(&self, token: &str, args: &[&str]) -> anyhow::Result<String> {
        self.fed(Command::new(bao_path()?).args(args), token, "")
    }

    /// Runs `bao` as its administrator.
    pub fn administrator(&self, args: &[&str]) -> anyhow::Result<String> {
        self.bao(&self.root_token, args)
    }

    /// Whether Vault refuses this token to do that, with 403 and nothing else.
    pub fn forbids(&self, token: &str, args: &[&str]) -> bool {
        self.bao(token, args).is_err_and(|error| error.to_string().contains("Code: 403"))
    }

    /// A token with this policy and no other.
    pub fn token(&self, policy: &str) -> anyhow::Result<String> {
        let policy = format!("-policy={policy}");
        self.administrator(&["token", "create", &policy, "-no-default-policy", "-ttl=5m", "-field=token"])
    }

    /// The token that owns a grant's lease, made the way a proxy makes it: from a login token, by the token role.
    pub fn owner(&self) -> anyhow::Result<Value> {
        let login = self.token("keyhole.shop.orders.login")?;
        let made = self.bao(
            &login,
            &["write", "-format=json", "auth/token/create/keyhole.shop.orders", "explicit_max_ttl=600s"],
        )?;
        Ok(serde_json::from_str::<Value>(&made)?["auth"].take())
    }

    /// Reads a credential with the token that will own its lease.
    pub fn credential(&self, owner: &Value) -> anyhow::Result<Credential> {
        let token = owner["client_token"].as_str().context("no token")?;
        let read: Value =
            serde_json::from_str(&self.bao(token, &["read", "-format=json", "database/creds/orders-read"])?)?;
        let field = |value: &Value| value.as_str().map(str::to_owned).context("no such field");
        Ok(Credential {
            lease_id: field(&read["lease_id"])?,
            user: field(&read["data"]["username"])?,
            password: field(&read["data"]["password"])?,
        })
    }

    /// A client with this credential that runs SQL.
    pub fn client(&self, credential: &Credential, sql: &str) -> Command {
        let mut client = Command::new("mariadb");
        client
            .args(["--no-defaults", "--protocol=TCP", "-N", "-B", "-h", "127.0.0.1"])
            .arg(format!("--port={}", self.database_port))
            .arg(format!("--user={}", credential.user))
            .args(["-e", sql])
            .env("MYSQL_PWD", &credential.password)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        client
    }

    /// What SQL answers with this credential.
    pub fn reads(&self, credential: &Credential, sql: &str) -> anyhow::Result<String> {
        text(self.client(credential, sql).output()?)
    }

    /// Runs SQL as the database's administrator; tab-separated rows.
    pub fn sql(&self, sql: &str) -> anyhow::Result<String> {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-N", "-B", "-u", "root", "-S"]).arg(self.path("db.sock"));
        self.fed(&mut client, "", sql)
    }

    fn unseal(&mut self) -> anyhow::Result<()> {
        let mut keys = None;
        until("Vault answers", STARTING, || {
            let init = ["operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"];
            keys = self.bao("", &init).ok();
            keys.is_some()
        })?;
        let keys: Value = serde_json::from_str(&keys.context("no keys")?)?;
        let key = keys["unseal_keys_b64"][0].as_str().context("no key")?;
        self.root_token = keys["root_token"].as_str().context("no token")?.to_owned();
        self.administrator(&["operator", "unseal", key])?;
        until("Vault is active", STARTING, || self.administrator(&["secrets", "list"]).is_ok())?;
        self.administrator(&["auth", "enable", "kubernetes"])?;
        Ok(())
    }

    /// Feeds `input` to a command that may speak to Vault with this token; its standard output.
    fn fed(&self, command: &mut Command, token: &str, input: &str) -> anyhow::Result<String> {
        let mut child = command
            .env("BAO_ADDR", format!("http://127.0.0.1:{}", self.vault_port))
            .env("BAO_TOKEN", token)
            .env("HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().context("no stdin")?.write_all(input.as_bytes())?;
        text(child.wait_with_output()?)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in [&mut self.vault, &mut self.database] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The standard output of what succeeded.
pub fn text(output: Output) -> anyhow::Result<String> {
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
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

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn start_vault(folder: &Path, port: u16) -> anyhow::Result<Child> {
    let config = format!(
        "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_disable = true\n}}\n\
         api_addr = \"http://127.0.0.1:{port}\"\n"
    );
    let path = folder.join("bao.hcl");
    fs::write(&path, config)?;
    let log = fs::File::create(folder.join("bao.log"))?;
    let mut command = Command::new(bao_path()?);
    command.arg("server").arg(format!("-config={}", path.display()));
    command.stdout(log.try_clone()?).stderr(log).spawn().context("cannot start bao")
}

fn start_database(folder: &Path, port: u16) -> anyhow::Result<Child> {
    let data = format!("--datadir={}", folder.join("db").display());
    // Two databases that are made at once would meet in `/tmp`.
    let temporary = format!("--tmpdir={}", folder.display());
    text(
        Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(["--user=root", &data, &temporary])
            .env("TMPDIR", folder)
            .output()
            .context("mariadb-install-db is not installed: run tests/cluster/install.sh")?,
    )?;
    let log = fs::File::create(folder.join("db.log"))?;
    Command::new("mariadbd")
        .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--user=root", &data])
        .arg(temporary)
        // MySQL has it on by default, and its procedure reads the sessions there.
        .arg("--performance-schema=ON")
        .arg(format!("--port={port}"))
        .arg(format!("--socket={}", folder.join("db.sock").display()))
        .arg(format!("--pid-file={}", folder.join("db.pid").display()))
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
