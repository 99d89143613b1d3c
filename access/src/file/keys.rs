//! The keys of a grant file, as JSON has them. Nothing is checked here but that no key is unknown and none is missing.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Limits;

/// The file as it is written. Field docs in `docs/all-in-one.md`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GrantFile {
    pub(super) version: u32,
    pub(super) grant: IdentityFile,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) seconds_left: u32,
    pub(super) database: DatabaseFile,
    pub(super) limits: LimitsFile,
    #[serde(default)]
    pub(super) used: UsedFile,
    pub(super) vault: VaultFile,
    pub(super) custody: CustodyFile,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) audit: Option<AuditFile>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AuditFile {
    pub(super) address: String,
    pub(super) server_name: String,
    #[serde(default = "two_seconds")]
    pub(super) patience_millis: u32,
}

fn two_seconds() -> u32 {
    2_000
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct IdentityFile {
    pub(super) uid: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) user: String,
    pub(super) terms: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DatabaseFile {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) engine: String,
    pub(super) host: String,
    pub(super) port: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) standbys: Vec<StandbyFile>,
    pub(super) tls: TlsFile,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<String>,
    #[serde(default)]
    pub(super) allow: AllowFile,
    #[serde(default)]
    pub(super) columns: Vec<ColumnFile>,
    #[serde(default, skip_serializing_if = "TextsFile::is_full")]
    pub(super) texts: TextsFile,
    pub(super) credentials: CredentialsFile,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) enum TextsFile {
    #[default]
    Full,
    Shape,
}

impl TextsFile {
    fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct StandbyFile {
    pub(super) host: String,
    pub(super) port: i64,
    pub(super) server_name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, tag = "mode")]
pub(super) enum TlsFile {
    #[serde(rename_all = "camelCase")]
    Verify {
        ca: String,
        server_name: String,
    },
    Disabled {},
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AllowFile {
    #[serde(default)]
    pub(super) functions: Vec<FunctionFile>,
    #[serde(default)]
    pub(super) schemas: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FunctionFile {
    pub(super) schema: String,
    pub(super) name: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ColumnFile {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) column: String,
    pub(super) access: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CredentialsFile {
    pub(super) mount: String,
    pub(super) role: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LimitsFile {
    pub(super) rows: u64,
    pub(super) seconds: u32,
    pub(super) bytes: u64,
    pub(super) grant_rows: u64,
    pub(super) grant_bytes: u64,
    #[serde(default = "idle_by_default")]
    pub(super) idle_transaction_seconds: u32,
    pub(super) sessions: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refusals: Option<u32>,
}

fn idle_by_default() -> u32 {
    Limits::DEFAULT.idle_transaction_seconds
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct UsedFile {
    pub(super) statements: u64,
    pub(super) refused: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VaultFile {
    pub(super) address: String,
    pub(super) ca: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    pub(super) login: LoginFile,
    pub(super) token_role: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, tag = "method")]
pub(super) enum LoginFile {
    #[serde(rename_all = "camelCase")]
    Kubernetes {
        mount: String,
        role: String,
        token_path: PathBuf,
    },
    #[serde(rename_all = "camelCase")]
    AppRole {
        mount: String,
        role_id_path: PathBuf,
        secret_id_path: PathBuf,
    },
    TokenFile {
        path: PathBuf,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, tag = "with")]
pub(super) enum CustodyFile {
    Operator {},
    File { path: PathBuf },
}
