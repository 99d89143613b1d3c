//! Follows the database's answer frame by frame: each is looked at, held against the limits, and passed on as it is.
//! What was let pass stays owed until it has gone out, so an interruption never loses the place.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use wire::mysql::frame::{HEADER_LEN, MAX_PAYLOAD, Sequence};
use wire::mysql::response::joint::Joint;
use wire::mysql::response::{Answer, Observed, ResponseError, ResponseTracker, Seen};

use super::Relay;
use super::answered::Answered;
use super::client_side::FIRST_ANSWER;
use super::ended::Ended;
use super::limits::{self, After, Met};
use super::refused::Refused;
use crate::engines::mysql::server::CommandError;
use crate::exchange::Exchange;

/// How long a client may take to hear that a limit was met.
const HEARING: Duration = Duration::from_secs(1);

/// How long the database may take to stop a statement.
const STOPPING: Duration = Duration::from_secs(5);

/// "Query execution was interrupted": a late KILL QUERY.
const INTERRUPTED: u16 = 1317;

/// What came before the deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    Something,
    Nothing,
}

/// What a cursor's earlier answers have used of the statement's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    pub rows: u64,
    pub bytes: u64,
    pub time: Duration,
}

impl Carried {
    /// Both together.
    pub(super) fn and(self, more: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(more.rows),
            bytes: self.bytes.saturating_add(more.bytes),
            time: self.time.saturating_add(more.time),
        }
    }
}

impl Relay {
    /// Sends a command to the database and passes its answer on. The statement must be on record.
    pub(super) async fn forward(&mut self, body: &[u8], answer: Answer) -> Result<Answered, Ended> {
        self.forward_carrying(body, answer, Carried::default()).await
    }

    /// The same, for a statement that used some of its limits before.
    pub(super) async fn forward_carrying(
        &mut self,
        body: &[u8],
        answer: Answer,
        carried: Carried,
    ) -> Result<Answered, Ended> {
        self.ask(body).await?;
        let tracker = ResponseTracker::new(answer, self.database.capabilities, Sequence::starting_at(1));
        let answered = self.follow(tracker, carried).await?;
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
    pub(super) fn deadline(&self, carried: Carried) -> Result<(u32, Instant), Ended> {
        let seconds = self.shared.grant.limits.statement.seconds;
        let deadline = self
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.deadline(seconds, carried.time))
            .ok_or(Ended::Ours)?;
        Ok((seconds, deadline))
    }

    async fn follow(&mut self, mut tracker: ResponseTracker, carried: Carried) -> Result<Answered, Ended> {
        let (seconds, deadline) = self.deadline(carried)?;
        let (mut answered, joint) = (Answered::default(), self.joint());
        loop {
            let (mut met, mut held) = (None, 0);
            while met.is_none() && !tracker.is_complete() {
                let Some(front) = self.database.inbound.unread().get(self.owed..) else { break };
                let Some(mut observed) = tracker.observe(front).map_err(Ended::DatabaseBroke)? else { break };
                self.join(joint, &mut observed, self.owed)?;
                met = self.judge(&observed, carried, &mut answered)?;
                held = observed.len;
            }
            let in_time = timeout_at(deadline, self.pay()).await?;
            if let Some(met) = met {
                return self.stop(met, held, tracker, answered).await;
            }
            if in_time && self.owed == 0 && tracker.is_complete() {
                return Ok(answered);
            }
            if !in_time || self.receive(deadline).await? == Received::Nothing {
                return self.stop(Met::Seconds(seconds), 0, tracker, answered).await;
            }
        }
    }

    /// Joins a frame to the answers before and after this one. It stands behind `before` bytes of the database's buffer.
    pub(super) fn join(&mut self, joint: Joint, observed: &mut Observed, before: usize) -> Result<(), Ended> {
        let frame = self.database.inbound.unread_mut().get_mut(before..).unwrap_or_default();
        joint.join(observed, frame).map_err(|error| Ended::DatabaseBroke(ResponseError::Packet(error)))
    }

