//! The life of a proxy, as its stream tells it: owner, credential, sessions, statements and how they went.
//!
//! What a stream may not do: read a credential before owner and pod are on record, open a session without one, ask a second thing in a
//! session before the first has an outcome, close with anything left open, or do any of it when the grant has its receipt. What it may:
//! break off at any record, for a proxy can be killed. Then every session may have one statement without outcome.

use std::collections::{BTreeMap, HashMap};

use record::kinds::proxy::{Close, SessionOpen, Statement};
use record::{Record, What};

use super::grants::Grants;
use super::print::Print;
use super::whose::Whose;
use super::{At, of};
use crate::finding::Wrong;
use crate::notice::Notice;
use crate::report::Found;

/// What a life is compared with.
pub(super) struct Surroundings<'g> {
    pub grants: &'g mut Grants,
    /// Whether an operator writes into this log: beside a proxy that runs alone there is none.
    pub has_operator: bool,
    /// Whether all of its records are here that a grant of now follows from.
    pub is_whole: bool,
}

/// One session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Session {
    Open,
    Closed,
}

/// A proxy whose stream is not closed.
pub(super) struct Life {
    /// Whether records of it are missing, so that it may say what does not follow from the others.
    is_partial: bool,
    /// Whether it runs in a pod, which an operator made.
    has_pod: bool,
    /// The person whom it serves, as it says at its beginning.
    user: Option<Print>,
    owner: Option<Print>,
    has_credential: bool,
    sessions: HashMap<u64, Session>,
    /// Statements without outcome, and whose session's they are.
    running: BTreeMap<u64, u64>,
    statements: Numbers,
}

impl Life {
    pub(super) fn new(record: &Record) -> Self {
        let has_pod = matches!(&record.what, What::Open(open) if open.pod.is_some());
        Self {
            is_partial: record.n.get() > 0,
            has_pod,
            user: None,
            owner: None,
            has_credential: false,
            sessions: HashMap::new(),
            running: BTreeMap::new(),
            statements: Numbers::from(record.n.get()),
        }
    }

    /// Records of it are missing.
    pub(super) fn has_gaps(&mut self) {
        self.is_partial = true;
    }

    /// How many statements have no outcome.
    pub(super) fn without_outcome(&self) -> u64 {
        of(self.running.len())
    }

    pub(super) fn take(&mut self, at: At<'_>, around: &mut Surroundings<'_>, found: &mut Found<'_>) {
        self.statements.see();
        if let What::Credential(_) | What::SessionOpen(_) | What::Statement(_) = at.record.what
            && let Some(receipt) = around.grants.shut(at)
        {
            found.wrong(at.finding(Wrong::AfterReceipt { kind: at.kind(), receipt }));
        }
        match &at.record.what {
            What::Open(_) if at.record.n.get() > 0 => found.wrong(at.finding(Wrong::BeginsAgain)),
            What::Open(open) => {
                let whose = Whose::of_open(open);
                self.user = Some(whose.user());
                around.grants.opened(at, whose);
            }
            What::Owner(owner) => {
                self.owner = Some(Print::of(&owner.accessor));
                around.grants.owner(at, Print::of(&owner.accessor), found);
            }
            What::Credential(_) => self.credential(at, around, found),
            What::SessionOpen(session) => self.session_open(session, at, around, found),
            What::Statement(statement) => self.statement(statement, at, found),
            What::Outcome(outcome) => self.outcome(outcome.of.get(), at, found),
            What::Fetch(outcome) => self.fetch(outcome.of.get(), at, found),
            What::SessionClose(session) => {
                let open = self.sessions.insert(session.session.get(), Session::Closed);
                if open != Some(Session::Open) {
                    self.unless_partial(at, Wrong::SessionUnknown { session: session.session.get() }, found);
                }
            }
            What::Close(close) => self.close(close, at, found),
            What::SessionRefused(_) | What::Violation(_) | What::Budget(_) | What::Proofs(_) => {}
            // What others write is in no proxy's stream: its record would not have been read.
            _ => {}
        }
    }

    fn unless_partial(&self, at: At<'_>, wrong: Wrong, found: &mut Found<'_>) {
        if !self.is_partial {
            found.wrong(at.finding(wrong));
        }
    }

    /// The proxy puts its owner on record and shows it to the operator; the operator puts the pod on record and only then tells that a
    /// credential may be read. So both come before it, in either order.
    fn credential(&mut self, at: At<'_>, around: &mut Surroundings<'_>, found: &mut Found<'_>) {
        self.has_credential = true;
        let Some(owner) = self.owner else {
            return self.unless_partial(at, Wrong::CredentialWithoutOwner, found);
        };
        let has_operator = self.has_pod || around.has_operator;
        if has_operator && !self.is_partial && !around.grants.has_pod(at, owner) {
            let is_whole = around.is_whole || around.grants.has_all_of(at);
            around.grants.missing(at, is_whole, ("pod", Wrong::CredentialWithoutPod), found);
        }
    }

    fn session_open(
        &mut self,
        open: &SessionOpen,
        at: At<'_>,
        around: &Surroundings<'_>,
        found: &mut Found<'_>,
    ) {
        let session = open.session.get();
        let by_operator = || around.grants.user(at).map(|user| (user, "grant"));
        let whose = self.user.map(|user| (user, "open")).or_else(by_operator);
        if let Some((_, than)) = whose.filter(|(user, _)| *user != Print::of(&open.user)) {
            found.wrong(at.finding(Wrong::SaysOtherwise { field: "user", than }));
        }
        if self.sessions.insert(session, Session::Open).is_some() {
            found.wrong(at.finding(Wrong::SessionTwice { session }));
        }
        if !self.has_credential {
            self.unless_partial(at, Wrong::SessionWithoutCredential { session }, found);
        }
    }

