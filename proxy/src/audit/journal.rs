//! The stream of a proxy's records. Whoever begins something hands its intent over and holds a ticket; what is on record is known
//! when the stream's keeper has acknowledged it. Nothing here waits for a disk or a network, and nothing that was begun is left
//! without an end: a ticket or a proof that is dropped says that its command was cut.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use access::Limits;
use access::report::OnRecord;
use record::kinds::proxy::Budget;
use record::{Count, What};
use tokio::time::{Instant, timeout, timeout_at};

use super::acknowledgements::Acknowledgements;
use super::turned_away::TurnedAway;
use super::{Answer, Decision, Intent, NotRecorded, Outcome, Record};
use crate::ending::{EndCause, Ending};
use crate::metrics::Metrics;
use crate::usage::{UsageMeter, UsedPart};

/// How long a statement waits for its record, unless the grant file says otherwise.
const PATIENCE: Duration = Duration::from_secs(2);

/// The place of a record in its proxy's stream, from 0 without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub(super) u64);

impl Number {
    /// As a number.
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
impl Number {
    /// Of the first record there is.
    pub(crate) const FIRST: Self = Self(0);
}

/// Keeps the records of a stream, in their order.
pub trait Keeper: Send {
    /// Takes a record. It never waits: what it has taken it acknowledges when it is kept.
    ///
    /// # Errors
    /// It takes none now. The number is given to the next record then.
    fn keep(&mut self, number: Number, record: &Record<'_>) -> Result<(), NotRecorded>;

    /// How far it has come in the audit log. `None`: it keeps its records elsewhere.
    fn on_record(&self) -> Option<OnRecord> {
        None
    }
}

/// What the stream shares with those who hold tickets.
struct Kept {
    usage: Arc<UsageMeter>,
    metrics: Metrics,
    ending: Ending,
    acknowledged: Acknowledgements,
    patience: Duration,
    stream: Mutex<Stream>,
}

struct Stream {
    keeper: Box<dyn Keeper>,
    next: u64,
    /// How many ends of commands were not taken.
    owed: u64,
    turned_away: TurnedAway,
}

/// How much of a stream is on record at its close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completeness {
    /// How many records were taken.
    pub taken: u64,
    /// How many of them are acknowledged.
    pub acknowledged: u64,
    /// How many ends of commands were not taken.
    pub owed: u64,
}

/// The stream of one proxy. Clones share it.
#[derive(Clone)]
pub struct Journal {
    kept: Arc<Kept>,
}

/// That a command goes to the database.
pub enum Forwarded {}

/// That a command is answered by the proxy: as it knows, or with a refusal.
pub enum Local {}

/// An intent that was handed over. To drop it is to say that its command was cut.
#[must_use = "whether it is on record is known by its proof alone"]
pub struct Ticket<K> {
    open: Open,
    kind: PhantomData<fn() -> K>,
}

/// The proof that an intent is on record: without one, no function writes a byte of an answer to a client. To drop it is to say
/// that its command was cut.
#[must_use = "the outcome must be handed over too"]
pub struct Recorded<K> {
    open: Open,
    kind: PhantomData<fn() -> K>,
}

impl Journal {
    /// A stream whose records `keeper` keeps.
    pub fn new(
        usage: Arc<UsageMeter>,
        ending: Ending,
        acknowledged: Acknowledgements,
        keeper: Box<dyn Keeper>,
    ) -> Self {
        Self::patient(usage, ending, (acknowledged, PATIENCE), keeper)
    }

    /// The same, where statements wait for their records as long as that.
    pub fn patient(
        usage: Arc<UsageMeter>,
        ending: Ending,
        (acknowledged, patience): (Acknowledgements, Duration),
        keeper: Box<dyn Keeper>,
    ) -> Self {
        let stream = Mutex::new(Stream { keeper, next: 0, owed: 0, turned_away: TurnedAway::new() });
        let metrics = Metrics::default();
        Self { kept: Arc::new(Kept { usage, metrics, ending, acknowledged, patience, stream }) }
    }

    /// What is counted of all that goes on record.
    pub fn metrics(&self) -> Metrics {
        self.kept.metrics.clone()
    }

    /// Hands the intent over of a command that goes to the database.
    pub fn forwards(&self, intent: Intent<'_>) -> Result<Ticket<Forwarded>, NotRecorded> {
        self.begin(intent, Decision::Forwarded)
    }

