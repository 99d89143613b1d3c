//! Follows the database's answer frame by frame: each is looked at, held against the limits, and passed on as it is.
//! What was let pass stays owed until it has gone out, so an interruption never loses the place.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use wire::mysql::frame::{HEADER_LEN, MAX_PAYLOAD, Sequence};
use wire::mysql::response::joint::Joint;
use wire::mysql::response::{Answer, Observed, ResponseError, ResponseTracker, Seen};

use super::Relay;
use super::answered::Answered;
use super::columns::{Editing, Masks};
use super::ended::Ended;
use super::limits::{self, After, Met};
use super::refused::Refused;
use super::stopping::STOPPING;
use crate::exchange::Exchange;

/// What came before the deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    Something,
    Nothing,
}

/// What a cursor's earlier answers have used of the statement's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UsedBefore {
    pub rows: u64,
    pub bytes: u64,
    pub time: Duration,
}

impl UsedBefore {
    /// Both together.
    pub(super) fn and(self, more: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(more.rows),
            bytes: self.bytes.saturating_add(more.bytes),
            time: self.time.saturating_add(more.time),
        }
    }
}

/// Where the following of an answer stands.
pub(super) struct Following<'a> {
    pub tracker: ResponseTracker,
    pub used: UsedBefore,
    pub answered: Answered,
    pub joint: Joint,
    /// `None`: the answer passes as it is.
    pub editing: Option<Editing<'a>>,
    /// The length of the frame at the front that was looked at and not let pass, 0 if there is none.
    pub held: usize,
}

/// How far a look at what is here came.
pub(super) enum Step {
    /// As much is ready to be sent as may be at once.
    Full,
    /// Nothing whole is left.
    Short,
    /// No more of the answer passes.
    Halt(Halt),
}

/// Why no more of an answer passes. The client hears it.
pub(super) enum Halt {
    /// A limit was met.
    Limit(Met),
    /// The rest can't be masked.
    Spoiled(Refused),
}

impl Relay {
    /// Sends a command to the database and passes its answer on as it is. The command must be on record.
    pub(super) async fn forward(&mut self, body: &[u8], answer: Answer) -> Result<Answered, Ended> {
        self.forward_masked(body, answer, UsedBefore::default(), None).await
    }

    /// The same, masked, for a statement that used some of its limits before.
    pub(super) async fn forward_masked(
        &mut self,
        body: &[u8],
        answer: Answer,
        used: UsedBefore,
        masks: Option<&mut Masks>,
    ) -> Result<Answered, Ended> {
        self.ask(body).await?;
        let capabilities = self.database.capabilities;
        let following = Following {
            tracker: ResponseTracker::new(answer, capabilities, Sequence::starting_at(1)),
            used,
            answered: Answered::default(),
            joint: self.joint(),
            editing: masks.map(|masks| Editing::new(masks, answer, capabilities, &self.shared.memory)),
            held: 0,
        };
        let answered = self.follow(following).await?;
        self.answered().await?;
        Ok(answered)
    }

    /// Sends a command. From here on another session may stop it.
    pub(super) async fn ask(&mut self, body: &[u8]) -> Result<(), Ended> {
        self.busy = true;
        self.seat.begins().await;
        self.exchange.as_mut().ok_or(Ended::Ours)?.sends(Instant::now());
        self.database.send(body).await.map_err(|_| Ended::DatabaseGone)
    }

    /// The answer is whole. What another session sent to stop it must not hit the next statement.
    pub(super) async fn answered(&mut self) -> Result<(), Ended> {
        self.busy = false;
        if !self.seat.ends().await {
            return Ok(());
        }
        timeout(STOPPING, self.absorb()).await.unwrap_or(Err(Ended::DatabaseGone))
    }

    /// Until when the statement may take, and how many seconds that are in all, with what its earlier answers took.
    fn deadline(&self, used: UsedBefore) -> Result<(u32, Instant), Ended> {
        let seconds = self.shared.grant.limits.statement.seconds;
        let deadline = self.exchange.as_ref().and_then(|exchange| exchange.deadline(seconds, used.time));
        Ok((seconds, deadline.ok_or(Ended::Ours)?))
    }