    /// Looks at one frame: lets it pass, or says which limit it would break.
    fn judge(
        &mut self,
        observed: &Observed,
        carried: Carried,
        answered: &mut Answered,
    ) -> Result<Option<Met>, Ended> {
        self.look(observed, answered)?;
        if let Some(met) = self.meets(observed, carried)? {
            self.client.set_sequence(Sequence::starting_at(observed.sequence));
            return Ok(Some(met));
        }
        self.count(u64::from(observed.seen == Seen::Row), observed.len)?;
        self.owed = self.owed.saturating_add(observed.len);
        let continues = observed.len == MAX_PAYLOAD.saturating_add(HEADER_LEN);
        self.client.passing(observed.sequence, continues);
        Ok(None)
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
    pub(super) fn meets(&self, observed: &Observed, carried: Carried) -> Result<Option<Met>, Ended> {
        // An error or the end of the rows is never held back: it is what stops the answer anyway.
        if matches!(observed.seen, Seen::Err(_) | Seen::Ok(_) | Seen::RowsEnd { .. }) {
            return Ok(None);
        }
        let Exchange { rows, bytes, .. } = self.exchange.as_ref().ok_or(Ended::Ours)?;
        let more_rows = u64::from(observed.seen == Seen::Row);
        let more_bytes = payload(observed.len);
        let after = After {
            rows: carried.rows.saturating_add(*rows).saturating_add(more_rows),
            bytes: carried.bytes.saturating_add(*bytes).saturating_add(more_bytes),
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

    /// A limit was met: tells the client in place of the next packet, and makes the database stop. The session goes on
    /// if the database does. `held`: the length of the frame at the front that was looked at and not let pass.
    async fn stop(
        &mut self,
        met: Met,
        held: usize,
        tracker: ResponseTracker,
        answered: Answered,
    ) -> Result<Answered, Ended> {
        if self.owed > 0 || self.client.is_mid_packet() {
            return Err(Ended::Limit(met));
        }
        self.interrupt(met.refused(), held, tracker, answered).await
    }

    /// The same where everything that was let pass has gone out. `answered`: what the answer was so far.
    pub(super) async fn interrupt(
        &mut self,
        refused: Refused,
        held: usize,
        mut tracker: ResponseTracker,
        answered: Answered,
    ) -> Result<Answered, Ended> {
        self.answer_error(&refused)?;
        match timeout(HEARING, self.client.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Ended::ClientGone),
            Err(_) => return Err(Ended::ClientStalled),
        }
        // That was the whole of its answer. Should the session end now, the next command is what it hears that to.
        self.client.set_sequence(Sequence::starting_at(FIRST_ANSWER));
        let shared = std::sync::Arc::clone(&self.shared);
        let stopped = async {
            let killed = shared.engine.dialer.kill_query(&shared.credential, &self.database.opened()).await;
            killed.map_err(|_| Ended::DatabaseGone)?;
            let answered = self.drain(held, &mut tracker, answered).await?;
            self.absorb().await?;
            Ok(answered.stopped())
        };
        timeout(STOPPING, stopped).await.unwrap_or(Err(Ended::DatabaseGone))
    }

    /// Reads the rest of the answer and throws it away: what the whole answer was. `left`: of the frame at the front.
    async fn drain(
        &mut self,
        mut left: usize,
        tracker: &mut ResponseTracker,
        mut answered: Answered,
    ) -> Result<Answered, Ended> {
        let database = &mut self.database;
        loop {
            let here = database.inbound.unread().len().min(left);
            database.inbound.consume(here);
            left = left.saturating_sub(here);
            if left == 0 {
                if tracker.is_complete() {
                    return Ok(answered);
                }
                let observed = tracker.observe(database.inbound.unread()).map_err(Ended::DatabaseBroke)?;
                if let Some(observed) = observed {
                    database.belief.note(&observed.seen).map_err(Ended::Violation)?;
                    answered.note(&observed.seen);
                    left = observed.len;
                    continue;
                }
            }
            match database.inbound.fill(&mut database.stream).await {
                Ok(received) if received > 0 => {}
                Ok(_) | Err(_) => return Err(Ended::DatabaseGone),
            }
        }
    }

    /// A KILL QUERY that came after the statement's end hits the next one: let that be ours.
    async fn absorb(&mut self) -> Result<(), Ended> {
        for _ in 0..2 {
            match self.database.simple("COM_PING", &wire::mysql::command::encode_ping()).await {
                Ok(()) => return Ok(()),
                Err(CommandError::Refused { error, .. }) if error.code == INTERRUPTED => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Ended::DatabaseGone)
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
