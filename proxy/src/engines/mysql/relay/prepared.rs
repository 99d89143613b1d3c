//! The prepared statements of one session: what the gate let pass, under the database's ids. Bounded in number and in
//! memory; an id that is not here is not executed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sql::Facts;
use sql::mysql::{Session, SessionEffect, StatementKind};
use wire::mysql::command::execute_params::{ParameterType, Statement};

use super::answer::UsedBefore;
use super::columns::Masks;
use crate::audit::Number;
use crate::memory::{Ledger, NoRoom, Share};

/// The most statements that a session may have prepared at the same time.
const MOST_STATEMENTS: usize = 1024;

/// The most bytes of their texts together.
const MOST_TEXT: usize = 4 * 1024 * 1024;

/// The most long data that waits for executions, of all statements together, in bytes.
const MOST_LONG_DATA: usize = 1024 * 1024;

/// What a prepared statement takes besides its text, in bytes, and roughly.
const STATEMENT: usize = 1024;

/// What is remembered of one parameter: the type of its last value.
const PARAMETER: usize = size_of::<ParameterType>();

/// What a parameter takes that was sent in pieces, an empty one too.
const PIECES: usize = 64;

/// What the gate let pass, and what it said of it. Cheap to copy.
#[derive(Clone)]
pub(super) struct Judged {
    /// The text as the client sent it.
    pub text: Arc<[u8]>,
    /// The session as it was: the schema that its names are of, and how it is read.
    pub session: Session,
    /// What kind of statement it is.
    pub kind: StatementKind,
    /// What it touches.
    pub facts: Arc<Facts>,
    /// What an execution does to the session.
    pub effect: SessionEffect,
    /// The record of its preparation, which has the text.
    pub of: Option<Number>,
}

/// A statement that the gate let pass and the database prepared.
pub(super) struct Prepared {
    /// What the gate judged.
    pub judged: Judged,
    /// How many parameters it takes.
    pub parameters: u16,
    /// The types of its last execution.
    pub types: Vec<ParameterType>,
    /// Parameters sent in pieces since the last execution.
    pub long_data: BTreeMap<u16, Vec<u8>>,
    /// Pieces did not fit: the next execution is refused.
    pub overflowed: bool,
    /// The ledger's word on all that but the long data.
    _memory: Share,
    /// The same on the long data.
    waiting: Share,
}

impl Prepared {
    /// `room`: what [`Statements::room_for`] gave for it.
    pub(super) fn new(judged: Judged, parameters: u16, room: Room) -> Self {
        let Room { memory, waiting } = room;
        Self {
            judged,
            parameters,
            types: Vec::new(),
            long_data: BTreeMap::new(),
            overflowed: false,
            _memory: memory,
            waiting,
        }
    }

    /// What decoding an execution needs to know.
    pub(super) fn known<'a>(&'a self, long_data: &'a [u16]) -> Statement<'a> {
        Statement { parameters: self.parameters, types: &self.types, long_data }
    }
}

/// What an execution left: its rows, as far as they wait in the database behind a cursor. PostgreSQL's protocol calls it a portal;
/// in MySQL's a statement has one at the most, and an execution closes the one before.
pub(super) struct Portal {
    /// The record of the execution, with which a fetch goes on.
    pub execution: Number,
    /// How its rows are masked; `None`: they pass as they are.
    pub masks: Option<Masks>,
    /// What its answers have used of the statement's limits.
    pub used: UsedBefore,
    /// The ledger's word on the masks.
    _memory: Share,
}

/// A portal before its execution is on record.
pub(super) struct Unopened {
    masks: Option<Masks>,
    memory: Share,
}

impl Unopened {
    /// Its execution is on record.
    pub(super) fn of(self, execution: Number) -> Portal {
        let Self { masks, memory } = self;
        Portal { execution, masks, used: UsedBefore::default(), _memory: memory }
    }
}

/// Parameters that were sent in pieces, with the ledger's word on them for as long as they are held.
pub(super) struct LongData {
    /// By the parameter's index.
    pub pieces: BTreeMap<u16, Vec<u8>>,
    _memory: Share,
}

/// What the ledger has given for a statement that is about to be prepared.
pub(super) struct Room {
    memory: Share,
    waiting: Share,
}

/// All of a session's prepared statements.
pub(in crate::engines::mysql) struct Statements {
    by_id: HashMap<u32, Prepared>,
    /// Those that have rows, by the ids of their statements.
    portals: HashMap<u32, Portal>,
    /// Bytes of their texts.
    texts: usize,
    /// Bytes of long data that waits.
    waiting: usize,
    memory: Ledger,
    /// The one that the last COM_STMT_PREPARE made, if it did and it was not closed.
    last: Option<u32>,
}

impl Statements {
    /// None, and no room for any: of a connection that is no client's.
    pub(in crate::engines::mysql) fn none() -> Self {
        Self::within(&Ledger::of(0))
    }

