//! What every reconciler has at hand. Nothing here decides.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use crds::AccessGrant;
use crds::admission::Release;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::Store;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::pki::operator::Identity;
use crate::pki::store::Authorities;
use crate::vault_desk::VaultDesk;

/// Name of the operator where Kubernetes asks for one: field manager, events.
pub const MANAGER: &str = "keyhole-operator";
/// How often the counters of one grant are written.
const USAGE_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// The operator's means.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The installation.
    pub config: Config,
    /// Its release.
    pub release: Release,
    /// Both authorities.
    pub authorities: Authorities,
    /// Who we are to proxies.
    pub identity: Identity,
    /// Vault.
    pub vault: VaultDesk,
    /// Events.
    pub recorder: Recorder,
    /// Figures.
    pub metrics: Metrics,
    /// Cached grants: for figures and for finding what to look at, never for deciding.
    pub grants: OnceLock<Store<AccessGrant>>,
    memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of a grant while the process lives; losing it costs figures only.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    created: Option<Timestamp>,
    usage: Option<Timestamp>,
}

/// What a context is made of.
pub struct Parts {
    /// The API server.
    pub client: Client,
    /// The installation.
    pub config: Config,
    /// Both authorities.
    pub authorities: Authorities,
    /// Vault.
    pub vault: VaultDesk,
    /// Name of this replica.
    pub replica: String,
}

impl Context {
    /// Puts the means together.
    pub fn new(parts: Parts) -> Self {
        let Parts { client, config, authorities, vault, replica } = parts;
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(replica) };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            release: config.release(),
            client,
            config,
            authorities,
            identity: Identity::default(),
            vault,
            metrics: Metrics::default(),
            grants: OnceLock::new(),
            memory: Mutex::default(),
        }
    }

    /// Remembers when a grant was made.
    pub fn remember_created(&self, uid: &str, now: Timestamp) {
        self.remembering(|memory| memory.entry(uid.to_owned()).or_default().created = Some(now));
    }

    /// When this process made the grant, once: the next call answers `None`.
    pub fn take_created(&self, uid: &str) -> Option<Timestamp> {
        self.remembering(|memory| memory.get_mut(uid).and_then(|entry| entry.created.take()))
    }

    /// Whether the counters of a grant may be written now.
    pub fn usage_is_due(&self, uid: &str, now: Timestamp) -> bool {
        self.remembering(|memory| {
            let last = &mut memory.entry(uid.to_owned()).or_default().usage;
            let due = last.is_none_or(|last| now.duration_since(last) >= USAGE_EVERY);
            if due {
                *last = Some(now);
            }
            due
        })
    }

    /// Forgets an ended grant.
    pub fn forget(&self, uid: &str) {
        self.remembering(|memory| memory.remove(uid));
    }

    fn remembering<T>(&self, with: impl FnOnce(&mut HashMap<String, Memory>) -> T) -> T {
        with(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
