//! What all sessions of the grant share, built once when the grant is ready.

use std::sync::Arc;
use std::time::Instant;

use access::Grant;
use sql::mysql::Gate;
use zeroize::Zeroizing;

use super::identity::SessionAuthority;
use super::seats::Seats;
use super::tls::{self, Acceptors, TlsError};
use crate::audit::Journal;
use crate::credential::Credential;
use crate::ending::Ending;
use crate::engines::mysql::server::{Dialer, Met, Pins, ServerInfo};
use crate::gate_pool::GatePool;
use crate::memory::{self, Ledger};
use crate::usage::UsageMeter;

/// What the proxy shows to clients, and by what it knows them. All PEM.
pub struct ServingIdentity {
    /// The serving certificate, and what leads to its CA.
    pub certificate_pem: Vec<u8>,
    /// Its key, wiped when dropped.
    pub key_pem: Zeroizing<Vec<u8>>,
    /// The session CA: one certificate or more.
    pub session_ca_pem: Vec<u8>,
}

/// What a grant's sessions are built from.
pub struct SharedParts {
    /// The grant.
    pub grant: Grant,
    /// Its credential.
    pub credential: Arc<Credential>,
    /// The way to the database, and the list of those who went it.
    pub dialer: Arc<Dialer>,
    /// What preflight found.
    pub server: ServerInfo,
    /// Certificates and key.
    pub identity: ServingIdentity,
    /// The counters.
    pub usage: Arc<UsageMeter>,
    /// The signal of the end.
    pub ending: Ending,
}

/// Why there can be no sessions.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// Certificates or key can't be used.
    #[error("cannot serve TLS")]
    Tls(#[source] TlsError),
    /// The gate's thread can't be started.
    #[error("cannot start the gate's thread")]
    Threads(#[source] std::io::Error),
}

/// What all sessions of the grant share.
pub struct Shared {
    pub(crate) grant: Grant,
    pub(crate) credential: Arc<Credential>,
    pub(crate) server: ServerInfo,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) pins: Pins,
    pub(crate) gate: GatePool,
    pub(crate) journal: Journal,
    pub(crate) usage: Arc<UsageMeter>,
    pub(crate) ending: Ending,
    /// When sessions became possible.
    pub(crate) since: Instant,
    pub(crate) authority: SessionAuthority,
    pub(crate) acceptors: Acceptors,
    pub(crate) seats: Seats,
    /// For whatever grows with what sessions send and read.
    pub(crate) memory: Ledger,
    /// The servers that sessions may be on.
    pub(crate) met: Met,
}

impl Shared {
    /// Builds it, and starts the gate's thread.
    pub fn new(parts: SharedParts) -> Result<Self, SharedError> {
        let SharedParts { grant, credential, dialer, server, identity, usage, ending } = parts;
        let who = &grant.identity;
        let authority = SessionAuthority::new(&who.uid, &who.user, &identity.session_ca_pem);
        let gate = Gate::new(server.server, grant.target.allowances.clone())
            .with_columns(grant.target.columns.clone())
            .with_secrets(&server.secret_variables)
            .with_loaded(server.component_functions.clone());
        Ok(Self {
            credential,
            dialer,
            pins: Pins::new(server.server.flavour, &grant.limits),
            gate: GatePool::start(gate).map_err(SharedError::Threads)?,
            journal: Journal::new(Arc::clone(&usage), ending.clone()),
            usage,
            ending,
            since: Instant::now(),
            authority: authority.map_err(SharedError::Tls)?,
            acceptors: tls::acceptors(&identity).map_err(SharedError::Tls)?,
            seats: Seats::default(),
            memory: memory::ledger(grant.limits.sessions),
            met: Met::new(server.answerer.clone()),
            server,
            grant,
        })
    }

    /// How the person knows the grant.
    pub(crate) fn grant_name(&self) -> &str {
        &self.grant.identity.name
    }
}