    /// Passes an answer on: looks at what is here, sends what may go, and waits for more. No more is received while what may go
    /// has not gone out.
    async fn follow(&mut self, mut following: Following<'_>) -> Result<Answered, Ended> {
        let asked = Instant::now();
        if let Err(why) = self.confirm().await {
            return self.withhold(why, following).await;
        }
        self.exchange.as_mut().ok_or(Ended::Ours)?.stood_still(asked.elapsed());
        let (seconds, deadline) = self.deadline(following.used)?;
        loop {
            let step = match following.editing {
                None => self.judge_what_is_here(&mut following)?,
                Some(_) => self.edit_what_is_here(&mut following)?,
            };
            let in_time = timeout_at(deadline, self.send()).await?;
            let halt = match step {
                Step::Halt(halt) => halt,
                Step::Full if in_time => continue,
                // The whole answer is on its way: in time or not, nothing can be told in its place.
                Step::Short if self.owed == 0 && self.client.queued() == 0 && following.is_complete() => {
                    return Ok(following.answered);
                }
                Step::Short if in_time && self.receive(deadline).await? == Received::Something => continue,
                Step::Full | Step::Short => Halt::Limit(Met::Seconds(seconds)),
            };
            if self.owed > 0 || self.client.is_mid_packet() || self.client.queued() > 0 {
                let met = if let Halt::Limit(met) = halt { met } else { Met::Seconds(seconds) };
                return Err(Ended::Limit(met));
            }
            return self.interrupt(halt.refused(), following).await;
        }
    }

    /// Lets frames pass as they are until nothing is left or a limit is met.
    fn judge_what_is_here(&mut self, following: &mut Following<'_>) -> Result<Step, Ended> {
        let usage = Arc::clone(&self.shared.usage);
        let _turn = usage.turn();
        while !following.tracker.is_complete() {
            let Some(front) = self.database.inbound.unread().get(self.owed..) else { break };
            let Some(mut observed) = following.tracker.observe(front).map_err(Ended::DatabaseBroke)? else {
                break;
            };
            self.join(following.joint, &mut observed, self.owed)?;
            self.look(&observed, &mut following.answered)?;
            if let Some(met) = self.meets(&observed, following.used)? {
                following.held = observed.len;
                self.client.set_sequence(Sequence::starting_at(observed.sequence));
                return Ok(Step::Halt(Halt::Limit(met)));
            }
            self.count(u64::from(observed.seen == Seen::Row), observed.len)?;
            self.owed = self.owed.saturating_add(observed.len);
            let continues = observed.len == MAX_PAYLOAD.saturating_add(HEADER_LEN);
            self.client.passing(observed.sequence, continues);
        }
        Ok(Step::Short)
    }

    /// Joins a frame to the answers before and after this one. It stands behind `before` bytes of the database's buffer.
    pub(super) fn join(&mut self, joint: Joint, observed: &mut Observed, before: usize) -> Result<(), Ended> {
        let frame = self.database.inbound.unread_mut().get_mut(before..).unwrap_or_default();
        joint.join(observed, frame).map_err(|error| Ended::DatabaseBroke(ResponseError::Packet(error)))
    }

    /// Notes what a frame says of the statement and the session.
    pub(super) fn look(&mut self, observed: &Observed, answered: &mut Answered) -> Result<(), Ended> {
        self.database.belief.note(&observed.seen).map_err(Ended::Violation)?;
        answered.note(&observed.seen);
        if let (Seen::Err(error), Some(exchange)) = (observed.seen, &mut self.exchange) {
            exchange.error = Some(error.into());
        }
        Ok(())
    }

