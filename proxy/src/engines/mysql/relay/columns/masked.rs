//! Follows an answer whose columns are masked: each frame is taken whole, edited, and queued. Limits and back-pressure are
//! those of any answer: no more is received while what is queued has not gone out.
//!
//! Memory: one row, of the length that the statement's limit allows and less than 16 MiB, and the same again edited. One that
//! is longer than the buffer is entered in the ledger first, and the answer stops where there is no room.

use wire::mysql::frame::Sequence;
use wire::mysql::response::joint::Joint;
use wire::mysql::response::{Answer, Observed, ResponseTracker, Seen};

use super::super::Relay;
use super::super::answer::{Carried, Received};
use super::super::answered::Answered;
use super::super::ended::Ended;
use super::super::limits::Met;
use super::super::refused::Refused;
use super::editor::{Editor, Masks, Spoiled};
use crate::engines::mysql::server::INBOUND;
use crate::exchange::Exchange;
use crate::memory::{NoRoom, Share};
use wire::mysql::response::ResponseError;

/// How many bytes are queued before they are sent.
const QUEUE: usize = 32 * 1024;

/// Where the following of an answer stands.
struct Place<'a> {
    tracker: ResponseTracker,
    editor: Editor<'a>,
    /// The frame at the front of the database's buffer: looked at, and not yet whole or not yet edited.
    front: Option<Observed>,
    carried: Carried,
    answered: Answered,
    joint: Joint,
    /// For a frame that is longer than the buffer, the same edited, and definitions that wait.
    memory: Share,
}

/// How far the editing came.
enum Step {
    /// The queue is full.
    Full,
    /// Nothing whole is left.
    Short,
    /// No more of the answer passes; the client hears this.
    Halt(Refused),
}

impl Relay {
    /// Sends a command to the database and passes its answer on, masked. The statement must be on record.
    pub(in crate::engines::mysql::relay) async fn forward_masked(
        &mut self,
        body: &[u8],
        answer: Answer,
        carried: Carried,
        masks: &mut Masks,
    ) -> Result<Answered, Ended> {
        self.ask(body).await?;
        let place = Place {
            tracker: ResponseTracker::new(answer, self.database.capabilities, Sequence::starting_at(1)),
            editor: Editor::new(masks, answer, self.database.capabilities),
            front: None,
            carried,
            answered: Answered::default(),
            joint: self.joint(),
            memory: self.shared.memory.share(),
        };
        let answered = self.follow_masked(place).await?;
        self.answered().await?;
        Ok(answered)
    }

    async fn follow_masked(&mut self, mut place: Place<'_>) -> Result<Answered, Ended> {
        let (seconds, deadline) = self.deadline(place.carried)?;
        loop {
            let step = self.edit_what_is_here(&mut place)?;
            match tokio::time::timeout_at(deadline, self.client.flush()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(Ended::ClientGone),
                Err(_) => return Err(Ended::Limit(Met::Seconds(seconds))),
            }
            if place.front.is_none() && place.editor.held() == 0 {
                place.memory.clear();
            }
            let refused = match step {
                Step::Full => continue,
                Step::Short if place.front.is_none() && place.tracker.is_complete() => {
                    return Ok(place.answered);
                }
                Step::Short if self.receive(deadline).await? == Received::Something => continue,
                Step::Short => Met::Seconds(seconds).refused(),
                Step::Halt(refused) => refused,
            };
            self.database.inbound.may_hold(INBOUND);
            let held = place.front.map_or(0, |observed| observed.len);
            return self.interrupt(refused, held, place.tracker, place.answered).await;
        }
    }

    /// Edits frames until the queue is full or nothing whole is left.
    fn edit_what_is_here(&mut self, place: &mut Place<'_>) -> Result<Step, Ended> {
        while self.client.queued() < QUEUE {
            let observed = match place.front {
                Some(observed) => observed,
                None if place.tracker.is_complete() => return Ok(Step::Short),
                None => {
                    let unread = self.database.inbound.unread();
                    let seen = place.tracker.observe(unread).map_err(Ended::DatabaseBroke)?;
                    let Some(mut observed) = seen else { return Ok(Step::Short) };
                    self.join(place.joint, &mut observed, 0)?;
                    place.front = Some(observed);
                    if let Some(refused) = self.halt(&observed, place)? {
                        return Ok(Step::Halt(refused));
                    }
                    observed
                }
            };
            if self.database.inbound.unread().len() < observed.len {
                self.database.inbound.may_hold(observed.len.max(INBOUND));
                return Ok(Step::Short);
            }
            // Other sessions may have used up the budget while the rest of it came.
            if let Some(met) = self.meets(&observed, place.carried)? {
                return Ok(Step::Halt(met.refused()));
            }
            match self.edit(&observed, &mut place.editor)? {
                Ok(()) => place.front = None,
                Err(spoiled) => return refused(spoiled).map(Step::Halt),
            }
        }
        Ok(Step::Full)
    }

    /// Looks at a frame before all of it is here: why it may not pass.
    fn halt(&mut self, observed: &Observed, place: &mut Place<'_>) -> Result<Option<Refused>, Ended> {
        self.look(observed, &mut place.answered)?;
        if let Some(met) = self.meets(observed, place.carried)? {
            return Ok(Some(met.refused()));
        }
        if let Err(spoiled) = place.editor.can_take(observed) {
            return refused(spoiled).map(Some);
        }
        let long = observed.len.saturating_add(place.editor.held());
        let room = if long > INBOUND { place.memory.becomes(long.saturating_mul(2)) } else { Ok(()) };
        Ok(room.err().map(|NoRoom| Refused::no_room()))
    }

    /// Edits the frame at the front, which is whole, and uses it up. What goes out counts.
    fn edit(&mut self, observed: &Observed, editor: &mut Editor<'_>) -> Result<Result<(), Spoiled>, Ended> {
        let Self { client, database, exchange, .. } = self;
        let recorded = exchange.as_ref().and_then(Exchange::forwarded).ok_or(Ended::Ours)?;
        let frame = database.inbound.unread().get(..observed.len).unwrap_or_default();
        let queue = client.queue(recorded);
        let before = queue.len();
        if observed.len > QUEUE {
            queue.reserve_exact(observed.len);
        }
        if let Err(spoiled) = editor.edit(observed, frame, queue) {
            return Ok(Err(spoiled));
        }
        let sent = queue.len().saturating_sub(before);
        database.inbound.consume(observed.len);
        if database.inbound.unread().is_empty() {
            database.inbound.may_hold(INBOUND);
        }
        if sent > 0 {
            // What is held goes out at once with this frame: an error in place of the next one follows it.
            client.set_sequence(Sequence::starting_at(observed.sequence.wrapping_add(1)));
        }
        self.count(u64::from(observed.seen == Seen::Row), sent)?;
        Ok(Ok(()))
    }
}

fn refused(spoiled: Spoiled) -> Result<Refused, Ended> {
    spoiled.refused().map_err(|malformed| Ended::DatabaseBroke(ResponseError::Packet(malformed)))
}
