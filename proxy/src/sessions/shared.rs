//! What all sessions of the grant share, built once when the grant is ready.

use std::sync::Arc;
use std::time::Instant;

use access::Grant;
use tokio::runtime::Handle;

use super::identity::SessionAuthority;
use super::seats::Seats;
use super::tls::{self, Acceptors};
use crate::audit::Journal;
use crate::credential::Credential;
use crate::ending::Ending;
use crate::engine::Engine;
use crate::memory::{self, Ledger};
use crate::serving::{ServingError, ServingIdentity};
use crate::usage::UsageMeter;

/// What a grant's sessions are built from.
pub struct SharedParts<E: Engine> {
    /// The grant.
    pub grant: Grant,
    /// Its credential.
    pub credential: Arc<Credential>,
    /// The way to the database, and the list of those who went it.
    pub engine: Arc<E>,
    /// What preflight made of the server.
    pub checked: E::Checked,
    /// Certificates and key.
    pub identity: ServingIdentity,
    /// The counters.
    pub usage: Arc<UsageMeter>,
    /// The record of what they do.
    pub journal: Journal,
    /// The signal of the end.
    pub ending: Ending,
}

/// What all sessions of the grant share.
pub struct Shared<E: Engine> {
    pub(crate) grant: Grant,
    pub(crate) credential: Arc<Credential>,
    pub(crate) engine: Arc<E>,
    pub(crate) checked: E::Checked,
    pub(crate) journal: Journal,
    pub(crate) usage: Arc<UsageMeter>,
    pub(crate) ending: Ending,
    /// When sessions became possible.
    pub(crate) since: Instant,
    pub(crate) authority: SessionAuthority,
    pub(crate) acceptors: Acceptors,
    pub(crate) seats: Seats<E::CancelKey>,
    /// For whatever grows with what sessions send and read.
    pub(crate) memory: Ledger,
}

impl<E: Engine> Shared<E> {
    /// Builds it.
    pub fn new(parts: SharedParts<E>) -> Result<Self, ServingError> {
        let SharedParts { grant, credential, engine, checked, identity, usage, journal, ending } = parts;
        let who = &grant.identity;
        Ok(Self {
            authority: SessionAuthority::new(&who.uid, &who.user, &identity.session_ca_pem)?,
            acceptors: tls::acceptors(&identity, E::ALPN)?,
            credential,
            engine,
            checked,
            journal,
            usage,
            ending,
            since: Instant::now(),
            seats: Seats::empty(),
            memory: memory::ledger(grant.limits.sessions, Handle::current().metrics().num_workers()),
            grant,
        })
    }

    /// How the person knows the grant.
    pub(crate) fn grant_name(&self) -> &str {
        &self.grant.identity.name
    }
}
