//! What every reconciler has at hand. Nothing here decides.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use access::LEADERSHIP_ANNOTATION;
use access::report::{Report, Usage};
use crds::admission::Release;
use crds::{AccessGrant, Because};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::admission::LastLook;
use crate::api::{CONFLICTS, TRY_AGAIN};
use crate::audit::Records;
use crate::audit::receipt::Unplaced;
use crate::backoff::Failures;
use crate::certificates::rate::Rates;
use crate::clients::Clients;
use crate::config::Config;
use crate::grant::awaited::Awaited;
use crate::grant::listening::Listening;
use crate::grant::observed::Ending;
use crate::grant::rules_seen::RulesSeen;
use crate::leader::Lead;
use crate::leases::{LeaseDesk, VaultDesk};
use crate::metrics::Metrics;
use crate::pki::operator::Identity;
use crate::pki::store::Authorities;
use crate::progress::Progress;
use crate::request::Granting;
use crate::written::Written;

/// Name of the operator where Kubernetes asks for one: field manager, events.
pub const MANAGER: &str = "keyhole-operator";
/// The most grants that open and are looked at at once.
const OPENINGS_AT_ONCE: usize = 16;

/// The most grants that are ready and are looked at at once: after a start there are many, and none is in a hurry.
const READY_AT_ONCE: usize = 8;

/// The most grants that end and are looked at at once. Their proxies are told before that.
const ENDS_AT_ONCE: usize = 32;

/// How often the counters of one grant are written where they change by small steps.
const USAGE_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// The operator's means.
pub struct Context {
    /// The API server, for calls.
    pub client: Client,
    /// The API server, for watches.
    pub watches: Client,
    /// The installation.
    pub config: Config,
    /// Its release.
    pub release: Release,
    /// What was last seen of it in the cluster.
    pub last_look: LastLook,
    /// Both authorities.
    pub authorities: Authorities,
    /// Who we are to proxies.
    pub identity: Identity,
    /// Leases that are being shut in Vault.
    pub leases: LeaseDesk,
    /// Events.
    pub recorder: Recorder,
    /// Figures.
    pub metrics: Metrics,
    /// Whether this replica leads, and gets anywhere.
    pub progress: Progress,
    /// Who asked for certificates lately.
    pub rates: Rates,
    /// Grants are made one after the other where they must see each other.
    pub granting: Granting,
    /// How often each object failed in a row.
    pub failures: Failures,
    /// How often each grant met a conflict in a row.
    pub conflicts: Failures,
    /// For grants that open: few are looked at at once.
    pub openings: Semaphore,
    /// For grants that are ready.
    pub ready: Semaphore,
    /// For grants that end.
    pub ends: Semaphore,
    /// Cached grants: for figures and for finding what to look at, never for deciding.
    pub grants: Arc<OnceLock<Store<AccessGrant>>>,
    /// What goes on record.
    pub records: Records,
    /// Grants that do not say yet where their receipts are.
    pub unplaced: Unplaced,
    /// Name of this replica.
    replica: String,
    /// The number of the leadership, once this replica leads.
    leadership: OnceLock<u64>,
    woken: UnboundedSender<ObjectRef<AccessGrant>>,
    wakes: Mutex<Option<UnboundedReceiver<ObjectRef<AccessGrant>>>>,
    /// Looks at grants that wait.
    pub awaited: Awaited,
    /// Proxies that start or end.
    pub listening: Listening,
    /// Grants and requests as we wrote them.
    pub written: Written,
    /// Grants whose rules are all there.
    pub rules_seen: RulesSeen,
    memory: Mutex<HashMap<String, Memory>>,
    last_words: Mutex<HashMap<String, LastWords>>,
    addresses: Mutex<HashMap<String, IpAddr>>,
}

/// What a pod left as it went: its uid, and the report in its termination message.
#[derive(Clone, Debug)]
struct LastWords {
    pod_uid: String,
    report: Report,
}

/// What is remembered of a grant while the process lives; losing it costs figures and words only.
#[derive(Clone, Debug, Default)]
struct Memory {
    created: Option<Timestamp>,
    usage: Option<Timestamp>,
    heard: Option<(String, Usage)>,
    told: bool,
    heeded: bool,
    setback: Option<Because>,
    stopped: Option<String>,
    ending: Option<Ending>,
}

