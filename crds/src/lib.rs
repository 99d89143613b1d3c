//! The five kinds of `access.keyhole.dev/v1alpha1`, and the admission policies that say who may write what.
//!
//! Types and pure conversions only. The YAML in `crds/yaml` and in the chart is generated from here.

pub mod admission;
pub mod namespace;

mod approval;
mod authorities;
mod condition;
mod database;
mod definitions;
mod duration;
mod grant;
mod how;
mod lease;
mod limits;
mod network;
mod policy;
mod reason;
mod request;
mod target;
mod terms;
mod text;
mod tls;
mod words;

pub use approval::{AccessApproval, AccessApprovalSpec, ApprovalStatus, Decision, RequestRef};
pub use authorities::{BadAuthorities, resolved};
pub use condition::{Because, ConditionType, condition, find_condition, is_true, set_condition};
pub use database::{
    AllowSpec, AuditSpec, ColumnAccessSpec, ColumnRuleSpec, Credentials, Database, DatabaseSpec,
    DatabaseStatus, EngineSpec, HostSpec, StoredFunction, TextsSpec, VaultCredentials,
};
pub use definitions::definitions;
pub use duration::{BadDuration, keep_ended_for, minutes, pending_timeout, probe_every};
pub use grant::{
    AccessGrant, AccessGrantSpec, AccessGrantStatus, CountedStreamStatus, GrantPhase, GrantedBy,
    GrantedTerms, ProbeStatus, ReceiptLine, ReceiptRecordStatus, Revocation, UsageStatus,
};
pub use how::How;
pub use lease::{ChargedStatus, LeaseStatus, OwedOutcomeStatus, ProofStatus, StreamStatus};
pub use limits::LimitsSpec;
pub use network::{ExpressionSpec, IpBlockSpec, NetworkPeer, NetworkSpec, OperatorSpec, SelectorSpec, peer};
pub use policy::{
    AccessPolicy, AccessPolicySpec, ApprovalsSpec, ApproversSpec, DenySpec, OnBehalfBy, PolicyStatus, Rule,
};
pub use reason::{Reason, Weight};
pub use request::{
    AccessRequest, AccessRequestSpec, AccessRequestStatus, ApprovalSummary, DenialLatch, Evidence,
    RequestPhase,
};
pub use target::{BadDatabase, target};
pub use terms::{NoTerms, evidence, terms};
pub use tls::{AuthoritiesKind, AuthoritiesPlace, AuthoritiesSource, KeyReference, TlsMode, TlsSpec};

/// API group of all kinds.
pub const GROUP: &str = "access.keyhole.dev";
/// Served and stored version.
pub const VERSION: &str = "v1alpha1";
/// The one finalizer, on `AccessGrant`.
pub const FINALIZER: &str = "access.keyhole.dev/end";
