//! Arguments of `vault-setup`.

use std::path::PathBuf;

use clap::Args;

use super::duration::minutes;
use crate::vault_setup::{
    Administrator, Binary, DatabaseSetup, OperatorSetup, Purpose, ServiceAccount, VaultName,
};

const EXAMPLES: &str = "\
Examples:
  # SQL for the database administrator, once per server
  kubectl keyhole vault-setup orders -n shop --admin-user vaultadmin --sql
  # the commands for Vault: connection, database role, policies, token role, auth role
  kubectl keyhole vault-setup orders -n shop --admin-user vaultadmin --admin-password-file pw > setup.sh
  # the same without a cluster
  kubectl keyhole vault-setup -f database.yaml --binary vault | sh
  # once per cluster: what the operator may do
  kubectl keyhole vault-setup --operator | sh
  # does Vault still have what this release would write? Changes nothing
  kubectl keyhole vault-setup orders -n shop --check | sh
  # when a Database goes: its auth role, token role and policies in Vault; and, if nobody else uses them, role, leases, connection
  kubectl keyhole vault-setup -f database.yaml --admin-user vaultadmin --remove --with-role | sh";

/// See `Command::VaultSetup`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct VaultSetupArgs {
    /// Name of the Database
    #[arg(required_unless_present_any = ["file", "operator"])]
    pub database: Option<String>,
    /// Read the Database from this file instead of the cluster (`-`: standard input)
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print what the operator needs instead, once per cluster
    #[arg(long, conflicts_with_all = ["database", "file", "sql", "admin_user", "connection", "schema"])]
    pub operator: bool,
    /// Print the SQL for the database administrator instead of the commands for Vault
    #[arg(long, requires = "admin_user")]
    pub sql: bool,
    /// Print commands that compare Vault with the set-up, say what differs, and change nothing
    #[arg(long, conflicts_with = "sql")]
    check: bool,
    /// Print commands that take the set-up away again: what is this Database's alone by its name
    #[arg(long, conflicts_with_all = ["sql", "check"])]
    remove: bool,
    /// With --remove: the database role too, and every lease of it; with --admin-user the connection. Nobody else may use them
    #[arg(long, requires = "remove")]
    with_role: bool,
    /// The program that the commands call
    #[arg(long, value_enum, default_value = "bao")]
    pub binary: Binary,
    /// Mount of Vault's Kubernetes auth method
    #[arg(long, default_value = "kubernetes", value_name = "MOUNT")]
    kubernetes_mount: VaultName,
    #[command(flatten)]
    database_options: DatabaseOptions,
    #[command(flatten)]
    operator_options: OperatorOptions,
}

#[derive(Args)]
struct DatabaseOptions {
    /// Vault's own user on the server; with it the connection is written too
    #[arg(long, value_name = "USER")]
    admin_user: Option<VaultName>,
    /// File with that user's password and nothing else, no newline either; read when the commands run
    #[arg(long, default_value = "admin-password", value_name = "FILE", requires = "admin_user")]
    admin_password_file: String,
    /// Name of the connection in Vault; default: <namespace>.<database>
    #[arg(long, value_name = "NAME")]
    connection: Option<VaultName>,
    /// A schema that may be read, beyond the Database's own (repeat for more)
    #[arg(long, value_name = "SCHEMA")]
    schema: Vec<String>,
    /// The longest a credential lives; a longer grant gets a new one then, and its sessions are cut
    #[arg(long, default_value = "2h", value_name = "DURATION", value_parser = minutes)]
    max_ttl: String,
    /// Namespace of the proxies
    #[arg(long, default_value = "keyhole-proxies", value_name = "NAMESPACE")]
    proxies_namespace: VaultName,
}

#[derive(Args)]
struct OperatorOptions {
    /// With --operator: a mount of the database secrets engine (repeat for more)
    #[arg(long, default_value = "database", value_name = "MOUNT", requires = "operator")]
    mount: Vec<VaultName>,
    /// With --operator: where Vault reaches the API server
    #[arg(long, default_value = "https://kubernetes.default.svc", value_name = "URL", requires = "operator")]
    kubernetes_host: String,
    /// With --operator: its namespace
    #[arg(long, default_value = "keyhole-system", value_name = "NAMESPACE", requires = "operator")]
    operator_namespace: VaultName,
    /// With --operator: its service account, and the name of its auth role
    #[arg(long, default_value = "keyhole-operator", value_name = "NAME", requires = "operator")]
    operator_service_account: VaultName,
}

impl VaultSetupArgs {
    /// What the printed commands shall do.
    pub fn purpose(&self) -> Purpose {
        match (self.check, self.remove, self.with_role) {
            (true, _, _) => Purpose::Check,
            (false, true, false) => Purpose::Remove,
            (false, true, true) => Purpose::RemoveAll,
            (false, false, _) => Purpose::SetUp,
        }
    }

    /// The set-up of this database.
    pub fn database_setup(self, target: access::Target) -> DatabaseSetup {
        let DatabaseOptions {
            admin_user,
            admin_password_file,
            connection,
            schema,
            max_ttl,
            proxies_namespace,
        } = self.database_options;
        DatabaseSetup {
            target,
            binary: self.binary,
            administrator: admin_user.map(|user| Administrator { user, password_file: admin_password_file }),
            connection,
            schemas: schema,
            max_ttl,
            kubernetes_mount: self.kubernetes_mount,
            proxies_namespace,
        }
    }

    /// The set-up of the operator.
    pub fn operator_setup(self) -> OperatorSetup {
        let OperatorOptions { mount, kubernetes_host, operator_namespace, operator_service_account } =
            self.operator_options;
        OperatorSetup {
            binary: self.binary,
            mounts: mount,
            kubernetes_mount: self.kubernetes_mount,
            kubernetes_host,
            account: ServiceAccount { namespace: operator_namespace, name: operator_service_account },
        }
    }
}