    /// Hands the intent over of a command that the proxy answers, with `decision`.
    pub fn answers(&self, intent: Intent<'_>, decision: Decision) -> Result<Ticket<Local>, NotRecorded> {
        self.begin(intent, decision)
    }

    /// Begins a command once its record has room, and waits for that as long as for an acknowledgement. `begin`: [`Journal::forwards`] or
    /// [`Journal::answers`]. Safe to drop.
    pub async fn with_room<K>(
        &self,
        begin: impl Fn() -> Result<Ticket<K>, NotRecorded>,
    ) -> Result<Ticket<K>, NotRecorded> {
        let begins = async {
            loop {
                let so_far = Number(self.kept.acknowledged.count());
                match begin() {
                    // Each acknowledgement makes room.
                    Err(NotRecorded::Full) => self.kept.acknowledged.has_come(so_far).await,
                    begun => return begun,
                }
            }
        };
        timeout(self.kept.patience, begins).await.unwrap_or(Err(NotRecorded::Full))
    }

    fn begin<K>(&self, intent: Intent<'_>, decision: Decision) -> Result<Ticket<K>, NotRecorded> {
        self.may_begin()?;
        let of = self.kept.begins(&Record::Intent { intent, decision })?;
        match decision {
            Decision::Forwarded | Decision::Answered => self.kept.usage.count_statement(),
            Decision::Refused { rule } => {
                self.kept.usage.count_refusal();
                self.kept.metrics.refused(rule);
                self.end_if_refused_too_often();
            }
        }
        Ok(Ticket { open: self.opened(Some((of, Answer::First))), kind: PhantomData })
    }

    /// A command that reads nothing and changes nothing, as a ping is: it is counted, and waits for nobody.
    pub fn counted<K>(&self) -> Result<Recorded<K>, NotRecorded> {
        self.is_not_over()?;
        self.kept.usage.count_statement();
        Ok(Recorded { open: self.opened(None), kind: PhantomData })
    }

    /// More of what is on record already, as the next rows of a cursor are: another outcome of the same intent.
    pub fn continues(&self, of: Number) -> Result<Recorded<Forwarded>, NotRecorded> {
        self.may_begin()?;
        self.kept.usage.count_statement();
        Ok(Recorded { open: self.opened(Some((of, Answer::More))), kind: PhantomData })
    }

    /// Hands a record over that nobody waits for. One that is not taken is owed.
    pub fn note(&self, record: &Record<'_>) {
        self.kept.stream().note(record);
    }

    /// A connection did not become a session. Ten of a second are on record, the others are counted.
    pub fn turned_away(&self, session: u32, peer: SocketAddr, why: &str) {
        self.kept.metrics.turned_away();
        let mut stream = self.kept.stream();
        if let Some(more) = stream.turned_away.one() {
            stream.note(&Record::TurnedAway { session, peer, why, more });
        }
    }

    /// Puts on record which parts of the grant's budgets are used now.
    pub fn tell_budgets(&self, limits: &Limits) {
        for UsedPart { of, budget, used } in self.kept.usage.newly_used(limits) {
            let (budget, used) = (Count::of(budget), Count::of(used));
            self.note(&Record::Life(&What::Budget(Budget { budget, of, used })));
        }
    }

    /// Waits until everything that was handed over so far is on record.
    pub async fn is_kept(&self) -> Result<(), NotRecorded> {
        let Some(last) = self.kept.stream().next.checked_sub(1).map(Number) else { return Ok(()) };
        let has_come = self.kept.acknowledged.has_come(last);
        timeout(self.kept.patience, has_come).await.map_err(|_| NotRecorded::Late)
    }

    /// Puts the last record there, and waits until everything is acknowledged, or `patience` is over. Says how much is.
    pub async fn close(&self, patience: Duration) -> Completeness {
        let deadline = Instant::now().checked_add(patience).unwrap_or_else(Instant::now);
        {
            let mut stream = self.kept.stream();
            let owed = stream.owed;
            stream.note(&Record::Closed { owed });
        }
        let last = self.kept.stream().next.checked_sub(1).map(Number);
        if let Some(last) = last {
            // What is late is told as missing.
            let _ = timeout_at(deadline, self.kept.acknowledged.has_come(last)).await;
        }
        let stream = self.kept.stream();
        let acknowledged = self.kept.acknowledged.count();
        Completeness { taken: stream.next, acknowledged, owed: stream.owed }
    }

