//! The connection to the log: made again after every break, for as long as the writer lives.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use record::frame::{Frame, Used};
use record::{About, Count, Head, Record, StreamName, Time, What};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf, split};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::link::{Link, Lost, connect, receive, send, write};
use crate::outbox::{Fault, Heard, NotTaken, Outbox, Urgency};

/// How long the log may acknowledge nothing before it counts as away, unless its writer says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How much longer than its writer's patience, or two seconds, a connection may be silent before another is tried: where packets are lost
/// nobody says that it is over. After each that was silent the next has twice as long, so that a log that is slow has no more to do for that.
const SILENCE: Duration = Duration::from_millis(900);

/// The longest of these times.
const LONGEST_SILENCE: Duration = Duration::from_secs(8);

/// How long it is until the next attempt, where the last took no time.
const PAUSE: Duration = Duration::from_millis(200);

/// Who hears how it goes. No method waits.
pub trait Listener: Send + Sync {
    /// Records flow: what the grant has used, as the log has it.
    fn welcome(&self, used: Used);
    /// All records below this number are on the log's disk.
    fn acknowledged(&self, below: Count);
    /// Nothing is acknowledged now, so that nothing may be begun; or things are again.
    fn away(&self, away: bool);
    /// Nothing more will ever be acknowledged.
    fn over(&self, fault: Fault);
}

/// The writer's handle. Clones are the same stream.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    outbox: Mutex<Guarded>,
    /// Something is to be sent.
    filled: Notify,
    /// The log owes something, and owed nothing before.
    owes: Notify,
    /// It is not away any more.
    back: Notify,
    patience: Duration,
    listener: Arc<dyn Listener>,
}

struct Guarded {
    outbox: Outbox,
    /// Since when the log owes an acknowledgement, or a connection. A welcome is neither while something waits: a log whose disk stands
    /// still welcomes, too.
    owes_since: Option<Instant>,
    /// When something came over a connection last.
    heard_at: Instant,
    /// How much longer than the patience the next connection may be silent.
    silence: Duration,
    is_away: bool,
}

impl Recorder {
    /// A stream without records. Nothing is sent until [`Recorder::run`] is.
    pub fn new(stream: StreamName, listener: Arc<dyn Listener>) -> Self {
        Self::patient(stream, listener, PATIENCE)
    }

    /// The same, where the log is away once it has acknowledged nothing for so long.
    pub fn patient(stream: StreamName, listener: Arc<dyn Listener>, patience: Duration) -> Self {
        let guarded = Guarded {
            outbox: Outbox::new(stream),
            owes_since: None,
            heard_at: Instant::now(),
            silence: SILENCE,
            is_away: false,
        };
        Self {
            shared: Arc::new(Shared {
                outbox: Mutex::new(guarded),
                filled: Notify::new(),
                owes: Notify::new(),
                back: Notify::new(),
                patience,
                listener,
            }),
        }
    }

    /// Hands a record over, and says its number. It never waits.
    pub fn put(
        &self,
        urgency: Urgency,
        about: (Time, About),
        what: What,
        payload: Vec<u8>,
    ) -> Result<Count, NotTaken> {
        let mut guarded = self.guarded();
        let number = guarded.outbox.put(urgency, about, what, payload)?;
        guarded.owes_since.get_or_insert_with(Instant::now);
        drop(guarded);
        self.shared.owes.notify_waiters();
        self.shared.filled.notify_one();
        Ok(number)
    }

    /// The name of its stream.
    pub fn stream(&self) -> StreamName {
        self.guarded().outbox.stream().clone()
    }

    /// How far the writer has its stream.
    pub fn head(&self) -> Head {
        self.guarded().outbox.head()
    }

    /// How far the log has it.
    pub fn acknowledged(&self) -> Head {
        self.guarded().outbox.acknowledged()
    }

    /// What the log has not acknowledged, in its order.
    pub fn not_acknowledged(&self) -> Vec<Record> {
        self.guarded().outbox.not_acknowledged().collect()
    }

    /// Why nothing is acknowledged any more, once that is so.
    pub fn fault(&self) -> Option<Fault> {
        self.guarded().outbox.fault()
    }

    /// Keeps a connection to the log until dropped, or until the stream is at its end.
    pub async fn run(&self, link: &Link) -> Fault {
        self.keep(|| connect(link)).await
    }

    async fn keep<S, C>(&self, connect: impl Fn() -> C) -> Fault
    where
        S: AsyncRead + AsyncWrite,
        C: Future<Output = Result<S, Lost>>,
    {
        self.guarded().owes_since.get_or_insert_with(Instant::now);
        tokio::select! {
            fault = self.keep_connected(connect) => fault,
            never = self.watch() => match never {},
        }
    }

    async fn keep_connected<S, C>(&self, connect: impl Fn() -> C) -> Fault
    where
        S: AsyncRead + AsyncWrite,
        C: Future<Output = Result<S, Lost>>,
    {
        loop {
            let lost = self.talk(connect()).await;
            if let Some(fault) = self.fault() {
                self.shared.listener.over(fault);
                return fault;
            }
            tracing::warn!(error = %lost, "the audit log is not connected");
            self.disconnected(&lost);
            // One that was silent took its time.
            if !matches!(lost, Lost::Silent) {
                sleep(PAUSE).await;
            }
        }
    }

