//! The prepared statements of one session: what the gate let pass, under the database's ids. Bounded in number and in
//! memory; an id that is not here is not executed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use wire::mysql::command::execute_params::{ParameterType, Statement};

use super::answer::Carried;
use super::editor::Masks;

/// Statements that a session may have prepared at the same time.
const MOST_STATEMENTS: usize = 1024;

/// Bytes of their texts together.
const MOST_TEXT: usize = 4 * 1024 * 1024;

/// Bytes of long data that wait for an execution, of all statements together.
const MOST_LONG_DATA: usize = 1024 * 1024;

/// How the results of a prepared statement pass.
pub(super) enum Results {
    /// As they are.
    Open,
    /// Masked.
    Masked(Masks),
    /// Not at all: it was not executed yet, or the masks were lent to an execution that did not give them back.
    None,
}

/// A statement that the gate let pass and the database prepared.
pub(super) struct Prepared {
    /// The text as the client sent it.
    pub text: Arc<[u8]>,
    /// The schema that its names are of.
    pub schema: Option<Arc<str>>,
    /// What the column rules make of the results of its last execution; away while one of them is followed.
    pub results: Results,
    /// How many parameters it takes.
    pub parameters: u16,
    /// The types of its last execution.
    pub types: Vec<ParameterType>,
    /// What its open cursor has used of the limits.
    pub fetched: Carried,
    /// Parameters sent in pieces since the last execution.
    pub long_data: BTreeMap<u16, Vec<u8>>,
    /// Pieces did not fit: the next execution is refused.
    pub overflowed: bool,
}

impl Prepared {
    pub(super) fn new(text: &[u8], schema: Option<String>, parameters: u16) -> Self {
        Self {
            text: text.into(),
            schema: schema.map(Arc::from),
            results: Results::None,
            parameters,
            types: Vec::new(),
            fetched: Carried::default(),
            long_data: BTreeMap::new(),
            overflowed: false,
        }
    }

    /// What decoding an execution needs to know.
    pub(super) fn known<'a>(&'a self, long_data: &'a [u16]) -> Statement<'a> {
        Statement { parameters: self.parameters, types: &self.types, long_data }
    }

    /// After an execution or a COM_STMT_RESET nothing waits any more.
    pub(super) fn forget_long_data(&mut self) {
        self.long_data.clear();
        self.overflowed = false;
    }

    fn long_bytes(&self) -> usize {
        self.long_data.values().map(Vec::len).sum()
    }
}

/// All of a session's prepared statements.
#[derive(Default)]
pub(super) struct Statements {
    by_id: HashMap<u32, Prepared>,
}

impl Statements {
    /// Whether one more of this length fits.
    pub(super) fn have_room(&self, text: usize) -> bool {
        let texts: usize = self.by_id.values().map(|prepared| prepared.text.len()).sum();
        self.by_id.len() < MOST_STATEMENTS && texts.saturating_add(text) <= MOST_TEXT
    }

    pub(super) fn insert(&mut self, id: u32, prepared: Prepared) {
        self.by_id.insert(id, prepared);
    }

    pub(super) fn get(&self, id: u32) -> Option<&Prepared> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Prepared> {
        self.by_id.get_mut(&id)
    }

    /// Forgets one; whether there was one.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        self.by_id.remove(&id).is_some()
    }

    /// A reset session has none.
    pub(super) fn clear(&mut self) {
        self.by_id.clear();
    }

    /// Takes a piece of a parameter. Whether it is to be forwarded: not for unknown statements and parameters, and not
    /// when it doesn't fit.
    pub(super) fn take_long_data(&mut self, id: u32, parameter: u16, data: &[u8]) -> bool {
        let waiting: usize = self.by_id.values().map(Prepared::long_bytes).sum();
        let Some(prepared) = self.by_id.get_mut(&id) else { return false };
        if parameter >= prepared.parameters || waiting.saturating_add(data.len()) > MOST_LONG_DATA {
            prepared.overflowed = true;
            return false;
        }
        prepared.long_data.entry(parameter).or_default().extend_from_slice(data);
        true
    }
}
