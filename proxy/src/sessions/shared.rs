//! What all sessions of the grant share, built once when the grant is ready.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
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
use crate::engines::mysql::server::{ConnectError, Dialer, Pins, ServerInfo};
use crate::gate_pool::GatePool;
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
    /// The grant's TLS settings towards the database can't be used.
    #[error("cannot dial the database")]
    Dial(#[source] ConnectError),
    /// The gate's threads can't be started.
    #[error("cannot start the gate's threads")]
    Threads(#[source] std::io::Error),
}

/// What all sessions of the grant share.
pub struct Shared {
    pub(crate) grant: Grant,
    pub(crate) credential: Arc<Credential>,
    pub(crate) server: ServerInfo,
    pub(crate) dialer: Dialer,
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
    connections: Mutex<BTreeSet<u32>>,
}

impl Shared {
    /// Builds it, and starts the gate's threads.
    pub fn new(parts: SharedParts) -> Result<Self, SharedError> {
        let SharedParts { grant, credential, server, identity, usage, ending } = parts;
        let who = &grant.identity;
        let authority = SessionAuthority::new(&who.uid, &who.user, &identity.session_ca_pem);
        let gate = Gate::new(server.server, grant.target.allowances.clone())
            .with_columns(grant.target.columns.clone())
            .with_secrets(&server.secret_variables)
            .with_loaded(server.component_functions.clone());
        Ok(Self {
            credential,
            dialer: Dialer::new(&grant.target).map_err(SharedError::Dial)?,
            pins: Pins::new(server.server.flavour, &grant.limits),
            gate: GatePool::start(gate).map_err(SharedError::Threads)?,
            journal: Journal::new(Arc::clone(&usage), ending.clone()),
            usage,
            ending,
            since: Instant::now(),
            authority: authority.map_err(SharedError::Tls)?,
            acceptors: tls::acceptors(&identity).map_err(SharedError::Tls)?,
            seats: Seats::default(),
            connections: Mutex::default(),
            server,
            grant,
        })
    }

    /// How the person knows the grant.
    pub(crate) fn grant_name(&self) -> &str {
        &self.grant.identity.name
    }

    /// The database's connections that were open when the end began, and those that are open now.
    pub(super) fn open_connections(&self) -> Vec<u32> {
        self.connections().iter().copied().collect()
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, BTreeSet<u32>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection of the database's on the list of those to kill at the end.
pub(crate) struct Listed {
    shared: Arc<Shared>,
    id: u32,
}

impl Listed {
    pub(crate) fn new(shared: &Arc<Shared>, id: u32) -> Self {
        shared.connections().insert(id);
        Self { shared: Arc::clone(shared), id }
    }
}

impl Drop for Listed {
    /// Once the end has begun a connection stays listed: that it was closed here does not prove it gone there.
    fn drop(&mut self) {
        if self.shared.ending.cause().is_none() {
            self.shared.connections().remove(&self.id);
        }
    }
}