    /// Which limit a frame would break.
    pub(super) fn meets(&self, observed: &Observed, used: UsedBefore) -> Result<Option<Met>, Ended> {
        // An error or the end of the rows is never held back: it is what stops the answer anyway.
        if matches!(observed.seen, Seen::Err(_) | Seen::Ok(_) | Seen::RowsEnd { .. }) {
            return Ok(None);
        }
        let Exchange { rows, bytes, .. } = self.exchange.as_ref().ok_or(Ended::Ours)?;
        let more_rows = u64::from(observed.seen == Seen::Row);
        let more_bytes = payload(observed.len);
        let after = After {
            rows: used.rows.saturating_add(*rows).saturating_add(more_rows),
            bytes: used.bytes.saturating_add(*bytes).saturating_add(more_bytes),
            more_rows,
            more_bytes,
        };
        Ok(limits::met(&self.shared.grant.limits, &self.shared.usage.so_far(), after))
    }

    /// Counts what goes to the client: a frame of `len` bytes with its header.
    pub(super) fn count(&mut self, more_rows: u64, len: usize) -> Result<(), Ended> {
        let Exchange { rows, bytes, .. } = self.exchange.as_mut().ok_or(Ended::Ours)?;
        *rows = rows.saturating_add(more_rows);
        *bytes = bytes.saturating_add(payload(len));
        self.shared.usage.count_answer(more_rows, payload(len));
        Ok(())
    }

    /// Sends what may go. Safe to drop.
    async fn send(&mut self) -> Result<(), Ended> {
        self.pay().await?;
        if self.client.queued() == 0 {
            return Ok(());
        }
        self.client.flush().await.map_err(|_| Ended::ClientGone)
    }

    /// Passes on what is owed, as far as it is here. Safe to drop.
    pub(super) async fn pay(&mut self) -> Result<(), Ended> {
        let Some(exchange) = &self.exchange else { return Ok(()) };
        if self.owed == 0 {
            return Ok(());
        }
        let recorded = exchange.forwarded().ok_or(Ended::Ours)?;
        let inbound = &mut self.database.inbound;
        let mut paid = false;
        while self.owed > 0 && !inbound.unread().is_empty() {
            let here = inbound.unread();
            let due = here.get(..self.owed.min(here.len())).unwrap_or_default();
            match self.client.pass(recorded, due).await {
                Ok(sent) if sent > 0 => {
                    inbound.consume(sent);
                    self.owed = self.owed.saturating_sub(sent);
                    paid = true;
                }
                Ok(_) | Err(_) => return Err(Ended::ClientGone),
            }
        }
        if paid { self.client.flush().await.map_err(|_| Ended::ClientGone) } else { Ok(()) }
    }

    /// Waits for more of the answer. A client that hangs up is heard meanwhile, and one that sends ahead is not read
    /// beyond its buffer.
    pub(super) async fn receive(&mut self, deadline: Instant) -> Result<Received, Ended> {
        let Self { client, database, alarm, .. } = self;
        let room = !client.inbound.is_full();
        tokio::select! {
            biased;
            () = alarm.rings(deadline) => Ok(Received::Nothing),
            received = database.inbound.fill(&mut database.stream) => match received {
                Ok(received) if received > 0 => Ok(Received::Something),
                Ok(_) | Err(_) => Err(Ended::DatabaseGone),
            },
            received = client.fill(), if room => match received {
                Ok(received) if received > 0 => Ok(Received::Something),
                Ok(_) | Err(_) => Err(Ended::ClientGone),
            },
        }
    }
}

impl Following<'_> {
    /// Whether the whole answer was looked at, and let pass.
    fn is_complete(&self) -> bool {
        self.held == 0 && self.tracker.is_complete()
    }
}

impl Halt {
    /// What the client hears.
    fn refused(self) -> Refused {
        match self {
            Self::Limit(met) => met.refused(),
            Self::Spoiled(refused) => refused,
        }
    }
}

/// Bytes of a frame's payload.
fn payload(len: usize) -> u64 {
    u64::try_from(len.saturating_sub(HEADER_LEN)).unwrap_or(u64::MAX)
}

/// `false`: the deadline came first.
async fn timeout_at(deadline: Instant, work: impl Future<Output = Result<(), Ended>>) -> Result<bool, Ended> {
    match tokio::time::timeout_at(deadline, work).await {
        Ok(done) => done.map(|()| true),
        Err(_) => Ok(false),
    }
}
