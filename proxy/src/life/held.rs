//! What the proxy holds and has to give back: tokens, the lease, the credential.
//!
//! Nothing here is written down or printed. Whatever is in it when the grant ends is revoked.

use std::sync::Arc;

use vault::Secret;

use super::moment::Moment;
use crate::credential::Credential;

/// Everything that must be given back.
#[derive(Default)]
pub struct Held {
    /// The token of our own login, until it is revoked.
    pub login: Option<Secret>,
    /// The token that owns the lease.
    pub owner: Option<Owner>,
    /// Whether somebody has the accessor of `owner` on record.
    pub on_record: bool,
    /// Whether a credential was asked for and the answer was neither one nor a refusal: Vault may have made one, and nobody
    /// knows its id.
    pub unanswered: bool,
    /// The lease.
    pub lease: Option<Leased>,
}

/// The token that owns the lease.
pub struct Owner {
    /// The token.
    pub token: Secret,
    /// Its name for those who may revoke it.
    pub accessor: String,
    /// When it ends in Vault, or a moment later.
    pub ends_at: Moment,
}

/// A lease and its credential.
pub struct Leased {
    /// The full lease id.
    pub lease_id: String,
    /// User and password.
    pub credential: Arc<Credential>,
}
