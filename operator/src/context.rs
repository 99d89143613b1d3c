//! What every reconciler has at hand. Nothing here decides.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use access::report::Report;
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
    last_words: Mutex<HashMap<String, LastWords>>,
}

/// What a pod left as it went: its uid, and the report in its termination message.
#[derive(Clone, Debug)]
struct LastWords {
    pod_uid: String,
    report: Report,
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
            last_words: Mutex::default(),
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

    /// Keeps what a pod left. Its object may be gone a moment later, and only the watch has seen its last state.
    pub fn keep_last_words(&self, grant_uid: &str, pod_uid: &str, report: Report) {
        let words = LastWords { pod_uid: pod_uid.to_owned(), report };
        locked(&self.last_words).insert(grant_uid.to_owned(), words);
    }

    /// What the pod `pod_uid` of a grant left.
    pub fn last_words(&self, grant_uid: &str, pod_uid: &str) -> Option<Report> {
        let all = locked(&self.last_words);
        all.get(grant_uid).filter(|words| words.pod_uid == pod_uid).map(|words| words.report.clone())
    }

    /// Forgets an ended grant.
    pub fn forget(&self, uid: &str) {
        self.remembering(|memory| memory.remove(uid));
        locked(&self.last_words).remove(uid);
    }

    fn remembering<T>(&self, with: impl FnOnce(&mut HashMap<String, Memory>) -> T) -> T {
        with(&mut locked(&self.memory))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
