//! The vocabulary of Keyhole: people, databases, limits, terms, grants, ends. Pure data and pure decisions.
//!
//! This crate never reads a clock, opens a socket, or knows that Kubernetes exists. The operator builds these
//! values from objects; the proxy reads them from its grant file; both mean the same by them.

mod auditor;
mod chain;
mod database;
mod digest;
mod end;
mod grant;
mod hex;
mod limits;
mod lines;
mod minutes;
mod names;
mod peer;
mod terms;

pub mod file;
pub mod report;

pub use auditor::{AUDITOR_SIGNER, Auditor, AuditorTask, NoNamespace, log_server_name};
pub use chain::chain;
pub use database::{
    Allowances, BadServerAddress, ColumnAccess, ColumnRule, Engine, QualifiedName, ServerAddress, Standby,
    Target, Texts, Tls, VaultLease,
};
pub use digest::TermsDigest;
pub use end::{EndReason, Item, Outcome};
pub use grant::{AuditLog, Custody, Grant, GrantIdentity, Login, VaultAccess};
pub use hex::hex;
pub use limits::{Budget, Limits, StatementLimits, Used};
pub use lines::{Line, reach};
pub use minutes::{GrantMinutes, OutOfRange};
pub use names::{
    ChildName, GRANT_ANNOTATION, GRANT_UID_LABEL, LEADERSHIP_ANNOTATION, PORT_HEALTH, PORT_LOG,
    PORT_LOG_READ, PORT_STATUS, PORT_TLS, SIGNER, proxy_uri, session_uri,
};
pub use peer::{LabelExpression, LabelOperator, Peer};
pub use terms::{PolicyRule, Quorum, RequestIdentity, Terms};
