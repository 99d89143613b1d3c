//! The sessions of this grant that are open, by the numbers that people know them by: so that one of them can stop what
//! another executes, or end it. All of them are one person's; sessions of anybody else can't be named.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::database::SessionId;
use crate::engine::Engine;

/// The first number. Far above what a database counts its connections from, so that the two are not taken for each other:
/// tools send the one from the greeting as well as what `CONNECTION_ID()` gives.
const FIRST_NUMBER: u32 = 0x4000_0001;

/// The last number, after which comes the first again: the next one is negative to those that count with signs, and later ones
/// are a database's.
const LAST_NUMBER: u32 = 0x7fff_ffff;

/// A session's place among the others.
pub struct Seat<K> {
    number: u32,
    /// Its number at the database.
    pub(crate) database: SessionId,
    /// How what it executes is stopped.
    pub(crate) cancel: K,
    /// Held while somebody stops what it executes, so that the next statement doesn't begin meanwhile.
    pub(crate) turn: tokio::sync::Mutex<Turn>,
    end: Notify,
}

/// What a session does.
#[derive(Default)]
pub(crate) struct Turn {
    /// A statement is at the database.
    pub(crate) asked: bool,
    /// Somebody stopped it.
    pub(crate) stopped: bool,
}

impl<K> Seat<K> {
    fn new(number: u32, database: SessionId, cancel: K) -> Self {
        Self { number, database, cancel, turn: tokio::sync::Mutex::default(), end: Notify::new() }
    }

    /// Whether it is the same session.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.number == other.number
    }

    /// A statement goes to the database.
    pub(crate) async fn begins(&self) {
        *self.turn.lock().await = Turn { asked: true, stopped: false };
    }

    /// It was answered. Whether somebody stopped it, or tried to.
    pub(crate) async fn ends(&self) -> bool {
        std::mem::take(&mut *self.turn.lock().await).stopped
    }

    /// Ends the session, soon.
    pub(crate) fn kill(&self) {
        self.end.notify_one();
    }

    /// Waits until somebody ends the session. Safe to drop.
    pub(crate) async fn killed(&self) {
        self.end.notified().await;
    }
}

/// All seats that are taken.
pub(crate) struct Seats<K> {
    taken: Mutex<Taken<K>>,
}

struct Taken<K> {
    /// What the next connection is called, unless a session has that number.
    next: u32,
    by_number: BTreeMap<u32, Arc<Seat<K>>>,
}

impl<K> Taken<K> {
    /// A greeting tells its number before anybody has a seat, so strangers use numbers up, too: they go round, past those
    /// that are taken. Between greeting and seat are seconds, in which nobody gets round.
    fn number(&mut self) -> u32 {
        loop {
            let number = self.next;
            self.next = if number < LAST_NUMBER { number.saturating_add(1) } else { FIRST_NUMBER };
            if !self.by_number.contains_key(&number) {
                return number;
            }
        }
    }
}

impl<K> Seats<K> {
    /// Nobody has one yet.
    pub(super) fn empty() -> Self {
        Self { taken: Mutex::new(Taken { next: FIRST_NUMBER, by_number: BTreeMap::new() }) }
    }

    /// The session with this number, of ours or of the database's.
    pub(crate) fn find(&self, number: u64) -> Option<Arc<Seat<K>>> {
        let taken = self.taken();
        let ours = u32::try_from(number).ok().and_then(|number| taken.by_number.get(&number));
        let of_database = || taken.by_number.values().find(|seat| seat.database == SessionId(number));
        ours.or_else(of_database).map(Arc::clone)
    }

    /// The number of one more connection.
    pub(crate) fn next_number(&self) -> u32 {
        self.taken().number()
    }

    fn taken(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat that is given back when this is dropped.
pub(crate) struct Seated<E: Engine> {
    shared: Arc<super::Shared<E>>,
    pub(crate) seat: Arc<Seat<E::CancelKey>>,
}

impl<E: Engine> Seated<E> {
    pub(crate) fn new(
        shared: &Arc<super::Shared<E>>,
        number: u32,
        database: SessionId,
        cancel: E::CancelKey,
    ) -> Self {
        let seat = Arc::new(Seat::new(number, database, cancel));
        shared.seats.taken().by_number.insert(number, Arc::clone(&seat));
        Self { shared: Arc::clone(shared), seat }
    }
}

impl<E: Engine> Drop for Seated<E> {
    fn drop(&mut self) {
        self.shared.seats.taken().by_number.remove(&self.seat.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_last_number_comes_the_first_that_no_session_has() {
        let seats = Seats::empty();
        assert_eq!([seats.next_number(), seats.next_number()], [FIRST_NUMBER, FIRST_NUMBER + 1]);
        for number in [FIRST_NUMBER, FIRST_NUMBER + 1, LAST_NUMBER] {
            seats.taken().by_number.insert(number, Arc::new(Seat::new(number, SessionId(7), ())));
        }
        seats.taken().next = LAST_NUMBER - 1;
        assert_eq!([seats.next_number(), seats.next_number()], [LAST_NUMBER - 1, FIRST_NUMBER + 2]);
    }
}
