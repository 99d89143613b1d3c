//! What is done with an answer whose columns are masked: each frame is taken whole, edited, and queued. It is followed as any
//! answer is, by the same limits.
//!
//! Memory: one row, of the length that the statement's limit allows and less than 16 MiB, and the same again edited. One that
//! is longer than the buffer is entered in the ledger first, and the answer stops where there is no room.

use std::sync::Arc;

use wire::mysql::connect::capabilities::Capabilities;
use wire::mysql::frame::Sequence;
use wire::mysql::response::{Answer, Observed, ResponseError, Seen};

use super::super::Relay;
use super::super::answer::{Following, Halt, Step, UsedBefore};
use super::super::ended::Ended;
use super::super::refused::Refused;
use super::editor::{Editor, Masks, Spoiled};
use crate::engines::mysql::server::INBOUND;
use crate::exchange::Exchange;
use crate::memory::{Ledger, NoRoom, Share};

/// How many bytes are queued before they are sent.
const QUEUE: usize = 32 * 1024;

/// The editing of an answer.
pub(in crate::engines::mysql::relay) struct Editing<'a> {
    editor: Editor<'a>,
    /// The frame at the front of the database's buffer: looked at, and not yet whole or not yet edited.
    front: Option<Observed>,
    /// For a frame that is longer than the buffer, the same edited, and definitions that wait.
    memory: Share,
}

impl<'a> Editing<'a> {
    /// Nothing was edited yet.
    pub(in crate::engines::mysql::relay) fn new(
        masks: &'a mut Masks,
        answer: Answer,
        capabilities: Capabilities,
        memory: &Ledger,
    ) -> Self {
        Self { editor: Editor::new(masks, answer, capabilities), front: None, memory: memory.share() }
    }
}

impl Relay {
    /// Edits frames until the queue is full or nothing whole is left. What was queued before has gone out.
    pub(in crate::engines::mysql::relay) fn edit_what_is_here(
        &mut self,
        following: &mut Following<'_>,
    ) -> Result<Step, Ended> {
        let step = self.edit_until(following)?;
        following.held =
            following.editing.as_ref().and_then(|editing| editing.front).map_or(0, |front| front.len);
        Ok(step)
    }

    fn edit_until(&mut self, following: &mut Following<'_>) -> Result<Step, Ended> {
        let usage = Arc::clone(&self.shared.usage);
        let _turn = usage.turn();
        let Following { tracker, used, answered, joint, editing, held: _ } = following;
        let Some(editing) = editing else { return Err(Ended::Ours) };
        if editing.front.is_none() && editing.editor.held() == 0 {
            editing.memory.clear();
        }
        while self.client.queued() < QUEUE {
            let observed = match editing.front {
                Some(observed) => observed,
                None if tracker.is_complete() => return Ok(Step::Short),
                None => {
                    let unread = self.database.inbound.unread();
                    let seen = tracker.observe(unread).map_err(Ended::DatabaseBroke)?;
                    let Some(mut observed) = seen else { return Ok(Step::Short) };
                    self.join(*joint, &mut observed, 0)?;
                    editing.front = Some(observed);
                    self.look(&observed, answered)?;
                    if let Some(halt) = self.halt(&observed, *used, editing)? {
                        return Ok(Step::Halt(halt));
                    }
                    observed
                }
            };
            if self.database.inbound.unread().len() < observed.len {
                self.database.inbound.may_hold(observed.len.max(INBOUND));
                return Ok(Step::Short);
            }
            // Other sessions may have used up the budget while the rest of it came.
            if let Some(met) = self.meets(&observed, *used)? {
                return Ok(Step::Halt(Halt::Limit(met)));
            }
            match self.edit(&observed, &mut editing.editor)? {
                Ok(()) => editing.front = None,
                Err(spoiled) => return refused(spoiled).map(|refused| Step::Halt(Halt::Spoiled(refused))),
            }
        }
        Ok(Step::Full)
    }

    /// Why a frame may not pass, before all of it is here.
    fn halt(
        &self,
        observed: &Observed,
        used: UsedBefore,
        editing: &mut Editing<'_>,
    ) -> Result<Option<Halt>, Ended> {
        if let Some(met) = self.meets(observed, used)? {
            return Ok(Some(Halt::Limit(met)));
        }
        if let Err(spoiled) = editing.editor.can_take(observed) {
            return refused(spoiled).map(|refused| Some(Halt::Spoiled(refused)));
        }
        let long = observed.len.saturating_add(editing.editor.held());
        let room = if long > INBOUND { editing.memory.becomes(long.saturating_mul(2)) } else { Ok(()) };
        Ok(room.err().map(|NoRoom| Halt::Spoiled(Refused::no_room())))
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