    /// None yet; what they take is entered in this ledger.
    pub(super) fn within(memory: &Ledger) -> Self {
        Self {
            by_id: HashMap::new(),
            portals: HashMap::new(),
            texts: 0,
            waiting: 0,
            memory: memory.lasting(),
            last: None,
        }
    }

    /// Room for one more with a text of this length and this many parameters, if there is some.
    pub(super) fn room_for(&self, text: usize, parameters: usize) -> Option<Room> {
        if self.by_id.len() >= MOST_STATEMENTS || self.texts.saturating_add(text) > MOST_TEXT {
            return None;
        }
        let bytes = STATEMENT.saturating_add(text).saturating_add(parameters.saturating_mul(PARAMETER));
        let memory = self.memory.take(bytes).ok()?;
        Some(Room { memory, waiting: self.memory.share() })
    }

    pub(super) fn insert(&mut self, id: u32, prepared: Prepared) {
        self.remove(id);
        self.texts = self.texts.saturating_add(prepared.judged.text.len());
        self.by_id.insert(id, prepared);
        self.last = Some(id);
    }

    /// One is to be prepared: whatever comes of it, the last one is none before it.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    /// The id of the last one.
    pub(super) fn last(&self) -> Option<u32> {
        self.last
    }

    pub(super) fn get(&self, id: u32) -> Option<&Prepared> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Prepared> {
        self.by_id.get_mut(&id)
    }

