//! OpenBao and MariaDB on loopback, and the plug-in whose printed commands are run against them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context;
use serde_json::Value;
use servers::mysql::Database;
use servers::{Vault, bao_path, said};
use tempfile::TempDir;

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
    vault: Vault,
    database: Database,
}

impl Machine {
    /// Starts both, runs what `vault-setup` prints for a database of this engine, and makes a schema beside its own.
    pub fn set_up(engine: &str) -> anyhow::Result<Self> {
        // MySQL has it on by default, and its procedure reads the sessions there.
        let database = Database::mariadb(&["--performance-schema=ON"]);
        let folder = tempfile::Builder::new().prefix("keyhole-setup-").tempdir()?;
        let machine = Self { folder, vault: Vault::start(), database };
        machine.administrator(&["auth", "enable", "kubernetes"])?;
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
            self.database.port
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the plug-in prints.
    pub fn prints(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-keyhole"));
        command.arg("vault-setup").args(args).current_dir(self.folder.path());
        Ok(said(&mut command, "")?)
    }

    /// Runs a printed script as Vault's administrator.
    pub fn runs(&self, script: &str) -> anyhow::Result<String> {
        let bin = bao_path().parent().context("bao is in a folder")?.to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path)))?;
        let mut shell = Command::new("sh");
        shell.current_dir(self.folder.path()).env("PATH", path);
        Ok(said(self.vault.known_to(&mut shell, &self.vault.root_token), script)?)
    }

    /// Runs `bao` with this token.
    pub fn bao(&self, token: &str, args: &[&str]) -> anyhow::Result<String> {
        Ok(self.vault.bao(token, args, "")?)
    }

    /// Runs `bao` as its administrator.
    pub fn administrator(&self, args: &[&str]) -> anyhow::Result<String> {
        self.bao(&self.vault.root_token, args)
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
            .arg(format!("--port={}", self.database.port))
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
        Ok(said(&mut self.client(credential, sql), "")?)
    }

    /// Runs SQL as the database's administrator; tab-separated rows.
    pub fn sql(&self, sql: &str) -> anyhow::Result<String> {
        Ok(self.database.asks(sql)?)
    }
}
