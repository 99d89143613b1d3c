//! The operator's way to the audit log: what it decides and does goes on record, in a stream for each leadership.
//!
//! What opens something waits until its record is on the log's disk; what ends something is handed over and waits for nothing.

pub mod anchor;
pub mod facts;
pub mod figures;
pub mod orphans;
pub mod streams;
pub mod witness;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crds::Reason;
use crds::admission::LOG;
use record::frame::Used;
use record::kinds::operator::Term;
use record::{About, Count, StreamName, Time, What};
use recorder::{Fault, Link, Listener, NotTaken, PATIENCE, Recorder, Urgency};
use rustls_pki_types::ServerName;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use self::facts::Fact;
use crate::clock::now;
use crate::config::Config;
use crate::context::Context;
use crate::leader::Lead;
use crate::pki::log::server_name;
use access::PORT_LOG;

/// How long a connection is used until the next one is made, with a newer certificate.
const CERTIFICATE: Duration = Duration::from_secs(12 * 3600);

/// How long this replica leads on whose records are not taken any more: until then ends are made, then another one leads, with a stream of
/// its own.
const WITHOUT_RECORD: Duration = Duration::from_secs(60);

/// How soon a connection is tried again that could not be prepared.
const AGAIN: Duration = Duration::from_secs(5);

/// Why something is not on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOnRecord {
    /// The log does not answer.
    #[error(
        "the audit log does not take records now: see whether pod keyhole-log-0 in the operator's namespace runs and has room on its \
         volume"
    )]
    Away,
    /// It shows another past than before.
    #[error(
        "the audit log shows another past than before: the operator's own log says which. Restore its volume, or find out what happened, \
         and delete ConfigMap keyhole-log-anchor when it is to go on as it is"
    )]
    Forked,
    /// Nobody leads here.
    #[error("nothing is put on record before this replica leads")]
    NotLeading,
    /// The stream takes it not.
    #[error("the audit log did not take a record")]
    NotTaken(#[source] NotTaken),
}

impl NotOnRecord {
    /// Why, in the words of conditions.
    pub fn reason(self) -> Reason {
        match self {
            Self::Forked => Reason::AuditForked,
            Self::Away | Self::NotLeading | Self::NotTaken(_) => Reason::AuditUnavailable,
        }
    }
}

/// The records of this process.
#[derive(Default)]
pub struct Records {
    stream: OnceLock<Stream>,
    /// What was handed over of each request and grant, by its uid: the numbers of the records, by the ids of the facts.
    handed_over: Mutex<HashMap<String, HashMap<String, Count>>>,
    /// Whether the log shows another past than before.
    forked: AtomicBool,
    /// A receipt is on record.
    settled: Notify,
}

struct Stream {
    recorder: Recorder,
    heard: Arc<Heard>,
}

/// What the log says.
struct Heard {
    below: watch::Sender<Count>,
    away: watch::Sender<bool>,
}

impl Listener for Heard {
    fn welcome(&self, _: Used) {}

    fn acknowledged(&self, below: Count) {
        self.below.send_replace(below);
    }

    fn away(&self, away: bool) {
        self.away.send_replace(away);
    }

    fn over(&self, fault: Fault) {
        tracing::error!(%fault, "the audit log takes nothing of this leader any more");
        self.away.send_replace(true);
    }
}

impl Records {
    /// The stream of a leadership, whose first record says whose it is. `holder`: the name of this replica.
    pub fn begin(&self, lead: Lead, holder: String) {
        let term = Count::of(lead.leadership);
        let heard = Arc::new(Heard { below: watch::Sender::default(), away: watch::Sender::default() });
        let listener: Arc<dyn Listener> = Arc::<Heard>::clone(&heard);
        let recorder = Recorder::new(StreamName::Operator { term }, listener);
        let release = env!("CARGO_PKG_VERSION").to_owned();
        let what = What::Term(Term { after: lead.after.map(Count::of), holder, release });
        let first = recorder.put(Urgency::Begins, (Time::from(now()), About::default()), what, Vec::new());
        // It fits, and nothing is before it.
        if let Err(error) = first {
            tracing::error!(%error, "the record of this leadership is not taken");
        }
        // Once: the process that loses its turn ends.
        self.stream.set(Stream { recorder, heard }).ok();
    }