    /// A portal for an execution that is about to be, if there is room for what is known of its columns.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn portal_for(&self, masks: Option<Masks>) -> Result<Unopened, NoRoom> {
        let memory = self.memory.take(masks.as_ref().map_or(0, Masks::bytes))?;
        Ok(Unopened { masks, memory })
    }

    /// The portal that a statement's execution left.
    pub(super) fn portal(&self, id: u32) -> Option<&Portal> {
        self.portals.get(&id)
    }

    /// Takes it away: it is read from, or closed.
    pub(super) fn take_portal(&mut self, id: u32) -> Option<Portal> {
        self.portals.remove(&id)
    }

    /// Puts it there: the answer said that it has rows.
    pub(super) fn put_portal(&mut self, id: u32, portal: Portal) {
        if self.by_id.contains_key(&id) {
            self.portals.insert(id, portal);
        }
    }

    /// Whether there is any.
    pub(in crate::engines::mysql) fn have_cursor(&self) -> bool {
        !self.portals.is_empty()
    }

    /// Forgets one; whether there was one.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        self.take_long_data(id);
        self.last = self.last.filter(|last| *last != id);
        self.portals.remove(&id);
        let Some(prepared) = self.by_id.remove(&id) else { return false };
        self.texts = self.texts.saturating_sub(prepared.judged.text.len());
        true
    }

    /// A reset session has none.
    pub(in crate::engines::mysql) fn clear(&mut self) {
        (self.texts, self.waiting) = (0, 0);
        self.by_id.clear();
        self.portals.clear();
        self.last = None;
    }

    /// After an execution or a COM_STMT_RESET nothing waits any more.
    pub(super) fn take_long_data(&mut self, id: u32) -> LongData {
        let Some(prepared) = self.by_id.get_mut(&id) else {
            return LongData { pieces: BTreeMap::new(), _memory: self.memory.share() };
        };
        let waited: usize = prepared.long_data.values().map(Vec::len).sum();
        self.waiting = self.waiting.saturating_sub(waited);
        prepared.overflowed = false;
        let memory = std::mem::replace(&mut prepared.waiting, self.memory.share());
        LongData { pieces: std::mem::take(&mut prepared.long_data), _memory: memory }
    }

    /// A piece for this statement was not taken: its next execution is refused.
    pub(super) fn overflows(&mut self, id: u32) {
        if let Some(prepared) = self.by_id.get_mut(&id) {
            prepared.overflowed = true;
        }
    }

    /// Takes a piece of a parameter. Whether it is to be forwarded: not for unknown statements and parameters, and not
    /// when it doesn't fit.
    pub(super) fn adds_long_data(&mut self, id: u32, parameter: u16, data: &[u8]) -> bool {
        let waiting = self.waiting.saturating_add(data.len());
        let Some(prepared) = self.by_id.get_mut(&id) else { return false };
        let begun = prepared.long_data.contains_key(&parameter);
        // A buffer that grows by pieces may be twice as large as they are.
        let more = data.len().saturating_mul(2).saturating_add(if begun { 0 } else { PIECES });
        let bytes = prepared.waiting.bytes().saturating_add(more);
        let fits = parameter < prepared.parameters && waiting <= MOST_LONG_DATA;
        if !fits || prepared.waiting.becomes(bytes).is_err() {
            prepared.overflowed = true;
            return false;
        }
        self.waiting = waiting;
        prepared.long_data.entry(parameter).or_default().extend_from_slice(data);
        true
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    fn judged(text: Arc<[u8]>) -> Judged {
        let kind = StatementKind::Query;
        let facts = Arc::default();
        Judged { text, session: Session::default(), kind, facts, effect: SessionEffect::None, of: None }
    }

    fn with_one(ledger: &Ledger, parameters: u16) -> Statements {
        let mut statements = Statements::within(ledger);
        let text: Arc<[u8]> = b"SELECT ?".as_slice().into();
        let room = statements.room_for(text.len(), parameters.into()).unwrap();
        statements.insert(1, Prepared::new(judged(text), parameters, room));
        statements
    }

    #[test]
    fn a_portal_is_there_until_it_is_read_its_statement_closed_or_the_session_reset() {
        let ledger = Ledger::of(1 << 20);
        let portal = |statements: &Statements| statements.portal_for(None).unwrap().of(Number::FIRST);
        let ends: [fn(&mut Statements); 3] =
            [|s| assert!(s.take_portal(1).is_some()), |s| assert!(s.remove(1)), |s| s.clear()];
        for end in ends {
            let mut statements = with_one(&ledger, 0);
            statements.put_portal(2, portal(&statements));
            assert!(!statements.have_cursor(), "there is no such statement");
            statements.put_portal(1, portal(&statements));
            assert!(
                statements.have_cursor() && statements.portal(1).is_some() && statements.portal(2).is_none()
            );
            end(&mut statements);
            assert!(!statements.have_cursor() && statements.portal(1).is_none());
        }
    }

    #[test]
    fn the_last_one_is_none_before_a_prepare_and_once_it_is_closed() {
        let mut statements = with_one(&Ledger::of(1 << 20), 0);
        assert_eq!((statements.last(), statements.get_mut(1).is_some()), (Some(1), true));
        statements.forget_last();
        assert_eq!((statements.last(), statements.get_mut(1).is_some()), (None, true));
        let mut statements = with_one(&Ledger::of(1 << 20), 0);
        assert!(statements.remove(1));
        assert_eq!((statements.last(), statements.get_mut(1).is_some()), (None, false));
    }

    #[test]
    fn texts_are_bounded_for_a_session_and_for_all_of_them() {
        let ledger = Ledger::of(10 << 20);
        let mut sessions: Vec<Statements> = (0..3).map(|_| Statements::within(&ledger)).collect();
        let mut prepared = Vec::new();
        for statements in &mut sessions {
            let text: Arc<[u8]> = vec![b'x'; 1 << 20].into();
            let mut count = 0;
            while let Some(room) = statements.room_for(text.len(), 0) {
                statements.insert(count, Prepared::new(judged(Arc::clone(&text)), 0, room));
                count += 1;
            }
            prepared.push(count);
        }
        // Four of each session's, and no more than three quarters of the ledger.
        assert_eq!(prepared, [4, 3, 0]);
        assert!(sessions[0].remove(0) && !sessions[0].remove(0));
        assert!(sessions[2].room_for(1 << 20, 0).is_some());
        sessions[1].clear();
        assert!(sessions[1].room_for(1 << 20, 0).is_some());
        drop(sessions);
        assert!(ledger.take(10 << 20).is_ok());
    }

    #[test]
    fn an_empty_piece_costs_too_and_each_costs_the_same() {
        let ledger = Ledger::of(1 << 20);
        let mut statements = with_one(&ledger, u16::MAX);
        let free = |ledger: &Ledger| (0..1 << 20).step_by(64).rev().find(|size| ledger.take(*size).is_ok());
        let before = free(&ledger).unwrap();
        for parameter in 0..100 {
            assert!(statements.adds_long_data(1, parameter, b""));
        }
        assert_eq!(before - free(&ledger).unwrap(), 100 * PIECES);
        for parameter in 100..u16::MAX {
            statements.adds_long_data(1, parameter, b"");
        }
        assert!(statements.get(1).unwrap().overflowed, "more than the ledger has");
        let held = statements.take_long_data(1);
        assert!(!held.pieces.is_empty() && free(&ledger).unwrap() < before, "what is held counts");
        drop(held);
        assert!(!statements.get(1).unwrap().overflowed);
        assert_eq!(free(&ledger).unwrap(), before);
    }

    #[test]
    fn long_data_is_bounded_over_all_statements_and_what_is_forgotten_counts_no_more() {
        let ledger = Ledger::of(64 << 20);
        let mut statements = with_one(&ledger, 2);
        let room = statements.room_for(8, 1).unwrap();
        statements.insert(2, Prepared::new(judged(b"SELECT ?".as_slice().into()), 1, room));
        let half = vec![0; MOST_LONG_DATA / 2];
        assert!(statements.adds_long_data(1, 0, &half) && statements.adds_long_data(2, 0, &half));
        assert!(!statements.adds_long_data(1, 1, b"x"));
        assert!(!statements.adds_long_data(2, 1, b""), "there is no such parameter");
        assert!(statements.get(1).unwrap().overflowed && statements.get(2).unwrap().overflowed);
        assert!(statements.remove(2));
        assert!(statements.adds_long_data(1, 1, b"x"));
        assert_eq!(statements.take_long_data(1).pieces.len(), 2);
        assert!(statements.adds_long_data(1, 1, &half) && statements.adds_long_data(1, 1, &half));
    }
}
