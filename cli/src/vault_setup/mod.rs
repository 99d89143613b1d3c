//! `vault-setup`: prints what the platform team runs once so that grants get credentials. It calls neither Vault nor
//! a database, and no password is in what it prints.
//!
//! Everything of one `Database` is bound to exactly that: one service account, auth role, token role and policies,
//! all derived from its namespace and name.

mod database;
mod name;
mod operator;
mod policies;
mod script;
mod statements;

pub use database::{Administrator, DatabaseSetup, administrator_sql, database_script};
pub use name::{BadVaultName, VaultName};
pub use operator::{OperatorSetup, ServiceAccount, operator_script};
pub use script::{BadParameters, Binary, Purpose};

use serde::Serialize;

/// A role of Vault's Kubernetes auth method: whose token becomes a token with which policies. Vault's own field names.
#[derive(Serialize)]
struct AuthRole<'a> {
    bound_service_account_names: [&'a str; 1],
    bound_service_account_namespaces: [&'a str; 1],
    audience: &'static str,
    token_policies: [&'a str; 1],
    token_no_default_policy: bool,
    token_type: &'static str,
    token_ttl: &'static str,
    token_max_ttl: &'static str,
}

impl<'a> AuthRole<'a> {
    /// Only this service account, only with a token made for Vault (audience `vault`), only this policy.
    fn of(namespace: &'a str, service_account: &'a str, policy: &'a str, ttl: &'static str) -> Self {
        Self {
            bound_service_account_names: [service_account],
            bound_service_account_namespaces: [namespace],
            audience: "vault",
            token_policies: [policy],
            token_no_default_policy: true,
            token_type: "service",
            token_ttl: ttl,
            token_max_ttl: ttl,
        }
    }
}
