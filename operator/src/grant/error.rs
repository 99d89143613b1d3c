//! What can go wrong with one grant. Each has one reason, used in logs and metrics.

use access::chain;
use crds::{Because, Reason};

use super::children::grant_file::BadDigest;
use super::proxy::CallProxyError;
use super::pull_secrets::PullSecretError;
use crate::api::is_conflict;
use crate::audit::NotOnRecord;
use crate::pki::authority::AuthorityError;

/// A reconciliation of a grant that failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// Reading.
    #[error("cannot read the grant's objects")]
    Observe(#[source] kube::Error),
    /// Its snapshot names no usable database: it is not of our making.
    #[error("the grant's snapshot of its Database cannot be used")]
    Snapshot(#[source] crds::BadDatabase),
    /// Its digest is not one.
    #[error("cannot write the grant file")]
    GrantFile(#[source] BadDigest),
    /// Its proxy's certificate.
    #[error("cannot make the proxy's certificate")]
    Certificate(#[source] AuthorityError),
    /// Its status.
    #[error("cannot write the grant's status")]
    Record(#[source] kube::Error),
    /// What its proxy's image is pulled with.
    #[error("cannot give the grant's proxy what its image is pulled with")]
    PullSecret(#[source] PullSecretError),
    /// The audit log.
    #[error("cannot go on before it is on record")]
    NotOnRecord(#[source] NotOnRecord),
    /// A child of this kind.
    #[error("cannot apply the grant's {0}")]
    Apply(String, #[source] kube::Error),
    /// A child of this kind.
    #[error("cannot delete the grant's {0}")]
    Delete(&'static str, #[source] kube::Error),
    /// Its request.
    #[error("cannot tell the request that its grant has ended")]
    CloseRequest(#[source] kube::Error),
    /// Its proxy.
    #[error("cannot tell the proxy that its accessor is on record")]
    Proxy(#[source] CallProxyError),
}

impl GrantError {
    /// One CamelCase word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Observe(_) => "Observe",
            Self::Snapshot(_) => "Snapshot",
            Self::GrantFile(_) => "GrantFile",
            Self::Certificate(_) => "Certificate",
            Self::Record(source) | Self::CloseRequest(source) if is_conflict(source) => "Conflict",
            Self::Record(_) => "Record",
            Self::PullSecret(_) => "PullSecret",
            Self::NotOnRecord(_) => "AuditUnavailable",
            Self::Apply(..) => "Apply",
            Self::Delete(..) => "Delete",
            Self::CloseRequest(_) => "CloseRequest",
            Self::Proxy(_) => "Proxy",
        }
    }

    /// What people must know of it: the API server's own words about a child that it did not take, or what is wrong with a Secret
    /// that the image is pulled with.
    pub fn because(&self) -> Option<Because> {
        match self {
            Self::PullSecret(PullSecretError::Missing { .. } | PullSecretError::Unfit { .. }) => {
                Some(Because::new(Reason::ImageMissing, chain(self)))
            }
            Self::NotOnRecord(why) => Some(Because::new(why.reason(), chain(self))),
            Self::PullSecret(PullSecretError::Write { .. }) | Self::Apply(..) => {
                Some(Because::new(Reason::NotApplied, chain(self)))
            }
            Self::Observe(_)
            | Self::Snapshot(_)
            | Self::GrantFile(_)
            | Self::Certificate(_)
            | Self::Record(_)
            | Self::PullSecret(PullSecretError::Read { .. })
            | Self::Delete(..)
            | Self::CloseRequest(_)
            | Self::Proxy(_) => None,
        }
    }
}