/// What a context is made of.
pub struct Parts {
    /// The API server.
    pub clients: Clients,
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
        let Parts { clients: Clients { sent, calls: client, watches }, config, authorities, vault, replica } =
            parts;
        let (woken, wakes) = mpsc::unbounded_channel();
        let grants = Arc::new(OnceLock::new());
        let leases = LeaseDesk::new(vault, crate::leases::Records(Arc::clone(&grants)), woken.clone());
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(replica.clone()) };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            release: config.release(),
            last_look: LastLook::default(),
            client,
            watches,
            config,
            authorities,
            identity: Identity::default(),
            leases,
            metrics: Metrics::of(sent),
            rates: Rates::default(),
            granting: Granting::default(),
            failures: Failures::none(TRY_AGAIN),
            conflicts: Failures::none(CONFLICTS),
            openings: Semaphore::new(OPENINGS_AT_ONCE),
            ready: Semaphore::new(READY_AT_ONCE),
            ends: Semaphore::new(ENDS_AT_ONCE),
            grants,
            progress: Progress::default(),
            records: Records::default(),
            unplaced: Unplaced::default(),
            replica,
            leadership: OnceLock::new(),
            woken,
            wakes: Mutex::new(Some(wakes)),
            awaited: Awaited::default(),
            listening: Listening::default(),
            written: Written::default(),
            rules_seen: RulesSeen::default(),
            memory: Mutex::default(),
            last_words: Mutex::default(),
            addresses: Mutex::default(),
        }
    }

    /// This replica leads from now on.
    pub fn leads(&self, lead: Lead) {
        // Once: the process that loses its turn ends.
        self.leadership.set(lead.leadership).ok();
        self.records.begin(lead, self.replica.clone());
    }

    /// The object with the number of this leadership. Without one, nobody takes it.
    pub fn by_leader<K: Resource>(&self, mut object: K) -> K {
        if let Some(leadership) = self.leadership.get() {
            object.annotations_mut().insert(LEADERSHIP_ANNOTATION.to_owned(), leadership.to_string());
        }
        object
    }

    /// Lets this grant be looked at.
    pub fn wake(&self, grant: ObjectRef<AccessGrant>) {
        // Nobody listens any more when the loops have ended.
        let _ = self.woken.send(grant);
    }

    /// Lets every grant be looked at that is not settled.
    pub fn wake_all(&self) {
        let known = self.grants.get().map(Store::state).unwrap_or_default();
        known.iter().for_each(|grant| self.wake(ObjectRef::from_obj(&**grant)));
    }

    /// Grants that shall be looked at. Once: the next call answers `None`.
    pub fn take_wakes(&self) -> Option<UnboundedReceiver<ObjectRef<AccessGrant>>> {
        locked(&self.wakes).take()
    }

    /// Remembers when a grant was made.
    pub fn remember_created(&self, uid: &str, now: Timestamp) {
        self.remembering(|memory| memory.entry(uid.to_owned()).or_default().created = Some(now));
    }

    /// When this process made the grant, once: the next call answers `None`.
    pub fn take_created(&self, uid: &str) -> Option<Timestamp> {
        self.remembering(|memory| memory.get_mut(uid).and_then(|entry| entry.created.take()))
    }

    /// Whether small changes of the counters of a grant may be written now.
    pub fn usage_is_due(&self, uid: &str, now: Timestamp) -> bool {
        let last = self.remembering(|memory| memory.get(uid)?.usage);
        last.is_none_or(|last| now.duration_since(last) >= USAGE_EVERY)
    }

    /// The counters of a grant are written now.
    pub fn note_usage(&self, uid: &str, now: Timestamp) {
        self.remembering(|memory| memory.entry(uid.to_owned()).or_default().usage = Some(now));
    }

    /// Keeps what the proxy with this accessor said that was used.
    pub fn keep_heard(&self, uid: &str, token_accessor: String, usage: Usage) {
        self.remembering(|memory| {
            memory.entry(uid.to_owned()).or_default().heard = Some((token_accessor, usage))
        });
    }

    /// What the proxy with this accessor said last that was used, if it was asked.
    pub fn heard(&self, uid: &str, token_accessor: &str) -> Option<Usage> {
        let heard = self.remembering(|memory| memory.get(uid)?.heard.clone());
        heard.filter(|(of, _)| of == token_accessor).map(|(_, usage)| usage)
    }

    /// Whether nobody asked this of the grant before: its proxy is told of its end.
    pub fn is_first_told(&self, uid: &str) -> bool {
        self.remembering(|memory| {
            !std::mem::replace(&mut memory.entry(uid.to_owned()).or_default().told, true)
        })
    }

    /// The end of a grant is taken up.
    pub fn heed(&self, uid: &str) {
        self.remembering(|memory| memory.entry(uid.to_owned()).or_default().heeded = true);
    }

    /// Whether the end of a grant was taken up, by what is cached or by what a look saw.
    pub fn is_heeded(&self, uid: &str) -> bool {
        self.remembering(|memory| memory.get(uid).is_some_and(|entry| entry.heeded || entry.ending.is_some()))
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

    /// Keeps what was first seen of a grant's end.
    pub fn note_ending(&self, uid: &str, ending: Ending) {
        self.remembering(|memory| {
            memory.entry(uid.to_owned()).or_default().ending.get_or_insert(ending);
        });
    }

    /// What was first seen of a grant's end.
    pub fn ending(&self, uid: &str) -> Option<Ending> {
        self.remembering(|memory| memory.get(uid).and_then(|entry| entry.ending))
    }

    /// Keeps what went wrong with the last plan of a grant, or that nothing did.
    pub fn note_setback(&self, uid: &str, setback: Option<Because>) {
        self.remembering(|memory| match (memory.get_mut(uid), setback) {
            (Some(entry), setback) => entry.setback = setback,
            (None, Some(setback)) => memory.entry(uid.to_owned()).or_default().setback = Some(setback),
            // Nothing is kept of a grant that was forgotten.
            (None, None) => {}
        });
    }

    /// What went wrong with the last plan of a grant.
    pub fn setback(&self, uid: &str) -> Option<Because> {
        self.remembering(|memory| memory.get(uid).and_then(|entry| entry.setback.clone()))
    }

    /// Keeps where a grant's proxy is, for the day when its pod can't be read.
    pub fn keep_address(&self, grant_uid: &str, address: IpAddr) {
        locked(&self.addresses).insert(grant_uid.to_owned(), address);
    }

    /// The process of this pod of the grant's was seen to have ended.
    pub fn keep_stopped(&self, grant_uid: &str, pod_uid: &str) {
        self.remembering(|memory| {
            memory.entry(grant_uid.to_owned()).or_default().stopped = Some(pod_uid.to_owned());
        });
    }

    /// The last pod of the grant's whose process was seen to have ended.
    pub fn stopped(&self, grant_uid: &str) -> Option<String> {
        self.remembering(|memory| memory.get(grant_uid)?.stopped.clone())
    }

    /// Where a grant's proxy was last seen.
    pub fn address(&self, grant_uid: &str) -> Option<IpAddr> {
        locked(&self.addresses).get(grant_uid).copied()
    }

    /// Forgets an ended grant.
    pub fn forget(&self, grant: &AccessGrant) {
        let uid = grant.uid().unwrap_or_default();
        self.leases.forget(grant.status.as_ref().map_or(&[], |status| &status.leases));
        self.listening.forget(&uid);
        [&uid, &grant.spec.request.uid].into_iter().for_each(|uid| self.written.forget(uid));
        self.rules_seen.forget(&uid);
        self.metrics.records.forget(&uid);
        [&uid, &grant.spec.request.uid].into_iter().for_each(|uid| self.records.forget(uid));
        self.remembering(|memory| memory.remove(&uid));
        locked(&self.last_words).remove(&uid);
        locked(&self.addresses).remove(&uid);
    }

    fn remembering<T>(&self, with: impl FnOnce(&mut HashMap<String, Memory>) -> T) -> T {
        with(&mut locked(&self.memory))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
