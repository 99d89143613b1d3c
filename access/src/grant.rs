//! A grant as the proxy knows it.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::{Limits, Target, TermsDigest, Used};

/// Who a grant is for, and which object it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantIdentity {
    /// Uid of the `AccessGrant` object (without a cluster: any text that is never used twice).
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The person it is for, as the API server names them.
    pub user: String,
    /// What was approved.
    pub terms: TermsDigest,
}

/// How the proxy proves to Vault who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Vault's Kubernetes auth method with the pod's projected token (audience `vault`).
    Kubernetes {
        /// Mount path of the auth method.
        mount: String,
        /// Auth role, `keyhole.<namespace>.<database>`.
        role: String,
        /// Where the kubelet puts the token.
        token_path: PathBuf,
    },
    /// Vault's AppRole auth method; both halves are read from files.
    AppRole {
        /// Mount path of the auth method.
        mount: String,
        /// File with the role id.
        role_id_path: PathBuf,
        /// File with the secret id.
        secret_id_path: PathBuf,
    },
    /// A token that something else (a Vault agent) keeps in a file.
    TokenFile {
        /// The file.
        path: PathBuf,
    },
}

/// Where Vault is and what the proxy may ask of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultAccess {
    /// `https://host:port`.
    pub address: String,
    /// Certificate authorities for Vault, PEM, one or more.
    pub ca_pem: String,
    /// Its namespace, where it has some: everything below is in it. `team` or `team/data`.
    pub namespace: Option<String>,
    /// How to log in.
    pub login: Login,
    /// The token role whose orphan tokens own the lease.
    pub token_role: String,
}

/// Who keeps the accessor of the token that owns the lease before any credential is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Custody {
    /// The operator: the proxy waits until it says that the accessor is on record.
    Operator,
    /// A file on this machine, written and synced first.
    File(PathBuf),
}

/// Everything the proxy needs to know; the content of its grant file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which grant, for whom, on which terms.
    pub identity: GrantIdentity,
    /// When this file was written.
    pub issued_at: Timestamp,
    /// When the grant ends. Never later for any copy of the file.
    pub expires_at: Timestamp,
    /// Seconds left at `issued_at`: a second, independent statement of the deadline, against skewed clocks.
    pub seconds_left: u32,
    /// The database.
    pub target: Target,
    /// Its bounds.
    pub limits: Limits,
    /// What was used of it before this file was written.
    pub used: Used,
    /// Vault.
    pub vault: VaultAccess,
    /// Who keeps the accessor.
    pub custody: Custody,
    /// Where everything goes on record.
    pub audit: AuditLog,
}

/// The log that a proxy writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLog {
    /// `host:port`.
    pub address: String,
    /// The name in its certificate.
    pub server_name: String,
    /// How long a statement waits for its record, in milliseconds: 100 to 60,000.
    pub patience_millis: u32,
}
