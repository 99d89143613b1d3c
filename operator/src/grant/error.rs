//! What can go wrong with one grant. Each has one reason, used in logs and metrics.

use super::children::grant_file::BadDigest;
use super::proxy::CallProxyError;
use crate::pki::authority::AuthorityError;

/// A reconciliation of a grant that failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// Reading.
    #[error("cannot read the grant's objects")]
    Observe {
        /// Why.
        source: kube::Error,
    },
    /// Its snapshot names no usable database: it is not of our making.
    #[error("the grant's snapshot of its Database cannot be used")]
    Snapshot {
        /// Why.
        source: crds::BadDatabase,
    },
    /// Its digest is not one.
    #[error("cannot write the grant file")]
    GrantFile {
        /// Why.
        source: BadDigest,
    },
    /// Its proxy's certificate.
    #[error("cannot make the proxy's certificate")]
    Certificate {
        /// Why.
        source: AuthorityError,
    },
    /// Its status.
    #[error("cannot write the grant's status")]
    Record {
        /// Why.
        source: kube::Error,
    },
    /// A child.
    #[error("cannot apply the grant's {what}")]
    Apply {
        /// Its kind.
        what: String,
        /// Why.
        source: kube::Error,
    },
    /// A child.
    #[error("cannot delete the grant's {what}")]
    Delete {
        /// Its kind.
        what: &'static str,
        /// Why.
        source: kube::Error,
    },
    /// Its request.
    #[error("cannot tell the request that its grant has ended")]
    CloseRequest {
        /// Why.
        source: kube::Error,
    },
    /// Its proxy.
    #[error("cannot tell the proxy that its accessor is on record")]
    Proxy {
        /// Why.
        source: CallProxyError,
    },
}

impl GrantError {
    /// One CamelCase word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Observe { .. } => "Observe",
            Self::Snapshot { .. } => "Snapshot",
            Self::GrantFile { .. } => "GrantFile",
            Self::Certificate { .. } => "Certificate",
            Self::Record { source } | Self::CloseRequest { source } if is_conflict(source) => "Conflict",
            Self::Record { .. } => "Record",
            Self::Apply { .. } => "Apply",
            Self::Delete { .. } => "Delete",
            Self::CloseRequest { .. } => "CloseRequest",
            Self::Proxy { .. } => "Proxy",
        }
    }
}

/// Somebody else wrote meanwhile: looking again is all there is to do.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}