    fn statement(&mut self, statement: &Statement, at: At<'_>, found: &mut Found<'_>) {
        let (n, session) = (at.record.n.get(), statement.session.get());
        if self.sessions.get(&session) != Some(&Session::Open) {
            self.unless_partial(at, Wrong::SessionUnknown { session }, found);
        }
        let before = self.running.iter().find(|(_, of)| **of == session).map(|(n, _)| *n);
        if let Some(of) = before {
            self.running.remove(&of);
            self.unless_partial(at, Wrong::OutcomeMissing { of }, found);
        }
        if let Some(of) = statement.of.map(record::Count::get)
            && !self.statements.has(of)
        {
            self.unless_partial(at, Wrong::NoStatement { of }, found);
        }
        self.running.insert(n, session);
        self.statements.add(n);
    }

    fn outcome(&mut self, of: u64, at: At<'_>, found: &mut Found<'_>) {
        if self.running.remove(&of).is_some() {
            return;
        }
        if self.statements.has(of) {
            found.wrong(at.finding(Wrong::OutcomeTwice { of }));
        } else {
            self.unless_partial(at, Wrong::NoStatement { of }, found);
        }
    }

    fn fetch(&self, of: u64, at: At<'_>, found: &mut Found<'_>) {
        if self.running.contains_key(&of) {
            found.wrong(at.finding(Wrong::FetchedBefore { of }));
        } else if !self.statements.has(of) {
            self.unless_partial(at, Wrong::NoStatement { of }, found);
        }
    }

    /// An outcome out of the proxy's last words. The log may have it too: then only its acknowledgement was lost.
    pub(super) fn late(&mut self, at: At<'_>, of: u64, found: &mut Found<'_>) {
        self.running.remove(&of);
        if !self.statements.has(of) {
            self.unless_partial(at, Wrong::NoStatement { of }, found);
        }
    }

    /// What is left open must be as much as the proxy says that it could not put on record.
    fn close(&self, close: &Close, at: At<'_>, found: &mut Found<'_>) {
        let open: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(_, state)| **state == Session::Open)
            .map(|(number, _)| *number)
            .collect();
        let owed = close.owed.get();
        if owed > 0 {
            found.notice(Notice::Owed { stream: at.record.stream.clone(), count: owed });
        }
        if of(self.running.len()).saturating_add(of(open.len())) <= owed {
            return;
        }
        for of in self.running.keys() {
            self.unless_partial(at, Wrong::NoOutcome { of: *of }, found);
        }
        for session in open {
            self.unless_partial(at, Wrong::SessionNotClosed { session }, found);
        }
    }
}

/// A set of numbers of records, a bit for each. It has as many bits as records of its stream were seen, and no more than a gap of them
/// beyond: a number is its writer's own, and may be any.
struct Numbers {
    from: u64,
    seen: u64,
    bits: Vec<u64>,
}

/// How many numbers may be missing of those that are told apart, in words of 64.
const LONGEST_GAP: u64 = 64;

impl Numbers {
    fn from(from: u64) -> Self {
        Self { from, seen: 0, bits: Vec::new() }
    }

    /// A record of the stream was seen, whether its number is added or not.
    fn see(&mut self) {
        self.seen = self.seen.saturating_add(1);
    }

    /// Which word, and which bit of it.
    fn place(&self, number: u64) -> Option<(usize, u64)> {
        let place = number.checked_sub(self.from)?;
        Some((usize::try_from(place / 64).ok()?, 1 << (place % 64)))
    }

    fn has(&self, number: u64) -> bool {
        let Some((word, bit)) = self.place(number) else { return false };
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    fn add(&mut self, number: u64) {
        let Some((word, bit)) = self.place(number) else { return };
        // After gaps as long as this only the records behind them are told apart.
        if of(word) > (self.seen / 64).saturating_add(LONGEST_GAP) {
            *self = Self::from(number);
            return self.add(number);
        }
        if self.bits.len() <= word {
            self.bits.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.bits.get_mut(word) {
            *word |= bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_stream_is_bounded_by_its_records_whatever_their_numbers_are() {
        let mut numbers = Numbers::from(0);
        let mut number = 0;
        for seen in 1..=3_000_u64 {
            // As far apart as is not told apart yet, and a little further.
            number += 64 * (LONGEST_GAP - 2 + seen % 5);
            numbers.see();
            numbers.add(number);
            assert!(numbers.has(number));
            let words = u64::try_from(numbers.bits.len()).unwrap();
            assert!(words <= seen / 64 + LONGEST_GAP + 1, "{words} words after {seen} records");
        }
    }

    #[test]
    fn in_a_stream_without_gaps_every_statement_is_known_to_the_end() {
        let mut numbers = Numbers::from(7);
        for number in 7..200_000 {
            numbers.see();
            if number % 1_000 == 0 {
                numbers.add(number);
            }
        }
        assert!((1..200).all(|thousand| numbers.has(thousand * 1_000) && !numbers.has(thousand * 1_000 + 1)));
    }
}