    /// Notices a log that acknowledges nothing, whether it is connected or not.
    async fn watch(&self) -> Infallible {
        loop {
            let owed_for = self.owes_since().await.elapsed();
            let left = self.shared.patience.saturating_sub(owed_for);
            if left.is_zero() {
                self.away(true);
                self.shared.back.notified().await;
            } else {
                sleep(left).await;
            }
        }
    }

    /// Since when the log owes something, once it does.
    async fn owes_since(&self) -> Instant {
        loop {
            let owes = self.shared.owes.notified();
            tokio::pin!(owes);
            // From here on nothing is missed.
            owes.as_mut().enable();
            let since = self.guarded().owes_since;
            match since {
                Some(since) => return since,
                None => owes.await,
            }
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite>(&self, connect: impl Future<Output = Result<S, Lost>>) -> Lost {
        let bound = self.shared.patience.min(PATIENCE).saturating_add(self.guarded().silence);
        let greeted = async { self.greet(connect.await?).await };
        let (mut from, mut to) = match timeout(bound, greeted).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(lost)) => return lost,
            Err(_) => return Lost::Silent,
        };
        let sending = self.send_all(&mut to);
        let hearing = self.hear_all(&mut from);
        let silent = self.is_silent_for(bound);
        tokio::select! {
            lost = sending => lost,
            lost = hearing => lost,
            () = silent => Lost::Silent,
        }
    }

    async fn greet<S: AsyncRead + AsyncWrite>(&self, stream: S) -> Result<(ReadHalf<S>, WriteHalf<S>), Lost> {
        let (mut from, mut to) = split(stream);
        let hello = self.guarded().outbox.connected();
        send(&mut to, &hello).await?;
        let welcome = receive(&mut from).await?;
        self.hear(welcome)?;
        if !self.is_welcome() {
            return Err(Lost::Nonsense);
        }
        Ok((from, to))
    }

    async fn send_all(&self, to: &mut (impl AsyncWrite + Unpin)) -> Lost {
        loop {
            let filled = self.shared.filled.notified();
            let mut bytes = Vec::new();
            while let Some(frame) = self.to_send() {
                if frame.encode(&mut bytes).is_err() {
                    return Lost::Nonsense;
                }
                if let Err(error) = write(to, &bytes).await {
                    return Lost::Network(error);
                }
                bytes.clear();
            }
            filled.await;
        }
    }

    async fn hear_all(&self, from: &mut (impl AsyncRead + Unpin)) -> Lost {
        loop {
            let heard = match receive(from).await {
                Ok(frame) => self.hear(frame),
                Err(lost) => Err(lost),
            };
            if let Err(lost) = heard {
                return lost;
            }
        }
    }

    /// Returns when something was owed over this connection for so long, and nothing came.
    async fn is_silent_for(&self, bound: Duration) {
        loop {
            let since = self.owes_since().await.max(self.guarded().heard_at);
            let left = bound.saturating_sub(since.elapsed());
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }

    fn hear(&self, frame: Frame) -> Result<(), Lost> {
        let mut guarded = self.guarded();
        let before = guarded.outbox.acknowledged();
        let heard = guarded.outbox.hear(frame);
        let acknowledged = guarded.outbox.acknowledged();
        let (now, waits) = (Instant::now(), acknowledged != guarded.outbox.head());
        guarded.heard_at = now;
        let is_there = acknowledged != before || (guarded.outbox.is_welcome() && !waits);
        if is_there {
            guarded.owes_since = waits.then_some(now);
            guarded.silence = SILENCE;
        }
        drop(guarded);
        match heard {
            Heard::Welcome(used) => {
                self.shared.listener.welcome(used);
                self.shared.listener.acknowledged(acknowledged.count);
            }
            Heard::Acknowledged(below) => self.shared.listener.acknowledged(below),
            Heard::TryAgain(refuse) => return Err(Lost::Refused(refuse)),
            Heard::Over(fault) => return Err(Lost::Over(fault)),
            Heard::Nonsense => return Err(Lost::Nonsense),
        }
        if is_there {
            self.away(false);
        }
        Ok(())
    }

    fn disconnected(&self, lost: &Lost) {
        let mut guarded = self.guarded();
        guarded.outbox.disconnected();
        guarded.owes_since.get_or_insert_with(Instant::now);
        if let Lost::Silent = lost {
            guarded.silence = guarded.silence.saturating_mul(2).min(LONGEST_SILENCE);
        }
        drop(guarded);
        self.shared.owes.notify_waiters();
    }

    fn is_welcome(&self) -> bool {
        self.guarded().outbox.is_welcome()
    }

    fn to_send(&self) -> Option<Frame> {
        self.guarded().outbox.to_send()
    }

    fn away(&self, away: bool) {
        let before = std::mem::replace(&mut self.guarded().is_away, away);
        if before == away {
            return;
        }
        self.shared.listener.away(away);
        if !away {
            self.shared.back.notify_one();
        }
    }

    fn guarded(&self) -> MutexGuard<'_, Guarded> {
        self.shared.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
