//! The operator's way to the audit log: what it decides and does goes on record, in a stream for each leadership.
//!
//! What opens something waits until its record is on the log's disk; what ends something is handed over and waits for nothing.

pub mod anchor;
pub mod ends;
pub mod facts;
#[cfg(test)]
mod faked;
pub mod figures;
pub mod memory;
pub mod orphans;
pub mod receipt;
pub mod streams;
pub mod tree;
pub mod witness;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crds::Reason;
use crds::admission::LOG;
use record::frame::Used;
use record::kinds::operator::Term;
use record::{About, Count, StreamName, Time, What};
use recorder::{Fault, Link, Listener, NotTaken, PATIENCE, Recorder, Urgency};
use rustls_pki_types::ServerName;
use tlog::Checkpoint;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use self::anchor::Forked;
use self::facts::Fact;
use self::memory::Own;
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

/// How long something may be opened after the log was seen to have the past that it had, while it only cannot be seen: three looks of the
/// witness.
const WITNESSED_FOR: Duration = Duration::from_secs(30);

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
        "the audit log showed another past than before: `forked` in ConfigMap keyhole-log-anchor says how. Find out what happened. Once the \
         log's volume is restored, take `forked` out of that ConfigMap; when the log is to go on as it is, delete the ConfigMap"
    )]
    Forked,
    /// It was not seen to have the past that it had, or what it answers since cannot be.
    #[error("the audit log is not witnessed: the operator's own log says why")]
    NotWitnessed,
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
            Self::Away | Self::NotWitnessed | Self::NotLeading | Self::NotTaken(_) => {
                Reason::AuditUnavailable
            }
        }
    }
}

/// The records of this process.
#[derive(Default)]
pub struct Records {
    stream: OnceLock<Stream>,
    /// What was handed over last of each request and grant, by its uid and by what it is about.
    handed_over: Mutex<HashMap<String, HashMap<String, HandedOver>>>,
    /// What the witness saw last.
    witness: Mutex<Witnessed>,
    /// What somebody else found, and the witness has not heard.
    convicted: Mutex<Option<Forked>>,
    /// The witness has something to look at: a receipt is on record.
    settled: Notify,
}

/// What the log's witness saw.
#[derive(Default)]
enum Witnessed {
    /// Nothing yet, or an answer that cannot be since.
    #[default]
    Nothing,
    /// Then the log had the past that it had before, up to this checkpoint.
    At(Instant, Checkpoint),
    /// It showed another one, and nobody has taken that back.
    Forked,
}

impl Witnessed {
    /// Whether something may be opened.
    fn lets_open(&self, now: Instant) -> Result<(), NotOnRecord> {
        match self {
            Self::At(then, _) if now.duration_since(*then) <= WITNESSED_FOR => Ok(()),
            Self::At(..) | Self::Nothing => Err(NotOnRecord::NotWitnessed),
            Self::Forked => Err(NotOnRecord::Forked),
        }
    }
}

/// A fact that was handed over.
struct HandedOver {
    /// Its id.
    id: String,
    /// The number of its record.
    number: Count,
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
        let urgency = if facts.iter().all(Fact::tells_of_an_end) { Urgency::Ends } else { Urgency::Begins };
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

    /// What is not said already: the number that it has in the stream.
    fn hand_over(
        &self,
        stream: &Stream,
        uid: &str,
        (urgency, fact): (Urgency, Fact),
    ) -> Result<Count, NotOnRecord> {
        if urgency == Urgency::Begins {
            locked(&self.witness).lets_open(Instant::now())?;
        }
        let mut all = locked(&self.handed_over);
        let own = all.get(uid).and_then(|own| own.get(fact.subject()));
        if let Some(known) = own.filter(|known| known.id == fact.id) {
            return Ok(known.number);
        }
        // While nothing is acknowledged, nothing is begun: what waits here would be on record of what never happened.
        if urgency == Urgency::Begins && *stream.heard.away.borrow() {
            return Err(NotOnRecord::Away);
        }
        let (subject, id) = (fact.subject().to_owned(), fact.id.clone());
        let number = stream.hand_over(urgency, fact).map_err(NotOnRecord::NotTaken)?;
        all.entry(uid.to_owned()).or_default().insert(subject, HandedOver { id, number });
        Ok(number)
    }

    /// Whether the log takes nothing now.
    pub fn are_away(&self) -> bool {
        self.stream.get().is_none_or(|stream| *stream.heard.away.borrow())
    }

    /// The log had the past that it had before, when somebody began to look then; up to this checkpoint.
    pub fn witnessed(&self, then: Instant, checkpoint: Checkpoint) {
        *locked(&self.witness) = Witnessed::At(then, checkpoint);
    }

    /// Up to which checkpoint the log has the past that it had, as far as anybody knows.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        match &*locked(&self.witness) {
            Witnessed::At(_, checkpoint) => Some(checkpoint.clone()),
            Witnessed::Nothing | Witnessed::Forked => None,
        }
    }

    /// Whether the log showed another past, and nobody has taken that back.
    pub fn is_forked(&self) -> bool {
        matches!(*locked(&self.witness), Witnessed::Forked)
    }

    /// What the log answers cannot be: what was seen before counts no more. That it forked stays.
    pub fn doubts(&self) {
        let mut witness = locked(&self.witness);
        if let Witnessed::At(..) = *witness {
            *witness = Witnessed::Nothing;
        }
    }

    /// Whether the log was just seen to have the past that it had.
    pub fn is_witnessed(&self) -> bool {
        locked(&self.witness).lets_open(Instant::now()).is_ok()
    }

    /// The records of this leadership.
    pub fn own(&self) -> Own {
        self.stream.get().map_or_else(Own::default, |Stream { recorder, .. }| Own {
            acknowledged: recorder.acknowledged(),
            handed_over: recorder.head().count,
        })
    }

    /// The log shows another past than before: nothing is opened until it is witnessed again.
    pub fn forks(&self) {
        *locked(&self.witness) = Witnessed::Forked;
    }

    /// Somebody else than its witness found that it has another past than it says: the witness's next look, which is now, makes that known.
    pub fn convicts(&self, forked: Forked) {
        self.forks();
        locked(&self.convicted).get_or_insert(forked);
        self.settled.notify_one();
    }

    /// What somebody else found. Asked once.
    pub fn convicted(&self) -> Option<Forked> {
        locked(&self.convicted).take()
    }

    /// Returns when the witness has something to look at.
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