    /// How far the stream has come in the audit log.
    pub fn on_record(&self) -> Option<OnRecord> {
        self.kept.stream().keeper.on_record()
    }

    /// The grant ends with the last refusal that its terms bear: here, for it counts whatever becomes of its session.
    fn end_if_refused_too_often(&self) {
        if let Some(most) = self.kept.usage.refused_too_often() {
            tracing::warn!(most, "so many statements were refused that the grant ends");
            self.kept.ending.begin(EndCause::refused_too_often(most));
        }
    }

    fn opened(&self, of: Option<(Number, Answer)>) -> Open {
        Open { kept: Arc::clone(&self.kept), of }
    }

    fn is_not_over(&self) -> Result<(), NotRecorded> {
        match self.kept.ending.cause() {
            Some(_) => Err(NotRecorded::Ended),
            None => Ok(()),
        }
    }

    fn may_begin(&self) -> Result<(), NotRecorded> {
        self.is_not_over()?;
        if self.kept.acknowledged.are_away() {
            return Err(NotRecorded::Unavailable);
        }
        Ok(())
    }
}

impl Kept {
    fn begins(&self, intent: &Record<'_>) -> Result<Number, NotRecorded> {
        let mut stream = self.stream();
        let handed_over = Instant::now();
        let of = stream.keep(intent)?;
        // While nobody else hands over: their numbers come in their order.
        self.acknowledged.wait_for(of, handed_over);
        Ok(of)
    }

    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn keep(&mut self, record: &Record<'_>) -> Result<Number, NotRecorded> {
        let number = Number(self.next);
        self.keeper.keep(number, record)?;
        self.next = self.next.saturating_add(1);
        Ok(number)
    }

    fn note(&mut self, record: &Record<'_>) {
        if self.keep(record).is_err() {
            self.owed = self.owed.saturating_add(1);
        }
    }
}

/// An intent without its end.
struct Open {
    kept: Arc<Kept>,
    /// `None`: its end is not put on record, and neither is its beginning.
    of: Option<(Number, Answer)>,
}

impl Open {
    fn number(&self) -> Option<Number> {
        self.of.map(|(number, _)| number)
    }

    fn end(mut self, outcome: &Outcome) {
        self.kept.metrics.took(outcome.duration);
        if let Some((of, answer)) = self.of.take() {
            self.kept.stream().note(&Record::Outcome { of, answer, outcome });
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some((of, answer)) = self.of.take() {
            self.kept.stream().note(&Record::Cut { of, answer });
        }
    }
}

impl<K> Ticket<K> {
    /// Its place, for those that refer to it.
    pub fn number(&self) -> Option<Number> {
        self.open.number()
    }

    /// Waits until the intent is on record. Safe to drop: the command is cut then.
    pub async fn recorded(self) -> Result<Recorded<K>, NotRecorded> {
        self.comes().await?;
        self.proof()
    }

    /// Waits until the proof is there. Safe to drop, and to be called again.
    pub async fn comes(&self) -> Result<(), NotRecorded> {
        let Some(of) = self.open.number() else { return Ok(()) };
        let mut waited = Duration::ZERO;
        let acknowledged = &self.open.kept.acknowledged;
        if !acknowledged.has(of) {
            let since = Instant::now();
            let has_come = acknowledged.has_come(of);
            timeout(self.open.kept.patience, has_come).await.map_err(|_| NotRecorded::Late)?;
            waited = since.elapsed();
        }
        self.open.kept.metrics.waited(waited);
        Ok(())
    }

    /// The proof that the intent is on record, if it is.
    pub fn proof(self) -> Result<Recorded<K>, NotRecorded> {
        let Self { open, kind } = self;
        match open.number() {
            Some(of) if !open.kept.acknowledged.has(of) => Err(NotRecorded::Late),
            _ => Ok(Recorded { open, kind }),
        }
    }
}

impl<K> Recorded<K> {
    /// Its place, for those that refer to it; `None` if it was only counted.
    pub fn number(&self) -> Option<Number> {
        self.open.number()
    }

    /// Hands over how it went.
    pub fn end(self, outcome: &Outcome) {
        self.open.end(outcome);
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