    /// Puts these on record of the request or grant with this uid, one after the other, and returns when all are on the log's disk.
    pub async fn put(&self, uid: &str, facts: Vec<Fact>) -> Result<(), NotOnRecord> {
        let stream = self.stream.get().ok_or(NotOnRecord::NotLeading)?;
        let mut last = None;
        let ends = facts.iter().any(|fact| matches!(fact.what, What::Receipt(_)));
        let urgency = if ends { Urgency::Ends } else { Urgency::Begins };
        for fact in facts {
            last = last.max(Some(self.hand_over(stream, uid, (urgency, fact))?));
        }
        let mut below = stream.heard.below.subscribe();
        let durable = below.wait_for(|below| last.is_none_or(|last| *below > last));
        match timeout(PATIENCE, durable).await {
            Ok(Ok(_)) => {
                if ends {
                    self.settled.notify_one();
                }
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(NotOnRecord::Away),
        }
    }

    /// Hands over what is not handed over yet, and waits for nothing: what comes later in the stream is acknowledged later, too.
    pub fn note(&self, grant_uid: &str, facts: Vec<Fact>) {
        let Some(stream) = self.stream.get() else { return };
        for fact in facts {
            if let Err(error) = self.hand_over(stream, grant_uid, (Urgency::Ends, fact)) {
                tracing::warn!(grant = grant_uid, error = %access::chain(&error), "not put on record yet");
            }
        }
    }

    /// Each once: the number that it has in the stream.
    fn hand_over(
        &self,
        stream: &Stream,
        uid: &str,
        (urgency, fact): (Urgency, Fact),
    ) -> Result<Count, NotOnRecord> {
        let mut all = locked(&self.handed_over);
        if let Some(number) = all.get(uid).and_then(|own| own.get(&fact.id)) {
            return Ok(*number);
        }
        if urgency == Urgency::Begins && self.forked.load(Ordering::Relaxed) {
            return Err(NotOnRecord::Forked);
        }
        // While nothing is acknowledged, nothing is begun: what waits here would be on record of what never happened.
        if urgency == Urgency::Begins && *stream.heard.away.borrow() {
            return Err(NotOnRecord::Away);
        }
        let id = fact.id.clone();
        let number = stream.hand_over(urgency, fact).map_err(NotOnRecord::NotTaken)?;
        all.entry(uid.to_owned()).or_default().insert(id, number);
        Ok(number)
    }

    /// Whether the log takes nothing now.
    pub fn are_away(&self) -> bool {
        self.stream.get().is_none_or(|stream| *stream.heard.away.borrow())
    }

    /// Whether the log shows another past than before: nothing is opened then.
    pub fn forks(&self, forked: bool) {
        self.forked.store(forked, Ordering::Relaxed);
    }

    /// Returns when a receipt came on record.
    pub async fn has_settled(&self) {
        self.settled.notified().await;
    }

    /// Forgets a request or a grant that is over.
    pub fn forget(&self, uid: &str) {
        locked(&self.handed_over).remove(uid);
    }

    /// Keeps a connection to the log until dropped. Returns when the log has taken nothing for good, and time for ends has passed.
    pub async fn run(&self, context: &Context) {
        let Some(stream) = self.stream.get() else { return std::future::pending().await };
        loop {
            match link(context) {
                Ok(link) => {
                    if timeout(CERTIFICATE, stream.recorder.run(&link)).await.is_ok() {
                        sleep(WITHOUT_RECORD).await;
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %access::chain(&error), "the audit log cannot be called");
                    sleep(AGAIN).await;
                }
            }
        }
    }
}

impl Stream {
    fn hand_over(&self, urgency: Urgency, fact: Fact) -> Result<Count, NotTaken> {
        let Fact { id, grant, what } = fact;
        let about = About { grant, id: Some(id) };
        self.recorder.put(urgency, (Time::from(now()), about), what, Vec::new())
    }
}

/// Why the log cannot be called.
#[derive(Debug, thiserror::Error)]
enum NoLink {
    #[error("the operator has no certificate")]
    Identity(#[source] crate::pki::operator::IdentityError),
    #[error("the log's name is none")]
    Name(#[source] rustls_pki_types::InvalidDnsNameError),
}

fn link(context: &Context) -> Result<Link, NoLink> {
    let internal = &context.authorities.internal;
    let config = context.identity.client(internal, now()).map_err(NoLink::Identity)?;
    let server_name = ServerName::try_from(server_name(internal)).map_err(NoLink::Name)?;
    Ok(Link {
        address: address(&context.config),
        server_name,
        tls: recorder::tls(rustls::ClientConfig::clone(&config)),
    })
}

/// Where writers find the log.
pub fn address(config: &Config) -> String {
    format!("{LOG}.{}.svc:{PORT_LOG}", config.namespace)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