#[cfg(test)]
mod tests {
    use crds::admission::LOG;
    use record::kinds::State;
    use record::kinds::operator::{Ended, Item, Killed, LateOutcome, Pod, Receipt};

    use super::*;

    const UID: &str = "0b9a2f0e-0000-4000-8000-000000000001";

    fn records() -> Records {
        let records = Records::default();
        records.begin(Lead { leadership: 7, after: None, since: Instant::now() }, format!("{LOG}-test"));
        records
    }

    fn checkpoint() -> Checkpoint {
        faked::FakeLog::default().checkpoint()
    }

    fn said(why: &str) -> Fact {
        let what = What::Killed(Killed { pod: "look".into(), why: why.into() });
        Fact::of_orphan(&UID.parse().unwrap(), "a1", what)
    }

    fn says(records: &Records, urgency: Urgency, why: &str) -> Result<u64, NotOnRecord> {
        let stream = records.stream.get().unwrap();
        records.hand_over(stream, UID, (urgency, said(why))).map(Count::get)
    }

    #[tokio::test]
    async fn what_is_said_again_is_one_record_and_what_comes_back_is_another() {
        let records = records();
        let say = |why: &str| says(&records, Urgency::Ends, why).unwrap();
        assert_eq!([say("counts"), say("counts"), say("does not"), say("does not")], [1, 1, 2, 2]);
        assert_eq!([say("counts"), say("counts")], [3, 3], "the last word would be the wrong one");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_opened_unless_the_log_was_just_seen_to_have_the_past_that_it_had() {
        let records = records();
        let begin = |why: &str| says(&records, Urgency::Begins, why);
        assert_eq!(begin("at first"), Err(NotOnRecord::NotWitnessed));
        records.witnessed(Instant::now(), checkpoint());
        assert!(begin("seen").is_ok());
        tokio::time::advance(WITNESSED_FOR + Duration::from_millis(1)).await;
        assert_eq!(begin("seen"), Err(NotOnRecord::NotWitnessed), "known already, and yet");
        assert!(says(&records, Urgency::Ends, "ends all the same").is_ok());
        records.witnessed(Instant::now(), checkpoint());
        records.forks();
        assert_eq!(begin("seen"), Err(NotOnRecord::Forked));
        records.doubts();
        assert_eq!(begin("seen"), Err(NotOnRecord::Forked), "it answers nonsense, too");
        assert!(records.checkpoint().is_none(), "nobody compares with a past that may be another one");
        assert_eq!(NotOnRecord::Forked.reason(), Reason::AuditForked);
        assert_eq!(NotOnRecord::NotWitnessed.reason(), Reason::AuditUnavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn what_tells_of_an_end_waits_for_the_log_alone_and_not_for_its_witness() {
        let grant = UID.parse().unwrap();
        let of = |what| Fact::of_orphan(&grant, "a1", what);
        let end = || {
            let ended = Ended { person: None, reason: "Expired".into(), why: None };
            let item =
                Item { how: "gone".into(), item: "lease".into(), millis: Count::of(1), state: State::Proved };
            let late = LateOutcome {
                more: Count::of(1),
                outcome: None,
                stream: StreamName::Operator { term: Count::of(1) },
            };
            let receipt = Receipt {
                began: Time::from(now()),
                items: vec![item.clone()],
                name: "look-1".into(),
                namespace: "shop".into(),
                reason: "Expired".into(),
                streams: Vec::new(),
            };
            let killed = said("it does not answer");
            let whats =
                [What::Ended(ended), What::Shut(item), What::LateOutcome(late), What::Receipt(receipt)];
            [killed].into_iter().chain(whats.map(of)).collect::<Vec<_>>()
        };
        for is_forked in [false, true] {
            let records = records();
            if is_forked {
                records.forks();
            }
            // The log has everything that is handed over.
            records.stream.get().unwrap().heard.below.send_replace(Count::of(100));
            assert_eq!(records.put(UID, end()).await, Ok(()));
            let opens = of(What::Pod(Pod {
                accessor: "a1".into(),
                grant: "look-1".into(),
                mount: "database".into(),
                name: "look-1".into(),
                namespace: "shop".into(),
                request: UID.parse().unwrap(),
                role: "reader".into(),
                uid: UID.parse().unwrap(),
            }));
            let refused = records.put(UID, [end(), vec![opens]].concat()).await.unwrap_err();
            assert!(matches!(refused, NotOnRecord::Forked | NotOnRecord::NotWitnessed), "{refused}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_else_found_stops_what_opens_at_once_and_the_witness_hears_of_it_once() {
        let records = records();
        records.witnessed(Instant::now(), checkpoint());
        records.convicts(Forked::Another { index: 7 });
        assert_eq!(says(&records, Urgency::Begins, "opens"), Err(NotOnRecord::Forked));
        timeout(Duration::from_secs(1), records.has_settled()).await.unwrap();
        assert_eq!(records.convicted(), Some(Forked::Another { index: 7 }));
        assert_eq!(records.convicted(), None);
    }
}
