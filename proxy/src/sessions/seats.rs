//! The sessions of this grant that are open, by the numbers that people know them by: so that one of them can stop what
//! another executes, or end it. All of them are one person's; sessions of anybody else can't be named.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The first number. Far above what a database counts its connections from, so that the two are not taken for each other:
/// tools send the one from the greeting as well as what `CONNECTION_ID()` gives. And no negative number to those that
/// count with signs (MariaDB Connector/J).
pub(super) const FIRST_NUMBER: u32 = 0x4000_0001;

/// A session's place among the others.
pub struct Seat {
    number: u32,
    /// The number of its connection at the database.
    pub(crate) database: u32,
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

impl Seat {
    /// Whether it is the same session.
    pub(crate) fn is(&self, other: &Seat) -> bool {
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
#[derive(Default)]
pub(crate) struct Seats {
    by_number: Mutex<BTreeMap<u32, Arc<Seat>>>,
}

impl Seats {
    /// The session with this number, of ours or of the database's.
    pub(crate) fn find(&self, number: u64) -> Option<Arc<Seat>> {
        let number = u32::try_from(number).ok()?;
        let seats = self.seats();
        let of_database = || seats.values().find(|seat| seat.database == number);
        seats.get(&number).or_else(of_database).map(Arc::clone)
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Seat>>> {
        self.by_number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat that is given back when this is dropped.
pub(crate) struct Seated {
    shared: Arc<super::Shared>,
    pub(crate) seat: Arc<Seat>,
}

impl Seated {
    pub(crate) fn new(shared: &Arc<super::Shared>, number: u32, database: u32) -> Self {
        let seat =
            Arc::new(Seat { number, database, turn: tokio::sync::Mutex::default(), end: Notify::new() });
        shared.seats.seats().insert(number, Arc::clone(&seat));
        Self { shared: Arc::clone(shared), seat }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.shared.seats.seats().remove(&self.seat.number);
    }
}
