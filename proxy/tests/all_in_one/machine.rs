//! One machine as `docs/all-in-one.md` describes it: OpenBao and MariaDB on loopback, both with TLS, set up for one
//! database.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use servers::mysql::Database;
use servers::{AuditLog, Authority, Vault};
use tempfile::TempDir;

/// Name of the database's auth role, token role and policy.
pub const IDENTITY: &str = "keyhole.shop.orders";

/// What the database role grants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Privileges {
    /// `SELECT, SHOW VIEW`.
    Reading,
    /// `INSERT` too.
    Writing,
}

/// Vault, a database and an audit log.
pub struct Machine {
    /// What the proxy and its person have on disk.
    pub folder: TempDir,
    /// Signs the proxy's serving certificate.
    pub internal: Authority,
    /// Vault.
    pub vault: Vault,
    /// The database.
    pub database: Database,
    /// The audit log.
    pub log: AuditLog,
}

impl Machine {
    /// Starts and sets up all three.
    pub fn start(privileges: Privileges) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("keyhole-one-").tempdir()?;
        let internal = Authority::new("internal");
        fs::write(folder.path().join("ca.crt"), &internal.pem)?;
        let log = AuditLog::start(&internal);
        let (vault, database) = (Vault::start(), Database::mariadb(&[]));
        let machine = Self { folder, internal, vault, database, log };
        machine.set_up(privileges)?;
        Ok(machine)
    }

    /// A path in the machine's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `bao` as Vault's administrator with this standard input; its standard output.
    pub fn bao(&self, args: &[&str], input: &str) -> anyhow::Result<String> {
        self.vault.bao(&self.vault.root_token, args, input).with_context(|| format!("bao {args:?}"))
    }

    /// Users that Vault made and that are still there.
    pub fn users(&self) -> anyhow::Result<Vec<String>> {
        let users = self.database.asks("SELECT user FROM mysql.user WHERE user LIKE 'v-%'")?;
        Ok(users.lines().map(ToOwned::to_owned).collect())
    }

    fn set_up(&self, privileges: Privileges) -> anyhow::Result<()> {
        self.database.admin(
            "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, note TEXT); \
             INSERT INTO shop.orders VALUES (1, 'first'), (2, 'second'); \
             CREATE USER vault@'%' IDENTIFIED BY 'vault-password'; GRANT ALL ON *.* TO vault@'%' WITH GRANT OPTION",
        );
        let granted = match privileges {
            Privileges::Reading => "SELECT, SHOW VIEW",
            Privileges::Writing => "SELECT, INSERT",
        };
        let creation = format!(
            "CREATE USER '{{{{name}}}}'@'%' IDENTIFIED BY '{{{{password}}}}' REQUIRE SSL; \
             GRANT {granted} ON shop.* TO '{{{{name}}}}'@'%'"
        );
        let plugin = format!("{{{{username}}}}:{{{{password}}}}@tcp(127.0.0.1:{})/", self.database.port);
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
