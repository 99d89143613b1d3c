//! What can go wrong with one request. Each has one reason, used in logs and metrics.

use crate::api::is_conflict;
use crate::audit::NotOnRecord;

/// A reconciliation of a request that failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Reading.
    #[error("cannot read the request's objects")]
    Observe(#[source] kube::Error),
    /// Its status.
    #[error("cannot write the request's status")]
    Record(#[source] kube::Error),
    /// Its grant.
    #[error("cannot create the request's grant")]
    Create(#[source] kube::Error),
    /// The audit log.
    #[error("cannot go on before it is on record")]
    NotOnRecord(#[source] NotOnRecord),
    /// The decision did not come back.
    #[error("the decision was interrupted")]
    Decide,
}

impl RequestError {
    /// One CamelCase word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Observe(_) => "Observe",
            Self::Record(source) | Self::Create(source) if is_conflict(source) => "Conflict",
            Self::Record(_) => "Record",
            Self::Create(_) => "CreateGrant",
            Self::NotOnRecord(_) => "AuditUnavailable",
            Self::Decide => "Decide",
        }
    }
}
